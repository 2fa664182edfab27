/* SPDX-License-Identifier: Apache-2.0 */
/* Text to documents: YAML or JSON, one or many, lists taken apart. */
#include "resource/resource_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

void resource_documents_free(struct resource_document *documents, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_decref(documents[i].object);
        lines_unref(documents[i].lines);
    }
    free(documents);
}

void documents_done(struct documents *d)
{
    resource_documents_free(d->items, d->len);
    *d = (struct documents){0};
}

static int documents_fail(struct error *err, int line, int code, const char *what)
{
    error_set(err, code, "%s", what);
    if (err != NULL)
        err->line = line;
    return code;
}

static int documents_push(struct documents *d, json_t *object, struct resource_lines *lines,
                          int line, struct error *err)
{
    if (d->len == RESOURCE_DOCUMENTS_MAX)
        return documents_fail(err, line, -E2BIG, "too many documents: at most 20000 in one text");
    if (d->len == d->cap) {
        size_t cap = d->cap == 0 ? 4 : d->cap * 2;
        struct resource_document *items = reallocarray(d->items, cap, sizeof(*items));
        if (items == NULL)
            return documents_fail(err, line, -ENOMEM, "out of memory");
        d->items = items;
        d->cap = cap;
    }
    d->items[d->len++] = (struct resource_document){json_incref(object), lines_ref(lines), line};
    return 0;
}

static bool is_list(const json_t *object)
{
    const char *kind = json_string_value(json_object_get(object, "kind"));
    return kind != NULL && strcmp(kind, "List") == 0;
}

static int documents_push_item(struct documents *d, json_t *item, struct resource_lines *list,
                               size_t index, struct error *err)
{
    struct resource_lines *lines = lines_item(list, "items", (uint32_t)index);
    if (lines == NULL)
        lines = lines_ref(list);
    int line = lines_root_line(lines), status;
    if (!json_is_object(item))
        status = documents_fail(err, line, -EINVAL, "each of a List's items must be an object");
    else if (is_list(item))
        status = documents_fail(err, line, -EINVAL, "a List inside a List is not supported");
    else
        status = documents_push(d, item, lines, line, err);
    lines_unref(lines);
    return status;
}

static int documents_push_list(struct documents *d, json_t *list, struct resource_lines *lines,
                               int line, struct error *err)
{
    json_t *items = json_object_get(list, "items"), *item;
    if (!json_is_array(items))
        return documents_fail(err, line, -EINVAL, "a kind: List needs items, a list of objects");
    size_t index;
    json_array_foreach(items, index, item)
    {
        int status = documents_push_item(d, item, lines, index, err);
        if (status < 0)
            return status;
    }
    return 0;
}

int documents_add(struct documents *d, json_t *object, struct resource_lines *lines, int line,
                  struct error *err)
{
    int status = 0;
    if (json_is_object(object))
        status = is_list(object) ? documents_push_list(d, object, lines, line, err)
                                 : documents_push(d, object, lines, line, err);
    else if (!json_is_null(object))
        status = documents_fail(err, line, -EINVAL,
                                "a document must be an object with apiVersion, kind and metadata");
    json_decref(object);
    lines_unref(lines);
    return status;
}

/* What may stand before a document: blanks, and the --- that parts documents. */
static void skip_blank(struct slice *text, int *line)
{
    bool at_start = true;
    while (text->len > 0) {
        size_t n = 0;
        if (at_start && slice_starts(*text, "---") && (text->len == 3 || isspace(text->ptr[3])))
            n = 3;
        else if (isspace((unsigned char)text->ptr[0]))
            n = 1;
        else
            return;
        at_start = text->ptr[n - 1] == '\n';
        *line += at_start;
        *text = slice_of(text->ptr + n, text->len - n);
    }
}

/* JSON begins with [, or with { and then a quote or }. A YAML flow mapping with plain keys does
 * not. */
static bool looks_like_json(struct slice text)
{
    if (text.len > 0 && text.ptr[0] == '[')
        return true;
    if (text.len == 0 || text.ptr[0] != '{')
        return false;
    size_t at = 1;
    while (at < text.len && isspace((unsigned char)text.ptr[at]))
        at++;
    return at < text.len && (text.ptr[at] == '"' || text.ptr[at] == '}');
}

static int count_newlines(struct slice text)
{
    int lines = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    return lines;
}

/* NUL: jansson lets some pass, YAML none. */
int text_check(struct slice text, struct error *err)
{
    if (text.len > RESOURCE_TEXT_MAX)
        return documents_fail(err, 0, -EFBIG, "the text is too large: at most 24 MiB");
    const char *nul = text.len > 0 ? memchr(text.ptr, '\0', text.len) : NULL;
    if (nul == NULL)
        return 0;
    int line = 1 + count_newlines(slice_of(text.ptr, (size_t)(nul - text.ptr)));
    return documents_fail(err, line, -EINVAL, "the text holds a NUL character");
}

static int read_all(struct slice text, bool json_only, struct documents *out, struct error *err)
{
    int status = text_check(text, err);
    if (status < 0)
        return status;
    if (slice_starts(text, "\xef\xbb\xbf"))
        text = slice_of(text.ptr + 3, text.len - 3);
    for (int line = 1;;) {
        struct slice rest = text;
        int rest_line = line;
        skip_blank(&rest, &rest_line);
        if (rest.len == 0)
            return 0;
        if (!json_only && !looks_like_json(rest))
            return yaml_read(text, line, out, err);
        size_t used;
        status = json_read(rest, rest_line, out, &used, err);
        if (status < 0)
            return status;
        line = rest_line + count_newlines(slice_of(rest.ptr, used));
        text = slice_of(rest.ptr + used, rest.len - used);
    }
}

static int parse(struct slice text, bool json_only, struct resource_document **ret,
                 size_t *ret_count, struct error *err)
{
    struct documents d = {0};
    int status = read_all(text, json_only, &d, err);
    if (status < 0) {
        documents_done(&d);
        return status;
    }
    *ret = d.items;
    *ret_count = d.len;
    return 0;
}

int resource_parse(struct slice text, struct resource_document **ret, size_t *ret_count,
                   struct error *err)
{
    return parse(text, false, ret, ret_count, err);
}

int resource_parse_json(struct slice text, struct resource_document **ret, size_t *ret_count,
                        struct error *err)
{
    return parse(text, true, ret, ret_count, err);
}
