/* SPDX-License-Identifier: Apache-2.0 */
/* Which dead letters a request means: the parameters of its query. Loop thread, but for reading. */
#ifndef SLUICE_BROKER_DEAD_SELECT_H
#define SLUICE_BROKER_DEAD_SELECT_H

#include "broker/row.h"
#include "broker/trigger.h"
#include "http/server.h"
#include "resource/filter.h"

/* As the routes' help says it. */
#define DEAD_SELECT_HELP                                                                           \
    "namespace=, trigger=, position=, type=, source=, since=, until=, code=, filter= (CESQL, or "  \
    "JSON), "                                                                                      \
    "limit=, continue="

struct dead_select {
    struct slice namespace_name, trigger, type, source; /* ptr NULL: all */
    uint64_t since_ns, until_ns;                        /* when it was given up; 0: any time */
    uint64_t position;                                  /* 0: any */
    unsigned code_min, code_max;                        /* of the last answer */
    struct filter *filter;                              /* NULL: all */
};

/* HTTP thread. 0 or -EINVAL with what is wrong. What it has borrows from the request. */
int dead_select_read(struct dead_select *s, struct http_request *request, struct error *err);
void dead_select_done(struct dead_select *s);
/* Does the query say anything but all? */
bool dead_select_narrows(const struct dead_select *s);
bool dead_select_trigger(const struct dead_select *s, const struct trigger *t);
/* The rest of it; reads the event where it must. */
bool dead_select_row(const struct dead_select *s, struct broker_core *b,
                     const struct dead_row *row);

#endif
