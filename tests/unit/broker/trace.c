/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/trace.h"

#include "base/memory.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define ID   "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define GOOD "00-" ID "-" SPAN "-01"

static void which_parents_are_good(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {GOOD, true},
        {"00-" ID "-" SPAN "-00", true},
        {"00-" ID "-" SPAN "-ff", true},
        {"01-" ID "-" SPAN "-01", true},
        {"cc-" ID "-" SPAN "-01-what-the-future-will-be-like", true},
        {"cc-" ID "-" SPAN "-01.what", false},
        {"00-" ID "-" SPAN "-01-", false},
        {"00-" ID "-" SPAN "-01-x", false},
        {"ff-" ID "-" SPAN "-01", false},
        {"00-00000000000000000000000000000000-" SPAN "-01", false},
        {"00-" ID "-0000000000000000-01", false},
        {"00-4BF92F3577b34da6a3ce929d0e0e4736-" SPAN "-01", false},
        {"00-" ID "-" SPAN "-0g", false},
        {"00-" ID "-" SPAN "-0", false},
        {"00_" ID "-" SPAN "-01", false},
        {"00-" ID "_" SPAN "-01", false},
        {"00-" ID "-" SPAN "_01", false},
        {"0-" ID "-" SPAN "-011", false},
        {"", false},
        {"x", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (trace_parent_is_good(slice_text(rows[i].text)) != rows[i].good)
            fail_msg("%s", rows[i].text);
}

struct lines {
    char text[4096];
};

static void add_line(void *ctx, struct slice name, struct slice value)
{
    struct lines *l = ctx;
    size_t len = strlen(l->text);
    snprintf(l->text + len, sizeof(l->text) - len, SLICE_FMT "=" SLICE_FMT "\n", SLICE_ARG(name),
             SLICE_ARG(value));
}

static const char *attributes_of(const struct event *e)
{
    static struct lines l;
    l.text[0] = '\0';
    for (unsigned i = 0; i < e->count; i++)
        add_line(&l, e->attributes[i].name, e->attributes[i].value);
    return l.text;
}

static const char *headers_of(const struct event *e)
{
    static struct lines l;
    l.text[0] = '\0';
    trace_to_headers(e, add_line, &l);
    return l.text;
}

static char long_state[TRACE_STATE_MAX + 2];

static void headers_become_attributes(void **state)
{
    memset(long_state, 'a', sizeof(long_state) - 1);
    const struct {
        const char *headers[7]; /* name, value, … */
        const char *has, *then;
    } rows[] = {
        {{"traceparent", GOOD}, NULL, "traceparent=" GOOD "\n"},
        {{"Traceparent", GOOD, "TraceState", "a=1"},
         NULL,
         "traceparent=" GOOD "\ntracestate=a=1\n"},
        {{"tracestate", "a=1", "traceparent", GOOD, "tracestate", "b=2"},
         NULL,
         "traceparent=" GOOD "\ntracestate=a=1,b=2\n"},
        {{"tracestate", "", "traceparent", GOOD}, NULL, "traceparent=" GOOD "\n"},
        {{"tracestate", long_state, "traceparent", GOOD}, NULL, "traceparent=" GOOD "\n"},
        {{"tracestate", "a=1", "tracestate", long_state, "traceparent", GOOD},
         NULL,
         "traceparent=" GOOD "\n"},
        {{"tracestate", "a=\xc3\xa9", "traceparent", GOOD}, NULL, "traceparent=" GOOD "\n"},
        {{"tracestate", "a=1"}, NULL, ""},
        {{"traceparent", "00-x"}, NULL, ""},
        {{"traceparent", GOOD, "traceparent", GOOD}, NULL, ""},
        {{"traceparents", GOOD}, NULL, ""},
        {{"traceparent", GOOD, "tracestate", "a=1"}, "own", "traceparent=own\n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct event_arena arena = {0};
        struct trace t = {.arena = &arena};
        struct event e = {.version = EVENT_V1};
        if (rows[i].has != NULL)
            event_set(&e, "traceparent", slice_text(rows[i].has));
        for (size_t h = 0;
             h + 1 < 7 && rows[i].headers[h] != NULL && rows[i].headers[h + 1] != NULL; h += 2)
            trace_header(&t, slice_text(rows[i].headers[h]), slice_text(rows[i].headers[h + 1]));
        if (trace_is_for(&t, &e))
            trace_to_event(&t, &e);
        if (strcmp(attributes_of(&e), rows[i].then) != 0)
            fail_msg("row %zu: %s", i, attributes_of(&e));
        event_arena_done(&arena);
    }
}

/* No more than there is room for, and nothing is refused. */
static void a_full_event_keeps_its_attributes(void **state)
{
    static char names[EVENT_ATTRIBUTES_MAX][8];
    struct event_arena arena = {0};
    struct trace t = {.arena = &arena};
    struct event e = {.version = EVENT_V1};
    for (unsigned i = 0; i < EVENT_ATTRIBUTES_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "a%u", i);
        event_set(&e, names[i], SLICE("x"));
    }
    trace_header(&t, SLICE("traceparent"), SLICE(GOOD));
    assert_true(trace_is_for(&t, &e));
    trace_to_event(&t, &e);
    assert_int_equal(e.count, EVENT_ATTRIBUTES_MAX);
    assert_null(event_get(&e, "traceparent").ptr);
}

static void attributes_become_headers(void **state)
{
    struct event e = {.version = EVENT_V1};
    assert_string_equal(headers_of(&e), "");
    event_set(&e, "tracestate", SLICE("a=1"));
    assert_string_equal(headers_of(&e), "");
    event_set(&e, "traceparent", SLICE("mine"));
    assert_string_equal(headers_of(&e), "");
    event_set(&e, "traceparent", SLICE(GOOD));
    assert_string_equal(headers_of(&e), "traceparent=" GOOD "\ntracestate=a=1\n");
    event_set(&e, "tracestate", SLICE("a=\r\nx: y"));
    assert_string_equal(headers_of(&e), "traceparent=" GOOD "\n");
}

static void a_reply_goes_on_with_the_trace(void **state)
{
    struct event cause = {.version = EVENT_V1}, reply = {.version = EVENT_V03};
    trace_inherit(&reply, &cause);
    assert_int_equal(reply.count, 0);
    event_set(&cause, "traceparent", SLICE(GOOD));
    trace_inherit(&reply, &cause);
    assert_string_equal(attributes_of(&reply), "traceparent=" GOOD "\n");
    struct event second = {.version = EVENT_V1};
    event_set(&cause, "tracestate", SLICE("a=1"));
    trace_inherit(&second, &cause);
    assert_string_equal(attributes_of(&second), "traceparent=" GOOD "\ntracestate=a=1\n");
    struct event own = {.version = EVENT_V1};
    event_set(&own, "traceparent", SLICE("own"));
    trace_inherit(&own, &cause);
    assert_string_equal(attributes_of(&own), "traceparent=own\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_parents_are_good),
        cmocka_unit_test(headers_become_attributes),
        cmocka_unit_test(a_full_event_keeps_its_attributes),
        cmocka_unit_test(attributes_become_headers),
        cmocka_unit_test(a_reply_goes_on_with_the_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
