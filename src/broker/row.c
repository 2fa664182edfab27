/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of the tables RETRIES, DEAD and PAYLOADS: see ROWS.md. */
#include "broker/broker_internal.h"

#include <endian.h>
#include <errno.h>

#define RETRY_KEY_SIZE   20
#define RETRY_FIXED_SIZE 32
#define DEAD_KEY_SIZE    12
#define DEAD_FIXED_SIZE  28

static void add_be32(struct buf *out, uint32_t v)
{
    uint32_t big = htobe32(v);
    buf_add(out, &big, sizeof(big));
}

static uint32_t be32_at(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static uint64_t be64_at(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return be64toh(v);
}

static uint32_t le32_at(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static uint64_t le64_at(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

void row_retry_key(uint64_t due_ns, uint32_t trigger, uint64_t position, struct buf *out)
{
    buf_reset(out);
    buf_add_be64(out, due_ns);
    add_be32(out, trigger);
    buf_add_be64(out, position);
}

void row_retry_value(const struct retry_row *row, struct buf *out)
{
    buf_reset(out);
    buf_add_u32(out, row->attempts);
    buf_add_u32(out, row->code);
    buf_add_u32(out, row->stage);
    buf_add_u32(out, 0);
    buf_add_u64(out, row->delay_ns);
    buf_add_u64(out, row->time_ns);
    buf_add_slice(out, row->error);
}

int row_retry_read(struct slice key, struct slice value, struct retry_row *ret)
{
    if (key.len != RETRY_KEY_SIZE || value.len < RETRY_FIXED_SIZE)
        return -EBADMSG;
    *ret = (struct retry_row){
        .due_ns = be64_at(key.ptr),
        .trigger = be32_at(key.ptr + 8),
        .position = be64_at(key.ptr + 12),
        .attempts = le32_at(value.ptr),
        .code = le32_at(value.ptr + 4),
        .stage = le32_at(value.ptr + 8),
        .delay_ns = le64_at(value.ptr + 16),
        .time_ns = le64_at(value.ptr + 24),
        .error = slice_of(value.ptr + RETRY_FIXED_SIZE, value.len - RETRY_FIXED_SIZE),
    };
    return ret->stage < STAGE_COUNT ? 0 : -EBADMSG;
}

void row_object_key(uint32_t trigger, uint64_t position, struct buf *out)
{
    buf_reset(out);
    add_be32(out, trigger);
    buf_add_be64(out, position);
}

void row_dead_value(const struct dead_row *row, struct buf *out)
{
    buf_reset(out);
    buf_add_u32(out, row->attempts);
    buf_add_u32(out, row->code);
    buf_add_u64(out, row->time_ns);
    buf_add_u64(out, row->event_time_ns);
    buf_add_u32(out, (uint32_t)row->error.len);
    buf_add_slice(out, row->error);
    buf_add_slice(out, row->body);
}

int row_dead_read(struct slice key, struct slice value, struct dead_row *ret)
{
    if (key.len != DEAD_KEY_SIZE || value.len < DEAD_FIXED_SIZE)
        return -EBADMSG;
    uint32_t error_len = le32_at(value.ptr + 24);
    if (error_len > value.len - DEAD_FIXED_SIZE)
        return -EBADMSG;
    *ret = (struct dead_row){
        .trigger = be32_at(key.ptr),
        .position = be64_at(key.ptr + 4),
        .attempts = le32_at(value.ptr),
        .code = le32_at(value.ptr + 4),
        .time_ns = le64_at(value.ptr + 8),
        .event_time_ns = le64_at(value.ptr + 16),
        .error = slice_of(value.ptr + DEAD_FIXED_SIZE, error_len),
        .body = slice_of(value.ptr + DEAD_FIXED_SIZE + error_len,
                         value.len - DEAD_FIXED_SIZE - error_len),
    };
    return 0;
}
