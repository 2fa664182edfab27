/* SPDX-License-Identifier: Apache-2.0 */
/* The API over HTTP: a server, a loop in a thread of its own, the memory store, libcurl as client.
 */
#include "api/api.h"
#include "base/memory.h"

#include "../http/peer.h"

#include <curl/curl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Instead of the function host's. */
void function_serve_log(struct function_host *h, struct http_request *request,
                        const char *namespace_name, const char *name, unsigned tail_lines,
                        bool follow)
{
    char text[200];
    int len =
        snprintf(text, sizeof(text), "%s/%s %u %d\n", namespace_name, name, tail_lines, follow);
    http_respond(request, &(struct http_response){.status = 200,
                                                  .content_type = "text/plain",
                                                  .body = slice_of(text, (size_t)len)});
}

/* Streams that take nothing more; that they were cut is not seen yet. */
static struct {
    atomic_bool on;
    atomic_uint writes;
    struct http_stream *_Atomic cut;
} broken;

int __real_http_stream_write(struct http_stream *s, struct slice bytes);
int __wrap_http_stream_write(struct http_stream *s, struct slice bytes);
int __wrap_http_stream_write(struct http_stream *s, struct slice bytes)
{
    if (!broken.on)
        return __real_http_stream_write(s, bytes);
    broken.writes++;
    return -ENOBUFS;
}

void __real_http_stream_cut(struct http_stream *s);
void __wrap_http_stream_cut(struct http_stream *s);
void __wrap_http_stream_cut(struct http_stream *s)
{
    if (broken.on)
        broken.cut = s;
    else
        __real_http_stream_cut(s);
}

struct world {
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct api *api;
    struct http_route routes[64];
    struct http_server *server;
    pthread_t thread;
    atomic_uint turns; /* of the loop */
    CURL *curl;
    /* the last answer */
    struct buf body;
    long status;
    json_t *json;
};

struct stop_message {
    struct loop_message message;
    struct world *world;
};

static void stop(struct loop_message *m)
{
    struct world *w = container_of(m, struct stop_message, message)->world;
    api_quiesce(w->api);
    registry_stop(w->registry);
    loop_stop(w->loop);
}

static void count_turn(void *ctx)
{
    atomic_fetch_add(&((struct world *)ctx)->turns, 1);
}

static void *run(void *ctx)
{
    loop_run(((struct world *)ctx)->loop);
    return NULL;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct error err = ERROR_INIT;
    w->loop = loop_new();
    if (store_open(&(struct store_options){.dir = NULL}, NULL, NULL, &w->store, &err) < 0)
        return -1;
    w->registry = registry_new(w->store, w->loop);
    w->api = api_new(w->loop, w->registry, NULL, NULL);
    if (registry_load(w->registry, &err) < 0)
        return -1;
    size_t count = api_routes(w->api, w->routes, COUNT_OF(w->routes));
    struct http_server_options options = {.listen = "127.0.0.1:0",
                                          .listen_fd = -1,
                                          .threads = 2,
                                          .routes = w->routes,
                                          .route_count = count,
                                          .body_timeout_s = 1,
                                          .check_host = true};
    if (http_server_start(&options, &w->server, &err) < 0)
        fail_msg("%s", err.message);
    loop_set_end_of_turn(w->loop, count_turn, w);
    pthread_create(&w->thread, NULL, run, w);
    w->curl = curl_easy_init();
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct stop_message m = {.message = {.receive = stop}, .world = w};
    curl_easy_cleanup(w->curl);
    loop_post(w->loop, &m.message);
    pthread_join(w->thread, NULL);
    http_server_stop(w->server);
    store_close(w->store);
    api_free(w->api);
    registry_free(w->registry);
    loop_free(w->loop);
    buf_done(&w->body);
    json_decref(w->json);
    free(w);
    return 0;
}

static size_t take(char *bytes, size_t size, size_t n, void *ctx)
{
    buf_add(ctx, bytes, size * n);
    return size * n;
}

struct ask {
    const char *method, *path, *type, *body, *accept;
};

