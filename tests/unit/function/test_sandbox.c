/* SPDX-License-Identifier: Apache-2.0 */
/* The function host with the real worker and the real builder: what a function author sees. */
#include "../unit.h"
#include "base/encoding.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENT                                                                                      \
    "{\"specversion\":\"1.0\",\"id\":\"7\",\"type\":\"t\",\"source\":\"/s\",\"data\":{\"a\":4,"    \
    "\"b\":14}}"

static void assert_has(const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) == NULL)
        fail_msg("\"%s\" does not hold \"%s\"", text, part);
}

static void call(struct world *w, const char *name, struct answer *a)
{
    *a = (struct answer){.body = BUF_INIT};
    const struct http_call_header headers[] = {
        {SLICE("Content-Type"), SLICE("application/cloudevents+json")}};
    struct http_call_options options = {
        .method = "POST",
        .headers = headers,
        .header_count = 1,
        .body = SLICE(EVENT),
    };
    world_options(a, &options);
    assert_int_equal(function_sink_ops.call(w->host, "demo", name, "/", &options, NULL), 0);
    assert_true(world_answered(w, a, 20000));
    assert_int_equal(a->error, 0);
}

static void apply_js(struct world *w, const char *name, const char *code, const char *more)
{
    autobuf spec = BUF_INIT;
    buf_add_text(&spec, "{\"runtime\":\"js\",\"codeSource\":{\"index.js\":");
    buf_add_json_string(&spec, slice_text(code));
    buf_printf(&spec, "}%s%s}", more[0] != '\0' ? "," : "", more);
    world_apply(w, name, spec.ptr);
}

static void apply_wasm(struct world *w, const char *name, const char *file, const char *more)
{
    autobuf spec = BUF_INIT;
    autobuf bytes = BUF_INIT;
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", getenv("FUNCTION_MODULES"), file);
    assert_int_equal(fdio_read_file(path, 1 << 20, &bytes), 0);
    buf_printf(&spec, "{\"runtime\":\"wasm\",\"module\":\"%s\",%s,\"moduleBase64\":\"", file, more);
    encoding_base64_add(&spec, buf_slice(&bytes));
    buf_add_text(&spec, "\"}");
    world_apply(w, name, spec.ptr);
}

static bool log_has(struct world *w, void *ctx)
{
    autobuf text = BUF_INIT;
    struct function *f = function_host_find(w->host, "demo", "f");
    assert_int_equal(function_log_read(f->log, 0, &text), 0);
    return text.ptr != NULL && strstr(text.ptr, ctx) != NULL;
}

static void javascript_answers(void **state)
{
    struct world *w = *state;
    apply_js(w, "f",
             "module.exports = (context, event) => { console.log('sum', event.data.a + "
             "event.data.b);"
             " return context.cloudEventResponse({sum: event.data.a + event.data.b})"
             ".type('u').source('/u').response(); };",
             "");
    assert_true(world_ready(w, "f", 5000));
    struct answer a;
    call(w, "f", &a);
    assert_int_equal(a.status, 200);
    assert_has(a.body.ptr, "18");
    answer_done(&a);
    assert_true(world_until(w, log_has, "info [7] sum 18\n", 2000));
}

static void wasm_answers(void **state)
{
    struct world *w = *state;
    apply_wasm(w, "f", "add.wasm",
               "\"function\":\"add\",\"arguments\":\"event => [event.data.a, event.data.b]\","
               "\"response\":\"(result, event, meta) => `module: ${meta.module}, function: "
               "${meta.function}, returned ${result}: ${meta.types[0]}`\"");
    assert_true(world_wait_condition(w, "f", "Ready", "True", 30000));
    assert_true(world_wait_condition(w, "f", "Built", "True", 1000));
    struct answer a;
    call(w, "f", &a);
    assert_true(a.status == 200 || a.status == 204);
    answer_done(&a);
    static char line[] = "[7] module: add.wasm, function: add, returned 18: i32\n";
    assert_true(world_until(w, log_has, line, 2000));
}

static void a_syntax_error_names_its_place(void **state)
{
    struct world *w = *state;
    apply_js(w, "f", "\nmodule.exports = () => 1;\nlet let = 3 +;\n", "");
    assert_true(world_wait_condition(w, "f", "Ready", "False/LoadFailed: index.js:3:", 5000));
}

static void a_missing_export_is_named(void **state)
{
    struct world *w = *state;
    apply_wasm(w, "f", "add.wasm", "\"function\":\"sum\"");
    assert_true(world_wait_condition(w, "f", "Ready", "False/ExportMissing: spec.function", 5000));
    assert_has(world_condition(w, "f", "Ready"), "it exports add");
    assert_true(world_wait_condition(w, "f", "Built", "False/ExportMissing", 1000));
}

static void an_endless_loop_ends_alone(void **state)
{
    struct world *w = *state;
    apply_js(w, "f", "module.exports = (c, e) => { for (;;) ; };",
             "\"limits\":{\"timeout\":\"PT0.3S\"}");
    apply_js(w, "g", "module.exports = (c, e) => 'fine';", "");
    assert_true(world_ready(w, "f", 5000));
    assert_true(world_ready(w, "g", 5000));
    struct answer a, b;
    call(w, "f", &a);
    assert_true(a.status >= 500);
    call(w, "g", &b);
    assert_int_equal(b.status, 200);
    answer_done(&a);
    answer_done(&b);
    assert_int_equal(function_sink_ops.state(w->host, "demo", "f", NULL), SINK_READY);
    struct function_host_stats stats;
    function_host_stats(w->host, &stats);
    assert_int_equal(stats.worker_exits, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        ROW(javascript_answers),
        ROW(wasm_answers),
        ROW(a_syntax_error_names_its_place),
        ROW(a_missing_export_is_named),
        ROW(an_endless_loop_ends_alone),
    };
    return cmocka_run_group_tests_name("functions in the sandbox", tests, NULL, NULL);
}
