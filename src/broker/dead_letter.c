/* SPDX-License-Identifier: Apache-2.0 */
/* Knative's dead-letter extensions, from the row in DEAD: the delivery itself may be one that the
 * dead-letter sink has failed since. */
#include "broker/dead_letter.h"

#include "base/encoding.h"
#include "broker/row.h"

#include <stdio.h>

#define DATA_MAX  1024 /* characters of knativeerrordata */
#define BYTES_MAX (DATA_MAX / 4 * 3)

void dead_letter_text_done(struct dead_letter_text *text)
{
    buf_done(&text->key);
    buf_done(&text->row);
    buf_done(&text->data);
}

/* The head of the answer's body; where there was no answer, what went wrong instead. */
static void add_data(const struct dead_row *why, struct dead_letter_text *text)
{
    autobuf words = BUF_INIT;
    struct slice data = why->body;
    if (data.len == 0 && !slice_starts(why->error, DELIVERY_ANSWERED)) {
        buf_add_text(&words, "dispatch error: ");
        buf_add_slice(&words, why->error);
        data = buf_slice(&words);
    }
    encoding_base64_add(&text->data,
                        slice_of(data.ptr, data.len < BYTES_MAX ? data.len : BYTES_MAX));
}

void dead_letter_add_why(const struct delivery *d, struct event *e, struct dead_letter_text *text)
{
    const char *destination = d->trigger->subscriber.uri;
    struct dead_row why = {.code = d->code, .error = slice_text(d->error)};
    row_object_key(d->trigger_number, d->position, &text->key);
    if (store_get(d->core->store, STORE_TABLE_DEAD, buf_slice(&text->key), &text->row, NULL) == 0)
        row_dead_read(buf_slice(&text->key), buf_slice(&text->row), &why);
    snprintf(text->code, sizeof(text->code), "%u", why.code != 0 ? why.code : 500);
    add_data(&why, text);
    if (destination != NULL)
        event_set(e, "knativeerrordest", slice_text(destination));
    event_set_integer(e, "knativeerrorcode", slice_text(text->code));
    event_unset(e, "knativeerrordata"); /* of an earlier failure: the three belong together */
    if (text->data.len > 0)             /* an attribute is not empty */
        event_set(e, "knativeerrordata", buf_slice(&text->data));
}
