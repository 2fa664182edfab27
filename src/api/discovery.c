/* SPDX-License-Identifier: Apache-2.0 */
/* Which groups, versions and kinds there are: Kubernetes' legacy and aggregated discovery, and
 * /version. Everything comes from the kinds' tables. HTTP threads. */
#include "api/api_internal.h"
#include "base/memory.h"

#include <sys/utsname.h>

static const char *verbs_of(const struct resource_kind *k)
{
    return kinds_is_view(k)
               ? "[\"get\",\"list\",\"watch\"]"
               : "[\"create\",\"delete\",\"get\",\"list\",\"patch\",\"update\",\"watch\"]";
}

static bool has_log(const struct resource_kind *k)
{
    return kinds_stored(k) == &resource_kind_function;
}

static void respond(struct http_request *request, const char *content_type, struct buf *body)
{
    if (!buf_ok(body)) {
        http_respond_errorf(request, 503, "out of memory");
        return;
    }
    struct http_header vary = {SLICE("Vary"), SLICE("Accept")};
    http_respond(request, &(struct http_response){.status = 200,
                                                  .content_type = content_type,
                                                  .headers = &vary,
                                                  .header_count = 1,
                                                  .body = buf_slice(body)});
}

/* The first of its group, so that each group is told once. */
static bool is_first_of_group(size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(kinds_at(i)->group, kinds_at(index)->group) == 0)
            return false;
    return true;
}

static const char *categories_of(const struct resource_kind *k)
{
    if (*k->group == '\0')
        return kinds_is_view(k) ? "[\"all\"]" : "[]";
    return strcmp(k->group, "sluice.dev") == 0 ? "[\"all\",\"sluice\"]"
                                               : "[\"all\",\"knative\",\"eventing\"]";
}

static void add_short_names(struct buf *out, const struct resource_kind *k)
{
    if (k->short_name != NULL)
        buf_printf(out, ",\"shortNames\":[\"%s\"]", k->short_name);
}

/* ---- aggregated: apidiscovery.k8s.io ---- */

static void add_aggregated_kind(struct buf *out, const struct resource_kind *k)
{
    buf_printf(out,
               "{\"resource\":\"%s\",\"responseKind\":{\"group\":\"%s\",\"version\":\"%s\","
               "\"kind\":\"%s\"},\"scope\":\"%s\",\"singularResource\":\"%s\",\"verbs\":%s,"
               "\"categories\":%s",
               k->plural, k->group, k->version, k->kind, k->namespaced ? "Namespaced" : "Cluster",
               k->singular, verbs_of(k), categories_of(k));
    add_short_names(out, k);
    if (has_log(k))
        buf_printf(out,
                   ",\"subresources\":[{\"subresource\":\"log\",\"responseKind\":{\"group\":\"%s\","
                   "\"version\":\"%s\",\"kind\":\"%s\"},\"verbs\":[\"get\"]}]",
                   k->group, k->version, k->kind);
    buf_add_byte(out, '}');
}

static void add_aggregated_group(struct buf *out, const struct resource_kind *first)
{
    buf_add_text(out, "{\"metadata\":{");
    if (*first->group != '\0')
        buf_printf(out, "\"name\":\"%s\"", first->group);
    buf_printf(out, "},\"versions\":[{\"version\":\"%s\",\"freshness\":\"Current\",\"resources\":[",
               first->version);
    bool any = false;
    for (size_t i = 0; i < kinds_count(); i++) {
        if (strcmp(kinds_at(i)->group, first->group) != 0)
            continue;
        if (any)
            buf_add_byte(out, ',');
        any = true;
        add_aggregated_kind(out, kinds_at(i));
    }
    buf_add_text(out, "]}]}");
}

/* The version of the aggregated form that the client understands, or NULL. */
static const char *aggregated_version(const struct http_request *request)
{
    struct slice accept = http_request_header(request, "Accept");
    if (accept.ptr == NULL ||
        memmem(accept.ptr, accept.len, "as=APIGroupDiscoveryList", 24) == NULL)
        return NULL;
    if (memmem(accept.ptr, accept.len, "v=v2;", 5) != NULL)
        return "v2";
    return memmem(accept.ptr, accept.len, "v=v2beta1", 9) != NULL ? "v2beta1" : NULL;
}

static void respond_aggregated(struct http_request *request, const char *version, bool core)
{
    autobuf body = BUF_INIT;
    bool any = false;
    buf_printf(&body,
               "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/%s\","
               "\"metadata\":{},\"items\":[",
               version);
    for (size_t i = 0; i < kinds_count(); i++) {
        const struct resource_kind *k = kinds_at(i);
        if ((*k->group == '\0') != core || !is_first_of_group(i))
            continue;
        if (any)
            buf_add_byte(&body, ',');
        any = true;
        add_aggregated_group(&body, k);
    }
    buf_add_text(&body, "]}");
    char type[96];
    snprintf(type, sizeof(type),
             "application/json;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList", version);
    respond(request, type, &body);
}

