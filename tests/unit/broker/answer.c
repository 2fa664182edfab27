/* SPDX-License-Identifier: Apache-2.0 */
/* What each answer of a subscriber leads to: Knative's tables of codes and of bodies, one row each.
 */
#include "world.h"

#include "unit.h"

#include "base/encoding.h"
#include "broker/row.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum end { DONE, RETRIED, DEAD };

struct answer {
    unsigned status;
    enum end end;
    bool reply;
    const char *fields, *body;
    int error;
};

static const struct answer *given;

static void as_given(struct world *w, struct fake_call *c)
{
    if (strcmp(c->type, "ask") != 0)
        return;
    c->status = given->status;
    c->error = given->error;
    c->fields = given->fields;
    c->body = given->body;
}

/* Sends one event to a trigger with one retry, and holds its end to the row. */
static void check(struct world *w, unsigned number, const struct answer *row, const char *to)
{
    const struct counters *c = &w->core->counters;
    uint64_t done = atomic_load(&c->delivered), dead = atomic_load(&c->dead),
             replies = atomic_load(&c->replies);
    char id[16];
    snprintf(id, sizeof(id), "%u", number);
    given = row;
    world_send(w, id, "ask");
    WORLD_UNTIL(w, atomic_load(&c->delivered) + atomic_load(&c->dead) > done + dead &&
                       w->core->settling == 0);
    unsigned attempts = row->end == RETRIED ? 2 : 1;
    if (world_seen(w, to, id) != attempts ||
        atomic_load(&c->delivered) - done != (row->end == DONE) ||
        atomic_load(&c->dead) - dead != (row->end != DONE) ||
        atomic_load(&c->replies) - replies != row->reply)
        fail_msg("status %u, %s%s: %u attempts, %llu done, %llu dead, %llu replies", row->status,
                 row->fields != NULL ? row->fields : "", row->body != NULL ? row->body : "",
                 world_seen(w, to, id), (unsigned long long)(atomic_load(&c->delivered) - done),
                 (unsigned long long)(atomic_load(&c->dead) - dead),
                 (unsigned long long)(atomic_load(&c->replies) - replies));
}

#define DELIVERY                                                                                   \
    "\"filter\":{\"attributes\":{\"type\":\"ask\"}},\"delivery\":{\"retry\":1,\"backoffDelay\":"   \
    "\"PT0.001S\"}"
#define URL "http://subscriber.test/"

static void url_trigger(struct world *w, const char *more)
{
    autobuf json = BUF_INIT;
    buf_printf(&json,
               "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Trigger\",\"metadata\":"
               "{\"name\":\"t\"},\"spec\":{\"broker\":\"b\",\"subscriber\":{\"uri\":\"" URL
               "\"},%s}}",
               more);
    world_apply(w, json.ptr);
}

static void every_code(void **state)
{
    struct world *w = *state;
    w->plan = as_given;
    url_trigger(w, DELIVERY);
    for (unsigned status = 100; status < 600; status++) {
        bool again =
            status == 404 || status == 408 || status == 409 || status == 429 || status >= 500;
        struct answer row = {.status = status,
                             .end = status / 100 == 2 ? DONE
                                    : again           ? RETRIED
                                                      : DEAD};
        check(w, status, &row, URL);
    }
}

static void no_answer(void **state)
{
    static const int errors[] = {-ETIMEDOUT, -ECONNREFUSED, -ECONNRESET,   -EHOSTUNREACH,
                                 -EMSGSIZE,  -EPROTO,       -EKEYREJECTED, -EIO};
    struct world *w = *state;
    w->plan = as_given;
    url_trigger(w, DELIVERY);
    for (unsigned i = 0; i < COUNT_OF(errors); i++)
        check(w, i, &(struct answer){.error = errors[i], .end = RETRIED}, URL);
}

#define BINARY     "ce-specversion: 1.0\nce-id: r\nce-source: /s\nce-type: reply\n"
#define STRUCTURED "Content-Type: application/cloudevents+json\n"
#define EVENT      "{\"specversion\":\"1.0\",\"id\":\"r\",\"source\":\"/s\",\"type\":\"reply\"}"
#define EVENT_03   "{\"specversion\":\"0.3\",\"id\":\"r\",\"source\":\"/s\",\"type\":\"reply\"}"

