/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of writes: content types, parsing, and that the object is what the path says. */
#include "api/api_internal.h"
#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>

enum body_type {
    BODY_NONE,
    BODY_JSON,
    BODY_YAML,
    BODY_PROTOBUF,
    BODY_MERGE,
    BODY_STRATEGIC,
    BODY_OPERATIONS
};

/* Forms and text/plain are left out on purpose: a web page may send those anywhere without being
 * asked (DESIGN §13). */
static const struct {
    const char *name;
    enum body_type type;
} body_types[] = {
    {"application/json", BODY_JSON},
    {"application/yaml", BODY_YAML},
    {"application/x-yaml", BODY_YAML},
    {"text/yaml", BODY_YAML},
    {"text/x-yaml", BODY_YAML},
    {"application/vnd.kubernetes.protobuf", BODY_PROTOBUF},
    {"application/merge-patch+json", BODY_MERGE},
    {"application/strategic-merge-patch+json", BODY_STRATEGIC},
    {"application/json-patch+json", BODY_OPERATIONS},
};

static enum body_type body_type(const struct http_request *request)
{
    struct slice header = http_request_header(request, "Content-Type");
    const char *end = header.len > 0 ? memchr(header.ptr, ';', header.len) : NULL;
    struct slice name = slice_of(header.ptr, end != NULL ? (size_t)(end - header.ptr) : header.len);
    while (name.len > 0 && name.ptr[name.len - 1] == ' ')
        name.len--;
    for (size_t i = 0; i < COUNT_OF(body_types); i++)
        if (slice_is_nocase(name, body_types[i].name))
            return body_types[i].type;
    return BODY_NONE;
}

static unsigned refuse_type(const struct query *q, const char *accepted, struct error *err)
{
    struct slice header = http_request_header(q->request, "Content-Type");
    if (header.len == 0)
        header = SLICE("no Content-Type");
    error_set(err, -EINVAL,
              "the body of the request was in an unknown format (%.*s): accepted media types "
              "include: %s",
              (int)(header.len < 80 ? header.len : 80), header.ptr, accepted);
    return 415;
}

static unsigned refuse(struct error *err, const char *message)
{
    error_set(err, -EINVAL, "%s", message);
    return 400;
}

static unsigned read_json(struct slice body, json_t **ret, struct error *err)
{
    int status = resource_parse_value(body, ret, err);
    return status == 0 ? 0 : status == -EFBIG || status == -E2BIG ? 413 : 400;
}

/* ---- objects ---- */

static bool put_default(json_t *object, const char *key, const char *value)
{
    return json_object_get(object, key) != NULL ||
           json_object_set_new(object, key, json_string(value)) == 0;
}

/* What the path says need not be said in the body. */
static unsigned fill_from_path(const struct query *q, json_t *object, struct error *err)
{
    autobuf api_version = BUF_INIT;
    resource_kind_api_version(q->kind, &api_version);
    if (json_object_get(object, "metadata") == NULL)
        json_object_set_new(object, "metadata", json_object());
    json_t *metadata = json_object_get(object, "metadata");
    if (!json_is_object(metadata)) {
        error_field(err, -EINVAL, "metadata", "must be an object");
        return 422;
    }
    bool good = buf_ok(&api_version) && put_default(object, "apiVersion", api_version.ptr) &&
                put_default(object, "kind", q->kind->kind) &&
                (*q->name == '\0' || put_default(metadata, "name", q->name));
    if (good)
        return 0;
    error_set(err, -ENOMEM, "out of memory");
    return 503;
}

static unsigned check_kind(const struct query *q, const json_t *object, struct error *err)
{
    autobuf api_version = BUF_INIT;
    resource_kind_api_version(q->kind, &api_version);
    const char *given = json_string_value(json_object_get(object, "apiVersion"));
    const char *kind = json_string_value(json_object_get(object, "kind"));
    if (given != NULL && kind != NULL && buf_ok(&api_version) &&
        strcmp(given, api_version.ptr) == 0 && strcmp(kind, q->kind->kind) == 0)
        return 0;
    error_set(err, -EINVAL, "the object is a %.80s of %.80s, the URL wants a %s of %s",
              kind != NULL ? kind : "?", given != NULL ? given : "?", q->kind->kind,
              buf_ok(&api_version) ? api_version.ptr : "");
    return 400;
}

