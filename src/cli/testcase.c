/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/testcase.h"

#include "base/encoding.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "cli/cli_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SHOWN_MAX 400 /* of a value in a complaint */

/* ---- the form of a case ---- */

enum shape {
    SHAPE_TEXT,
    SHAPE_NUMBER,

    SHAPE_TEXTS,
    SHAPE_OBJECT,
    SHAPE_ANY,
    SHAPE_COUNT
};

static const char *const shape_names[] = {
    [SHAPE_TEXT] = "a text",      [SHAPE_NUMBER] = "a number", [SHAPE_TEXTS] = "a list of texts",
    [SHAPE_OBJECT] = "an object", [SHAPE_ANY] = "anything",
};
_Static_assert(COUNT_OF(shape_names) == SHAPE_COUNT, "one each");

static const struct field {
    const char *parent, *name;
    enum shape shape;
} fields[] = {
    {"", "name", SHAPE_TEXT},
    {"", "event", SHAPE_OBJECT},
    {"", "request", SHAPE_OBJECT},
    {"", "expect", SHAPE_OBJECT},
    {"request", "method", SHAPE_TEXT},
    {"request", "path", SHAPE_TEXT},
    {"request", "headers", SHAPE_OBJECT},
    {"request", "body", SHAPE_TEXT},
    {"request", "bodyBase64", SHAPE_TEXT},
    {"request", "json", SHAPE_ANY},
    {"expect", "status", SHAPE_NUMBER},
    {"expect", "headers", SHAPE_OBJECT},
    {"expect", "data", SHAPE_ANY},
    {"expect", "body", SHAPE_TEXT},
    {"expect", "bodyContains", SHAPE_TEXT},
    {"expect", "log", SHAPE_TEXTS},
};

static bool has_shape(const json_t *value, enum shape shape)
{
    size_t i;
    json_t *item;
    switch (shape) {
    case SHAPE_TEXT:
        return json_is_string(value);
    case SHAPE_NUMBER:
        return json_is_integer(value);
    case SHAPE_OBJECT:
        return json_is_object(value);
    case SHAPE_TEXTS:
        json_array_foreach(value, i, item)
        {
            if (!json_is_string(item))
                return false;
        }
        return json_is_array(value);
    case SHAPE_ANY:
    case SHAPE_COUNT:
        break;
    }
    return true;
}

