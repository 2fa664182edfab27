/* SPDX-License-Identifier: Apache-2.0 */
/* JSON documents: jansson reads them, two small scanners bound them before and find the lines
 * after. */
#include "base/must.h"
#include "resource/resource_internal.h"

#include <errno.h>

/* Past the string that begins at i; end when it never ends. */
static size_t skip_string(struct slice text, size_t i)
{
    for (i++; i < text.len && text.ptr[i] != '"'; i++)
        if (text.ptr[i] == '\\')
            i++;
    return i < text.len ? i + 1 : text.len;
}

static int fail(struct error *err, int line, int code, const char *what)
{
    error_set(err, code, "%s", what);
    if (err != NULL)
        err->line = line;
    return code;
}

/* Depth and number of values, before memory is spent on them. Looks at brackets only, so it is
 * right for what jansson will accept, and harmless for the rest. */
static int bound(struct slice text, int line, struct error *err)
{
    size_t depth = 0, values = 0;
    for (size_t i = 0; i < text.len;) {
        char c = text.ptr[i];
        if (c == '"') {
            size_t end = skip_string(text, i);
            for (; i < end; i++)
                line += text.ptr[i] == '\n';
            continue;
        }
        line += c == '\n';
        values += c == ',' || c == '[' || c == '{';
        depth += c == '[' || c == '{';
        if (depth > RESOURCE_DEPTH_MAX)
            return fail(err, line, -E2BIG, "nested too deeply: at most 64 levels");
        if (values > RESOURCE_NODES_MAX)
            return fail(err, line, -E2BIG, "too many values: at most 1000000 in one text");
        i++;
        if ((c == ']' || c == '}') && depth > 0 && --depth == 0)
            break;
    }
    return 0;
}

/* The scanner for lines: walks text that is known to be good. */
struct scan {
    struct slice text;
    size_t at;
    int line;
    struct resource_lines *lines;
};

static void scan_blank(struct scan *s)
{
    must(s->text.ptr != NULL || s->text.len == 0);
    for (; s->at < s->text.len; s->at++) {
        char c = s->text.ptr[s->at];
        if (c == '\n')
            s->line++;
        else if (c != ' ' && c != '\t' && c != '\r')
            return;
    }
}

static char scan_peek(struct scan *s)
{
    scan_blank(s);
    return s->at < s->text.len ? s->text.ptr[s->at] : '\0';
}

static void scan_value(struct scan *s, uint32_t node);

/* Keys with escapes keep them: their lines are found by the parent's then. */
static void scan_object(struct scan *s, uint32_t node)
{
    s->at++;
    while (scan_peek(s) == '"') {
        int line = s->line;
        size_t begin = s->at;
        s->at = skip_string(s->text, s->at);
        struct slice key = slice_of(s->text.ptr + begin + 1, s->at - begin - 2);
        uint32_t child = lines_add(s->lines, node, key, 0, line);
        (void)scan_peek(s);
        s->at++; /* the colon */
        scan_value(s, child);
        if (scan_peek(s) == ',')
            s->at++;
    }
    s->at++;
}

static void scan_array(struct scan *s, uint32_t node)
{
    s->at++;
    for (uint32_t index = 0; scan_peek(s) != ']' && s->at < s->text.len; index++) {
        scan_value(s, lines_add(s->lines, node, slice_of(NULL, 0), index, s->line));
        if (scan_peek(s) == ',')
            s->at++;
    }
    s->at++;
}

static void scan_value(struct scan *s, uint32_t node)
{
    char c = scan_peek(s);
    if (c == '{')
        scan_object(s, node);
    else if (c == '[')
        scan_array(s, node);
    else if (c == '"')
        s->at = skip_string(s->text, s->at);
    else
        while (s->at < s->text.len && strchr(",]} \t\r\n", s->text.ptr[s->at]) == NULL)
            s->at++;
}

static int read_value(struct slice text, int first_line, json_t **ret, size_t *ret_used,
                      struct error *err)
{
    int status = bound(text, first_line, err);
    if (status < 0)
        return status;
    json_error_t problem;
    *ret = json_loadb(text.ptr != NULL ? text.ptr : "", text.len,
                      JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &problem);
    if (*ret == NULL) {
        int line = first_line + (problem.line > 0 ? problem.line - 1 : 0);
        error_set(err, -EINVAL, "not valid JSON: %s", problem.text);
        if (err != NULL)
            err->line = line;
        return -EINVAL;
    }
    *ret_used = (size_t)problem.position;
    must(*ret_used <= text.len);
    return 0;
}

int resource_parse_value(struct slice text, json_t **ret, struct error *err)
{
    json_t *value = NULL;
    size_t used = 0;
    int status = text_check(text, err);
    if (status == 0)
        status = read_value(text, 1, &value, &used, err);
    if (status < 0)
        return status;
    while (used < text.len && strchr(" \t\r\n", text.ptr[used]) != NULL)
        used++;
    if (used == text.len) {
        *ret = value;
        return 0;
    }
    json_decref(value);
    return fail(err, 0, -EINVAL, "not valid JSON: there is more after the value");
}

int json_read(struct slice text, int first_line, struct documents *out, size_t *ret_used,
              struct error *err)
{
    json_t *value;
    int status = read_value(text, first_line, &value, ret_used, err);
    if (status < 0)
        return status;
    struct scan s = {
        .text = slice_of(text.ptr, *ret_used), .line = first_line, .lines = lines_new(first_line)};
    if (s.lines == NULL) {
        json_decref(value);
        return fail(err, first_line, -ENOMEM, "out of memory");
    }
    scan_value(&s, LINES_ROOT);
    return documents_add(out, value, s.lines, first_line, err);
}
