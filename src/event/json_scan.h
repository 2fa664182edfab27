/* SPDX-License-Identifier: Apache-2.0 */
/* A strict reader of JSON text (RFC 8259) that copies nothing: values are handed out as the bytes
 * they have, and skipped as a whole. Its enumerators are named as jansson's, so a file has one of
 * the two. */
#ifndef SLUICE_EVENT_JSON_SCAN_H
#define SLUICE_EVENT_JSON_SCAN_H

#include "event/event.h"

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