static const struct field *find_field(const char *parent, const char *name)
{
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (strcmp(fields[i].parent, parent) == 0 && strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

static int check_object(json_t *object, const char *parent, struct error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        const struct field *f = find_field(parent, name);
        const char *dot = parent[0] != '\0' ? "." : "";
        if (f == NULL)
            return error_set(err, -EINVAL, "a case has no field %s%s%s", parent, dot, name);
        if (!has_shape(value, f->shape))
            return error_set(err, -EINVAL, "%s%s%s must be %s", parent, dot, name,
                             shape_names[f->shape]);
    }
    return 0;
}

static int check_case(json_t *json, struct error *err)
{
    if (!json_is_object(json))
        return error_set(err, -EINVAL,
                         "a case must be an object with name, event or request, and "
                         "expect");
    int status = check_object(json, "", err);
    if (status == 0)
        status = check_object(json_object_get(json, "request"), "request", err);
    if (status == 0)
        status = check_object(json_object_get(json, "expect"), "expect", err);
    if (status < 0)
        return status;
    bool event = json_object_get(json, "event") != NULL;
    if (event == (json_object_get(json, "request") != NULL))
        return error_set(err, -EINVAL, "a case has either an event or a request to send");
    if (json_string_value(json_object_get(json, "name")) == NULL)
        return error_set(err, -EINVAL, "a case needs a name");
    return 0;
}

/* ---- reading ---- */

static int add_case(struct testcases *t, const char *file, json_t *json, struct error *err)
{
    int status = check_case(json, err);
    if (status < 0)
        return status;
    if (t->count == t->cap) {
        size_t cap = t->cap > 0 ? 2 * t->cap : 16;
        struct testcase *items = realloc(t->items, cap * sizeof(*items));
        if (items == NULL)
            return error_set(err, -ENOMEM, "out of memory");
        t->items = items;
        t->cap = cap;
    }
    char *name = strdup(file);
    if (name == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    t->items[t->count++] = (struct testcase){
        .file = name,
        .json = json_incref(json),
        .name = json_string_value(json_object_get(json, "name")),
    };
    return 0;
}

static int add_document(struct testcases *t, const char *file,
                        const struct resource_document *document)
{
    json_t *cases = json_object_get(document->object, "cases"), *json;
    size_t i;
    if (!json_is_array(cases)) {
        terminal_error("%s:%d: cases: is missing: it is a list of cases", file, document->line);
        return -EINVAL;
    }
    json_array_foreach(cases, i, json)
    {
        struct error err = ERROR_INIT;
        char field[32];
        snprintf(field, sizeof(field), "cases[%zu]", i);
        if (add_case(t, file, json, &err) < 0) {
            terminal_error("%s:%d: %s: %s", file, resource_line(document, field), field,
                           err.message);
            return err.code;
        }
    }
    return 0;
}

static int load_file(struct testcases *t, const char *path)
{
    autobuf text = BUF_INIT;
    struct error err = ERROR_INIT;
    struct resource_document *documents = NULL;
    size_t count = 0;
    int status = fdio_read_file(path, RESOURCE_TEXT_MAX, &text);
    if (status < 0)
        error_set(&err, status, "cannot be read: %s", strerror(-status));
    else
        status = resource_parse(buf_slice(&text), &documents, &count, &err);
    if (status < 0)
        terminal_error("%s:%d: %s", path, err.line, err.message);
    for (size_t i = 0; status == 0 && i < count; i++)
        status = add_document(t, path, &documents[i]);
    resource_documents_free(documents, count);
    return status;
}

static int is_case_file(const struct dirent *entry)
{
    struct slice name = slice_text(entry->d_name);
    return entry->d_name[0] != '.' &&
           (slice_ends(name, ".yaml") || slice_ends(name, ".yml") || slice_ends(name, ".json"));
}

int testcases_load(struct testcases *t, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        int status = -errno;
        terminal_error("%s: %s", path, strerror(errno));
        return status;
    }
    if (!S_ISDIR(st.st_mode))
        return load_file(t, path);
    struct dirent **entries = NULL;
    int status = 0, count = scandir(path, &entries, is_case_file, alphasort);
    for (int i = 0; i < count; i++) {
        autobuf file = BUF_INIT;
        buf_printf(&file, "%s/%s", path, entries[i]->d_name);
        free(entries[i]);
        if (status == 0)
            status = buf_ok(&file) ? load_file(t, file.ptr) : -ENOMEM;
    }
    free(entries);
    return status;
}

void testcases_done(struct testcases *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->items[i].file);
        json_decref(t->items[i].json);
    }
    free(t->items);
    *t = (struct testcases){0};
}

/* ---- what is sent ---- */

/* CloudEvents' HTTP binding §3.1.3.2. */
static void add_attribute_value(struct buf *out, const char *value)
{
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '%')
            buf_printf(out, "%%%02X", c);
        else
            buf_add_byte(out, (char)c);
    }
}

static void add_scalar_text(struct buf *out, const json_t *value)
{
    if (json_is_string(value)) {
        buf_add_text(out, json_string_value(value));
        return;
    }
    autofree char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    buf_add_text(out, text != NULL ? text : "");
}

/* A text goes as it is, everything else as JSON. */
static void add_data(struct testcase_request *r, const json_t *data)
{
    if (data == NULL)
        return;
    r->has_body = true;
    add_scalar_text(&r->body, data);
}

