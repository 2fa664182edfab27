/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/retry_keys.h"

#include <errno.h>

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, ROW_RETRY_KEY_SIZE);
}

static void add(struct retry_keys *k, const struct list *deliveries, bool settling)
{
    autobuf key = BUF_INIT;
    list_for_each (node, deliveries) {
        const struct delivery *d = list_entry(node, struct delivery, outstanding);
        if (d->in_tables && (d->settling || !settling)) {
            row_retry_key(d->trigger_number, d->row_class, d->due_ns, d->position, &key);
            buf_add_slice(&k->keys, buf_slice(&key));
        }
        if (d->settling) {
            row_retry_key(d->trigger_number, d->next_class, d->next_due_ns, d->position, &key);
            buf_add_slice(&k->keys, buf_slice(&key));
        }
    }
}

int retry_keys_collect(struct retry_keys *k, const struct trigger *t, bool settling)
{
    *k = (struct retry_keys){BUF_INIT};
    add(k, &t->outstanding, settling);
    add(k, &t->retrying, settling);
    if (!buf_ok(&k->keys)) {
        retry_keys_done(k);
        return -ENOMEM;
    }
    if (k->keys.len > 0)
        qsort(k->keys.ptr, k->keys.len / ROW_RETRY_KEY_SIZE, ROW_RETRY_KEY_SIZE, compare);
    return 0;
}

bool retry_keys_have(const struct retry_keys *k, struct slice key)
{
    return key.len == ROW_RETRY_KEY_SIZE && k->keys.len > 0 &&
           bsearch(key.ptr, k->keys.ptr, k->keys.len / ROW_RETRY_KEY_SIZE, ROW_RETRY_KEY_SIZE,
                   compare) != NULL;
}

void retry_keys_done(struct retry_keys *k)
{
    buf_done(&k->keys);
}
