/* SPDX-License-Identifier: Apache-2.0 */
/* The function host with a stand-in for the worker: deploys, calls, crashes, scale. */
#include "../unit.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "world.h"

#include <errno.h>
#include <glob.h>
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
        {"{\"runtime\":\"cobol\",\"codeSource\":{\"a\":\"x\"}}",
         "False/RuntimeUnknown: spec.runtime: there is no runtime \"cobol\" on this server: there "
         "are "},
        {"{\"runtime\":\"js\",\"codeSource\":{\"a.js\":\"x\",\"b.js\":\"y\"}}",
         "False/MainMissing: spec.main"},
        {"{\"runtime\":\"js\",\"path\":\"./x\"}", "False/CodeMissing: "},
        {"{\"runtime\":\"js\",\"image\":\"x\"}", "False/ImageNotRead: spec.image"},
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

/* ---- crashes ---- */

static bool answers_as(struct world *w, void *ctx)
{
    struct answer a;
    assert_int_equal(world_call(w, "f", "/a", "", &a), 0);
    bool same = a.error == 0 && strncmp(a.body.ptr, ctx, strlen(ctx)) == 0;
    answer_done(&a);
    return same;
}

static void crash_once(struct world *w)
{
    struct answer a;
    assert_int_equal(world_call(w, "f", "/crash", "", &a), 0);
    answer_done(&a);
}

static void a_crash_loop_backs_off_and_says_so(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS("one"));
    assert_true(world_ready(w, "f", 5000));
    uint64_t begun = clock_monotonic();
    for (int i = 0; i < 5; i++) {
        crash_once(w);
        world_turn(w, 20);
        assert_true(world_ready(w, "f", 5000));
    }
    /* 0, 100, 200, 400 and 800 ms */
    assert_true(clock_monotonic() - begun > 1400 * CLOCK_MILLISECOND);
    crash_once(w);
    assert_true(world_wait_condition(w, "f", "Ready",
                                     "False/CrashLoopBackOff: the worker was ended "
                                     "by signal 6 (Aborted); restarted 6 times, "
                                     "the next start is at 20",
                                     500));
    assert_int_equal(function_sink_ops.state(w->host, "demo", "f", NULL), SINK_WAITING);
    struct answer held; /* as a delivery: it waits for the next start */
    assert_int_equal(world_begin(w, "f", "/", "", &held, NULL), 0);
    struct http_call_options options = {.method = "GET"};
    struct answer refused = {.body = BUF_INIT};
    struct error err = ERROR_INIT;
    world_options(&refused, &options);
    struct function *f = function_host_find(w->host, "demo", "f");
    assert_int_equal(function_invoke(f, "/", &options, true, NULL, &err), -EAGAIN);
    assert_non_null(strstr(err.message, "CrashLoopBackOff"));
    assert_true(world_answered(w, &held, 8000));
    assert_int_equal(held.error, 0);
    answer_done(&held);
    world_apply(w, "f", JS("two"));
    static char two[] = "two|";
    assert_true(world_until(w, answers_as, two, 5000));
    assert_true(world_wait_condition(w, "f", "Ready", "True/Serving", 3000));
    struct function_host_stats stats;
    function_host_stats(w->host, &stats);
    assert_int_equal(stats.restarts_crash, 6);
}

/* ---- scale ---- */

static unsigned workers(struct world *w)
{
    struct function_host_stats stats;
    function_host_stats(w->host, &stats);
    return stats.workers;
}

static bool has_workers(struct world *w, void *ctx)
{
    return workers(w) == *(unsigned *)ctx;
}

