/* SPDX-License-Identifier: Apache-2.0 */
/* Builds groups: records are encoded as they will stand in the log, behind room for the queue's
 * node. */
#include "store/batch.h"
#include "store/log.h"

#include "base/must.h"

#include <errno.h>
#include <string.h>

void store_group_init(struct store_group *g)
{
    *g = (struct store_group){.bytes = BUF_INIT};
}

void store_group_done(struct store_group *g)
{
    buf_done(&g->bytes);
    store_group_init(g);
}

static struct log_group *node_of(struct store_group *g)
{
    return (struct log_group *)(void *)g->bytes.ptr;
}

static void fail(struct store_group *g, int error)
{
    if (g->status == 0)
        g->status = error;
}

static int check(enum store_record_type type, uint32_t scope, struct slice key)
{
    bool table = type == STORE_RECORD_PUT || type == STORE_RECORD_DELETE;
    if ((unsigned)type == 0 || (unsigned)type > UINT16_MAX || key.len > STORE_KEY_MAX)
        return -EINVAL;
    if (table && (scope == 0 || scope >= STORE_TABLE_COUNT))
        return -EINVAL;
    return 0;
}

/* Room for the node, once a group. */
static bool begin_group(struct store_group *g)
{
    if (g->bytes.len > 0)
        return true;
    char *room = buf_reserve(&g->bytes, 256);
    if (room == NULL) {
        fail(g, -ENOMEM);
        return false;
    }
    memset(room, 0, LOG_GROUP_ROOM);
    g->bytes.len = LOG_GROUP_ROOM;
    return true;
}

void store_group_begin(struct store_group *g, enum store_record_type type, uint32_t scope,
                       struct slice key)
{
    int r = check(type, scope, key);
    if (r < 0)
        fail(g, r);
    if (g->status < 0 || !begin_group(g))
        return;
    must(node_of(g)->open == 0);
    struct record_header h = {.type = (uint16_t)type, .key_len = (uint16_t)key.len, .scope = scope};
    size_t at = g->bytes.len;
    buf_add(&g->bytes, &h, sizeof(h));
    buf_add_slice(&g->bytes, key);
    if (!buf_ok(&g->bytes)) {
        fail(g, -ENOMEM);
        return;
    }
    node_of(g)->open = (uint32_t)at;
    if (type == STORE_RECORD_PUT || type == STORE_RECORD_DELETE)
        node_of(g)->tables = true;
}

void store_group_end(struct store_group *g)
{
    static const char zeros[8];
    if (!buf_ok(&g->bytes))
        fail(g, -ENOMEM);
    if (g->bytes.len > STORE_GROUP_MAX)
        fail(g, -EMSGSIZE);
    if (g->status < 0)
        return;
    size_t at = node_of(g)->open;
    must(at != 0);
    uint32_t length = (uint32_t)(g->bytes.len - at);
    buf_add(&g->bytes, zeros, record_padded(length) - length);
    if (!buf_ok(&g->bytes)) {
        fail(g, -ENOMEM);
        return;
    }
    memcpy(g->bytes.ptr + at + offsetof(struct record_header, length), &length, sizeof(length));
    node_of(g)->open = 0;
    g->records++;
}

void store_group_add(struct store_group *g, enum store_record_type type, uint32_t scope,
                     struct slice key, struct slice value)
{
    store_group_begin(g, type, scope, key);
    if (g->status < 0)
        return;
    buf_add_slice(&g->bytes, value);
    store_group_end(g);
}
