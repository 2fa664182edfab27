/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/event_query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ID };
static const char *const names[EVENT_QUERY_ATTRIBUTES] = {"id", "source", "type", "subject"};

static int copy(struct http_request *request, const char *name, char **ret)
{
    struct slice value = http_request_query_value(request, name);
    if (value.ptr == NULL || value.len == 0)
        return 0;
    *ret = slice_dup(value);
    return *ret != NULL ? 0 : -ENOMEM;
}

static int read_filter(struct event_query *q, struct http_request *request, struct error *err)
{
    struct slice filter = http_request_query_value(request, "filter");
    if (filter.ptr == NULL || filter.len == 0)
        return 0;
    q->scratch = malloc(sizeof(*q->scratch));
    if (q->scratch == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    struct cesql_place place = {0};
    int r = cesql_parse(filter, &q->filter, &place, err);
    if (r == -EINVAL)
        error_prefix(err, "filter: column %zu", cesql_column(filter, place));
    return r;
}

int event_query_read(struct event_query *q, struct http_request *request, struct error *err)
{
    *q = (struct event_query){0};
    int r = copy(request, "namespace", &q->namespace_name);
    r = r == 0 ? copy(request, "broker", &q->broker) : r;
    for (unsigned i = 0; i < EVENT_QUERY_ATTRIBUTES && r == 0; i++)
        r = copy(request, names[i], &q->attributes[i]);
    if (r < 0)
        error_set(err, r, "out of memory");
    r = r == 0 ? read_filter(q, request, err) : r;
    if (r < 0)
        event_query_done(q);
    return r;
}

void event_query_done(struct event_query *q)
{
    free(q->namespace_name);
    free(q->broker);
    for (unsigned i = 0; i < EVENT_QUERY_ATTRIBUTES; i++)
        free(q->attributes[i]);
    cesql_free(q->filter);
    free(q->scratch);
    *q = (struct event_query){0};
}

static bool is_prefix(const char *wanted)
{
    return wanted[0] != '\0' && wanted[strlen(wanted) - 1] == '*';
}

static bool attribute_matches(const char *wanted, struct slice value)
{
    if (value.ptr == NULL)
        return false;
    if (!is_prefix(wanted))
        return slice_is(value, wanted);
    size_t len = strlen(wanted) - 1;
    return value.len >= len && memcmp(value.ptr, wanted, len) == 0;
}

bool event_query_matches(const struct event_query *q, const struct event *e)
{
    for (unsigned i = 0; i < EVENT_QUERY_ATTRIBUTES; i++)
        if (q->attributes[i] != NULL &&
            !attribute_matches(q->attributes[i], event_get(e, names[i])))
            return false;
    return q->filter == NULL || cesql_matches(q->filter, e, q->scratch);
}

const char *event_query_id(const struct event_query *q)
{
    return q->attributes[ID] != NULL && !is_prefix(q->attributes[ID]) ? q->attributes[ID] : NULL;
}