static int write_event(json_t *event, struct testcase_request *r)
{
    static const struct {
        const char *name, *value;
    } defaults[] = {{"specversion", "1.0"},
                    {"id", "sluice-function-test"},
                    {"source", "sluice/function/test"},
                    {"type", "dev.sluice.test"}};
    const char *name, *type = NULL;
    json_t *value;
    r->method = "POST";
    r->path = "/";
    for (size_t i = 0; i < COUNT_OF(defaults); i++) {
        if (json_object_get(event, defaults[i].name) == NULL)
            buf_printf(&r->headers, "ce-%s: %s\r\n", defaults[i].name, defaults[i].value);
    }
    json_object_foreach(event, name, value)
    {
        autobuf text = BUF_INIT;
        if (strcmp(name, "data") == 0)
            continue;
        add_scalar_text(&text, value);
        if (strcmp(name, "datacontenttype") == 0) {
            type = json_string_value(value);
            continue;
        }
        buf_printf(&r->headers, "ce-%s: ", name);
        add_attribute_value(&r->headers, text.len > 0 ? text.ptr : "");
        buf_add_text(&r->headers, "\r\n");
    }
    add_data(r, json_object_get(event, "data"));
    if (r->has_body)
        buf_printf(&r->headers, "Content-Type: %s\r\n", type != NULL ? type : "application/json");
    return buf_ok(&r->headers) && buf_ok(&r->body) ? 0 : -ENOMEM;
}

static int write_request(json_t *request, struct testcase_request *r)
{
    const char *name, *encoded = json_string_value(json_object_get(request, "bodyBase64"));
    const char *method = json_string_value(json_object_get(request, "method"));
    const char *path = json_string_value(json_object_get(request, "path"));
    const char *body = json_string_value(json_object_get(request, "body"));
    json_t *value, *json = json_object_get(request, "json");
    r->path = path != NULL ? path : "/";
    r->has_body = encoded != NULL || body != NULL || json != NULL;
    r->method = method != NULL ? method : r->has_body ? "POST" : "GET";
    json_object_foreach(json_object_get(request, "headers"), name, value)
    {
        buf_printf(&r->headers, "%s: ", name);
        add_scalar_text(&r->headers, value);
        buf_add_text(&r->headers, "\r\n");
    }
    if (encoded != NULL)
        return encoding_base64_decode(slice_text(encoded), &r->body);
    if (body != NULL)
        buf_add_text(&r->body, body);
    if (json != NULL) {
        autofree char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
        buf_add_text(&r->body, text != NULL ? text : "null");
        buf_add_text(&r->headers, "Content-Type: application/json\r\n");
    }
    return buf_ok(&r->headers) && buf_ok(&r->body) ? 0 : -ENOMEM;
}

int testcase_request(const struct testcase *c, struct testcase_request *ret, struct error *err)
{
    struct testcase_request r = {0};
    json_t *event = json_object_get(c->json, "event");
    int status = event != NULL ? write_event(event, &r)
                               : write_request(json_object_get(c->json, "request"), &r);
    if (status == 0) {
        *ret = r;
        return 0;
    }
    testcase_request_done(&r);
    return error_set(err, status,
                     status == -ENOMEM ? "out of memory" : "request.bodyBase64 is no base64");
}

void testcase_request_done(struct testcase_request *r)
{
    buf_done(&r->headers);
    buf_done(&r->body);
}

/* ---- what came back ---- */

/* The value of the first line of that name; ptr NULL: there is none. */
static struct slice header_of(struct slice lines, const char *name)
{
    while (lines.len > 0) {
        const char *end = memchr(lines.ptr, '\n', lines.len);
        size_t len = end != NULL ? (size_t)(end - lines.ptr) : lines.len;
        struct slice line = slice_of(lines.ptr, len);
        lines = slice_of(line.ptr + len + (end != NULL), lines.len - len - (end != NULL));
        const char *colon = memchr(line.ptr, ':', line.len);
        if (colon == NULL || !slice_is_nocase(slice_of(line.ptr, (size_t)(colon - line.ptr)), name))
            continue;
        struct slice value = slice_of(colon + 1, line.len - (size_t)(colon + 1 - line.ptr));
        while (value.len > 0 && strchr(" \t", value.ptr[0]) != NULL)
            value = slice_of(value.ptr + 1, value.len - 1);
        while (value.len > 0 && strchr(" \t\r", value.ptr[value.len - 1]) != NULL)
            value.len--;
        return value;
    }
    return slice_of(NULL, 0);
}

