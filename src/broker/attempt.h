/* SPDX-License-Identifier: Apache-2.0 */
/* What the log says of one attempt to deliver: the value of the record that takes the delivery out
 * of where it stood. That is FINISH, or DELETE of its row in RETRIES. See ROWS.md. */
#ifndef SLUICE_BROKER_ATTEMPT_H
#define SLUICE_BROKER_ATTEMPT_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum attempt_end {
    ATTEMPT_UNKNOWN, /* a record from before these values */
    ATTEMPT_DONE,
    ATTEMPT_RETRY,   /* a row in RETRIES takes over */
    ATTEMPT_DEAD,    /* a row in DEAD does */
    ATTEMPT_DROPPED, /* went with its broker; no attempt was made */
    ATTEMPT_EXPIRED, /* its time had passed; no attempt was made */
    ATTEMPT_DELAYED, /* its time has not come: a row in RETRIES takes over; no attempt was made */
    ATTEMPT_END_COUNT,
};

struct attempt {
    uint64_t time_ns;    /* when it ended, realtime */
    uint32_t number;     /* of the stage, counted from 1; 0: the subscriber was not called */
    uint32_t latency_us; /* UINT32_MAX: that or more */
    uint16_t code;       /* HTTP status; 0: no answer */
    uint8_t stage;       /* enum delivery_stage */
    uint8_t origin;      /* enum retry_origin */
    enum attempt_end end;
    bool reply; /* the record before this one is the event that it answered with */
};

#define ATTEMPT_BYTES_MAX 20

/* Writes it to out, which has ATTEMPT_BYTES_MAX bytes. Returns how many it took. */
size_t attempt_write(const struct attempt *a, char *out);
/* An empty value gives ATTEMPT_UNKNOWN. -EBADMSG: it is none. */
int attempt_read(struct slice value, struct attempt *ret);
/* done, retry, dead…; of static life. */
const char *attempt_end_name(enum attempt_end end);

#endif
