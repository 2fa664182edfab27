/* SPDX-License-Identifier: Apache-2.0 */
/* The function host with a stand-in for the worker: deploys, calls, crashes, scale. */
#include "../unit.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JS(code) "{\"runtime\":\"js\",\"codeSource\":{\"index.js\":\"" code "\"}}"
#define JS_WITH(code, more)                                                                        \
    "{\"runtime\":\"js\",\"codeSource\":{\"index.js\":\"" code "\"}," more "}"

#define SECRET_VARIABLE                                                                            \
    "\"env\":[{\"name\":\"A\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}}]"

static void assert_starts(const char *text, const char *start)
{
    if (text == NULL || strncmp(text, start, strlen(start)) != 0)
        fail_msg("\"%s\" does not start with \"%s\"", text, start);
}

static void call_is(struct world *w, const char *path, const char *expected)
{
    struct answer a;
    assert_int_equal(world_call(w, "f", path, "hello", &a), 0);
    assert_int_equal(a.error, 0);
    assert_string_equal(a.body.ptr, expected);
    answer_done(&a);
}

static void calls_reach_the_worker(void **state)
{
    struct world *w = *state;
    assert_int_equal(function_sink_ops.state(w->host, "demo", "f", NULL), SINK_ABSENT);
    world_apply(w, "f", JS("one"));
    assert_true(world_ready(w, "f", 5000));
    call_is(w, "/a/b?c=d", "one|POST /a/b?c=d|passed|hello");
    call_is(w, NULL, "one|POST /|passed|hello");
    assert_true(world_wait_condition(w, "f", "Ready", "True/Serving", 2000));
    struct function_host_stats stats;
    function_host_stats(w->host, &stats);
    assert_int_equal(stats.functions, 1);
    assert_int_equal(stats.ready, 1);
    assert_int_equal(stats.workers, 1);
    assert_int_equal(stats.calls, 2);
}

static void a_new_version_replaces_the_old_without_a_gap(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS("one"));
    assert_true(world_ready(w, "f", 5000));
    struct answer slow;
    assert_int_equal(world_begin(w, "f", "/slow", "", &slow, NULL), 0);
    world_turn(w, 30);
    world_apply(w, "f", JS("two slow-start"));
    for (int i = 0; i < 1000; i++) {
        struct answer a;
        assert_int_equal(function_sink_ops.state(w->host, "demo", "f", NULL), SINK_READY);
        assert_int_equal(world_call(w, "f", "/", "", &a), 0);
        assert_int_equal(a.error, 0);
        bool replaced = strstr(a.body.ptr, "two") != NULL;
        answer_done(&a);
        if (replaced)
            break;
        assert_true(i < 999);
        world_turn(w, 2);
    }
    assert_true(world_answered(w, &slow, 3000));
    assert_int_equal(slow.error, 0); /* the old version ended its call */
    assert_starts(slow.body.ptr, "one|");
    answer_done(&slow);
    world_turn(w, 200);
    struct function_host_stats stats;
    function_host_stats(w->host, &stats);
    assert_int_equal(stats.workers, 1);
}

static void a_failed_deploy_leaves_the_old_version(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS("one"));
    assert_true(world_ready(w, "f", 5000));
    world_apply(w, "f", JS("fail"));
    assert_true(world_wait_condition(w, "f", "Ready", "False/LoadFailed", 5000));
    assert_non_null(strstr(world_condition(w, "f", "Ready"),
                           "index.js:3:7: SyntaxError: it fails; generation 1 goes on serving"));
    call_is(w, "/", "one|POST /|passed|hello");
    world_apply(w, "f", JS("three"));
    assert_true(world_wait_condition(w, "f", "Ready", "True/Serving", 5000));
    call_is(w, "/", "three|POST /|passed|hello");
}

static void a_first_deploy_that_fails_waits_for_a_better_one(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS("fail"));
    assert_true(world_wait_condition(w, "f", "Ready", "False/LoadFailed: index.js:3:7: ", 5000));
    struct error err = ERROR_INIT;
    assert_int_equal(function_sink_ops.state(w->host, "demo", "f", &err), SINK_WAITING);
    assert_non_null(strstr(err.message, "SyntaxError"));
    struct answer a;
    assert_int_equal(world_begin(w, "f", "/", "", &a, NULL), -EAGAIN);
    world_apply(w, "f", JS("crash-at-start"));
    assert_true(world_wait_condition(w, "f", "Ready", "False/WorkerCrashed", 8000));
    assert_non_null(strstr(world_condition(w, "f", "Ready"), "signal 6"));
    world_apply(w, "f", JS("good"));
    assert_true(world_ready(w, "f", 5000));
}

