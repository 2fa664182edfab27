/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/event_hold.h"

#include <stdlib.h>
#include <string.h>

struct event_hold *event_hold_new(struct slice encoded)
{
    struct event_hold *h = malloc(sizeof(*h) + encoded.len);
    if (h == NULL)
        return NULL;
    h->refs = 1;
    h->len = (uint32_t)encoded.len;
    memcpy(h->bytes, encoded.ptr, encoded.len);
    return h;
}

struct event_hold *event_hold_ref(struct event_hold *h)
{
    h->refs++;
    return h;
}

void event_hold_unref(struct event_hold *h)
{
    if (h != NULL && --h->refs == 0)
        free(h);
}
