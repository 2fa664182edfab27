/* SPDX-License-Identifier: Apache-2.0 */
/* The user ids of functions that are processes: each has its own, the same over restarts, in
 * DIR/functions/.uids:
 *   {"next":17,"uids":{"METADATA.UID":2000000016}}
 * A function that is deleted and made again is another one. Ids are given in a circle, so that one
 * is not used again soon. The circle begins at a place that the folder's path decides: two servers
 * on one machine are unlikely to give the same. */
#include "function/function_internal.h"

#include "base/fdio.h"
#include "runner/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TABLE_MAX (16u << 20)

struct uid_table {
    char *path;
    json_t *uids; /* metadata.uid: number */
    unsigned next;
};

static unsigned place_of(const char *path)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *path != '\0'; path++)
        hash = (hash ^ (unsigned char)*path) * 16777619u;
    return hash % RUNNER_UID_COUNT;
}

static int uid_load(struct uid_table *t, struct error *err)
{
    autobuf text = BUF_INIT;
    int r = fdio_read_file(t->path, TABLE_MAX, &text);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return error_set(err, r, "cannot read %s: %s", t->path, strerror(-r));
    json_t *table = json_loadb(text.ptr, text.len, 0, NULL);
    json_t *uids = json_object_get(table, "uids");
    json_int_t next = json_integer_value(json_object_get(table, "next"));
    bool good = json_is_object(uids) && next >= 0 && next < RUNNER_UID_COUNT;
    if (good) {
        json_decref(t->uids);
        t->uids = json_incref(uids);
        t->next = (unsigned)next;
    }
    json_decref(table);
    return good
               ? 0
               : error_set(err, -EBADMSG,
                           "%s cannot be read: remove it, and functions get new user ids", t->path);
}

int uid_table_new(const char *folder, struct uid_table **ret, struct error *err)
{
    struct uid_table *t = calloc(1, sizeof(*t));
    /* With a dot: no namespace is called so. */
    if (t == NULL || asprintf(&t->path, "%s/.uids", folder) < 0) {
        free(t);
        return error_set(err, -ENOMEM, "out of memory");
    }
    t->uids = json_object();
    t->next = place_of(folder);
    int r = uid_load(t, err);
    if (r < 0) {
        uid_table_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void uid_table_free(struct uid_table *t)
{
    if (t == NULL)
        return;
    json_decref(t->uids);
    free(t->path);
    free(t);
}

static int uid_save(const struct uid_table *t)
{
    json_t *table = json_pack("{s:i,s:O}", "next", (int)t->next, "uids", t->uids);
    char *text = table != NULL ? json_dumps(table, JSON_COMPACT) : NULL;
    json_decref(table);
    if (text == NULL)
        return -ENOMEM;
    int r = fdio_replace_file(t->path, text, strlen(text), 0600);
    free(text);
    return r;
}

static bool is_taken(const struct uid_table *t, unsigned uid)
{
    const char *key;
    json_t *value;
    json_object_foreach(t->uids, key, value)
    {
        if (json_integer_value(value) == (json_int_t)uid)
            return true;
    }
    return false;
}

int uid_take(struct uid_table *t, const char *owner, unsigned *ret)
{
    const json_t *known = json_object_get(t->uids, owner);
    if (known != NULL) {
        *ret = (unsigned)json_integer_value(known);
        return 0;
    }
    if (json_object_size(t->uids) >= RUNNER_UID_COUNT / 2)
        return -EUSERS;
    unsigned uid;
    do {
        uid = RUNNER_UID_FIRST + t->next;
        t->next = (t->next + 1) % RUNNER_UID_COUNT;
    } while (is_taken(t, uid));
    if (json_object_set_new(t->uids, owner, json_integer((json_int_t)uid)) < 0)
        return -ENOMEM;
    int r = uid_save(t);
    if (r < 0)
        json_object_del(t->uids, owner);
    else
        *ret = uid;
    return r;
}

void uid_give_back(struct uid_table *t, const char *owner)
{
    if (json_object_del(t->uids, owner) == 0)
        (void)uid_save(t); /* if not, the id stays taken: no harm */
}
