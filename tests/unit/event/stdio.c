/* SPDX-License-Identifier: Apache-2.0 */
#include "event/stdio.h"

#include "unit.h"

#include "base/memory.h"

#include <errno.h>
#include <stdio.h>

static struct stdio_reply reply;
static struct event_arena arena;
static struct error err;
static struct buf variables;

static const struct event_defaults defaults = {
    {"made", 4}, {"/functions/n/f", 14}, {"2026-01-01T00:00:00Z", 20}};

static int read_reply(const char *output)
{
    event_arena_done(&arena);
    err = (struct error)ERROR_INIT;
    return stdio_reply_read(slice_text(output), &defaults, &arena, &reply, &err);
}

static bool attribute_is(const char *name, const char *value)
{
    return slice_is(event_get(&reply.event, name), value);
}

static bool header_is(const char *name, const char *value)
{
    for (unsigned i = 0; i < reply.header_count; i++)
        if (slice_is_nocase(reply.headers[i].name, name))
            return slice_is(reply.headers[i].value, value);
    return false;
}

static bool plain_is(unsigned status, const char *type, const char *body)
{
    return !reply.is_event && reply.status == status && slice_is(reply.body, body) &&
           (type == NULL ? reply.header_count == 0 : header_is("content-type", type));
}

static void reads_plain_replies(void **state)
{
    static const struct {
        const char *output, *type, *body;
        unsigned status;
    } rows[] = {
        {"", NULL, "", 204},
        {"hello\n", "text/plain; charset=utf-8", "hello\n", 200},
        {" {\"a\":1}\n", "application/json", " {\"a\":1}\n", 200},
        {"[1]", "application/json", "[1]", 200},
        {"{no json}", "text/plain; charset=utf-8", "{no json}", 200},
        {"\xff\xfe", "application/octet-stream", "\xff\xfe", 200},
        {"Content-Type: text/html\n\n<p>", "text/html", "<p>", 200},
        {"Status: 404 Not Found\r\nX-A: b\r\n\r\nnone", "text/plain; charset=utf-8", "none", 404},
        {"status: 204\n\n", NULL, "", 204},
        {"Content-Type: a/b\nContent-Length: 99\nConnection: close\n\nx", "a/b", "x", 200},
        /* no header blocks: no mark, no end, a line that is none */
        {"Note: this\n\nis text", "text/plain; charset=utf-8", "Note: this\n\nis text", 200},
        {"Content-Type: a/b\nx", "text/plain; charset=utf-8", "Content-Type: a/b\nx", 200},
        {"Status: 200\nno colon\n\nx", "text/plain; charset=utf-8", "Status: 200\nno colon\n\nx",
         200},
        {"Status: 200\nA b: c\n\nx", "text/plain; charset=utf-8", "Status: 200\nA b: c\n\nx", 200},
        {"{\"specversion\":1}", "application/json", "{\"specversion\":1}", 200},
        {"Status: 500\nce-type: t\nContent-Type: a/b\n\nx", "a/b", "x", 500},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(read_reply(rows[i].output), 0);
        if (!plain_is(rows[i].status, rows[i].type, rows[i].body))
            fail_msg("row %zu: %u " SLICE_FMT, i, reply.status, SLICE_ARG(reply.body));
    }
    assert_int_equal(read_reply("Location: /there\n\n"), 0);
    assert_true(reply.status == 302 && header_is("location", "/there"));
    assert_int_equal(read_reply("Status: 99\n\nx"), -EINVAL);
    assert_int_equal(read_reply("Status: 2000\n\nx"), -EINVAL);
}

static void reads_event_replies(void **state)
{
    assert_int_equal(read_reply("ce-type: t\nContent-Type: application/json\n\n{\"a\":1}"), 0);
    assert_true(reply.is_event && slice_is(reply.event.data, "{\"a\":1}"));
    assert_true(attribute_is("id", "made") && attribute_is("source", "/functions/n/f") &&
                attribute_is("time", "2026-01-01T00:00:00Z") && attribute_is("type", "t"));
    assert_int_equal(read_reply("CE-Type: t\nCe-Id: 7\nce-source: /me\n\n"), 0);
    assert_true(reply.is_event && attribute_is("id", "7") && attribute_is("source", "/me"));
    assert_int_equal(
        read_reply("{\"specversion\":\"1.0\",\"type\":\"t\",\"id\":\"8\",\"data\":[1]}\n"), 0);
    assert_true(reply.is_event && attribute_is("id", "8") && slice_is(reply.event.data, "[1]"));
    assert_true(attribute_is("source", "/functions/n/f"));
    assert_int_equal(read_reply("{\"specversion\":\"1.0\"}"), -EINVAL);
    assert_string_equal(err.field, "type");
    assert_int_equal(read_reply("ce-id: 7\n\n"), -EINVAL);
    assert_int_equal(read_reply("ce-type: t\nce-type: u\n\n"), -EINVAL);
}