static void scale_changes_without_a_new_version(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS_WITH("one", "\"scale\":{\"min\":1,\"max\":2}"));
    assert_true(world_ready(w, "f", 5000));
    struct answer a, b;
    assert_int_equal(world_call(w, "f", "/", "", &a), 0);
    world_apply(w, "f", JS_WITH("one", "\"scale\":{\"min\":3,\"max\":4}"));
    assert_int_equal(workers(w), 3);
    assert_true(world_wait_condition(w, "f", "Ready", "True/Serving", 2000));
    world_apply(w, "f", JS_WITH("one", "\"scale\":{\"min\":1,\"max\":1}"));
    unsigned one = 1;
    assert_true(world_until(w, has_workers, &one, 3000));
    assert_int_equal(world_call(w, "f", "/", "", &b), 0);
    answer_done(&a);
    answer_done(&b);
    world_apply(w, "f", JS_WITH("one", "\"scale\":{\"min\":0,\"idle\":\"PT0.1S\"}"));
    assert_true(world_until(w, no_workers, NULL, 3000));
    struct function_host_stats stats;
    function_host_stats(w->host, &stats);
    assert_int_equal(stats.worker_starts, 3);
    call_is(w, "/", "one|POST /|passed|hello");
    function_host_stats(w->host, &stats);
    assert_int_equal(stats.cold_starts, 1);
}

/* Many deploys at once: some workers at a time, and functions that never load hold nobody up. */
static void many_deploys_start_some_workers_at_a_time(void **state)
{
    struct world *w = *state;
    char name[16];
    unsigned most = 0;
    for (int i = 0; i < 120; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        world_apply(w, name,
                    i % 4 == 0   ? JS_WITH("never-ready", "\"limits\":{\"timeout\":\"PT1S\"}")
                    : i % 4 == 1 ? JS("fail")
                                 : JS("one"));
        most = workers(w) > most ? workers(w) : most;
    }
    for (int i = 0; i < 120; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        if (i % 4 >= 2)
            assert_true(world_ready(w, name, 20000));
        else if (i % 4 == 1)
            assert_true(world_wait_condition(w, name, "Ready", "False/LoadFailed", 20000));
        most = workers(w) > most ? workers(w) : most;
    }
    assert_true(most < 64 + 30 + 16 + 1);
}

/* ---- waiting calls ---- */

static void too_many_calls_wait_or_are_refused(void **state)
{
    struct world *w = *state;
    world_apply(w, "f",
                JS_WITH("one", "\"scale\":{\"max\":1},"
                               "\"limits\":{\"concurrency\":1,\"queue\":2}"));
    assert_true(world_ready(w, "f", 5000));
    struct function *f = function_host_find(w->host, "demo", "f");
    struct answer answers[6];
    struct http_call *calls[6] = {0};
    for (size_t i = 0; i < 5; i++) /* as deliveries: held, however many */
        assert_int_equal(world_begin(w, "f", "/slow", "", &answers[i], &calls[i]), 0);
    struct function_host_stats stats;
    function_host_stats(w->host, &stats);
    assert_int_equal(stats.waiting, 4);
    assert_int_equal(stats.workers, 1);
    struct http_call_options options = {.method = "GET"};
    struct error err = ERROR_INIT;
    world_options(&answers[5], &options);
    assert_int_equal(function_invoke(f, "/", &options, true, NULL, &err), -EAGAIN);
    assert_non_null(strstr(err.message, "has 4 calls waiting already"));
    http_call_cancel(calls[4]);
    http_call_cancel(calls[2]);
    function_host_stats(w->host, &stats);
    assert_int_equal(stats.waiting, 2);
    for (size_t i = 0; i < 4; i++) {
        if (i == 2)
            continue;
        assert_true(world_answered(w, &answers[i], 5000));
        assert_int_equal(answers[i].error, 0);
        assert_string_equal(answers[i].body.ptr, "one|POST /slow|passed|");
        answer_done(&answers[i]);
    }
    assert_false(answers[2].done || answers[4].done);
}

