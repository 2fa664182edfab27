/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/start.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/scan.h"

#include <errno.h>

#define OLD_ROW_SIZE 8 /* of "b": see ROWS.md */
#define ROW_SIZE     9
#define ROW_FORMAT   1

void start_key(char letter, uint32_t trigger, struct buf *out)
{
    buf_reset(out);
    buf_add_byte(out, letter);
    buf_add_be32(out, trigger);
}

static void add_row(struct store_group *g, enum store_record_type type, char letter,
                    uint32_t trigger, struct slice value)
{
    autobuf key = BUF_INIT;
    start_key(letter, trigger, &key);
    store_group_add(g, type, STORE_TABLE_CURSORS, buf_slice(&key), value);
    if (!buf_ok(&key) && g->status == 0)
        g->status = -ENOMEM;
}

/* ---- places ---- */

int start_resolve(struct broker_core *b, const struct annotation_place *place, uint64_t *ret_before,
                  struct error *err)
{
    uint64_t synced = store_synced(b->store), first = store_first(b->store), from = synced + 1;
    switch (place->kind) {
    case ANNOTATION_EARLIEST:
        from = first;
        break;
    case ANNOTATION_POSITION:
        if (place->number > synced + 1)
            return error_set(err, -EINVAL,
                             "position %llu is not in the log yet: the newest is %llu",
                             (unsigned long long)place->number, (unsigned long long)synced);
        from = place->number;
        break;
    case ANNOTATION_TIME:
        if (place->number > loop_realtime(b->loop))
            return error_set(err, -EINVAL, "that time is still to come: use latest");
        from = store_find_time(b->store, place->number);
        break;
    case ANNOTATION_LATEST:
    case ANNOTATION_ID:
        break;
    }
    *ret_before = (from > first ? from : first) - 1;
    return 0;
}

/* An id may hold the # that stands between source and id: either reading of the text will do. */
bool start_is_event(struct slice id, const struct event *e)
{
    struct slice own = event_get(e, "id"), source = event_get(e, "source");
    if (slice_equal(own, id))
        return true;
    return id.len == source.len + 1 + own.len && memcmp(id.ptr, source.ptr, source.len) == 0 &&
           id.ptr[source.len] == '#' && memcmp(id.ptr + source.len + 1, own.ptr, own.len) == 0;
}

/* ---- the rows ---- */

/* An empty value, for what starts with itself, is the row's own position. */
static int make_row(struct broker_core *b, const json_t *object, struct buf *out, struct error *err)
{
    struct annotation_place place;
    const char *text = annotation_text(object, ANNOTATION_START);
    if (text == NULL || annotation_parse_place(slice_text(text), &place) < 0 ||
        place.kind == ANNOTATION_LATEST)
        return 0;
    uint64_t before = store_first(b->store) - 1;
    int r = place.kind == ANNOTATION_ID ? 0 : start_resolve(b, &place, &before, err);
    if (r < 0) {
        snprintf(err->field, sizeof(err->field), "metadata.annotations[\"%s\"]", ANNOTATION_START);
        return r;
    }
    buf_add_u64(out, before);
    buf_add_byte(out, ROW_FORMAT);
    if (place.kind == ANNOTATION_ID)
        buf_add_slice(out, place.id);
    return buf_ok(out) ? 0 : -ENOMEM;
}

int start_extend(void *ctx, enum registry_change change, uint32_t number, const json_t *object,
                 struct store_group *g, struct error *err)
{
    autobuf value = BUF_INIT;
    if (change == REGISTRY_DELETED) {
        for (const char *letter = START_ROWS; *letter != '\0'; letter++)
            add_row(g, STORE_RECORD_DELETE, *letter, number, SLICE(""));
        return 0;
    }
    int r = make_row(ctx, object, &value, err);
    if (r == 0)
        add_row(g, STORE_RECORD_PUT, 'b', number, buf_slice(&value));
    return r;
}

/* Triggers of earlier versions, whose row was a group of its own, may have none: a crash came
 * between. What was never written after its creation has the creation's position as its version;
 * else the time of the creation, whose fraction of a second is not known, says it: rather an event
 * from just before than one too few. */
static uint64_t guess(const struct trigger *t)
{
    const char *created = resource_text_at(t->resource->object, "metadata.creationTimestamp");
    uint64_t time_ns;
    if (json_object_get(t->resource->object, "status") == NULL || created == NULL ||
        clock_parse_rfc3339(slice_text(created), &time_ns) < 0)
        return t->resource->version;
    uint64_t first = store_find_time(t->core->store, time_ns);
    uint64_t before = first > 0 ? first - 1 : 0;
    return before < t->resource->version ? before : t->resource->version;
}

/* So that the next start need not guess. If the store refuses, that one does. */
static void write_guess(const struct trigger *t)
{
    struct store_group group;
    autobuf value = BUF_INIT;
    buf_add_u64(&value, t->start);
    store_group_init(&group);
    group.internal = true;
    add_row(&group, STORE_RECORD_PUT, 'b', t->number, buf_slice(&value));
    store_append(t->core->store, &group, NULL, NULL);
}