static void add_variable(void *ctx, struct slice variable)
{
    buf_add_slice(&variables, variable);
    buf_add_byte(&variables, '\n');
}

static bool has_variable(const char *variable)
{
    char line[256];
    int len = snprintf(line, sizeof(line), "\n%s\n", variable);
    return memmem(variables.ptr, variables.len, line, (size_t)len) != NULL;
}

static void makes_the_environment(void **state)
{
    static const struct stdio_field headers[] = {
        {{"X-Tag", 5}, {"a", 1}},           {{"Authorization", 13}, {"secret", 6}},
        {{"x-tag", 5}, {"b", 1}},           {{"Proxy", 5}, {"evil", 4}},
        {{"Content-Type", 12}, {"a/b", 3}}, {{"ce-id", 5}, {"1", 1}},
        {{"X-Nul", 5}, {"a\0b", 3}},
    };
    struct stdio_request request = {.method = SLICE("PUT"),
                                    .path = SLICE("/p"),
                                    .query = SLICE(""),
                                    .body = SLICE("body"),
                                    .headers = headers,
                                    .header_count = COUNT_OF(headers)};
    autobuf input = BUF_INIT;
    stdio_input(&request, &input);
    assert_true(slice_is(buf_slice(&input), "body"));
    buf_reset(&variables);
    buf_add_byte(&variables, '\n');
    assert_int_equal(stdio_environment(&request, input.len, add_variable, NULL), 0);
    static const char *const there[] = {
        "REQUEST_METHOD=PUT", "PATH_INFO=/p",     "QUERY_STRING=",   "SCRIPT_NAME=",
        "CONTENT_TYPE=a/b",   "CONTENT_LENGTH=4", "HTTP_X_TAG=a, b", "GATEWAY_INTERFACE=CGI/1.1",
    };
    for (size_t i = 0; i < COUNT_OF(there); i++)
        if (!has_variable(there[i]))
            fail_msg("%s", there[i]);
    static const char *const absent[] = {"secret", "evil", "CE_ID", "HTTP_CE", "X_NUL"};
    for (size_t i = 0; i < COUNT_OF(absent); i++)
        assert_null(memmem(variables.ptr, variables.len, absent[i], strlen(absent[i])));
    assert_true(slice_is(stdio_variable_name(SLICE("A=b=c")), "A"));
}

static void gives_events(void **state)
{
    static struct event event = {.version = EVENT_V1,
                                 .count = 4,
                                 .attributes = {{{"id", 2}, {"7", 1}, EVENT_VALUE_STRING},
                                                {{"type", 4}, {"t", 1}, EVENT_VALUE_STRING},
                                                {{"source", 6}, {"/s", 2}, EVENT_VALUE_STRING},
                                                {{"tag", 3}, {"x", 1}, EVENT_VALUE_STRING}},
                                 .data = {"{\"a\":1}", 7},
                                 .has_data = true};
    struct stdio_request request = {.event = &event, .method = SLICE("POST"), .path = SLICE("/")};
    autobuf input = BUF_INIT;
    stdio_input(&request, &input);
    struct event back;
    assert_true(slice_ends(buf_slice(&input), "}\n"));
    assert_int_equal(event_json_read(buf_slice(&input), &back, &arena, &err), 0);
    assert_true(slice_is(event_get(&back, "tag"), "x") && slice_is(back.data, "{\"a\":1}"));
    buf_reset(&variables);
    buf_add_byte(&variables, '\n');
    assert_int_equal(stdio_environment(&request, input.len, add_variable, NULL), 0);
    assert_true(has_variable("CE_ID=7") && has_variable("CE_TAG=x") &&
                has_variable("CE_SPECVERSION=1.0") &&
                has_variable("CONTENT_TYPE=application/cloudevents+json"));
}

static int tidy(void **state)
{
    event_arena_done(&arena);
    buf_done(&variables);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_plain_replies),
        cmocka_unit_test(reads_event_replies),
        cmocka_unit_test(makes_the_environment),
        cmocka_unit_test(gives_events),
    };
    return cmocka_run_group_tests(tests, NULL, tidy);
}