static void a_call_waits_no_longer_than_it_may_take(void **state)
{
    struct world *w = *state;
    world_apply(w, "f",
                JS_WITH("one", "\"scale\":{\"max\":1},"
                               "\"limits\":{\"concurrency\":1,\"timeout\":\"PT0.3S\"}"));
    assert_true(world_ready(w, "f", 5000));
    struct answer busy, held, refused = {.body = BUF_INIT};
    assert_int_equal(world_begin(w, "f", "/hang", "", &busy, NULL), 0);
    assert_int_equal(world_begin(w, "f", "/", "", &held, NULL), 0);
    struct http_call_options options = {.method = "GET"};
    world_options(&refused, &options);
    struct function *f = function_host_find(w->host, "demo", "f");
    assert_int_equal(function_invoke(f, "/", &options, true, NULL, NULL), 0);
    assert_true(world_answered(w, &refused, 3000));
    assert_int_equal(refused.error, -EAGAIN);
    answer_done(&refused);
    assert_true(world_answered(w, &held, 9000)); /* by the next worker: the first one hangs */
    assert_int_equal(held.error, 0);
    assert_true(busy.done && busy.error < 0);
    answer_done(&held);
    answer_done(&busy);
}

static void calls_wait_for_a_zygote(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS_WITH("one", "\"scale\":{\"idle\":\"PT0.1S\"}"));
    assert_true(world_ready(w, "f", 5000));
    assert_true(world_until(w, no_workers, NULL, 3000));
    kill(zygote_pid(w->host->zygote), SIGKILL);
    world_turn(w, 20);
    call_is(w, "/", "one|POST /|passed|hello");
}

static void a_deleted_function_gives_up_what_waits(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", JS_WITH("one", "\"scale\":{\"max\":1},\"limits\":{\"concurrency\":1}"));
    assert_true(world_ready(w, "f", 5000));
    struct answer first, second;
    assert_int_equal(world_begin(w, "f", "/slow", "", &first, NULL), 0);
    assert_int_equal(world_begin(w, "f", "/slow", "", &second, NULL), 0);
    world_delete(w, "f");
    assert_true(second.done);
    assert_int_equal(second.error, -ENOENT);
    answer_done(&second);
    assert_true(world_answered(w, &first, 3000));
    assert_int_equal(first.error, 0);
    answer_done(&first);
}

/* ---- processes ---- */

#define PYTHON(code) "{\"runtime\":\"python\",\"codeSource\":{\"handler.py\":\"" code "\"}}"
#define PYTHON_WITH(code, more)                                                                    \
    "{\"runtime\":\"python\",\"codeSource\":{\"handler.py\":\"" code "\"}," more "}"

/* Folders of prepared versions of demo/f: DIGEST and DIGEST.ready. */
static unsigned folders_of(struct world *w)
{
    char pattern[160];
    glob_t found;
    snprintf(pattern, sizeof(pattern), "%s/functions/demo/f.*/*", w->folder);
    unsigned count = glob(pattern, 0, NULL, &found) == 0 ? (unsigned)found.gl_pathc : 0;
    globfree(&found);
    return count;
}

static bool has_one_folder(struct world *w, void *ctx)
{
    return folders_of(w) == 2;
}

static bool has_no_folder(struct world *w, void *ctx)
{
    return folders_of(w) == 0;
}

static void processes_are_prepared_and_run(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", PYTHON("one"));
    assert_true(world_wait_condition(w, "f", "Ready", "True/Serving", 5000));
    assert_starts(world_condition(w, "f", "Built"), "True/Built");
    call_is(w, "/a", "one|POST /a|passed|hello");
    assert_true(has_log(w, "installing"));
    assert_true(has_log(w, "uid 20000"));
    assert_int_equal(w->host->prepares.prepares, 1);
    /* Other limits, the same files: nothing is prepared. */
    world_apply(w, "f", PYTHON_WITH("one", "\"limits\":{\"concurrency\":3}"));
    assert_true(world_wait_condition(w, "f", "Ready", "True/Serving", 5000));
    assert_int_equal(w->host->prepares.prepares, 1);
    world_apply(w, "f", PYTHON("two"));
    static char two[] = "two|";
    assert_true(world_until(w, answers_as, two, 5000));
    assert_int_equal(w->host->prepares.prepares, 2);
    assert_true(world_until(w, has_one_folder, NULL, 3000)); /* the old one is gone */
    world_delete(w, "f");
    assert_true(world_until(w, has_no_folder, NULL, 3000));
}

