/* SPDX-License-Identifier: Apache-2.0 */
#include "queue.h"

#include "load.h"

#include <stdlib.h>
#include <time.h>

uint64_t load_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void queue_fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

int queue_main(int argc, char **argv, queue_run_fn *run)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s HOST PORT COUNT WINDOW BODY\n", argv[0]);
        return 2;
    }
    struct queue_options o = {.host = argv[1],
                              .port = atoi(argv[2]),
                              .count = strtoull(argv[3], NULL, 10),
                              .window = (unsigned)strtoul(argv[4], NULL, 10),
                              .body = argv[5]};
    if (o.count == 0 || o.window == 0)
        queue_fail(argv[0], "COUNT and WINDOW are numbers from 1");
    uint64_t start = load_now_ns();
    run(&o);
    double seconds = (double)(load_now_ns() - start) / (double)NS_PER_S;
    printf("{\"events\":%llu,\"seconds\":%.6f}\n", (unsigned long long)o.count, seconds);
    return 0;
}
