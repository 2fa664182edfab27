/* SPDX-License-Identifier: Apache-2.0 */
/* What a checkpoint says of lanes: which of them have events in the log that were passed over, and
 * from where on. All else of them comes back with their deliveries. */
#include "broker/lane.h"

#include "base/bytes.h"
#include "broker/trigger.h"

#include <errno.h>

#define LANE_SIZE 16

static void row_key(uint32_t trigger, struct buf *out)
{
    buf_reset(out);
    buf_add_byte(out, 'l');
    buf_add_be32(out, trigger);
}

void lane_row_forget(uint32_t trigger, struct store_group *g)
{
    autobuf key = BUF_INIT;
    row_key(trigger, &key);
    store_group_add(g, STORE_RECORD_DELETE, STORE_TABLE_CURSORS, buf_slice(&key),
                    (struct slice){"", 0});
}

void lane_row_add(struct trigger *t, struct store_group *g)
{
    const struct lanes *l = &t->lanes;
    if (l->behind == 0) {
        if (l->row_written)
            lane_row_forget(t->number, g);
        t->lanes.row_written = false;
        return;
    }
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    size_t at;
    for (struct lane *lane = lane_first(l, &at); lane != NULL;
         lane = lane_following(l, lane, &at)) {
        if (lane->from == 0)
            continue;
        buf_add_u64(&value, lane->id);
        buf_add_u64(&value, lane->from);
    }
    row_key(t->number, &key);
    if (!buf_ok(&value) || !buf_ok(&key))
        g->status = -ENOMEM;
    store_group_add(g, STORE_RECORD_PUT, STORE_TABLE_CURSORS, buf_slice(&key), buf_slice(&value));
    t->lanes.row_written = true;
}

int lane_row_load(struct trigger *t)
{
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    row_key(t->number, &key);
    if (store_get(t->core->store, STORE_TABLE_CURSORS, buf_slice(&key), &value, NULL) < 0)
        return 0;
    t->lanes.row_written = true;
    int r = value.len % LANE_SIZE == 0 ? 0 : -EBADMSG;
    for (size_t at = 0; r == 0 && t->broker != NULL && at < value.len; at += LANE_SIZE)
        r = lane_restore(t, bytes_le64(value.ptr + at), bytes_le64(value.ptr + at + 8));
    return r;
}