static long ask(struct world *w, struct ask a)
{
    char url[512], header[256];
    struct curl_slist *headers = NULL;
    snprintf(url, sizeof(url), "http://%s%s", http_server_address(w->server), a.path);
    curl_easy_reset(w->curl);
    curl_easy_setopt(w->curl, CURLOPT_URL, url);
    curl_easy_setopt(w->curl, CURLOPT_CUSTOMREQUEST, a.method);
    curl_easy_setopt(w->curl, CURLOPT_TIMEOUT_MS, 10000L);
    if (a.body != NULL) {
        curl_easy_setopt(w->curl, CURLOPT_POSTFIELDS, a.body);
        snprintf(header, sizeof(header), "Content-Type:%s%s", a.type != NULL ? " " : "",
                 a.type != NULL ? a.type : "");
        headers = curl_slist_append(headers, header);
    }
    snprintf(header, sizeof(header), "Accept: %s", a.accept != NULL ? a.accept : "*/*");
    headers = curl_slist_append(headers, header);
    curl_easy_setopt(w->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(w->curl, CURLOPT_WRITEDATA, &w->body);
    buf_reset(&w->body);
    CURLcode code = curl_easy_perform(w->curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        fail_msg("%s %s: %s", a.method, a.path, curl_easy_strerror(code));
    curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &w->status);
    json_decref(w->json);
    w->json = json_loadb(w->body.ptr != NULL ? w->body.ptr : "", w->body.len, 0, NULL);
    return w->status;
}

static long get(struct world *w, const char *path)
{
    return ask(w, (struct ask){"GET", path});
}

static long send_json(struct world *w, const char *method, const char *path, const char *body)
{
    return ask(w, (struct ask){method, path, "application/json", body});
}

static const char *text_at(struct world *w, const char *path)
{
    const char *text = resource_text_at(w->json, path);
    return text != NULL ? text : "";
}

static void expect_status(struct world *w, long code, const char *reason, const char *part)
{
    if (w->status != code || strcmp(text_at(w, "kind"), "Status") != 0 ||
        strcmp(text_at(w, "reason"), reason) != 0 || strstr(text_at(w, "message"), part) == NULL)
        fail_msg("%ld, wanted %ld %s %s: %s", w->status, code, reason, part, w->body.ptr);
    assert_int_equal(resource_integer_at(w->json, "code", 0), code);
}

#define NAMESPACES "/api/v1/namespaces"
#define TRIGGERS   "/apis/eventing.knative.dev/v1/namespaces/default/triggers"
#define TRIGGER(name, uri)                                                                         \
    "{\"apiVersion\":\"eventing.knative.dev/"                                                      \
    "v1\",\"kind\":\"Trigger\",\"metadata\":{\"name\":\"" name                                     \
    "\"},\"spec\":{\"subscriber\":{\"uri\":\"" uri "\"}}}"
#define TABLE "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

static void test_discovery(void **state)
{
    struct world *w = *state;
    assert_int_equal(get(w, "/api"), 200);
    assert_string_equal(text_at(w, "kind"), "APIVersions");
    assert_int_equal(get(w, "/apis"), 200);
    assert_int_equal(json_array_size(json_object_get(w->json, "groups")), 2);
    assert_int_equal(get(w, "/apis/sluice.dev/v1"), 200);
    assert_string_equal(text_at(w, "groupVersion"), "sluice.dev/v1");
    assert_int_equal(get(w, "/apis/sluice.dev"), 200);
    assert_int_equal(get(w, "/apis/nobody.dev/v1"), 404);
    assert_int_equal(ask(w, (struct ask){"GET", "/apis", NULL, NULL,
                                         "application/json;g=apidiscovery.k8s.io;v=v2;"
                                         "as=APIGroupDiscoveryList,application/json"}),
                     200);
    assert_string_equal(text_at(w, "apiVersion"), "apidiscovery.k8s.io/v2");
    assert_int_equal(get(w, "/version"), 200);
    assert_non_null(strstr(text_at(w, "gitVersion"), "sluice"));
    assert_int_equal(get(w, "/openapi/v2"), 200);
    assert_non_null(memmem(w->body.ptr, w->body.len, "v1.Namespace", 12));
    assert_non_null(memmem(w->body.ptr, w->body.len, "v1.Trigger", 10));
    assert_non_null(memmem(w->body.ptr, w->body.len, "v1.Function", 11));
    assert_int_equal(get(w, "/openapi/v3"), 200);
    assert_int_equal(json_object_size(json_object_get(w->json, "paths")), 3);
    assert_int_equal(get(w, "/openapi/v3/apis/eventing.knative.dev/v1"), 200);
    assert_non_null(json_object_get(resource_at(w->json, "components.schemas"),
                                    "eventing.knative.dev.v1.Trigger"));
    assert_int_equal(get(w, "/openapi/v3/apis/none/v1"), 404);
}

static void test_life(void **state)
{
    struct world *w = *state;
    assert_int_equal(send_json(w, "POST", TRIGGERS, TRIGGER("t", "http://x/")), 201);
    assert_string_equal(text_at(w, "metadata.namespace"), "default");
    assert_int_equal(get(w, "/apis/eventing.knative.dev/v1/namespaces/default/brokers/default"),
                     200);
    assert_int_equal(get(w, TRIGGERS "/t"), 200);
    assert_string_equal(text_at(w, "spec.broker"), "default");
    send_json(w, "POST", TRIGGERS, TRIGGER("t", "http://x/"));
    expect_status(w, 409, "AlreadyExists", "already exists");
    assert_int_equal(send_json(w, "PUT", TRIGGERS "/t", TRIGGER("t", "http://y/")), 200);
    assert_string_equal(text_at(w, "spec.subscriber.uri"), "http://y/");
    send_json(w, "PUT", TRIGGERS "/u", TRIGGER("t", "http://y/"));
    expect_status(w, 400, "BadRequest", "name on the URL");
    send_json(w, "PUT", TRIGGERS "/u", TRIGGER("u", "http://y/"));
    expect_status(w, 404, "NotFound", "not found");
    send_json(w, "DELETE", TRIGGERS "/t", "{\"dryRun\":[\"All\"]}");
    assert_int_equal(get(w, TRIGGERS "/t"), 200);
    send_json(w, "DELETE", TRIGGERS "/t", "{\"preconditions\":{\"uid\":\"other\"}}");
    expect_status(w, 409, "Conflict", "uid");
    assert_int_equal(send_json(w, "DELETE", TRIGGERS "/t", "{}"), 200);
    assert_string_equal(text_at(w, "status"), "Success");
    get(w, TRIGGERS "/t");
    expect_status(w, 404, "NotFound", "triggers.eventing.knative.dev \"t\" not found");
    ask(w, (struct ask){"DELETE", TRIGGERS});
    expect_status(w, 405, "MethodNotAllowed", "one by one");
}

/* As `kubectl delete -f` does: the namespace first, then what was in it. */
static void test_delete_namespace(void **state)
{
    struct world *w = *state;
    assert_int_equal(send_json(w, "POST", NAMESPACES, "{\"metadata\":{\"name\":\"n\"}}"), 201);
    const char *triggers = "/apis/eventing.knative.dev/v1/namespaces/n/triggers";
    const char *trigger = "/apis/eventing.knative.dev/v1/namespaces/n/triggers/t";
    assert_int_equal(send_json(w, "POST", triggers, TRIGGER("t", "http://x/")), 201);
    assert_int_equal(send_json(w, "DELETE", NAMESPACES "/n", "{}"), 200);
    assert_int_equal(get(w, trigger), 404);
    assert_int_equal(send_json(w, "DELETE", trigger, "{}"), 200);
    assert_int_equal(
        send_json(w, "DELETE", "/apis/eventing.knative.dev/v1/namespaces/n/triggers/u", "{}"), 404);
}

static void test_bad_bodies(void **state)
{
    struct world *w = *state;
    static const char *const types[] = {"application/x-www-form-urlencoded", "text/plain",
                                        "multipart/form-data", NULL};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        ask(w, (struct ask){"POST", NAMESPACES, types[i], "{}"});
        expect_status(w, 415, "UnsupportedMediaType",
                      types[i] != NULL ? "unknown format" : "unknown format (no Content-Type)");
    }
    send_json(w, "POST", NAMESPACES, "{");
    expect_status(w, 400, "BadRequest", "not valid JSON");
    send_json(w, "POST", NAMESPACES, "a: b");
    expect_status(w, 400, "BadRequest", "not valid JSON");
    send_json(w, "POST", NAMESPACES, "{}{}");
    expect_status(w, 400, "BadRequest", "exactly one");
    send_json(w, "POST", NAMESPACES, "{\"kind\":\"Broker\"}");
    expect_status(w, 400, "BadRequest", "the URL wants");
    send_json(w, "POST", TRIGGERS, TRIGGER("t", "gopher://x/"));
    expect_status(w, 422, "Invalid", "spec.subscriber.uri");
    const json_t *cause = json_array_get(resource_at(w->json, "details.causes"), 0);
    assert_string_equal(resource_text_at(cause, "field"), "spec.subscriber.uri");
    send_json(w, "POST", "/apis/eventing.knative.dev/v1/namespaces/nowhere/triggers",
              TRIGGER("t", "http://x/"));
    expect_status(w, 404, "NotFound", "create it first");
    ask(w, (struct ask){"POST", NAMESPACES, "application/yaml",
                        "metadata:\n  name: x\n  lables: {a: b}\n"});
    expect_status(w, 400, "BadRequest", "line 3: unknown field \"metadata.lables\" (did you mean");
    ask(w, (struct ask){"POST", NAMESPACES, "text/yaml; charset=utf-8", "metadata: {name: api}\n"});
    expect_status(w, 422, "Invalid", "reserved");
    get(w, "/api/v1/nodes");
    expect_status(w, 404, "NotFound", "could not find");
    send_json(w, "POST", "/api/v1/namespaces/default/pods", "{}");
    expect_status(w, 405, "MethodNotAllowed", "write a Function");
    get(w, NAMESPACES "?labelSelector=,");
    expect_status(w, 400, "BadRequest", "selector");
    send_json(w, "POST", NAMESPACES "?dryRun=Some", "{}");
    expect_status(w, 400, "BadRequest", "dryRun");
}

