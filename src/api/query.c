/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for resources: read and checked on an HTTP thread, carried out on the loop thread. */
#include "api/api_internal.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "base/must.h"

#include <errno.h>
#include <stdlib.h>

#define QUERY_LIMIT_MAX 1000000

void query_free(struct query *q)
{
    free(q->namespace_name);
    free(q->name);
    selector_done(&q->labels);
    selector_done(&q->fields);
    free(q->after);
    free(q->resource_version);
    json_decref(q->object);
    free(q->uid);
    free(q->version);
    buf_done(&q->warnings);
    q->magic = 0;
    free(q);
}

static unsigned read_verb(struct query *q, struct error *err)
{
    bool named = *q->name != '\0';
    switch (http_request_method(q->request)) {
    case HTTP_GET:
    case HTTP_HEAD:
        q->verb = named ? QUERY_GET : QUERY_LIST;
        return 0;
    case HTTP_POST:
        q->verb = QUERY_CREATE;
        return 0;
    case HTTP_PUT:
        q->verb = QUERY_REPLACE;
        return 0;
    case HTTP_PATCH:
        q->verb = QUERY_PATCH;
        return 0;
    case HTTP_DELETE:
        q->verb = QUERY_DELETE;
        if (named)
            return 0;
        break;
    case HTTP_OPTIONS:
    case HTTP_OTHER:
    case HTTP_ANY:
    default:
        break;
    }
    error_set(err, -EINVAL, "the server does not allow this method on the requested resource%s",
              named ? "" : ": delete objects one by one, by name");
    return 405;
}

static unsigned read_path(struct query *q, struct error *err)
{
    struct slice namespace_name = http_request_param(q->request, "namespace");
    q->kind = kinds_find(http_request_param(q->request, "group"),
                         http_request_param(q->request, "version"),
                         http_request_param(q->request, "plural"));
    q->namespace_name = slice_dup(namespace_name);
    q->name = slice_dup(http_request_param(q->request, "name"));
    if (q->namespace_name == NULL || q->name == NULL) {
        error_set(err, -ENOMEM, "out of memory");
        return 503;
    }
    bool nul = strlen(q->namespace_name) != namespace_name.len ||
               strlen(q->name) != http_request_param(q->request, "name").len;
    if (q->kind == NULL || nul || (!q->kind->namespaced && namespace_name.len > 0)) {
        q->kind = NULL;
        error_set(err, -ENOENT, "the server could not find the requested resource");
        return 404;
    }
    unsigned status = read_verb(q, err);
    if (status == 0 && kinds_is_view(q->kind) && q->verb != QUERY_GET && q->verb != QUERY_LIST) {
        error_set(err, -EINVAL,
                  "%s are a read-only view of functions' workers: write a Function "
                  "(apiVersion sluice.dev/v1) instead",
                  q->kind->plural);
        return 405;
    }
    if (status != 0 || q->verb == QUERY_LIST || !q->kind->namespaced || namespace_name.len > 0)
        return status;
    error_set(err, -EINVAL, "%s are in a namespace: use …/namespaces/NAMESPACE/%s", q->kind->plural,
              q->kind->plural);
    return q->verb == QUERY_CREATE ? 405 : 404;
}

/* ---- query parameters ---- */

typedef unsigned parameter_fn(struct query *q, struct slice value, struct error *err);

static bool is_true(struct slice value)
{
    return slice_is(value, "true") || slice_is(value, "1");
}

static unsigned refuse(struct error *err, const char *message)
{
    error_set(err, -EINVAL, "%s", message);
    return 400;
}

static unsigned read_number(struct slice value, uint64_t max, uint64_t *ret, const char *name,
                            struct error *err)
{
    if (value.len == 0 || (encoding_parse_u64(value, ret) == 0 && *ret <= max))
        return 0;
    error_set(err, -EINVAL, "%s must be a number up to %llu", name, (unsigned long long)max);
    return 400;
}

static unsigned parameter_label_selector(struct query *q, struct slice value, struct error *err)
{
    return selector_parse(value, &q->labels, err) < 0 ? 400 : 0;
}

static unsigned parameter_field_selector(struct query *q, struct slice value, struct error *err)
{
    return selector_parse_fields(value, &q->fields, err) < 0 ? 400 : 0;
}

static unsigned parameter_limit(struct query *q, struct slice value, struct error *err)
{
    return read_number(value, QUERY_LIMIT_MAX, &q->limit, "limit", err);
}

static unsigned parameter_continue(struct query *q, struct slice value, struct error *err)
{
    struct buf token = BUF_INIT;
    if (value.len == 0)
        return 0;
    if (encoding_base64_decode(value, &token) < 0 || memchr(token.ptr, '/', token.len) == NULL ||
        memchr(token.ptr, '\0', token.len) != NULL) {
        buf_done(&token);
        return refuse(err, "continue is no token of this server");
    }
    q->after = buf_steal(&token);
    return 0;
}

