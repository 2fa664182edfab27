/* SPDX-License-Identifier: Apache-2.0 */
/* Not a test: prints what one event costs inside the worker, without HTTP.
 *
 *   worker-bench-call MODULE [CASE]                all cases or one, wall-clock time
 *   worker-bench-call MODULE CASE ISOLATION CALLS  one case in this process, so many calls; for
 *       valgrind --tool=callgrind --toggle-collect=call_handle --px-default=allregs-at-mem-access
 *       --px-file-backed=allregs-at-mem-access: the count of instructions divided by CALLS is
 *       steadier than any clock on a shared machine
 *
 * MODULE is guest-module.so beside this program. */
#include "fixture.h"

#include "base/clock.h"
#include "base/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BENCH_WARM   2000
#define BENCH_CALLS  40000
#define BENCH_ROUNDS 20

struct bench {
    const char *name, *source;
    bool in_pairs; /* two calls at a time, of which one waits aside while the other runs */
};

#define WAITS                                                                                      \
    "module.exports = async (context, event) => {"                                                 \
    " await new Promise(resolve => setImmediate(resolve)); return { got: event.data.msg }; };"

static const struct bench benches[] = {
    {"nothing", "module.exports = { handle: (context, event) => {} };"},
    {"reply", "module.exports = { handle: (context, event) => context.cloudEventResponse("
              "{ hello: event.data.msg }).type('t').response() };"},
    /* The function of examples/knative-faas. */
    {"demo", "module.exports = context => {\n"
             "  console.log('simple example. context:', context);\n"
             "  const { msg } = context.cloudevent.data;\n"
             "  return context.cloudEventResponse({ received: msg, a: 4, b: 14 })\n"
             "    .type('dev.nodeshift.samples.fromjs')\n"
             "    .source('nodeshift/samples/js-example-service').response();\n"
             "};"},
    {"log-text", "module.exports = (context, event) => { console.log('one line of text'); };"},
    {"log-event", "module.exports = (context, event) => { console.log(event); };"},
    {"log-context", "module.exports = (context, event) => { console.log(context); };"},
    {"answer", "module.exports = (context, event) => ({ statusCode: 201, headers: { 'x-a': 'b' },"
               " body: { a: 1 } });"},
    {"await", WAITS},
    {"await-pairs", WAITS, true},
    {"wasm", NULL},
};
/* As wasm-function.yaml has it. */
static const char wasm_bundle[] =
    "{\"namespace\":\"ns\",\"name\":\"f\",\"runtime\":\"wasm\",\"isolation\":\"%s\","
    "\"limits\":{\"timeoutMs\":60000},\"wasm\":{\"module\":\"add.wasm\",\"function\":\"add\","
    "\"arguments\":\"event => [event.data.a, event.data.b]\",\"response\":"
    "\"(result, event, meta) => `module: ${meta.module}, function: ${meta.function}, "
    "returned ${result}: ${meta.types[0]}`\"}}";

static const char *const isolations[] = {"instance", "event"};

static const struct bench *bench;
static const char *isolation, *module_path;

static void load(void)
{
    report_setup(open("/dev/null", O_WRONLY), false);
    if (bench->source != NULL) {
        fixture_load(isolation, "\"timeoutMs\":60000", bench->source);
        return;
    }
    struct error err = ERROR_INIT;
    struct module *module = NULL;
    struct buf json = BUF_INIT; /* kept: the bundle borrows from it */
    buf_printf(&json, wasm_bundle, isolation);
    expect(module_load(open(module_path, O_RDONLY), 4 << 20, &module, &err) == 0);
    expect(fixture_load_bundle(json.ptr, module));
}

/* As the broker's deliveries are. */
static void call(void)
{
    static const struct http_header headers[] = {
        {{"Host", 4}, {"js-example-service", 18}},
        {{"Content-Length", 14}, {"39", 2}},
        {{"Prefer", 6}, {"reply", 5}},
        {{"Kn-Namespace", 12}, {"js-example-service", 18}},
        {{"Ce-Specversion", 14}, {"0.3", 3}},
        {{"Ce-Id", 5}, {"536808d3-88be-4077-9d7a-a3f162705f79", 36}},
        {{"Ce-Type", 7}, {"dev.nodeshift.samples.js-example", 32}},
        {{"Ce-Source", 9}, {"dev.nodeshift.samples/js-example-source", 39}},
        {{"Ce-Knativearrivaltime", 21}, {"2026-11-21T12:00:00.123Z", 24}},
        {{"Content-Type", 12}, {"application/json", 16}},
    };
    if (bench->in_pairs) {
        struct http_request *first = fixture_begin("/", "a", "{\"msg\":\"Message\"}");
        fixture_finish(fixture_begin("/", "b", "{\"msg\":\"Message\"}"));
        fixture_finish(first);
        return;
    }
    bool is_wasm = bench->source == NULL;
    fixture_post(headers, COUNT_OF(headers),
                 is_wasm ? "{\"received\":\"Message to js-example-service\",\"a\":4,\"b\":14}"
                         : "{\"msg\":\"Message to js-example-service\"}");
}

static void measure(void)
{
    load();
    for (int i = 0; i < BENCH_WARM; i++)
        call();
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < BENCH_ROUNDS; round++) {
        uint64_t begin = clock_monotonic();
        for (int i = 0; i < BENCH_CALLS / BENCH_ROUNDS; i++)
            call();
        uint64_t took = clock_monotonic() - begin;
        if (took < best)
            best = took;
    }
    double each = (double)best / 1e3 * BENCH_ROUNDS / BENCH_CALLS;
    char text[128];
    int n = snprintf(text, sizeof(text), "%-12s %-9s %6.2f us, %u pages written\n", bench->name,
                     isolation, each, engine_snapshot()->written_count);
    (void)!write(1, text, (size_t)n);
}

static int measure_one(const char *name, long calls)
{
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < COUNT_OF(benches); i++)
        if (strcmp(benches[i].name, name) == 0)
            bench = &benches[i];
    if (bench == NULL || guard_start_timer(&err) < 0)
        return 2;
    load();
    for (; calls > 0; calls--)
        call();
    return 0;
}

int main(int argc, char **argv)
{
    fixture_prepare();
    if (argc != 2 && argc != 3 && argc != 5)
        return 2;
    module_path = argv[1];
    if (argc == 5) {
        isolation = argv[3];
        return measure_one(argv[2], atol(argv[4]));
    }
    for (size_t i = 0; i < COUNT_OF(benches); i++)
        for (size_t k = 0; k < COUNT_OF(isolations); k++) {
            bench = &benches[i];
            isolation = isolations[k];
            if (argc == 2 || strcmp(argv[2], bench->name) == 0)
                fixture_run(measure, NULL);
        }
    return 0;
}