static void test_validation(void **state)
{
    struct world *w = *state;
    const char *body = "{\"metadata\":{\"name\":\"x\"},\"bogus\":1}";
    send_json(w, "POST", NAMESPACES "?fieldValidation=Strict", body);
    expect_status(w, 400, "BadRequest", "strict decoding error: unknown field \"bogus\"");
    assert_int_equal(send_json(w, "POST", NAMESPACES "?fieldValidation=Warn&dryRun=All", body),
                     201);
    struct curl_header *warning;
    assert_int_equal(curl_easy_header(w->curl, "Warning", 0, CURLH_HEADER, -1, &warning),
                     CURLHE_OK);
    assert_string_equal(warning->value, "299 - \"unknown field \\\"bogus\\\"\"");
    assert_int_equal(get(w, NAMESPACES "/x"), 404);
    assert_int_equal(send_json(w, "POST", NAMESPACES "?fieldValidation=Ignore", body), 201);
    assert_null(json_object_get(w->json, "bogus"));
}

static void test_lists(void **state)
{
    struct world *w = *state;
    assert_int_equal(send_json(w, "POST", NAMESPACES,
                               "{\"metadata\":{\"name\":\"a\",\"labels\":{\"l\":\"1\"}}}"),
                     201);
    assert_int_equal(send_json(w, "POST", NAMESPACES, "{\"metadata\":{\"name\":\"b\"}}"), 201);
    assert_int_equal(get(w, NAMESPACES), 200);
    assert_string_equal(text_at(w, "kind"), "NamespaceList");
    assert_int_equal(json_array_size(json_object_get(w->json, "items")), 3);
    assert_int_equal(get(w, NAMESPACES "?labelSelector=l+in+(1,2)"), 200);
    assert_int_equal(json_array_size(json_object_get(w->json, "items")), 1);
    assert_int_equal(get(w, NAMESPACES "?fieldSelector=metadata.name%3Db"), 200);
    assert_int_equal(json_array_size(json_object_get(w->json, "items")), 1);
    assert_int_equal(get(w, NAMESPACES "?limit=2"), 200);
    assert_int_equal(json_array_size(json_object_get(w->json, "items")), 2);
    char path[200];
    char *token = curl_easy_escape(w->curl, text_at(w, "metadata.continue"), 0);
    snprintf(path, sizeof(path), NAMESPACES "?limit=2&continue=%s", token);
    curl_free(token);
    assert_int_equal(get(w, path), 200);
    assert_int_equal(json_array_size(json_object_get(w->json, "items")), 1);
    assert_string_equal(text_at(w, "metadata.continue"), "");
    assert_int_equal(ask(w, (struct ask){"GET", NAMESPACES, NULL, NULL, TABLE}), 200);
    assert_string_equal(text_at(w, "kind"), "Table");
    const json_t *row = json_array_get(json_object_get(w->json, "rows"), 0);
    const json_t *cells = json_object_get(row, "cells");
    assert_string_equal(json_string_value(json_array_get(cells, 0)), "a");
    assert_string_equal(json_string_value(json_array_get(cells, 1)), "Active");
    assert_string_equal(resource_text_at(row, "object.metadata.name"), "a");
}