static void add_shown(struct buf *out, struct slice text)
{
    bool cut = text.len > SHOWN_MAX;
    while (text.len > SHOWN_MAX || (cut && text.len > 0 && (text.ptr[text.len - 1] & 0x80) != 0))
        text.len = text.len > SHOWN_MAX ? SHOWN_MAX : text.len - 1;
    buf_add_slice(out, text);
    if (cut)
        buf_add_text(out, "…");
}

static void complain(struct buf *out, const char *what, struct slice expected, struct slice got)
{
    buf_printf(out, "%s: expected ", what);
    add_shown(out, expected);
    buf_add_text(out, ", got ");
    if (got.ptr == NULL || got.len == 0)
        buf_add_text(out, "nothing");
    else
        add_shown(out, got);
    buf_add_byte(out, '\n');
}

static void compare_headers(json_t *headers, struct slice lines, struct buf *out)
{
    const char *name;
    json_t *value;
    json_object_foreach(headers, name, value)
    {
        autobuf expected = BUF_INIT;
        add_scalar_text(&expected, value);
        struct slice wanted = buf_slice(&expected), got = header_of(lines, name), main_part = got;
        /* application/json is what application/json; charset=utf-8 is. */
        const char *semicolon = got.len > 0 ? memchr(got.ptr, ';', got.len) : NULL;
        if (semicolon != NULL && strcasecmp(name, "content-type") == 0)
            main_part.len = (size_t)(semicolon - got.ptr);
        if (!slice_equal(wanted, got) && !slice_equal(wanted, main_part))
            complain(out, name, wanted, got);
    }
}

static void compare_data(const json_t *expected, struct slice body, struct buf *out)
{
    json_t *got = json_loadb(body.len > 0 ? body.ptr : "", body.len, JSON_DECODE_ANY, NULL);
    autofree char *wanted = json_dumps(expected, JSON_ENCODE_ANY | JSON_COMPACT);
    if (got == NULL || !json_equal(expected, got))
        complain(out, "data", slice_text(wanted), body);
    json_decref(got);
}

void testcase_compare(const struct testcase *c, const struct testcase_answer *answer,
                      struct buf *ret_complaints)
{
    json_t *expect = json_object_get(c->json, "expect");
    const json_t *status = json_object_get(expect, "status");
    const json_t *data = json_object_get(expect, "data");
    struct slice body = slice_text(json_string_value(json_object_get(expect, "body")));
    struct slice part = slice_text(json_string_value(json_object_get(expect, "bodyContains")));
    long wanted = status != NULL ? (long)json_integer_value(status) : 0;
    bool wrong =
        status != NULL ? answer->status != wanted : answer->status < 200 || answer->status > 299;
    if (wrong && status != NULL)
        buf_printf(ret_complaints, "status: expected %ld, got %ld\n", wanted, answer->status);
    else if (wrong)
        buf_printf(ret_complaints, "status: expected success, got %ld\n", answer->status);
    compare_headers(json_object_get(expect, "headers"), answer->headers, ret_complaints);
    if (data != NULL)
        compare_data(data, answer->body, ret_complaints);
    if (body.ptr != NULL && !slice_equal(body, answer->body))
        complain(ret_complaints, "body", body, answer->body);
    if (part.ptr != NULL && (answer->body.len == 0 || memmem(answer->body.ptr, answer->body.len,
                                                             part.ptr, part.len) == NULL))
        complain(ret_complaints, "bodyContains", part, answer->body);
    if (wrong && data == NULL && body.ptr == NULL && part.ptr == NULL && answer->body.len > 0) {
        buf_add_text(ret_complaints, "it answered ");
        add_shown(ret_complaints, answer->body);
        buf_add_byte(ret_complaints, '\n');
    }
}

const char *testcase_missing_log(const struct testcase *c, const json_t *printed)
{
    size_t i, j;
    json_t *wanted, *line;
    json_array_foreach(json_object_get(json_object_get(c->json, "expect"), "log"), i, wanted)
    {
        bool found = false;
        json_array_foreach(printed, j, line) found =
            found || strstr(json_string_value(line), json_string_value(wanted)) != NULL;
        if (!found)
            return json_string_value(wanted);
    }
    return NULL;
}
