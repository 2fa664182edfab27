/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/attempt.h"

#include "base/bytes.h"
#include "base/must.h"
#include "broker/delivery.h"

#include <errno.h>

#define FIXED_SIZE 16u /* what the first attempt that is made takes: almost all there are */
#define FLAG_REPLY 0x80u
#define STAGE_MASK 0x0fu
#define ORIGIN_BIT 4

size_t attempt_write(const struct attempt *a, char *out)
{
    bytes_put_le64(out, a->time_ns);
    bytes_put_le32(out + 8, a->latency_us);
    bytes_put_le16(out + 12, a->code);
    out[14] = (char)a->end;
    out[15] = (char)(a->stage | a->origin << ORIGIN_BIT | (a->reply ? FLAG_REPLY : 0));
    if (a->number == 1)
        return FIXED_SIZE;
    bytes_put_le32(out + FIXED_SIZE, a->number);
    return ATTEMPT_BYTES_MAX;
}

int attempt_read(struct slice value, struct attempt *ret)
{
    if (value.len == 0) {
        *ret = (struct attempt){.end = ATTEMPT_UNKNOWN};
        return 0;
    }
    if (value.len < FIXED_SIZE || (value.len > FIXED_SIZE && value.len < ATTEMPT_BYTES_MAX))
        return -EBADMSG;
    uint8_t end = (uint8_t)value.ptr[14], flags = (uint8_t)value.ptr[15];
    if (end == ATTEMPT_UNKNOWN || end >= ATTEMPT_END_COUNT || (flags & STAGE_MASK) >= STAGE_COUNT)
        return -EBADMSG;
    *ret = (struct attempt){
        .time_ns = bytes_le64(value.ptr),
        .number = value.len > FIXED_SIZE ? bytes_le32(value.ptr + FIXED_SIZE) : 1,
        .latency_us = bytes_le32(value.ptr + 8),
        .code = bytes_le16(value.ptr + 12),
        .stage = flags & STAGE_MASK,
        .origin = flags >> ORIGIN_BIT & 3,
        .end = (enum attempt_end)end,
        .reply = (flags & FLAG_REPLY) != 0,
    };
    return 0;
}

const char *attempt_end_name(enum attempt_end end)
{
    static const char *const names[] = {
        [ATTEMPT_UNKNOWN] = "unknown", [ATTEMPT_DONE] = "done",       [ATTEMPT_RETRY] = "retry",
        [ATTEMPT_DEAD] = "dead",       [ATTEMPT_DROPPED] = "dropped", [ATTEMPT_EXPIRED] = "expired",
        [ATTEMPT_DELAYED] = "delayed",
    };
    static_assert(sizeof(names) / sizeof(names[0]) == ATTEMPT_END_COUNT, "each end has a name");
    must(end < ATTEMPT_END_COUNT);
    return names[end];
}
