/* SPDX-License-Identifier: Apache-2.0 */
/* Not a test: prints what one event costs inside the worker, without HTTP.
 *
 *   worker-bench-call                       all cases, wall-clock time
 *   worker-bench-call CASE ISOLATION CALLS  one case in this process, so many calls; for
 *       valgrind --tool=callgrind --toggle-collect=call_handle, where the count of instructions
 *       divided by CALLS is steadier than any clock on a shared machine */
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
};

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
};
static const char *const isolations[] = {"instance", "event"};

static const struct bench *bench;
static const char *isolation;

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
    fixture_post(headers, COUNT_OF(headers), "{\"msg\":\"Message to js-example-service\"}");
}

static void measure(void)
{
    fixture_load(isolation, "", bench->source);
    report_setup(open("/dev/null", O_WRONLY), false);
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

static int measure_one(char **argv)
{
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < COUNT_OF(benches); i++)
        if (strcmp(benches[i].name, argv[1]) == 0)
            bench = &benches[i];
    if (bench == NULL || guard_start_timer(&err) < 0)
        return 2;
    report_setup(open("/dev/null", O_WRONLY), false);
    fixture_load(argv[2], "\"timeoutMs\":60000", bench->source);
    for (long i = atol(argv[3]); i > 0; i--)
        call();
    return 0;
}

int main(int argc, char **argv)
{
    fixture_prepare();
    if (argc == 4)
        return measure_one(argv);
    for (size_t i = 0; i < COUNT_OF(benches); i++)
        for (size_t k = 0; k < COUNT_OF(isolations); k++) {
            bench = &benches[i];
            isolation = isolations[k];
            fixture_run(measure, NULL);
        }
    return 0;
}