/* The loop does other things while a long list is written, which is of one moment all the same. */
static void test_long_lists(void **state)
{
    struct world *w = *state;
    enum { COUNT = 1200 };
    for (unsigned i = 0; i < COUNT; i++) {
        char body[100];
        snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"n%04u\"}}", i);
        assert_int_equal(send_json(w, "POST", NAMESPACES, body), 201);
    }
    static const char *const accept[] = {NULL, TABLE}, *const items[] = {"items", "rows"};
    for (size_t i = 0; i < COUNT_OF(accept); i++) {
        unsigned before = atomic_load(&w->turns);
        assert_int_equal(ask(w, (struct ask){"GET", NAMESPACES, NULL, NULL, accept[i]}), 200);
        assert_true(atomic_load(&w->turns) - before >= COUNT / 100);
        assert_int_equal(json_array_size(json_object_get(w->json, items[i])), COUNT + 1);
    }
}

static void test_patches(void **state)
{
    struct world *w = *state;
    assert_int_equal(send_json(w, "POST", TRIGGERS, TRIGGER("t", "http://x/")), 201);
    struct ask a = {"PATCH", TRIGGERS "/t", "application/merge-patch+json",
                    "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}"};
    assert_int_equal(ask(w, a), 200);
    assert_string_equal(text_at(w, "metadata.labels.a"), "b");
    a.body = "{\"metadata\":{\"labels\":{\"a\":null}},\"spec\":{\"delivery\":{\"retry\":2}}}";
    assert_int_equal(ask(w, a), 200);
    assert_int_equal(resource_integer_at(w->json, "spec.delivery.retry", 0), 2);
    assert_int_equal(resource_integer_at(w->json, "metadata.generation", 0), 2);
    a.body = "{\"metadata\":{\"resourceVersion\":\"1\"}}";
    ask(w, a);
    expect_status(w, 409, "Conflict", "modified");
    a.body = "{\"spec\":{\"broker\":\"other\"}}";
    ask(w, a);
    expect_status(w, 422, "Invalid", "cannot be changed");
    a.body = "{\"spec\":{\"bogus\":1}}";
    ask(w, a);
    expect_status(w, 400, "BadRequest", "unknown field");
    a.body = "[1]";
    ask(w, a);
    expect_status(w, 400, "BadRequest", "object");
    a.type = "application/json-patch+json";
    a.body = "[{\"op\":\"replace\",\"path\":\"/spec/delivery/retry\",\"value\":5}]";
    assert_int_equal(ask(w, a), 200);
    assert_int_equal(resource_integer_at(w->json, "spec.delivery.retry", 0), 5);
    a.type = "application/apply-patch+yaml";
    ask(w, a);
    expect_status(w, 415, "UnsupportedMediaType", "merge-patch");
    a.path = TRIGGERS "/absent";
    a.type = "application/merge-patch+json";
    a.body = "{}";
    ask(w, a);
    expect_status(w, 404, "NotFound", "not found");
}