/* ---- legacy ---- */

void discovery_handle_core(struct http_request *request, void *ctx)
{
    const char *version = aggregated_version(request);
    if (version != NULL) {
        respond_aggregated(request, version, true);
        return;
    }
    autobuf body = BUF_INIT;
    buf_add_text(&body, "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],"
                        "\"serverAddressByClientCIDRs\":[]}");
    respond(request, "application/json", &body);
}

static void add_group(struct buf *out, const struct resource_kind *k)
{
    buf_printf(out,
               "\"name\":\"%s\",\"versions\":[{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}],"
               "\"preferredVersion\":{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}",
               k->group, k->group, k->version, k->version, k->group, k->version, k->version);
}

void discovery_handle_groups(struct http_request *request, void *ctx)
{
    const char *version = aggregated_version(request);
    if (version != NULL) {
        respond_aggregated(request, version, false);
        return;
    }
    autobuf body = BUF_INIT;
    bool any = false;
    buf_add_text(&body, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
    for (size_t i = 0; i < kinds_count(); i++) {
        if (*kinds_at(i)->group == '\0' || !is_first_of_group(i))
            continue;
        buf_add_text(&body, any ? ",{" : "{");
        any = true;
        add_group(&body, kinds_at(i));
        buf_add_byte(&body, '}');
    }
    buf_add_text(&body, "]}");
    respond(request, "application/json", &body);
}

static void refuse_unknown(struct http_request *request)
{
    answer_plain_status(request, 404, "the server could not find the requested resource");
}

void discovery_handle_group(struct http_request *request, void *ctx)
{
    struct slice group = http_request_param(request, "group");
    for (size_t i = 0; i < kinds_count(); i++) {
        if (group.len == 0 || !slice_is(group, kinds_at(i)->group))
            continue;
        autobuf body = BUF_INIT;
        buf_add_text(&body, "{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\",");
        add_group(&body, kinds_at(i));
        buf_add_byte(&body, '}');
        respond(request, "application/json", &body);
        return;
    }
    refuse_unknown(request);
}

static void add_legacy_kind(struct buf *out, const struct resource_kind *k)
{
    buf_printf(out,
               "{\"name\":\"%s\",\"singularName\":\"%s\",\"namespaced\":%s,\"kind\":\"%s\","
               "\"verbs\":%s,\"categories\":%s",
               k->plural, k->singular, k->namespaced ? "true" : "false", k->kind, verbs_of(k),
               categories_of(k));
    add_short_names(out, k);
    buf_add_byte(out, '}');
    if (has_log(k))
        buf_printf(
            out,
            ",{\"name\":\"%s/log\",\"singularName\":\"\",\"namespaced\":true,\"kind\":\"%s\","
            "\"verbs\":[\"get\"]}",
            k->plural, k->kind);
}

void discovery_handle_resources(struct http_request *request, void *ctx)
{
    struct slice group = http_request_param(request, "group");
    struct slice version = http_request_param(request, "version");
    autobuf body = BUF_INIT;
    bool any = false;
    for (size_t i = 0; i < kinds_count(); i++) {
        const struct resource_kind *k = kinds_at(i);
        if (!slice_is(group, k->group) || !slice_is(version, k->version))
            continue;
        if (!any) {
            buf_add_text(&body, "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\","
                                "\"groupVersion\":\"");
            resource_kind_api_version(k, &body);
            buf_add_text(&body, "\",\"resources\":[");
        } else {
            buf_add_byte(&body, ',');
        }
        any = true;
        add_legacy_kind(&body, k);
    }
    if (!any) {
        refuse_unknown(request);
        return;
    }
    buf_add_text(&body, "]}");
    respond(request, "application/json", &body);
}

/* Vendors' kubectl choose their behaviour by the minor version. */
void discovery_handle_version(struct http_request *request, void *ctx)
{
    struct utsname host;
    const char *machine = uname(&host) == 0 ? host.machine : "unknown";
    if (strcmp(machine, "x86_64") == 0)
        machine = "amd64";
    else if (strcmp(machine, "aarch64") == 0)
        machine = "arm64";
    autobuf body = BUF_INIT;
    buf_printf(&body,
               "{\"major\":\"1\",\"minor\":\"32\",\"gitVersion\":\"v1.32.0+sluice.%s\","
               "\"gitCommit\":\"\",\"gitTreeState\":\"clean\","
               "\"buildDate\":\"1970-01-01T00:00:00Z\",\"goVersion\":\"\",\"compiler\":\"\","
               "\"platform\":\"linux/%s\"}",
               SLUICE_VERSION, machine);
    respond(request, "application/json", &body);
}
