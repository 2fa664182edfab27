/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/event_file.h"

#include "base/fdio.h"
#include "base/memory.h"

#include <errno.h>
#include <jansson.h>

#define EVENT_FILE_MAX (2 * EVENT_DATA_MAX)

static const struct {
    const char *name, *value;
} required[] = {
    {"specversion", "1.0"},
    {"id", "1"},
    {"source", "sluice/cli"},
    {"type", "dev.sluice.cli.event"},
};

/* The same text with the members that are missing put in at its front. */
static bool complete(struct slice json, struct buf *out)
{
    json_t *object = json_loadb(json.ptr, json.len, JSON_DECODE_INT_AS_REAL, NULL);
    const char *brace = memchr(json.ptr, '{', json.len);
    if (!json_is_object(object) || brace == NULL) {
        json_decref(object);
        return false;
    }
    buf_add_byte(out, '{');
    bool added = false, more = json_object_size(object) > 0;
    for (size_t i = 0; i < COUNT_OF(required); i++) {
        if (json_object_get(object, required[i].name) != NULL)
            continue;
        buf_printf(out, "%s\"%s\":\"%s\"", added ? "," : "", required[i].name, required[i].value);
        added = true;
    }
    json_decref(object);
    if (added && more)
        buf_add_byte(out, ',');
    buf_add(out, brace + 1, json.len - (size_t)(brace + 1 - json.ptr));
    return added && buf_ok(out);
}

static int read_text(struct event_file *f, const char *path, struct error *err)
{
    if (path == NULL) {
        buf_add_text(&f->text, "{}");
        return 0;
    }
    const char *from = strcmp(path, "-") == 0 ? "/dev/stdin" : path;
    int r = fdio_read_file(from, EVENT_FILE_MAX, &f->text);
    if (r == -EFBIG)
        return error_set(err, r, "%s: larger than %d bytes", path, EVENT_FILE_MAX);
    if (r < 0)
        return error_set(err, r, "cannot read %s: %s", path, strerror(-r));
    return buf_ok(&f->text) ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int event_file_read(struct event_file *f, const char *path, struct error *err)
{
    *f = (struct event_file){0};
    struct buf whole = BUF_INIT;
    int r = read_text(f, path, err);
    if (r < 0)
        return r;
    if (f->text.len > 0 && complete(buf_slice(&f->text), &whole)) {
        buf_done(&f->text);
        f->text = whole;
    } else {
        buf_done(&whole);
    }
    struct slice text = f->text.len > 0 ? buf_slice(&f->text) : SLICE("");
    r = event_json_read(text, &f->event, &f->arena, err);
    if (r < 0 && err != NULL)
        error_prefix(err, "%s is no CloudEvent", path != NULL ? path : "the event");
    return r;
}

void event_file_done(struct event_file *f)
{
    event_arena_done(&f->arena);
    buf_done(&f->text);
}