static unsigned check_place(const struct query *q, const json_t *object, struct error *err)
{
    const char *name = resource_text_at(object, "metadata.name");
    const char *space = resource_text_at(object, "metadata.namespace");
    if (*q->name != '\0' && name != NULL && strcmp(name, q->name) != 0) {
        error_set(err, -EINVAL,
                  "the name of the object (%.80s) does not match the name on the URL (%.80s)", name,
                  q->name);
        return 400;
    }
    if (q->kind->namespaced && space != NULL && *space != '\0' &&
        strcmp(space, q->namespace_name) != 0) {
        error_set(err, -EINVAL,
                  "the namespace of the object (%.63s) does not match the namespace on the URL "
                  "(%.63s)",
                  space, q->namespace_name);
        return 400;
    }
    return 0;
}

struct unknown_fields {
    struct query *query;
    const struct resource_document *document; /* or NULL */
    struct buf text;                          /* for the refusal */
    unsigned count;
};
#define UNKNOWN_FIELDS_MAX 16 /* more are not told */

static int note_unknown(void *ctx, const char *path, const char *nearest)
{
    struct unknown_fields *u = ctx;
    if (u->count++ >= UNKNOWN_FIELDS_MAX || u->query->validation == QUERY_IGNORE)
        return 0;
    autobuf one = BUF_INIT;
    if (u->document != NULL && u->query->validation == QUERY_STRICT)
        buf_printf(&one, "line %d: ", resource_line(u->document, path));
    buf_printf(&one, "unknown field \"%.160s\"", path);
    if (*nearest != '\0')
        buf_printf(&one, " (did you mean \"%s\"?)", nearest);
    if (!buf_ok(&one))
        return 0;
    if (u->query->validation == QUERY_STRICT) {
        buf_printf(&u->text, "%s%s", u->text.len > 0 ? ", " : "", one.ptr);
        return 0;
    }
    /* A header's quoted text: no control characters, quotes escaped. */
    buf_add_text(&u->query->warnings, "299 - \"");
    for (const char *c = one.ptr; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            buf_add_byte(&u->query->warnings, '\\');
        buf_add_byte(&u->query->warnings, (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
    }
    buf_add_text(&u->query->warnings, "\"\n");
    return 0;
}

static unsigned check_unknown(struct query *q, json_t *object,
                              const struct resource_document *document, struct error *err)
{
    struct unknown_fields u = {.query = q, .document = document, .text = BUF_INIT};
    resource_each_unknown(q->kind, object, true, note_unknown, &u);
    unsigned status = 0;
    if (u.count > 0 && q->validation == QUERY_STRICT) {
        error_set(err, -EINVAL,
                  "%s in version \"%s\" cannot be handled as a %s: strict decoding error: %s",
                  q->kind->kind, q->kind->version, q->kind->kind,
                  buf_ok(&u.text) && u.text.len > 0 ? u.text.ptr : "unknown fields");
        status = 400;
    }
    buf_done(&u.text);
    return status;
}

/* What runs outside of the sandbox is not everybody's to deploy, however the object comes to be. */
static unsigned check_admission(const struct query *q, const json_t *object, struct error *err)
{
    if (q->kind != &resource_kind_function || q->api->functions == NULL)
        return 0;
    return function_host_admit(q->api->functions, object, q->admin, err);
}

unsigned body_check(struct query *q, json_t *object, const struct resource_document *document,
                    struct error *err)
{
    unsigned status = fill_from_path(q, object, err);
    if (status == 0)
        status = check_kind(q, object, err);
    if (status == 0)
        status = check_place(q, object, err);
    if (status == 0)
        status = check_unknown(q, object, document, err);
    if (status != 0)
        return status;
    const char *space = q->kind->namespaced ? q->namespace_name : NULL;
    if (resource_check(q->kind, object, space, err) < 0) {
        if (document != NULL)
            err->line = resource_line(document, err->field);
        return 422;
    }
    status = check_place(q, object, err);
    return status == 0 ? check_admission(q, object, err) : status;
}

/* Errors about an object name it, when it could be read at all. */
static void learn_name(struct query *q, const json_t *object)
{
    const char *name = resource_text_at(object, "metadata.name");
    if (*q->name != '\0' || name == NULL)
        return;
    char *copy = strdup(name);
    if (copy == NULL)
        return;
    free(q->name);
    q->name = copy;
}

static unsigned read_text(struct query *q, bool yaml, struct error *err)
{
    struct resource_document *documents;
    size_t count;
    struct slice body = http_request_body(q->request);
    int status = yaml ? resource_parse(body, &documents, &count, err)
                      : resource_parse_json(body, &documents, &count, err);
    if (status < 0)
        return status == -EFBIG || status == -E2BIG ? 413 : 400;
    unsigned result = 400;
    if (count != 1) {
        error_set(err, -EINVAL, "the body must be exactly one object, it has %zu", count);
    } else {
        json_t *object = documents[0].object;
        const char *newline = memchr(body.ptr, '\n', body.len);
        bool lines = yaml || (newline != NULL && newline != body.ptr + body.len - 1);
        result = body_check(q, object, lines ? &documents[0] : NULL, err);
        q->object = json_incref(object);
        if (q->verb == QUERY_CREATE)
            learn_name(q, object);
    }
    resource_documents_free(documents, count);
    return result;
}

static unsigned read_protobuf(struct query *q, struct error *err)
{
    if (!protobuf_reads(q->kind) || q->verb != QUERY_CREATE)
        return refuse_type(q, "application/json, application/yaml", err);
    if (protobuf_read_object(q->kind, http_request_body(q->request), &q->object, err) < 0)
        return 400;
    unsigned status = body_check(q, q->object, NULL, err);
    learn_name(q, q->object);
    return status;
}

unsigned body_read_object(struct query *q, struct error *err)
{
    enum body_type type = body_type(q->request);
    if (type == BODY_PROTOBUF)
        return read_protobuf(q, err);
    if (type != BODY_JSON && type != BODY_YAML)
        return refuse_type(q, "application/json, application/yaml", err);
    return read_text(q, type == BODY_YAML, err);
}

/* ---- patches and deletes ---- */

unsigned body_read_patch(struct query *q, struct error *err)
{
    enum body_type type = body_type(q->request);
    if (type == BODY_MERGE)
        q->patch = QUERY_PATCH_MERGE;
    else if (type == BODY_STRATEGIC)
        q->patch = QUERY_PATCH_STRATEGIC;
    else if (type == BODY_OPERATIONS)
        q->patch = QUERY_PATCH_JSON;
    else
        return refuse_type(q,
                           "application/merge-patch+json, application/json-patch+json, "
                           "application/strategic-merge-patch+json",
                           err);
    unsigned status = read_json(http_request_body(q->request), &q->object, err);
    if (status != 0)
        return status;
    if (q->patch == QUERY_PATCH_JSON ? json_is_array(q->object) : json_is_object(q->object))
        return 0;
    return refuse(err, q->patch == QUERY_PATCH_JSON ? "a JSON patch must be a list of operations"
                                                    : "a merge patch must be an object");
}

static char *text_copy(const json_t *object, const char *path)
{
    const char *text = resource_text_at(object, path);
    return text != NULL ? strdup(text) : NULL;
}

/* DeleteOptions: kubectl asks for a dry run in here only. */
unsigned body_read_delete(struct query *q, struct error *err)
{
    struct slice body = http_request_body(q->request);
    if (body.len == 0)
        return 0;
    if (body_type(q->request) != BODY_JSON)
        return refuse_type(q, "application/json", err);
    json_t *options = NULL;
    unsigned status = read_json(body, &options, err);
    if (status != 0)
        return status;
    size_t index;
    json_t *value;
    json_array_foreach(json_object_get(options, "dryRun"), index, value)
    {
        const char *text = json_string_value(value);
        if (text == NULL || strcmp(text, "All") != 0)
            status = refuse(err, "dryRun must be [\"All\"]");
        q->dry_run = true;
    }
    q->uid = text_copy(options, "preconditions.uid");
    q->version = text_copy(options, "preconditions.resourceVersion");
    json_decref(options);
    return status;
}