static bool read_row(const struct trigger *t, char letter, struct buf *out, uint64_t *ret_position)
{
    autobuf key = BUF_INIT;
    start_key(letter, t->number, &key);
    return store_get(t->core->store, STORE_TABLE_CURSORS, buf_slice(&key), out, ret_position) == 0;
}

static void load_id(struct trigger *t, struct slice id)
{
    autobuf found = BUF_INIT;
    if (read_row(t, 'i', &found, NULL) && found.len == sizeof(uint64_t)) {
        t->start = bytes_le64(found.ptr) - 1;
        return;
    }
    t->search = calloc(1, sizeof(*t->search));
    must(t->search != NULL && (t->search->id = slice_dup(id)) != NULL);
}

void start_load(struct trigger *t)
{
    autobuf value = BUF_INIT;
    uint64_t position;
    bool there = read_row(t, 'b', &value, &position);
    if (there && value.len == 0) {
        t->start = t->created = position;
    } else if (there && value.len >= ROW_SIZE && value.ptr[OLD_ROW_SIZE] == ROW_FORMAT) {
        t->created = position;
        t->start = bytes_le64(value.ptr);
        if (value.len > ROW_SIZE)
            load_id(t, slice_of(value.ptr + ROW_SIZE, value.len - ROW_SIZE));
    } else if (there && value.len == OLD_ROW_SIZE) {
        t->start = bytes_le64(value.ptr);
    } else {
        t->start = guess(t);
        write_guess(t);
    }
}

/* ---- the search ---- */

void start_free_search(struct trigger *t)
{
    if (t->search != NULL)
        free(t->search->id);
    free(t->search);
    t->search = NULL;
}

struct found_row { /* on its way to the log; in core->starts */
    struct list link;
    struct loop_message message;
    struct broker_core *core;
    uint32_t trigger; /* which may be gone when it comes back */
    uint64_t position;
    int error;
};

/* Loop thread. */
static void row_came_back(struct loop_message *m)
{
    struct found_row *row = container_of(m, struct found_row, message);
    struct trigger *t = trigger_by_number(row->core, row->trigger);
    list_remove(&row->link);
    if (t != NULL && row->error == 0) {
        t->start = row->position - 1;
        start_free_search(t);
        trigger_refresh(t);
        scan_wake(t->core);
    } else if (t != NULL) { /* tried again by trigger_tend() */
        t->search->writing = false;
        t->stalled = true;
    }
    free(row);
}

/* The thread that committed, or the loop's when the store refuses at once. */
static void row_appended(void *ctx, int error, uint64_t position)
{
    struct found_row *row = ctx;
    (void)position;
    row->error = error;
    loop_post(row->core->loop, &row->message);
}

/* The trigger goes on when the row is in the log: the next checkpoint may say that it is beyond. */
static void write_found(struct trigger *t, uint64_t position)
{
    struct found_row *row = calloc(1, sizeof(*row));
    if (row == NULL)
        return;
    t->search->writing = true;
    row->message.receive = row_came_back;
    row->core = t->core;
    row->trigger = t->number;
    row->position = position;
    list_append(&t->core->starts, &row->link);
    struct store_group group;
    autobuf value = BUF_INIT;
    buf_add_u64(&value, position);
    store_group_init(&group);
    group.internal = true;
    add_row(&group, STORE_RECORD_PUT, 'i', t->number, buf_slice(&value));
    store_append(t->core->store, &group, row_appended, row);
}

void start_free_rows(struct broker_core *b)
{
    struct list *node;
    while ((node = list_shift(&b->starts)) != NULL)
        free(list_entry(node, struct found_row, link));
}

bool start_passes(struct trigger *t, uint64_t position, const struct event *e)
{
    if (t->search->writing)
        return false;
    if (!start_is_event(slice_text(t->search->id), e))
        return true;
    write_found(t, position);
    return false;
}

void start_end_search(struct trigger *t)
{
    if (t->search != NULL)
        t->search->missing = true;
}

void start_not_found(struct trigger *t)
{
    start_end_search(t);
    log_warn(
        "trigger %s/%s: the event %s, at which it is to start, is not in the log of its broker",
        t->resource->namespace_name, t->resource->name, t->search->id);
    trigger_refresh(t);
}

/* ---- the status ---- */

bool start_is_known(const struct trigger *t, const char **ret_reason, struct error *err)
{
    if (t->search == NULL)
        return true;
    *ret_reason = t->search->missing ? "StartNotFound" : "SearchingForStart";
    if (t->search->missing)
        error_set(err, -ENOENT,
                  "the log of the broker had no event %.200s when the trigger was created: delete "
                  "the trigger and create it with another " ANNOTATION_START,
                  t->search->id);
    else
        error_set(err, -EAGAIN, "the event %.200s is searched for in the log", t->search->id);
    return false;
}

void start_say(const struct trigger *t, json_t *status)
{
    char text[40];
    if (annotation_text(t->resource->object, ANNOTATION_START) == NULL || t->search != NULL)
        return;
    snprintf(text, sizeof(text), "position:%llu", (unsigned long long)t->start + 1);
    json_object_set_new(status, "annotations", json_pack("{s:s}", ANNOTATION_START, text));
}
