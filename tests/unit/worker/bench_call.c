/* SPDX-License-Identifier: Apache-2.0 */
/* Not a test: prints what one event costs inside the worker, without HTTP. */
#include "fixture.h"

#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

#define BENCH_WARM  2000
#define BENCH_CALLS 100000

static const char *const isolations[] = {"none", "instance", "event"};
static int isolation;

static const char source[] =
    "module.exports = { handle: (context, event) => context.cloudEventResponse("
    "{ hello: event.data.msg }).type('t').response() };";
static const char empty[] = "module.exports = { handle: (context, event) => {} };";

static void measure(const char *what)
{
    static const char data[] = "{\"msg\":\"hello worlddddd, this is 40 bytes\"}";
    for (int i = 0; i < BENCH_WARM; i++)
        fixture_event(data);
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < 20; round++) {
        uint64_t begin = clock_monotonic();
        for (int i = 0; i < BENCH_CALLS / 20; i++)
            fixture_event(data);
        uint64_t took = clock_monotonic() - begin;
        if (took < best)
            best = took;
    }
    double each = (double)best / 1e3 * 20 / BENCH_CALLS;
    char text[128];
    int n = snprintf(text, sizeof(text), "%-10s %-9s %6.2f us, %u pages written\n", what,
                     isolations[isolation], each, engine_snapshot()->written_count);
    (void)!write(1, text, (size_t)n);
}

static void run(void)
{
    fixture_load(isolations[isolation], "", source);
    measure("reply");
}

static void run_empty(void)
{
    fixture_load(isolations[isolation], "", empty);
    measure("nothing");
}

int main(void)
{
    fixture_prepare();
    for (isolation = 1; isolation < 3; isolation++) {
        fixture_run(run, NULL);
        fixture_run(run_empty, NULL);
    }
    return 0;
}
