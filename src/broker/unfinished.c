/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/unfinished.h"

#include "base/bytes.h"
#include "broker/delivery.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    uint64_t x = bytes_le64(a), y = bytes_le64(b);
    return (x > y) - (x < y);
}

static void add_positions(struct buf *out, const struct list *deliveries)
{
    list_for_each (node, deliveries)
        buf_add_u64(out, list_entry(node, struct delivery, outstanding)->position);
}

/* Those that are in the table only. */
static void add_waiting(struct buf *out, const struct trigger *t)
{
    autobuf from = BUF_INIT;
    autobuf to = BUF_INIT;
    row_retry_key(t->number, RETRY_SINK, 0, 0, &from);
    row_retry_key(t->number, RETRY_CLASS_COUNT, 0, 0, &to);
    struct store_scan *scan =
        store_scan_new(t->core->store, STORE_TABLE_RETRIES, buf_slice(&from), buf_slice(&to));
    struct slice key, value;
    struct retry_row row;
    out->failed = out->failed || scan == NULL;
    while (scan != NULL && store_scan_next(scan, &key, &value, NULL) == 1)
        if (row_retry_read_key(key, &row) == 0)
            buf_add_u64(out, row.position);
    store_scan_free(scan);
}

static void collect(struct unfinished *u, const struct trigger *t)
{
    u->trigger = t->number;
    buf_reset(&u->positions);
    u->positions.failed = false;
    add_positions(&u->positions, &t->retrying);
    add_waiting(&u->positions, t);
    add_positions(&u->positions, &t->outstanding);
    if (u->positions.len > 0)
        qsort(u->positions.ptr, u->positions.len / 8, 8, compare);
}

bool unfinished_has(struct unfinished *u, const struct trigger *t, uint64_t position)
{
    if (u->trigger != t->number)
        collect(u, t);
    char wanted[8];
    bytes_put_le64(wanted, position);
    if (!buf_ok(&u->positions)) /* nobody knows */
        return true;
    return u->positions.len > 0 &&
           bsearch(wanted, u->positions.ptr, u->positions.len / 8, 8, compare) != NULL;
}

void unfinished_done(struct unfinished *u)
{
    buf_done(&u->positions);
    *u = (struct unfinished){0};
}
