/* SPDX-License-Identifier: Apache-2.0 */
/* An event as one JSON object (JSON format 1.0.2 §3, 0.3 §3). */
#include "base/encoding.h"
#include "event/event_internal.h"

static void write_member(struct buf *out, struct slice name)
{
    buf_add_byte(out, ',');
    buf_add_json_string(out, name);
    buf_add_byte(out, ':');
}

static void write_attribute(const struct event_attribute *a, struct buf *out)
{
    write_member(out, a->name);
    if (a->kind == EVENT_VALUE_STRING)
        buf_add_json_string(out, a->value);
    else
        buf_add_slice(out, a->value);
}

static void write_base64(const struct event *e, struct buf *out)
{
    if (e->version == EVENT_V03)
        buf_add_text(out, ",\"datacontentencoding\":\"base64\",\"data\":\"");
    else
        buf_add_text(out, ",\"data_base64\":\"");
    encoding_base64_add(out, e->data);
    buf_add_byte(out, '"');
}

/* Only what a reader will take for the same bytes may be written as JSON or as text. */
static void write_data(const struct event *e, struct buf *out)
{
    struct slice type = event_get(e, "datacontenttype");
    bool json = type.ptr == NULL || event_type_is_json(type);
    bool encoded = e->version == EVENT_V03 && event_get(e, "datacontentencoding").ptr != NULL;
    if (json && !encoded && json_scan_valid(e->data)) {
        buf_add_text(out, ",\"data\":");
        buf_add_slice(out, e->data);
    } else if ((encoded || (!json && event_type_is_text(type))) && encoding_utf8_valid(e->data)) {
        buf_add_text(out, ",\"data\":");
        buf_add_json_string(out, e->data);
    } else {
        write_base64(e, out);
    }
}

void event_json_write(const struct event *e, struct buf *out)
{
    buf_add_text(out, "{\"specversion\":\"");
    buf_add_text(out, event_version_text(e->version));
    buf_add_byte(out, '"');
    for (unsigned i = 0; i < e->count; i++)
        write_attribute(&e->attributes[i], out);
    if (e->has_data)
        write_data(e, out);
    buf_add_byte(out, '}');
}
