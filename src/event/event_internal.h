/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of event/ only. */
#ifndef SLUICE_EVENT_EVENT_INTERNAL_H
#define SLUICE_EVENT_EVENT_INTERNAL_H

#include "event/event.h"

/* ---- event.c ---- */
struct event_attribute *event_find(struct event *e, struct slice name);
/* Appends; the caller knows that the name is new. -ENOSPC when there are too many. */
int event_append(struct event *e, struct event_attribute attribute);
/* "1.0" or "0.3": 0, else -EINVAL with the reason in err. */
int event_version_parse(struct slice text, enum event_version *ret, struct error *err);
/* A copy of the slice in the arena, ptr NULL when out of memory. */
struct slice event_arena_copy(struct event_arena *a, struct slice s);

/* ---- check.c ---- */
bool event_name_valid(enum event_version version, struct slice name);
/* RFC 3986 §4.1 and §4.3. NULL when it is good, else the reason. */
const char *event_uri_reference_problem(struct slice text);
const char *event_uri_problem(struct slice text);
/* RFC 3339 §5.6. */
bool event_time_valid(struct slice text);
/* A media type that declares JSON: any type, subtype json or with the suffix +json. */
bool event_type_is_json(struct slice media_type);
/* text/…, XML and the like: data that is best shown as a string. */
bool event_type_is_text(struct slice media_type);

/* ---- json_scan.c: a strict reader of RFC 8259 text that copies nothing ---- */
enum json_kind {
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
    JSON_KIND_COUNT
};

struct json_value {
    enum json_kind kind;
    bool escaped;     /* a string with a backslash in it */
    struct slice raw; /* the exact bytes, a string's quotes included */
};

struct json_scan {
    const char *start, *at, *end;
    const char *problem; /* why the last call failed */
};

#define JSON_DEPTH_MAX 512

void json_scan_begin(struct json_scan *s, struct slice text);
void json_scan_space(struct json_scan *s);
/* The next value, skipped as a whole. 0 or -EINVAL. */
int json_scan_value(struct json_scan *s, struct json_value *ret);
/* Takes the byte when it is next (after white space). */
bool json_scan_take(struct json_scan *s, char byte);
/* The whole text is one value with nothing but white space around. */
bool json_scan_valid(struct slice text);
/* The text of a string value: borrowed when nothing is escaped, else from the arena. 0, -EINVAL
 * (lone surrogate), -ENOMEM. */
int json_scan_string(const struct json_value *v, struct event_arena *arena, struct slice *ret);
/* 1-based, for messages. */
int json_scan_line(const struct json_scan *s);

#endif