static void a_failed_prepare_leaves_the_old_version(void **state)
{
    struct world *w = *state;
    static char three[] = "three|";
    world_apply(w, "f", PYTHON("one"));
    assert_true(world_ready(w, "f", 5000));
    world_apply(w, "f", PYTHON("prepare-fails"));
    assert_true(world_wait_condition(
        w, "f", "Ready", "False/PrepareFailed: no such package; generation 1 goes on", 5000));
    call_is(w, "/", "one|POST /|passed|hello");
    world_apply(w, "f", PYTHON("slow-prepare"));
    world_apply(w, "f", PYTHON("three")); /* in the middle of it */
    assert_true(world_until(w, answers_as, three, 5000));
    assert_true(world_until(w, has_one_folder, NULL, 3000));
}

static void a_process_that_takes_too_long_is_replaced(void **state)
{
    struct world *w = *state;
    world_apply(w, "f", PYTHON_WITH("one", "\"limits\":{\"timeout\":\"PT0.3S\"}"));
    assert_true(world_ready(w, "f", 5000));
    struct answer stuck;
    assert_int_equal(world_call(w, "f", "/hang", "", &stuck), 0);
    assert_int_equal(stuck.error, -ETIMEDOUT);
    answer_done(&stuck);
    call_is(w, "/", "one|POST /|passed|hello");
    assert_true(has_log(w, "time"));
}

static void users_are_kept(void **state)
{
    struct world *w = *state;
    struct uid_table *t = w->host->folders.uids;
    unsigned a, b, c;
    assert_int_equal(uid_take(t, "a", &a), 0);
    assert_int_equal(uid_take(t, "b", &b), 0);
    assert_true(a != b);
    struct error err = ERROR_INIT;
    assert_int_equal(uid_table_new(w->host->folders.path, &t, &err),
                     0); /* as another start reads it */
    assert_int_equal(uid_take(t, "b", &c), 0);
    assert_int_equal(c, b);
    assert_int_equal(uid_take(t, "c", &c), 0);
    assert_true(c != a && c != b);
    uid_table_free(t);
}

/* ---- what serves already ---- */

static void a_url_is_called_as_it_is(void **state)
{
    struct world *w = *state;
    world_apply(w, "target", JS("one"));
    world_apply(w, "f", "{\"runtime\":\"http\",\"url\":\"http://127.0.0.1:1/base/?a=b\"}");
    assert_true(world_wait_condition(w, "f", "Ready", "True/Serving", 3000));
    struct answer a;
    assert_int_equal(world_call(w, "f", "/", "", &a), 0);
    assert_int_equal(a.error, -ECONNREFUSED);
    answer_done(&a);
    world_apply(w, "f", "{\"runtime\":\"http\",\"url\":\"http://a b/\"}");
    assert_true(world_wait_condition(w, "f", "Ready", "False/UrlRefused: spec.url", 3000));
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
        ROW(a_crash_loop_backs_off_and_says_so),
        ROW(scale_changes_without_a_new_version),
        ROW(many_deploys_start_some_workers_at_a_time),
        ROW(too_many_calls_wait_or_are_refused),
        ROW(a_call_waits_no_longer_than_it_may_take),
        ROW(calls_wait_for_a_zygote),
        ROW(a_deleted_function_gives_up_what_waits),
        ROW(processes_are_prepared_and_run),
        ROW(a_failed_prepare_leaves_the_old_version),
        ROW(a_process_that_takes_too_long_is_replaced),
        ROW(users_are_kept),
        ROW(a_url_is_called_as_it_is),
    };
    return cmocka_run_group_tests_name("function host", tests, NULL, NULL);
}
