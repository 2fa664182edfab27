/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/name_json.h"

#include "base/clock.h"
#include "broker/trigger.h"

static void write_names(struct buf *out, const struct resource *r, const char *member,
                        uint32_t number)
{
    if (r == NULL) {
        buf_printf(out, "\"namespace\":null,\"%s\":null,\"%sNumber\":%u", member, member, number);
        return;
    }
    buf_add_text(out, "\"namespace\":");
    buf_add_json_string(out, slice_text(r->namespace_name));
    buf_printf(out, ",\"%s\":", member);
    buf_add_json_string(out, slice_text(r->name));
}

void json_broker(struct buf *out, const struct broker_core *b, uint32_t number)
{
    const struct broker *broker = broker_by_number(b, number);
    write_names(out, broker != NULL ? broker->resource : NULL, "broker", number);
}

void json_trigger(struct buf *out, const struct broker_core *b, uint32_t number)
{
    const struct trigger *t = trigger_by_number(b, number);
    write_names(out, t != NULL ? t->resource : NULL, "trigger", number);
}

void json_time(struct buf *out, const char *member, uint64_t time_ns)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(time_ns, 6, time);
    buf_printf(out, ",\"%s\":\"%s\"", member, time);
}

void json_answer(struct http_request *request, struct buf *out)
{
    size_t len = out->len;
    char *body = buf_steal(out);
    if (body == NULL)
        http_respond_errorf(request, 503, "out of memory");
    else
        http_respond(request, &(struct http_response){.status = 200,
                                                      .content_type = "application/json",
                                                      .body = {NULL, len},
                                                      .body_owned = body});
}