static const struct answer bodies[] = {
    {200, DONE, .body = ""},
    {201, DONE, .body = ""},
    {204, DONE, .body = ""},
    {200, DONE, .fields = "Content-Type: text/plain\n", .body = ""},
    {200, DONE, true, BINARY},
    {201, DONE, true, BINARY},
    {203, DONE, true, BINARY},
    {299, DONE, true, BINARY},
    {204, DONE, true, BINARY},
    {202, DONE, false, BINARY},
    {202, DONE, false, STRUCTURED, EVENT},
    {202, DONE, false, "Content-Type: text/plain\n", "accepted"},
    {202, DONE, false, STRUCTURED, "{"},
    {200, DONE, true, BINARY "Content-Type: text/plain\n", "data"},
    {200, DONE, true, "CE-SpecVersion: 1.0\nCe-Id: r\nCe-Source: /s\nCe-Type: reply\n"},
    {200, DONE, true, STRUCTURED, EVENT},
    {200, DONE, true, "content-type: Application/CloudEvents+JSON; charset=utf-8\n", EVENT},
    {200, DONE, true, STRUCTURED, EVENT_03},
    {200, DONE, true, "ce-specversion: 0.3\nce-id: r\nce-source: /s\nce-type: reply\n"},
    /* in a format that is not read: as it is */
    {200, DONE, true, "Content-Type: application/cloudevents+avro\n", "Obj"},
    {200, DONE, true, "Content-Type: application/cloudevents+avro\n" BINARY, "Obj"},
    {200, RETRIED, false, "Content-Type: application/cloudevents+avro\nce-specversion: 1.0\n",
     "Obj"},
    {200, RETRIED, false, "Content-Type: application/cloudevents-batch+avro\n", "Obj"},
    /* no event */
    {200, RETRIED, .body = "thanks"},
    {200, RETRIED, .body = " "},
    {201, RETRIED, .body = "thanks"},
    {204, RETRIED, .body = "thanks"},
    {200, RETRIED, false, "Content-Type: application/json\n", "{}"},
    /* no good event */
    {200, RETRIED, false, STRUCTURED, ""},
    {200, RETRIED, false, STRUCTURED, "{"},
    {200, RETRIED, false, STRUCTURED, "[" EVENT "]"},
    {200, RETRIED, false, STRUCTURED, "{\"specversion\":\"1.0\",\"id\":\"r\"}"},
    {200, RETRIED, false, STRUCTURED,
     "{\"specversion\":\"19.0\",\"id\":\"r\",\"source\":\"/s\",\"type\":\"reply\"}"},
    {200, RETRIED, false, "ce-specversion: 1.0\nce-id: r\n"},
    {200, RETRIED, false, "ce-id: r\nce-source: /s\nce-type: reply\n"},
    {200, RETRIED, false, BINARY "ce-ext: %C0%A0\n"},
    /* a batch is not one event */
    {200, RETRIED, false, "Content-Type: application/cloudevents-batch+json\n", "[" EVENT "]"},
    {200, RETRIED, false, "Content-Type: application/cloudevents-batch+json\n", "[]"},
    /* an event in an answer that fails is none */
    {500, RETRIED, false, BINARY},
    {400, DEAD, false, BINARY},
    {302, DEAD, false, BINARY "Location: http://elsewhere.test/\n"},
};

static void every_body(void **state)
{
    struct world *w = *state;
    w->plan = as_given;
    url_trigger(w, DELIVERY);
    for (unsigned i = 0; i < COUNT_OF(bodies); i++)
        check(w, i, &bodies[i], URL);
}

/* Its answer need not be an event; what claims to be one must be. */
static void the_body_of_a_function(void **state)
{
    static const struct answer rows[] = {
        {200, DONE, false, "Content-Type: application/json\n", "{\"a\":1}"},
        {200, DONE, true, STRUCTURED, EVENT},
        {200, RETRIED, false, STRUCTURED, "{"},
        {200, RETRIED, false, "Content-Type: application/cloudevents-batch+json\n", "[" EVENT "]"},
        {422, DEAD},
        {503, RETRIED},
    };
    struct world *w = *state;
    w->plan = as_given;
    world_trigger(w, "t", "f", "," DELIVERY);
    for (unsigned i = 0; i < COUNT_OF(rows); i++)
        check(w, i, &rows[i], "f");
}

static const struct delivery *first_retry(const struct trigger *t)
{
    return list_entry(t->retrying.next, struct delivery, outstanding);
}

static const char *wish;
static unsigned wish_status;

static void fail_with_a_wish(struct world *w, struct fake_call *c)
{
    c->status = wish_status;
    c->fields = wish;
}

