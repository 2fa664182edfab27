/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of event/ only. */
#ifndef SLUICE_EVENT_EVENT_INTERNAL_H
#define SLUICE_EVENT_EVENT_INTERNAL_H

#include "event/event.h"
#include "event/json_scan.h"

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
/* A media type that declares JSON: any type, subtype json or with the suffix +json. */
bool event_type_is_json(struct slice media_type);
/* text/…, XML and the like: data that is best shown as a string. */
bool event_type_is_text(struct slice media_type);

#endif
