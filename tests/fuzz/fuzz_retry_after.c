/* SPDX-License-Identifier: Apache-2.0 */
#include "http/retry_after.h"

#include "base/clock.h"
#include "base/must.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* What is read is a time that the C library writes in a way that reads the same. */
static void check_date(struct slice text, uint64_t now)
{
    int64_t seconds, again;
    if (http_date_parse(text, now, &seconds) < 0)
        return;
    time_t t = seconds;
    struct tm tm;
    char whole[64], written[64];
    must(gmtime_r(&t, &tm) != NULL);
    strftime(written, sizeof(written), "%a, %d %b ", &tm);
    int n = snprintf(whole, sizeof(whole), "%s%04d %02d:%02d:%02d GMT", written, tm.tm_year + 1900,
                     tm.tm_hour, tm.tm_min, tm.tm_sec);
    /* The leap second at the very end of 9999 is in 10000. */
    must(n > 0 &&
         ((http_date_parse(slice_of(whole, (size_t)n), now, &again) == 0 && again == seconds) ||
          tm.tm_year + 1900 > 9999));
}

/* The time, eight bytes; the value. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    uint64_t now, wait = 7;
    if (len < sizeof(now))
        return 0;
    memcpy(&now, bytes, sizeof(now));
    struct slice value = slice_of(bytes + sizeof(now), len - sizeof(now));
    int r = retry_after_parse(value, now, &wait);
    must(r == 0 || (r == -EINVAL && wait == 7));
    check_date(value, now);
    return 0;
}
