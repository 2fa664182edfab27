/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI documents from the kinds' tables: what `kubectl explain` and its validation look at. HTTP
 * threads. */
#include "api/api_internal.h"
#include "base/memory.h"

#include <inttypes.h>

/* ---- schemas ---- */

static json_t *schema_of(const struct resource_kind *kind, const struct resource_field *f);

/* The field's own name when it is a direct child of the object at parent ("" for the top). */
static const char *child_name(const struct resource_field *f, const char *parent)
{
    size_t len = strlen(parent);
    const char *name = f->path;
    if (len > 0) {
        if (strncmp(name, parent, len) != 0 || name[len] != '.')
            return NULL;
        name += len + 1;
    }
    return strpbrk(name, ".[") == NULL ? name : NULL;
}

static json_t *object_schema(const struct resource_kind *kind, const char *path)
{
    json_t *schema = json_pack("{s:s}", "type", "object"), *properties = json_object();
    json_t *required = json_array();
    const struct resource_field *f;
    for (size_t i = 0; (f = resource_field_at(kind, i)) != NULL; i++) {
        const char *name = child_name(f, path);
        if (name == NULL)
            continue;
        json_object_set_new(properties, name, schema_of(kind, f));
        if (f->required)
            json_array_append_new(required, json_string(name));
    }
    json_object_set_new(schema, "properties", properties);
    if (json_array_size(required) > 0)
        json_object_set(schema, "required", required);
    json_decref(required);
    return schema;
}

static json_t *list_schema(const struct resource_kind *kind, const struct resource_field *f)
{
    autobuf path = BUF_INIT;
    buf_printf(&path, "%s[]", f->path);
    const struct resource_field *items =
        buf_ok(&path) ? resource_field_find(kind, buf_slice(&path)) : NULL;
    return json_pack("{s:s, s:o}", "type", "array", "items",
                     items != NULL ? schema_of(kind, items) : json_object());
}

static void add_range(json_t *schema, const struct resource_field *f)
{
    if (f->min == 0 && f->max == 0)
        return;
    json_object_set_new(schema, "minimum", json_integer(f->min));
    json_object_set_new(schema, "maximum", json_integer(f->max));
}

static void add_choices(json_t *schema, const struct resource_field *f)
{
    if (f->choices == NULL)
        return;
    json_t *choices = json_array();
    for (const char *const *choice = f->choices; *choice != NULL; choice++)
        json_array_append_new(choices, json_string(*choice));
    json_object_set_new(schema, "enum", choices);
}

static json_t *schema_of_type(const struct resource_kind *kind, const struct resource_field *f)
{
    switch (f->type) {
    case RESOURCE_INTEGER:
        return json_pack("{s:s, s:s}", "type", "integer", "format", "int64");
    case RESOURCE_BOOLEAN:
        return json_pack("{s:s}", "type", "boolean");
    case RESOURCE_DURATION:
        return json_pack("{s:s, s:s}", "type", "string", "format", "duration");
    case RESOURCE_QUANTITY:
        return json_pack("{s:s, s:s}", "type", "string", "format", "quantity");
    case RESOURCE_STRING_MAP:
        return json_pack("{s:s, s:{s:s}}", "type", "object", "additionalProperties", "type",
                         "string");
    case RESOURCE_OBJECT:
        return object_schema(kind, f->path);
    case RESOURCE_LIST:
        return list_schema(kind, f);
    case RESOURCE_ANY:
        return json_pack("{s:s, s:b}", "type", "object", "x-kubernetes-preserve-unknown-fields", 1);
    case RESOURCE_STRING:
    case RESOURCE_TYPE_COUNT:
        break;
    }
    return json_pack("{s:s}", "type", "string");
}

static json_t *schema_of(const struct resource_kind *kind, const struct resource_field *f)
{
    json_t *schema = schema_of_type(kind, f);
    if (f->help != NULL)
        json_object_set_new(schema, "description", json_string(f->help));
    if (f->fallback != NULL)
        json_object_set_new(schema, "default", json_loads(f->fallback, JSON_DECODE_ANY, NULL));
    if (f->type == RESOURCE_INTEGER)
        add_range(schema, f);
    add_choices(schema, f);
    return schema;
}

/* ---- documents ---- */

static json_t *identity_of(const struct resource_kind *k)
{
    return json_pack("{s:s, s:s, s:s}", "group", k->group, "version", k->version, "kind", k->kind);
}

static json_t *operation(const struct resource_kind *k, const char *action, bool writes)
{
    json_t *o = json_pack("{s:s, s:o, s:{s:{s:s}}}", "x-kubernetes-action", action,
                          "x-kubernetes-group-version-kind", identity_of(k), "responses", "200",
                          "description", "OK");
    static const char *const names[] = {"dryRun", "fieldManager", "fieldValidation"};
    if (!writes)
        return o;
    json_t *parameters = json_array();
    for (size_t i = 0; i < COUNT_OF(names); i++)
        json_array_append_new(parameters, json_pack("{s:s, s:s, s:{s:s}}", "name", names[i], "in",
                                                    "query", "schema", "type", "string"));
    json_object_set_new(o, "parameters", parameters);
    return o;
}

