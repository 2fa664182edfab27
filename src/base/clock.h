/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks, in nanoseconds. Only loops and mains read them; what lies below gets the time passed
 * in. */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include "base/slice.h"

#include <stdint.h>

#define CLOCK_SECOND      UINT64_C(1000000000)
#define CLOCK_MILLISECOND UINT64_C(1000000)

uint64_t clock_monotonic(void);
uint64_t clock_realtime(void); /* since 1970-01-01T00:00:00Z */

/* Both clocks, for a loop: tests have one in which an hour passes at once. Called on any thread. */
struct clock_source {
    uint64_t (*monotonic)(void *ctx);
    uint64_t (*realtime)(void *ctx);
    void *ctx;
};
/* The machine's. */
extern const struct clock_source clock_machine;

#define CLOCK_RFC3339_SIZE 36
/* Writes 2026-11-21T08:39:00.123456789Z; digits: 0, 3, 6 or 9 places. Returns the length. */
size_t clock_format_rfc3339(uint64_t realtime_ns, int digits, char out[CLOCK_RFC3339_SIZE]);
/* RFC 3339 with any offset. 0 or -EINVAL; years 1970 to 2261. */
int clock_parse_rfc3339(struct slice text, uint64_t *ret_ns);
/* ISO 8601 duration as PT0.2S, PT1H30M, P1DT2H (no years and months). 0 or -EINVAL. */
int clock_parse_duration(struct slice text, uint64_t *ret_ns);

#endif
