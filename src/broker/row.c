/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of the tables RETRIES, DEAD and PAYLOADS: see ROWS.md. */
#include "broker/row.h"

#include "base/bytes.h"
#include "broker/delivery.h"

#include <errno.h>

#define RETRY_FIXED_SIZE 32
#define RETRY_V0         0u /* the error is all that follows the fixed part */
#define RETRY_V1         1u
#define RETRY_V1_SIZE    48
#define STAGE_MASK       0xffu
#define ORIGIN_SHIFT     8
#define DEAD_FIXED_SIZE  28
#define DEAD_LATENCY     UINT32_C(0x80000000) /* in the error's length: a latency comes first */

void row_retry_key(uint32_t trigger, enum retry_class c, uint64_t due_ns, uint64_t position,
                   struct buf *out)
{
    buf_reset(out);
    buf_add_be32(out, trigger);
    buf_add_byte(out, (char)c);
    buf_add_be64(out, due_ns);
    buf_add_be64(out, position);
}

void row_retry_value(const struct retry_row *row, struct buf *out)
{
    buf_reset(out);
    buf_add_u32(out, row->attempts);
    buf_add_u32(out, row->code);
    buf_add_u32(out, row->stage | (uint32_t)row->origin << ORIGIN_SHIFT);
    buf_add_u32(out, RETRY_V1);
    buf_add_u64(out, row->delay_ns);
    buf_add_u64(out, row->time_ns);
    buf_add_u64(out, row->attempt_time_ns);
    buf_add_u32(out, row->latency_us);
    buf_add_u32(out, (uint32_t)row->error.len);
    buf_add_slice(out, row->error);
    buf_add_slice(out, row->body);
}

static int read_attempt(struct slice value, struct retry_row *ret)
{
    if (value.len < RETRY_V1_SIZE)
        return -EBADMSG;
    size_t error_len = bytes_le32(value.ptr + 44);
    if (error_len > value.len - RETRY_V1_SIZE)
        return -EBADMSG;
    ret->attempt_time_ns = bytes_le64(value.ptr + RETRY_FIXED_SIZE);
    ret->latency_us = bytes_le32(value.ptr + 40);
    ret->error = slice_of(value.ptr + RETRY_V1_SIZE, error_len);
    ret->body = slice_of(ret->error.ptr + error_len, value.len - RETRY_V1_SIZE - error_len);
    return 0;
}

int row_retry_read_key(struct slice key, struct retry_row *ret)
{
    if (key.len != ROW_RETRY_KEY_SIZE || (uint8_t)key.ptr[4] >= RETRY_CLASS_COUNT)
        return -EBADMSG;
    ret->trigger = bytes_be32(key.ptr);
    ret->class = (enum retry_class)key.ptr[4];
    ret->due_ns = bytes_be64(key.ptr + 5);
    ret->position = bytes_be64(key.ptr + 13);
    return 0;
}

int row_retry_read(struct slice key, struct slice value, struct retry_row *ret)
{
    if (value.len < RETRY_FIXED_SIZE)
        return -EBADMSG;
    *ret = (struct retry_row){
        .attempts = bytes_le32(value.ptr),
        .code = bytes_le32(value.ptr + 4),
        .stage = bytes_le32(value.ptr + 8) & STAGE_MASK,
        .origin = (enum retry_origin)(bytes_le32(value.ptr + 8) >> ORIGIN_SHIFT),
        .delay_ns = bytes_le64(value.ptr + 16),
        .time_ns = bytes_le64(value.ptr + 24),
        .error = slice_of(value.ptr + RETRY_FIXED_SIZE, value.len - RETRY_FIXED_SIZE),
    };
    if (row_retry_read_key(key, ret) < 0)
        return -EBADMSG;
    if (ret->stage >= STAGE_COUNT || ret->origin >= RETRY_ORIGIN_COUNT)
        return -EBADMSG;
    switch (bytes_le32(value.ptr + 12)) {
    case RETRY_V0:
        return 0;
    case RETRY_V1:
        return read_attempt(value, ret);
    default:
        return -EBADMSG;
    }
}

void row_object_key(uint32_t trigger, uint64_t position, struct buf *out)
{
    buf_reset(out);
    buf_add_be32(out, trigger);
    buf_add_be64(out, position);
}

int row_object_read(struct slice key, uint32_t *ret_trigger, uint64_t *ret_position)
{
    if (key.len != ROW_OBJECT_KEY_SIZE)
        return -EBADMSG;
    *ret_trigger = bytes_be32(key.ptr);
    *ret_position = bytes_be64(key.ptr + 4);
    return 0;
}

void row_dead_value(const struct dead_row *row, struct buf *out)
{
    buf_reset(out);
    buf_add_u32(out, row->attempts);
    buf_add_u32(out, row->code);
    buf_add_u64(out, row->time_ns);
    buf_add_u64(out, row->event_time_ns);
    buf_add_u32(out, (uint32_t)row->error.len | DEAD_LATENCY);
    buf_add_u32(out, row->latency_us);
    buf_add_slice(out, row->error);
    buf_add_slice(out, row->body);
}

int row_dead_read(struct slice key, struct slice value, struct dead_row *ret)
{
    if (key.len != ROW_OBJECT_KEY_SIZE || value.len < DEAD_FIXED_SIZE)
        return -EBADMSG;
    uint32_t error_len = bytes_le32(value.ptr + 24);
    bool has_latency = (error_len & DEAD_LATENCY) != 0;
    size_t fixed = DEAD_FIXED_SIZE + (has_latency ? sizeof(uint32_t) : 0);
    error_len &= ~DEAD_LATENCY;
    if (value.len < fixed || error_len > value.len - fixed)
        return -EBADMSG;
    *ret = (struct dead_row){
        .trigger = bytes_be32(key.ptr),
        .position = bytes_be64(key.ptr + 4),
        .attempts = bytes_le32(value.ptr),
        .code = bytes_le32(value.ptr + 4),
        .latency_us = has_latency ? bytes_le32(value.ptr + DEAD_FIXED_SIZE) : 0,
        .time_ns = bytes_le64(value.ptr + 8),
        .event_time_ns = bytes_le64(value.ptr + 16),
        .error = slice_of(value.ptr + fixed, error_len),
        .body = slice_of(value.ptr + fixed + error_len, value.len - fixed - error_len),
    };
    return 0;
}
