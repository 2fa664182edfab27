/* SPDX-License-Identifier: Apache-2.0 */
/* Text in aligned columns, three blanks apart, as kubectl prints them. */
#include "base/must.h"
#include "cli/cli_internal.h"

#include <stdlib.h>
#include <string.h>

struct table {
    size_t columns;
    size_t *widths;
    char **cells;
    size_t count, cap;
    bool failed;
};

struct table *table_new(size_t columns)
{
    must(columns > 0);
    struct table *t = calloc(1, sizeof(*t));
    if (t == NULL || (t->widths = calloc(columns, sizeof(*t->widths))) == NULL) {
        free(t);
        return NULL;
    }
    t->columns = columns;
    return t;
}

void table_free(struct table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t->widths);
    free(t);
}

static bool make_room(struct table *t)
{
    if (t->count < t->cap)
        return true;
    size_t cap = t->cap > 0 ? 2 * t->cap : 64;
    char **cells = realloc(t->cells, cap * sizeof(*cells));
    if (cells == NULL)
        return false;
    t->cells = cells;
    t->cap = cap;
    return true;
}

void table_add(struct table *t, const char *text)
{
    char *copy = NULL;
    if (t->failed || !make_room(t) || (copy = strdup(text)) == NULL) {
        t->failed = true;
        return;
    }
    size_t column = t->count % t->columns, width = terminal_width(slice_text(text));
    if (width > t->widths[column])
        t->widths[column] = width;
    t->cells[t->count++] = copy;
}

size_t table_rows(const struct table *t)
{
    return (t->count + t->columns - 1) / t->columns;
}

void table_print(const struct table *t, FILE *out)
{
    for (size_t i = 0; i < t->count; i++) {
        size_t column = i % t->columns;
        bool last = column + 1 == t->columns, head = i < t->columns;
        struct slice text = slice_text(t->cells[i]);
        fprintf(out, "%s", head ? terminal_style(out, TERMINAL_BOLD) : "");
        terminal_print_safe(out, text);
        fprintf(out, "%s", head ? terminal_style(out, TERMINAL_PLAIN) : "");
        if (last)
            fputc('\n', out);
        else
            fprintf(out, "%*s", (int)(t->widths[column] - terminal_width(text)) + 3, "");
    }
    if (t->failed)
        terminal_error("out of memory: the table is not complete");
}
