/* SPDX-License-Identifier: Apache-2.0 */
/* Rows in RETRIES, DEAD and PAYLOADS that go because their trigger or its broker does. */
#include "broker/retry.h"

#include "base/bytes.h"
#include "broker/row.h"

#define FORGET_ROWS 512 /* rows deleted in one group */

void retry_forget_begin(struct store_group *g)
{
    store_group_init(g);
    g->internal = true;
}

void retry_forget_end(struct broker_core *b, struct store_group *g)
{
    if (g->records > 0)
        store_append(b->store, g, NULL, NULL);
    else
        store_group_done(g);
}

static void forget_row(struct broker_core *b, enum store_table table, struct slice key,
                       struct store_group *g)
{
    store_group_add(g, STORE_RECORD_DELETE, table, key, (struct slice){"", 0});
    if (g->records < FORGET_ROWS)
        return;
    store_append(b->store, g, NULL, NULL);
    retry_forget_begin(g);
}

void retry_forget_delivery(const struct delivery *d, struct store_group *g)
{
    autobuf key = BUF_INIT;
    row_retry_key(d->trigger_number, d->row_class, d->due_ns, d->position, &key);
    forget_row(d->core, STORE_TABLE_RETRIES, buf_slice(&key), g);
    row_object_key(d->trigger_number, d->position, &key);
    if (d->stage == STAGE_SUBSCRIBER)
        forget_row(d->core, STORE_TABLE_PAYLOADS, buf_slice(&key), g);
}

void retry_forget_row(struct broker_core *b, struct slice key, struct store_group *g)
{
    autobuf object = BUF_INIT;
    struct retry_row row;
    forget_row(b, STORE_TABLE_RETRIES, key, g);
    if (row_retry_read_key(key, &row) < 0 || row.class == RETRY_SINK)
        return;
    row_object_key(row.trigger, row.position, &object);
    forget_row(b, STORE_TABLE_PAYLOADS, buf_slice(&object), g);
}

void retry_forget_outcome(const struct delivery *d)
{
    struct store_group group;
    autobuf key = BUF_INIT;
    retry_forget_begin(&group);
    row_retry_key(d->trigger_number, d->next_class, d->next_due_ns, d->position, &key);
    forget_row(d->core, STORE_TABLE_RETRIES, buf_slice(&key), &group);
    row_object_key(d->trigger_number, d->position, &key);
    forget_row(d->core, STORE_TABLE_PAYLOADS, buf_slice(&key), &group);
    forget_row(d->core, STORE_TABLE_DEAD, buf_slice(&key), &group);
    retry_forget_end(d->core, &group);
}

/* Deletes the rows of one table whose keys begin with the trigger's number. */
static void forget_objects(struct broker_core *b, enum store_table table, uint32_t trigger,
                           struct store_group *g)
{
    autobuf from = BUF_INIT;
    autobuf to = BUF_INIT;
    row_object_key(trigger, 0, &from);
    row_object_key(trigger + 1, 0, &to);
    struct store_scan *scan = store_scan_new(b->store, table, buf_slice(&from), buf_slice(&to));
    struct slice key, value;
    while (scan != NULL && store_scan_next(scan, &key, &value, NULL) == 1)
        forget_row(b, table, key, g);
    store_scan_free(scan);
}

/* The trigger's rows in RETRIES. */
static struct store_scan *scan_retries(struct broker_core *b, uint32_t trigger)
{
    autobuf from = BUF_INIT;
    autobuf to = BUF_INIT;
    row_retry_key(trigger, RETRY_NEW, 0, 0, &from);
    row_retry_key(trigger, RETRY_CLASS_COUNT, 0, 0, &to);
    return store_scan_new(b->store, STORE_TABLE_RETRIES, buf_slice(&from), buf_slice(&to));
}

static void forget_retries(struct broker_core *b, uint32_t trigger, struct store_group *g)
{
    struct store_scan *scan = scan_retries(b, trigger);
    struct slice key, value;
    while (scan != NULL && store_scan_next(scan, &key, &value, NULL) == 1)
        forget_row(b, STORE_TABLE_RETRIES, key, g);
    store_scan_free(scan);
}

void retry_forget(struct broker_core *b, uint32_t trigger)
{
    struct store_group group;
    retry_forget_begin(&group);
    forget_objects(b, STORE_TABLE_PAYLOADS, trigger, &group);
    forget_objects(b, STORE_TABLE_DEAD, trigger, &group);
    forget_retries(b, trigger, &group);
    retry_forget_end(b, &group);
}

/* The first trigger from that number on that has a payload. */
static bool next_with_payload(struct broker_core *b, uint64_t from, uint32_t *ret_trigger)
{
    autobuf key = BUF_INIT;
    row_object_key((uint32_t)from, 0, &key);
    struct store_scan *scan =
        store_scan_new(b->store, STORE_TABLE_PAYLOADS, buf_slice(&key), (struct slice){NULL, 0});
    struct slice found, value;
    bool any = from <= UINT32_MAX && scan != NULL &&
               store_scan_next(scan, &found, &value, NULL) == 1 && found.len >= sizeof(uint32_t);
    if (any)
        *ret_trigger = bytes_be32(found.ptr);
    store_scan_free(scan);
    return any;
}

void retry_forget_orphans(struct broker_core *b)
{
    uint32_t trigger;
    for (uint64_t from = 0; next_with_payload(b, from, &trigger); from = (uint64_t)trigger + 1)
        if (trigger_by_number(b, trigger) == NULL)
            retry_forget(b, trigger);
}