static unsigned parameter_watch(struct query *q, struct slice value, struct error *err)
{
    if (is_true(value) && (q->verb == QUERY_LIST || q->verb == QUERY_GET))
        q->verb = QUERY_WATCH;
    return 0;
}

static unsigned parameter_resource_version(struct query *q, struct slice value, struct error *err)
{
    uint64_t version;
    if (value.len > 0 && encoding_parse_u64(value, &version) < 0)
        return refuse(err, "resourceVersion must be a number that this server gave");
    q->resource_version = slice_dup(value);
    return 0;
}

static unsigned parameter_timeout(struct query *q, struct slice value, struct error *err)
{
    return read_number(value, 1u << 30, &q->timeout_s, "timeoutSeconds", err);
}

static unsigned parameter_bookmarks(struct query *q, struct slice value, struct error *err)
{
    q->bookmarks = is_true(value);
    return 0;
}

static unsigned parameter_initial_events(struct query *q, struct slice value, struct error *err)
{
    q->initial_events = is_true(value);
    return 0;
}

static unsigned parameter_dry_run(struct query *q, struct slice value, struct error *err)
{
    q->dry_run = slice_is(value, "All");
    return q->dry_run || value.len == 0 ? 0 : refuse(err, "dryRun must be All");
}

static unsigned parameter_validation(struct query *q, struct slice value, struct error *err)
{
    if (slice_is(value, "Ignore"))
        q->validation = QUERY_IGNORE;
    else if (slice_is(value, "Warn"))
        q->validation = QUERY_WARN;
    else if (value.len > 0 && !slice_is(value, "Strict"))
        return refuse(err, "fieldValidation must be Strict, Warn or Ignore");
    return 0;
}

static unsigned parameter_include(struct query *q, struct slice value, struct error *err)
{
    if (slice_is(value, "Object"))
        q->include = QUERY_INCLUDE_OBJECT;
    else if (slice_is(value, "None"))
        q->include = QUERY_INCLUDE_NONE;
    return 0;
}

static const struct {
    const char *name;
    parameter_fn *read;
} parameters[] = {
    {"labelSelector", parameter_label_selector},
    {"fieldSelector", parameter_field_selector},
    {"limit", parameter_limit},
    {"continue", parameter_continue},
    {"watch", parameter_watch},
    {"resourceVersion", parameter_resource_version},
    {"timeoutSeconds", parameter_timeout},
    {"allowWatchBookmarks", parameter_bookmarks},
    {"sendInitialEvents", parameter_initial_events},
    {"dryRun", parameter_dry_run},
    {"fieldValidation", parameter_validation},
    {"includeObject", parameter_include},
};

static unsigned read_parameters(struct query *q, struct error *err)
{
    struct slice accept = http_request_header(q->request, "Accept");
    if (accept.len > 0 && memmem(accept.ptr, accept.len, "as=Table", 8) != NULL)
        q->shape = QUERY_TABLE;
    for (size_t i = 0; i < COUNT_OF(parameters); i++) {
        struct slice value = http_request_query_value(q->request, parameters[i].name);
        if (value.ptr == NULL)
            continue;
        unsigned status = parameters[i].read(q, value, err);
        if (status != 0)
            return status;
    }
    return 0;
}

static unsigned read_body(struct query *q, struct error *err)
{
    if (q->verb == QUERY_CREATE || q->verb == QUERY_REPLACE)
        return body_read_object(q, err);
    if (q->verb == QUERY_PATCH)
        return body_read_patch(q, err);
    return q->verb == QUERY_DELETE ? body_read_delete(q, err) : 0;
}

static void query_receive(struct loop_message *m)
{
    static void (*const verbs[])(struct query * q) = {
        [QUERY_GET] = read_get,        [QUERY_LIST] = read_list,        [QUERY_WATCH] = watch_begin,
        [QUERY_CREATE] = write_create, [QUERY_REPLACE] = write_replace, [QUERY_PATCH] = write_patch,
        [QUERY_DELETE] = write_delete,
    };
    struct query *q = container_of(m, struct query, message);
    must_be(q, QUERY_MAGIC);
    verbs[q->verb](q);
}

void query_handle(struct http_request *request, void *ctx)
{
    struct query *q = calloc(1, sizeof(*q));
    if (q == NULL) {
        answer_plain_status(request, 503, "out of memory");
        return;
    }
    *q = (struct query){.magic = QUERY_MAGIC,
                        .message = {.receive = query_receive},
                        .api = ctx,
                        .request = request,
                        .warnings = BUF_INIT};
    q->admin = q->api->admin != NULL && admin_token_shown(q->api->admin, request);
    struct error err = ERROR_INIT;
    unsigned status = read_path(q, &err);
    if (status == 0)
        status = read_parameters(q, &err);
    if (status == 0)
        status = read_body(q, &err);
    if (status != 0)
        answer_status(q, status, &err);
    else
        loop_post(q->api->loop, &q->message);
}
