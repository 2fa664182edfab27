/* SPDX-License-Identifier: Apache-2.0 */
/* Which events a reader of /-/events wants, besides where they stand: by broker, by attributes, by
 * an expression. */
#ifndef SLUICE_BROKER_EVENT_QUERY_H
#define SLUICE_BROKER_EVENT_QUERY_H

#include "base/error.h"
#include "event/cesql/cesql.h"
#include "event/event.h"
#include "http/server.h"

enum { EVENT_QUERY_ATTRIBUTES = 4 }; /* id, source, type, subject */

struct event_query {
    char *namespace_name, *broker;            /* NULL: any */
    char *attributes[EVENT_QUERY_ATTRIBUTES]; /* NULL: any; a last * stands for any rest */
    struct cesql *filter;                     /* NULL: any */
    struct cesql_scratch *scratch;
};

/* Reads namespace, broker, id, source, type, subject, filter. 0, -EINVAL, -ENOMEM. */
int event_query_read(struct event_query *q, struct http_request *request, struct error *err);
void event_query_done(struct event_query *q);
/* By its attributes; any thread, one at a time. */
bool event_query_matches(const struct event_query *q, const struct event *e);
/* The one id that is wanted; NULL: any, or any that begins so. */
const char *event_query_id(const struct event_query *q);

#endif
