/* SPDX-License-Identifier: Apache-2.0 */
/* What an event is sent to a dead-letter sink with: why its subscriber did not take it. Loop
 * thread. */
#ifndef SLUICE_BROKER_DEAD_LETTER_H
#define SLUICE_BROKER_DEAD_LETTER_H

#include "broker/delivery.h"

struct dead_letter_text { /* values of the attributes, which borrow from it */
    char code[16];
    struct buf key, row, data;
};
#define DEAD_LETTER_TEXT_INIT                                                                      \
    (struct dead_letter_text)                                                                      \
    {                                                                                              \
        .key = BUF_INIT, .row = BUF_INIT, .data = BUF_INIT                                         \
    }
void dead_letter_text_done(struct dead_letter_text *text);

/* Knative's extensions knativeerrordest, knativeerrorcode and knativeerrordata. */
void dead_letter_add_why(const struct delivery *d, struct event *e, struct dead_letter_text *text);

#endif