static void what_cannot_run_says_why(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *spec, *ready;
    } rows[] = {
        {"{\"runtime\":\"python\",\"codeSource\":{\"a.py\":\"x\"}}", "False/RuntimeNotAvailable: "},
        {"{\"runtime\":\"js\",\"codeSource\":{\"a.js\":\"x\",\"b.js\":\"y\"}}",
         "False/MainMissing: spec.main"},
        {"{\"runtime\":\"js\",\"path\":\"./x\"}", "False/CodeMissing: "},
        {"{\"runtime\":\"wasm\",\"module\":\"a.wasm\",\"function\":\"f\"}",
         "False/ModuleMissing: "},
        {"{\"runtime\":\"wasm\",\"moduleBase64\":\"AGFzbQEAAAA=\"}",
         "False/ExportMissing: spec.function"},
        {JS_WITH("x", SECRET_VARIABLE),
         "False/SecretNotFound: spec.env[0].valueFrom: there is no secret s in namespace demo"},
        {JS_WITH("x", "\"envFrom\":[{\"configMapRef\":{\"name\":\"c\"}}]"),
         "False/ConfigMapNotFound: spec.envFrom[0]: there is no configmap c in namespace demo"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        world_apply(w, "f", rows[i].spec);
        assert_true(world_wait_condition(w, "f", "Ready", rows[i].ready, 3000));
    }
}

static void a_crash_ends_one_call_and_the_worker_comes_back(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS("one"));
    assert_true(world_ready(w, "f", 5000));
    for (int i = 0; i < 3; i++) {
        struct answer a;
        assert_int_equal(world_call(w, "f", "/crash", "", &a), 0);
        assert_true(a.error < 0);
        answer_done(&a);
        world_turn(w, 50); /* its end is told a little later */
        assert_true(world_ready(w, "f", 5000));
        call_is(w, "/", "one|POST /|passed|hello");
    }
    struct function_host_stats stats;
    function_host_stats(w->host, &stats);
    assert_int_equal(stats.worker_exits, 3);
    assert_true(w->changes >= 3);
}

static void a_hanging_worker_is_killed(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS_WITH("one", "\"limits\":{\"timeout\":\"PT0.2S\"}"));
    assert_true(world_ready(w, "f", 5000));
    struct answer a;
    assert_int_equal(world_begin(w, "f", "/hang", "", &a, NULL), 0);
    assert_true(world_answered(w, &a, 9000));
    assert_true(a.error < 0);
    answer_done(&a);
    assert_true(world_ready(w, "f", 5000));
    call_is(w, "/", "one|POST /|passed|hello");
}

static void the_zygote_comes_back(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS("one"));
    assert_true(world_ready(w, "f", 5000));
    struct answer a;
    assert_int_equal(world_call(w, "f", "/kill-zygote", "", &a), 0);
    answer_done(&a);
    world_turn(w, 50);
    assert_true(world_ready(w, "f", 5000));
    call_is(w, "/", "one|POST /|passed|hello");
}

static bool no_workers(struct world *w, void *ctx)
{
    struct function_host_stats stats;
    function_host_stats(w->host, &stats);
    return stats.workers == 0;
}

static void idle_workers_end_and_a_call_starts_one(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS_WITH("one", "\"scale\":{\"min\":0,\"max\":2,\"idle\":\"PT0.2S\"}"));
    assert_true(world_ready(w, "f", 5000));
    assert_true(world_until(w, no_workers, NULL, 3000));
    assert_int_equal(function_sink_ops.state(w->host, "demo", "f", NULL), SINK_READY);
    call_is(w, "/", "one|POST /|passed|hello");
}

