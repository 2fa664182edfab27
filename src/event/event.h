/* SPDX-License-Identifier: Apache-2.0 */
/* The CloudEvent in memory (CloudEvents 1.0.2 and 0.3), its checks, and its encodings: the log's
 * own, HTTP (binary, structured and batch mode) and JSON. All slices of an event borrow from the
 * buffer that it was read from, or from the arena (event_arena) that the reader was given; data is
 * kept byte for byte. Pure functions, any thread. */
#ifndef SLUICE_EVENT_EVENT_H
#define SLUICE_EVENT_EVENT_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum event_version { EVENT_V03, EVENT_V1, EVENT_VERSION_COUNT };

/* How a value is written in JSON. In HTTP headers all are text. */
enum event_value_kind {
    EVENT_VALUE_STRING,
    EVENT_VALUE_INTEGER,
    EVENT_VALUE_BOOLEAN,
    EVENT_VALUE_JSON /* 0.3 only */
};

struct event_attribute {
    struct slice name; /* lower case */
    struct slice value;
    enum event_value_kind kind;
};

#define EVENT_ATTRIBUTES_MAX       64
#define EVENT_NAME_MAX             64          /* bytes of an attribute's name */
#define EVENT_ATTRIBUTES_BYTES_MAX (64 * 1024) /* all names and values together */
#define EVENT_DATA_MAX             (1024 * 1024)
#define EVENT_BATCH_MAX            (16 * 1024 * 1024)
#define EVENT_BATCH_COUNT_MAX      10000

struct event {
    enum event_version version;
    unsigned
        count; /* attributes: all but specversion, required ones included, in order of arrival */
    struct event_attribute attributes[EVENT_ATTRIBUTES_MAX];
    struct slice data;
    bool has_data; /* data may be present and empty */
    /* A structured-mode message in a format that is not read here (Avro, Protobuf, XML): data is
     * the message as it came, datacontenttype its Content-Type. The other attributes are those that
     * were sent as headers besides; without such headers there are none, not even required ones. */
    bool opaque;
};

/* Memory for values that had to be decoded; freed at once by event_arena_done(). Start with {0}. */
struct event_arena {
    struct event_arena_block *blocks;
};
void *event_arena_alloc(struct event_arena *a, size_t len); /* NULL when out of memory */
void event_arena_done(struct event_arena *a);

/* RFC 3339 §5.6. */
bool event_time_valid(struct slice text);

/* The attribute's value, or an empty slice with ptr NULL. name as in the specification;
 * "specversion" works too. */
struct slice event_get(const struct event *e, const char *name);
/* The same, by a name that is not NUL-terminated. */
struct slice event_value(const struct event *e, struct slice name);
/* id, source, type, specversion. */
bool event_is_required(struct slice name);
/* Replaces or appends. -ENOSPC when there are too many. name and value are borrowed. */
int event_set(struct event *e, const char *name, struct slice value);
/* The same, of type Integer: a number in JSON. */
int event_set_integer(struct event *e, const char *name, struct slice digits);
void event_unset(struct event *e, const char *name);
/* What a reply need not say; borrowed. */
struct event_defaults {
    struct slice id, source, time;
};
/* Appends those of id, source and time that are not there. 0 or -ENOSPC. */
int event_fill(struct event *e, const struct event_defaults *defaults);
const char *event_version_text(enum event_version v);

/* Core specification §3: required attributes, names, characters, formats of source, time,
 * dataschema (schemaurl in 0.3), datacontenttype. 0 or -EINVAL with the attribute's name in
 * err->field. Readers below call it. */
int event_check(const struct event *e, struct error *err);

/* ---- HTTP protocol binding 1.0.2 (§3.1 binary, §3.2 structured, §3.3 batched) ---- */

enum event_mode { EVENT_MODE_BINARY, EVENT_MODE_STRUCTURED, EVENT_MODE_BATCH, EVENT_MODE_NONE };

/* By Content-Type, and for binary by the presence of ce-specversion or another ce- header; NONE: no
 * event at all. */
enum event_mode event_mode_of(struct slice content_type, bool has_ce_header);

/* Collects one header of a binary-mode message; headers that are no ce- header are ignored
 * (Content-Type is taken as datacontenttype). Values are unquoted and percent-decoded (§3.1.3.2)
 * into the arena. Start with *e = (struct event){0}, call for each header, then
 * event_http_finish(). */
struct event_http_reader {
    struct event *event;
    struct event_arena *arena;
    bool has_version;
    int status; /* the first error */
    struct error *err;
};
void event_http_begin(struct event_http_reader *r, struct event *e, struct event_arena *arena,
                      struct error *err);
void event_http_header(struct event_http_reader *r, struct slice name, struct slice value);
/* body is borrowed. 0 or -EINVAL, -E2BIG (413). */
int event_http_finish(struct event_http_reader *r, struct slice body);
/* The same for a message in structured mode whose format is not read here: see struct event. */
int event_http_finish_opaque(struct event_http_reader *r, struct slice body);
/* Structured and batch mode: what the Content-Type says after application/cloudevents[-batch] is
 * +json, or nothing. */
bool event_format_is_json(struct slice content_type);

/* Calls add(name, value) for each header of the event in binary mode, values percent-encoded;
 * Content-Type for datacontenttype. The slices live during the call only. 0 or -ENOMEM (then some
 * headers were not added). */
int event_http_write(const struct event *e,
                     void (*add)(void *ctx, struct slice name, struct slice value), void *ctx);

/* ---- JSON format 1.0.2 and 0.3 ---- */

/* One event. data stays the exact slice of json: a JSON value as it stands when datacontenttype is
 * JSON (or absent), the decoded text of a JSON string otherwise; data_base64 (0.3:
 * datacontentencoding) is decoded into the arena. */
int event_json_read(struct slice json, struct event *e, struct event_arena *arena,
                    struct error *err);
/* The same; what the defaults have may be missing. */
int event_json_read_filled(struct slice json, const struct event_defaults *defaults,
                           struct event *e, struct event_arena *arena, struct error *err);
/* A batch: calls each(ctx, event) in order, after all were read and found good: all or nothing. An
 * empty batch is good. Stops at the first negative result of each and returns it. */
int event_json_read_batch(struct slice json, int (*each)(void *ctx, const struct event *e),
                          void *ctx, struct error *err);
/* The event as one JSON object; JSON data is put in as it is, text as a string when it is UTF-8 and
 * its type is textual, everything else as data_base64. */
void event_json_write(const struct event *e, struct buf *out);

/* ---- the log's encoding (src/event/ENCODING.md): little-endian, self-contained ---- */
void event_encode(const struct event *e, struct buf *out);
/* Borrows from bytes. -EBADMSG when they are no encoded event. */
int event_decode(struct slice bytes, struct event *e);

#endif
