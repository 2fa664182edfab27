/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/walk.h"

#include "base/bytes.h"
#include "broker/row.h"
#include "event/event.h"

#include <errno.h>

#define RECORD_COST 32u /* bytes of a record besides its key and value */

void walk_begin(struct walk *w, struct inspect_job *job, uint64_t from, uint64_t last)
{
    *w = (struct walk){.job = job, .position = from > 0 ? from : 1, .last = last};
}

void walk_done(struct walk *w)
{
    store_reader_free(w->reader);
    w->reader = NULL;
}

/* A reader for the next part that may hold something. 1, 0 at the end. */
static int open_part(struct walk *w)
{
    struct store *s = w->job->core->store;
    struct store_found found;
    do {
        if (w->position > w->last || w->position > store_synced(s) || !inspect_spend(w->job, 1))
            return 0;
        found = (struct store_found){.begin = w->position, .end = UINT64_MAX};
        if (w->search != NULL)
            store_find(s, w->position, w->search, walk_topic, &found);
        w->position = found.begin;
        if (!inspect_spend(w->job, found.bytes_read))
            return 0;
    } while (found.begin == found.end);
    w->end = found.end;
    w->reader = store_reader_new(s, w->position);
    return w->reader != NULL ? 1 : -ENOMEM;
}

static int step(struct walk *w, struct store_entry *ret)
{
    for (;;) {
        if (w->reader != NULL && w->position >= w->end)
            walk_done(w);
        int r = w->reader != NULL ? 1 : open_part(w);
        if (r == 1)
            r = store_reader_next(w->reader, ret);
        if (r != 1)
            return r;
        if (!inspect_spend(w->job, ret->key.len + ret->value.len + RECORD_COST))
            return 0;
        w->position = ret->position + 1;
        if (ret->position < w->end)
            return ret->position <= w->last ? 1 : 0;
        /* Where the part was, there is nothing any more: this is behind it. */
        w->position = ret->position;
    }
}

int walk_next(struct walk *w, struct store_entry *ret)
{
    int r = step(w, ret);
    if (r < 0)
        w->job->error = r;
    return r;
}

uint64_t walk_id_key(struct slice id)
{
    uint64_t hash =
        UINT64_C(0xcbf29ce484222325); /* FNV-1a, then mixed so that its upper half is good */
    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ (unsigned char)id.ptr[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ (hash >> 32)) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

void walk_topic(const struct store_entry *e, struct store_topic *ret)
{
    uint32_t trigger;
    struct retry_row row;
    *ret = (struct store_topic){0};
    if (e->type == STORE_RECORD_EVENT) {
        struct event event = {0};
        if (event_decode(e->value, &event) < 0)
            return;
        ret->has_key = true;
        ret->key = walk_id_key(event_get(&event, "id"));
    } else if (e->type == STORE_RECORD_FINISH && e->key.len == sizeof(uint64_t)) {
        ret->about = bytes_le64(e->key.ptr);
    } else if (e->type == STORE_RECORD_PUT || e->type == STORE_RECORD_DELETE) {
        if (e->scope == STORE_TABLE_RETRIES && row_retry_read_key(e->key, &row) == 0)
            ret->about = row.position;
        else if (e->scope == STORE_TABLE_DEAD || e->scope == STORE_TABLE_PAYLOADS)
            (void)row_object_read(e->key, &trigger, &ret->about);
    }
}