static void test_log(void **state)
{
    struct world *w = *state;
    const char *path = "/apis/sluice.dev/v1/namespaces/n/functions/f/log";
    assert_int_equal(get(w, path), 200);
    assert_string_equal(w->body.ptr, "n/f 0 0\n");
    assert_int_equal(
        get(w, "/apis/sluice.dev/v1/namespaces/n/functions/f/log?tailLines=5&follow=true"), 200);
    assert_string_equal(w->body.ptr, "n/f 5 1\n");
    assert_int_equal(get(w, "/apis/sluice.dev/v1/namespaces/n/functions/f/log?tailLines=x"), 400);
}

static void test_pods(void **state)
{
    struct world *w = *state;
    const char *function = "{\"metadata\":{\"name\":\"f\",\"labels\":{\"app\":\"a\"}},\"spec\":{"
                           "\"runtime\":\"js\",\"codeSource\":{\"index.js\":\"\"}}}";
    assert_int_equal(
        send_json(w, "POST", "/apis/sluice.dev/v1/namespaces/default/functions", function), 201);
    assert_int_equal(get(w, "/api/v1/namespaces/default/pods/f"), 200);
    assert_string_equal(text_at(w, "kind"), "Pod");
    assert_string_equal(text_at(w, "status.phase"), "Pending");
    const json_t *container = json_array_get(resource_at(w->json, "spec.containers"), 0);
    assert_string_equal(resource_text_at(container, "name"), "f");
    assert_int_equal(get(w, "/api/v1/pods?labelSelector=app%3Da"), 200);
    assert_string_equal(text_at(w, "kind"), "PodList");
    assert_int_equal(json_array_size(json_object_get(w->json, "items")), 1);
    assert_int_equal(ask(w, (struct ask){"GET", "/api/v1/pods", NULL, NULL, TABLE}), 200);
    const json_t *row = json_array_get(json_object_get(w->json, "rows"), 0);
    assert_string_equal(json_string_value(json_array_get(json_object_get(row, "cells"), 1)), "0/1");
    assert_int_equal(get(w, "/api/v1/namespaces/default/pods?watch=1&timeoutSeconds=1"), 200);
    assert_non_null(strstr(w->body.ptr, "\"kind\":\"Pod\""));
    assert_int_equal(get(w, "/api/v1/namespaces/default/pods/f/log?container=f"), 200);
}

