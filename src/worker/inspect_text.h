/* SPDX-License-Identifier: Apache-2.0 */
/* The form that Node's util.inspect gives to strings, names, and groups of items; knows nothing of
 * the guest. The same rules in JavaScript, for every kind of value, are in runtimes/js/inspect.js;
 * both must give the same text. */
#ifndef SLUICE_WORKER_INSPECT_TEXT_H
#define SLUICE_WORKER_INSPECT_TEXT_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSPECT_ITEMS_MAX  100
#define INSPECT_STRING_MAX 10000 /* characters; longer ones are cut */

/* Items are written one after the other to the end of a text; this remembers where each ends. One
 * stack serves nested groups: the inner one is gone before the outer one's next item. */
struct inspect_items {
    struct item {
        size_t end;     /* offset in the text */
        uint32_t width; /* in UTF-16 units, as JavaScript counts */
    } * list;
    size_t count, cap;
    bool failed; /* no memory */
};

/* What surrounds a group of items. */
struct inspect_group {
    size_t start;      /* where its first item begins in the text */
    size_t first;      /* its first entry of inspect_items */
    unsigned indent;   /* of the line that the group begins on */
    bool is_shallow;   /* holds few levels of groups, so one line may do */
    bool is_list;      /* an array: many short items are laid out in columns */
    bool numbers_only; /* and these are aligned to the right */
    bool has_rest;     /* the last item is "... n more items" */
    char open[128];    /* with what stands before: "Point {" */
    const char *close;
};

/* The text as a string literal with the quotes that need the fewest escapes. It may have surrogates
 * as three bytes each, as the guest gives them. */
void inspect_text_quote(struct buf *out, struct slice text);
/* Whether a name can stand before a colon without quotes. */
bool inspect_text_is_name(struct slice text);
/* Whether a string must be shown in several pieces or cut, which is left to inspect.js. */
bool inspect_text_is_special(struct slice text, unsigned indent);

/* An item ends here; it began where the one before ended, or at the group's start. */
void inspect_items_add(struct inspect_items *items, const struct buf *text, size_t begin);
/* Replaces the group's items, which are the end of the text, by the finished group, and takes them
 * off the stack. spare is scratch memory. */
void inspect_group_finish(struct inspect_group *g, struct inspect_items *items, struct buf *text,
                          struct buf *spare);

#endif