static void add_paths(json_t *paths, const struct resource_kind *k)
{
    char path[256];
    const char *space = k->namespaced ? "namespaces/{namespace}/" : "";
    autobuf version = BUF_INIT;
    resource_kind_api_version(k, &version);
    if (!buf_ok(&version))
        return;
    snprintf(path, sizeof(path), "/%s/%s/%s%s", *k->group != '\0' ? "apis" : "api", version.ptr,
             space, k->plural);
    json_object_set_new(paths, path,
                        json_pack("{s:o, s:o}", "get", operation(k, "list", false), "post",
                                  operation(k, "post", true)));
    strncat(path, "/{name}", sizeof(path) - strlen(path) - 1);
    json_object_set_new(paths, path,
                        json_pack("{s:o, s:o, s:o, s:o}", "get", operation(k, "get", false), "put",
                                  operation(k, "put", true), "patch", operation(k, "patch", true),
                                  "delete", operation(k, "delete", false)));
}

static void add_schema(json_t *schemas, const struct resource_kind *k)
{
    char name[128];
    snprintf(name, sizeof(name), "%s%s%s.%s", k->group, *k->group != '\0' ? "." : "", k->version,
             k->kind);
    json_t *schema = object_schema(k, "");
    json_object_set_new(schema, "description", json_string(k->help));
    json_object_set_new(schema, "x-kubernetes-group-version-kind",
                        json_pack("[o]", identity_of(k)));
    json_object_set_new(schemas, name, schema);
}

/* All kinds whose group and version make up the name (api/v1, apis/GROUP/VERSION); "": all kinds.
 */
static json_t *document_of(struct slice wanted)
{
    json_t *paths = json_object(), *schemas = json_object();
    for (size_t i = 0; i < resource_kind_count; i++) {
        const struct resource_kind *k = resource_kinds[i];
        autobuf name = BUF_INIT;
        buf_add_text(&name, *k->group != '\0' ? "apis/" : "api/");
        resource_kind_api_version(k, &name);
        if (!buf_ok(&name) || (wanted.len > 0 && !slice_equal(wanted, buf_slice(&name))))
            continue;
        add_paths(paths, k);
        add_schema(schemas, k);
    }
    if (json_object_size(paths) == 0) {
        json_decref(paths);
        json_decref(schemas);
        return NULL;
    }
    return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:o}}", "openapi", "3.0.0", "info", "title",
                     "sluice", "version", SLUICE_VERSION, "paths", paths, "components", "schemas",
                     schemas);
}

/* Clients keep a document for ever by its hash, so it must change when the document does. */
static uint64_t hash_of(struct slice text)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * UINT64_C(1099511628211);
    return hash;
}

static void add_index_entry(json_t *paths, const struct resource_kind *k)
{
    autobuf name = BUF_INIT, text = BUF_INIT, url = BUF_INIT;
    buf_add_text(&name, *k->group != '\0' ? "apis/" : "api/");
    resource_kind_api_version(k, &name);
    json_t *document = buf_ok(&name) ? document_of(buf_slice(&name)) : NULL;
    resource_dump(&text, document);
    json_decref(document);
    buf_printf(&url, "/openapi/v3/%s?hash=%016" PRIX64, buf_ok(&name) ? name.ptr : "",
               hash_of(buf_slice(&text)));
    if (buf_ok(&text) && buf_ok(&url))
        json_object_set_new(paths, name.ptr, json_pack("{s:s}", "serverRelativeURL", url.ptr));
}

static json_t *index_document(void)
{
    json_t *paths = json_object();
    for (size_t i = 0; i < resource_kind_count; i++)
        add_index_entry(paths, resource_kinds[i]);
    return json_pack("{s:o}", "paths", paths);
}

void openapi_handle_v3(struct http_request *request, void *ctx)
{
    struct slice name = http_request_param(request, "document");
    json_t *document = name.len == 0 ? index_document() : document_of(name);
    if (document == NULL) {
        answer_plain_status(request, 404, "there is no such OpenAPI document");
        return;
    }
    autobuf body = BUF_INIT;
    resource_dump(&body, document);
    json_decref(document);
    struct http_header cache = {SLICE("Cache-Control"),
                                SLICE("public, immutable, max-age=31536000")};
    bool keep = name.len > 0 && http_request_query_value(request, "hash").len > 0;
    if (!buf_ok(&body))
        http_respond_errorf(request, 503, "out of memory");
    else
        http_respond(request, &(struct http_response){.status = 200,
                                                      .content_type = "application/json",
                                                      .headers = &cache,
                                                      .header_count = keep ? 1 : 0,
                                                      .body = buf_slice(&body)});
}

/* Clients before kubectl 1.27 ask for no other form than protobuf, and take it by this name. */
void openapi_handle_v2(struct http_request *request, void *ctx)
{
    autobuf body = BUF_INIT;
    json_t *document = document_of(SLICE(""));
    if (document != NULL)
        openapi_v2_encode(&body, document);
    if (document == NULL || !buf_ok(&body))
        http_respond_errorf(request, 503, "out of memory");
    else
        http_respond(request, &(struct http_response){.status = 200,
                                                      .content_type = "application/octet-stream",
                                                      .body = buf_slice(&body)});
    json_decref(document);
}