static void busy_workers_get_company(void **state)
{
    struct world *w = *state;
    world_apply(w, "f",
                JS_WITH("one", "\"scale\":{\"min\":2,\"max\":4},"
                               "\"limits\":{\"concurrency\":2}"));
    assert_true(world_ready(w, "f", 5000));
    struct answer answers[10];
    for (size_t i = 0; i < COUNT_OF(answers); i++)
        assert_int_equal(world_begin(w, "f", "/slow", "", &answers[i], NULL), 0);
    struct function_host_stats stats;
    function_host_stats(w->host, &stats);
    assert_int_equal(stats.workers, 4);
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        assert_true(world_answered(w, &answers[i], 5000));
        assert_int_equal(answers[i].error, 0);
        answer_done(&answers[i]);
    }
}

static void a_cancelled_call_is_forgotten(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS("one"));
    assert_true(world_ready(w, "f", 5000));
    struct answer a;
    struct http_call *call;
    assert_int_equal(world_begin(w, "f", "/slow", "", &a, &call), 0);
    world_turn(w, 20);
    http_call_cancel(call);
    world_turn(w, 300);
    assert_false(a.done);
    struct function_host_stats stats;
    function_host_stats(w->host, &stats);
    assert_int_equal(stats.workers_busy, 0);
}

static void a_deleted_function_ends_its_calls_first(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS("one"));
    assert_true(world_ready(w, "f", 5000));
    struct answer a;
    assert_int_equal(world_begin(w, "f", "/slow", "", &a, NULL), 0);
    world_turn(w, 20);
    world_delete(w, "f");
    assert_int_equal(function_sink_ops.state(w->host, "demo", "f", NULL), SINK_ABSENT);
    assert_true(world_answered(w, &a, 3000));
    assert_int_equal(a.error, 0);
    answer_done(&a);
    assert_true(world_until(w, no_workers, NULL, 3000));
    world_apply(w, "f", JS("again"));
    assert_true(world_ready(w, "f", 5000));
    call_is(w, "/", "again|POST /|passed|hello");
}

static void calls_end_with_the_host(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS("one"));
    assert_true(world_ready(w, "f", 5000));
    struct answer a;
    assert_int_equal(world_begin(w, "f", "/slow", "", &a, NULL), 0);
    world_turn(w, 20);
    function_host_free(w->host);
    w->host = NULL;
    assert_true(a.done);
    assert_int_equal(a.error, -ECANCELED);
    answer_done(&a);
}

static bool has_log(struct world *w, void *ctx)
{
    autobuf text = BUF_INIT;
    struct function *f = function_host_find(w->host, "demo", "f");
    assert_int_equal(function_log_read(f->log, 0, &text), 0);
    return text.ptr != NULL && strstr(text.ptr, ctx) != NULL;
}

static void what_it_prints_is_kept(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS("one"));
    assert_true(world_ready(w, "f", 5000));
    struct answer a;
    assert_int_equal(world_call(w, "f", "/log", "", &a), 0);
    answer_done(&a);
    static char expected[] = "2026-10-18T00:59:00.123Z info [e 1] first\n    second \\x07\n";
    assert_true(world_until(w, has_log, strchr(expected, 'i'), 3000));
    char path[128];
    snprintf(path, sizeof(path), "%s/logs/demo/f.log", w->folder);
    autobuf file = BUF_INIT;
    assert_int_equal(fdio_read_file(path, 4096, &file), 0);
    assert_non_null(strstr(file.ptr, "second"));
    world_delete(w, "f");
    world_turn(w, 200);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
        ROW(calls_reach_the_worker),
        ROW(a_new_version_replaces_the_old_without_a_gap),
        ROW(a_failed_deploy_leaves_the_old_version),
        ROW(a_first_deploy_that_fails_waits_for_a_better_one),
        ROW(what_cannot_run_says_why),
        ROW(a_crash_ends_one_call_and_the_worker_comes_back),
        ROW(a_hanging_worker_is_killed),
        ROW(the_zygote_comes_back),
        ROW(idle_workers_end_and_a_call_starts_one),
        ROW(busy_workers_get_company),
        ROW(a_cancelled_call_is_forgotten),
        ROW(a_deleted_function_ends_its_calls_first),
        ROW(calls_end_with_the_host),
        ROW(what_it_prints_is_kept),
    };
    return cmocka_run_group_tests_name("function host", tests, NULL, NULL);
}