static uint64_t delay_after(struct world *w, unsigned status, const char *fields)
{
    static unsigned count;
    char name[16], more[200];
    snprintf(name, sizeof(name), "wish%u", count++);
    snprintf(more, sizeof(more),
             ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT30S\",\"retryAfterMax\":\"PT2H\"}");
    wish = fields;
    wish_status = status;
    w->plan = fail_with_a_wish;
    world_trigger(w, name, "f", more);
    struct trigger *t = world_trigger_find(w, name);
    world_send(w, name, "ask");
    WORLD_UNTIL(w, t->retrying_count == 1 && w->core->settling == 0);
    uint64_t delay = first_retry(t)->delay_ns;
    world_delete(w, &resource_kind_trigger, name);
    return delay;
}

/* The longer of back-off and what is asked for, which is capped. */
static void retry_after(void **state)
{
    static const struct {
        unsigned status, seconds;
        const char *fields;
    } rows[] = {
        {429, 100, "Retry-After: 100\n"},
        {503, 100, "retry-after: 100\n"},
        {500, 30, "Retry-After: 100\n"},
        {404, 30, "Retry-After: 100\n"},
        {429, 30, "Retry-After: 7\n"},
        {429, 30, "Retry-After: 0\n"},
        {429, 30, "Retry-After: soon\n"},
        {429, 30, "Retry-After: -100\n"},
        {429, 30, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\n"},
        {429, 7200, "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\n"},
        {429, 7200, "Retry-After: 7201\n"},
        {429, 7200, "Retry-After: 99999999999999999999999999\n"},
        {429, 200, "Retry-After: 100\nRetry-After: 200\n"},
        {429, 100, "Retry-After: later\nRetry-After: 100\n"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t delay = delay_after(w, rows[i].status, rows[i].fields);
        if (delay != rows[i].seconds * CLOCK_SECOND)
            fail_msg("%u %s: %llu ns", rows[i].status, rows[i].fields, (unsigned long long)delay);
    }
}

/* A date is relative to the clock that the core has. */
static void retry_after_a_date(void **state)
{
    static const char *const forms[] = {"Retry-After: %a, %d %b %Y %H:%M:%S GMT\n",
                                        "Retry-After: %A, %d-%b-%y %H:%M:%S GMT\n",
                                        "Retry-After: %a %b %e %H:%M:%S %Y\n"};
    struct world *w = *state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        time_t then = (time_t)(loop_realtime(w->loop) / CLOCK_SECOND) + 1000;
        struct tm tm;
        char field[80];
        gmtime_r(&then, &tm);
        strftime(field, sizeof(field), forms[i], &tm);
        uint64_t delay = delay_after(w, 503, field);
        /* of whole seconds; a loaded machine takes some */
        assert_in_range(delay, 900 * CLOCK_SECOND, 1000 * CLOCK_SECOND);
    }
}

/* ---- dead letters ---- */

#define TO_SINK                                                                                    \
    "\"filter\":{\"attributes\":{\"type\":\"ask\"}},\"delivery\":{\"retry\":0,\"deadLetterSink\":" \
    "{"                                                                                            \
    "\"uri\":\"http://dead.test/\"}}"

static bool has_line(const struct world *w, const char *line)
{
    return strstr(w->head, line) != NULL;
}

static void expect_data(const struct world *w, struct slice bytes)
{
    autobuf line = BUF_INIT;
    buf_add_text(&line, "ce-knativeerrordata: ");
    encoding_base64_add(&line, bytes);
    buf_add_text(&line, "\n");
    if (!has_line(w, line.ptr))
        fail_msg("no %s in %s", line.ptr, w->head);
}

static char long_body[3000];

static void fail_at_subscriber(struct world *w, struct fake_call *c)
{
    if (strcmp(c->to, URL) == 0)
        as_given(w, c);
}

static void to_sink(struct world *w, unsigned number, const struct answer *row)
{
    char id[16];
    snprintf(id, sizeof(id), "%u", number);
    given = row;
    world_send(w, id, "ask");
    WORLD_UNTIL(w, world_seen(w, "http://dead.test/", id) == 1 && w->core->settling == 0);
    assert_true(has_line(w, "ce-knativeerrordest: " URL "\n"));
}

static void a_dead_letter_says_why(void **state)
{
    struct world *w = *state;
    memset(long_body, 'x', sizeof(long_body) - 1);
    w->plan = fail_at_subscriber;
    url_trigger(w, TO_SINK);
    to_sink(w, 0, &(struct answer){.status = 400, .body = "because"});
    assert_true(has_line(w, "ce-knativeerrorcode: 400\n"));
    expect_data(w, SLICE("because"));
    /* 1024 characters of base64 */
    to_sink(w, 1, &(struct answer){.status = 500, .body = long_body});
    assert_true(has_line(w, "ce-knativeerrorcode: 500\n"));
    expect_data(w, slice_of(long_body, 768));
    /* an answer without a body has no data */
    to_sink(w, 2, &(struct answer){.status = 418});
    assert_true(has_line(w, "ce-knativeerrorcode: 418\n"));
    assert_false(has_line(w, "knativeerrordata"));
    /* no answer */
    to_sink(w, 3, &(struct answer){.error = -ECONNREFUSED});
    assert_true(has_line(w, "ce-knativeerrorcode: 500\n"));
    expect_data(w, SLICE("dispatch error: as planned"));
    /* a reply that is none */
    to_sink(w, 4, &(struct answer){.status = 200, .body = "thanks"});
    assert_true(has_line(w, "ce-knativeerrorcode: 502\n"));
    expect_data(w, SLICE("thanks"));
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 5);
}