static void test_watch(void **state)
{
    struct world *w = *state;
    assert_int_equal(get(w, NAMESPACES "?watch=true&timeoutSeconds=1"), 200);
    assert_non_null(strstr(w->body.ptr, "\"type\":\"ADDED\""));
    assert_int_equal(get(w, NAMESPACES), 200);
    char path[200];
    snprintf(path, sizeof(path), NAMESPACES "?watch=true&timeoutSeconds=1&resourceVersion=%s",
             text_at(w, "metadata.resourceVersion"));
    send_json(w, "POST", NAMESPACES, "{\"metadata\":{\"name\":\"b\"}}");
    assert_int_equal(get(w, path), 200);
    assert_null(strstr(w->body.ptr, "\"name\":\"default\""));
    assert_non_null(strstr(w->body.ptr, "\"name\":\"b\""));
    assert_int_equal(get(w, NAMESPACES "?watch=true&resourceVersion=999999"), 200);
    assert_non_null(strstr(w->body.ptr, "\"code\":410"));
}

/* More than the kernel holds for a reader. */
static void create_much(struct world *w)
{
    static char padding[250000];
    memset(padding, 'x', sizeof(padding) - 1);
    for (unsigned i = 0; i < 40; i++) {
        autobuf body = BUF_INIT;
        buf_printf(&body,
                   "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"n%u\","
                   "\"annotations\":{\"example.com/padding\":\"%s\"}}}",
                   i, padding);
        assert_int_equal(send_json(w, "POST", NAMESPACES, body.ptr), 201);
    }
}

static int established(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_state == TCP_ESTABLISHED;
}

/* It costs no turns of the loop while it waits, and it is cut. */
static void test_watch_that_nobody_reads(void **state)
{
    struct world *w = *state;
    autobuf in = BUF_INIT;
    create_much(w);
    int fd = peer_connect(http_server_address(w->server));
    peer_send(fd, SLICE("GET " NAMESPACES "?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_true(peer_more(fd, &in));
    unsigned turns = UINT_MAX; /* many while the kernel takes some */
    for (unsigned i = 0; i < 20 && turns > 10; i++) {
        unsigned before = atomic_load(&w->turns);
        usleep(500000);
        turns = atomic_load(&w->turns) - before;
    }
    assert_in_range(turns, 0, 10);
    for (unsigned i = 0; i < 10000 && established(fd); i++)
        usleep(1000);
    assert_false(established(fd));
    close(fd);
}

/* Nothing more is kept for it. */
static void test_watch_that_cannot_be_written(void **state)
{
    struct world *w = *state;
    autobuf in = BUF_INIT;
    int fd = peer_connect(http_server_address(w->server));
    peer_send(fd, SLICE("GET " NAMESPACES "?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    while (in.len == 0 || strstr(in.ptr, "\"ADDED\"") == NULL)
        assert_true(peer_more(fd, &in));
    broken.on = true;
    assert_int_equal(send_json(w, "POST", NAMESPACES, "{\"metadata\":{\"name\":\"a\"}}"), 201);
    assert_int_equal(send_json(w, "POST", NAMESPACES, "{\"metadata\":{\"name\":\"b\"}}"), 201);
    assert_int_equal(send_json(w, "POST", NAMESPACES, "{\"metadata\":{\"name\":\"c\"}}"), 201);
    assert_int_equal(get(w, NAMESPACES), 200); /* all was told */
    broken.on = false;
    assert_non_null(broken.cut);
    assert_int_equal(broken.writes, 1);
    __real_http_stream_cut(broken.cut);
    while (peer_more(fd, &in))
        ;
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_discovery, setup, teardown),
        cmocka_unit_test_setup_teardown(test_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delete_namespace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_validation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_patches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pods, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch_that_nobody_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch_that_cannot_be_written, setup, teardown),
    };
    curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests_name("api/http", tests, NULL, NULL);
}