static unsigned sink_status;
static const char *sink_fields, *sink_body;

static void as_the_sink(struct world *w, struct fake_call *c)
{
    fail_at_subscriber(w, c);
    if (strcmp(c->to, URL) == 0)
        return;
    c->status = sink_status;
    c->fields = sink_fields;
    c->body = sink_body;
}

/* Any 2xx is the end; an event in it goes nowhere. */
static void the_answer_of_a_dead_letter_sink(void **state)
{
    struct world *w = *state;
    const struct counters *c = &w->core->counters;
    w->plan = as_the_sink;
    url_trigger(w, TO_SINK);
    sink_status = 200;
    sink_fields = BINARY;
    to_sink(w, 0, &(struct answer){.status = 400});
    sink_fields = NULL;
    sink_body = "thanks";
    to_sink(w, 1, &(struct answer){.status = 400});
    WORLD_UNTIL(w, atomic_load(&c->delivered) == 2 && world_rows(w, STORE_TABLE_RETRIES) == 0);
    sink_status = 400;
    to_sink(w, 2, &(struct answer){.status = 400});
    WORLD_UNTIL(w, atomic_load(&c->dead) == 4 && world_rows(w, STORE_TABLE_RETRIES) == 0);
    world_rest(w);
    assert_int_equal(atomic_load(&c->replies), 0);
    assert_int_equal(world_events(w, "reply"), 0);
    assert_int_equal(world_rows(w, STORE_TABLE_DEAD), 3);
}

/* ---- format ---- */

static void the_format_decides_the_mode(void **state)
{
    static const struct {
        const char *format;
        bool structured;
    } rows[] = {{"", false}, {",\"format\":\"binary\"", false}, {",\"format\":\"json\"", true}};
    struct world *w = *state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char more[200], id[16];
        snprintf(id, sizeof(id), "%zu", i);
        snprintf(more, sizeof(more), "\"delivery\":{\"retry\":1,\"timeout\":\"PT%zuS\"%s}", i + 1,
                 rows[i].format);
        url_trigger(w, more);
        world_send(w, id, "ask");
        WORLD_UNTIL(w, w->seen_count == i + 1);
        assert_int_equal(w->timeout_ns, (i + 1) * CLOCK_SECOND);
        assert_true(has_line(w, "Prefer: reply\n"));
        assert_int_equal(has_line(w, "Content-Type: application/cloudevents+json\n"),
                         rows[i].structured);
        assert_int_equal(has_line(w, "ce-id: "), !rows[i].structured);
        assert_int_equal(strstr(w->sent, "\"specversion\":\"1.0\"") != NULL, rows[i].structured);
    }
}

int main(void)
{
#define ANSWER_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_memory, world_teardown)
    const struct CMUnitTest tests[] = {
        ANSWER_TEST(every_code),
        ANSWER_TEST(no_answer),
        ANSWER_TEST(every_body),
        ANSWER_TEST(the_body_of_a_function),
        ANSWER_TEST(retry_after),
        ANSWER_TEST(retry_after_a_date),
        ANSWER_TEST(a_dead_letter_says_why),
        ANSWER_TEST(the_answer_of_a_dead_letter_sink),
        ANSWER_TEST(the_format_decides_the_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
