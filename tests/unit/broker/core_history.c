/* SPDX-License-Identifier: Apache-2.0 */
/* GET /-/events/{position}, pages of /-/events and /-/attempts, over a real HTTP server. */
#include "world.h"

#include "unit.h"

#include "../http/peer.h"
#include "base/bytes.h"
#include "broker/attempt.h"
#include "broker/row.h"

#include <jansson.h>

/* ---- asking ---- */

static json_t *ask(struct world *w, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The answer's body; the loop goes on meanwhile. */
static json_t *ask(struct world *w, unsigned status, const char *format, ...)
{
    autobuf request = BUF_INIT;
    autobuf in = BUF_INIT;
    va_list arguments;
    buf_add_text(&request, "GET ");
    va_start(arguments, format);
    buf_vprintf(&request, format, arguments);
    va_end(arguments);
    buf_add_text(&request, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    int fd = peer_connect(http_server_address(w->server));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    peer_send(fd, buf_slice(&request));
    do
        WORLD_UNTIL(w, poll(&p, 1, 0) > 0);
    while (peer_more(fd, &in));
    close(fd);
    assert_non_null(in.ptr);
    if (strtoul(in.ptr + strlen("HTTP/1.1 "), NULL, 10) != status)
        fail_msg("%s: %s", request.ptr, in.ptr);
    json_error_t where;
    json_t *body = json_loads(strstr(in.ptr, "\r\n\r\n") + 4, JSON_DISABLE_EOF_CHECK, &where);
    if (body == NULL)
        fail_msg("%s: %s", where.text, in.ptr);
    return body;
}

/* At a path of members and indices, 0:a:1; NULL: there is nothing. */
static json_t *at(json_t *from, const char *path)
{
    char copy[200], *rest = copy;
    snprintf(copy, sizeof(copy), "%s", path);
    for (char *step; from != NULL && (step = strsep(&rest, ":")) != NULL;)
        from = json_is_array(from) ? json_array_get(from, strtoul(step, NULL, 10))
                                   : json_object_get(from, step);
    return from;
}

static const char *text(json_t *from, const char *path)
{
    const char *value = json_string_value(at(from, path));
    return value != NULL ? value : "";
}

static long long number(json_t *from, const char *path)
{
    return (long long)json_integer_value(at(from, path));
}

#define STATE "deliveries:0:state"

/* The history, as soon as its first delivery is there. */
static json_t *history_when(struct world *w, int64_t position, const char *path, const char *value)
{
    for (uint64_t until = clock_monotonic() + 20 * CLOCK_SECOND;;) {
        json_t *h = ask(w, 200, "/-/events/%lld", (long long)position);
        if (strcmp(text(h, path), value) == 0)
            return h;
        if (clock_monotonic() > until)
            fail_msg("%s is \"%s\", not \"%s\"", path, text(h, path), value);
        json_decref(h);
        world_turn(w);
    }
}

/* ---- trees ---- */

static void busy_once_then_chain(struct world *w, struct fake_call *c)
{
    if (strcmp(c->type, "a") == 0 && world_seen(w, "f", c->id) == 1) {
        c->status = 503;
        return;
    }
    if (strcmp(c->type, "a") == 0 || strcmp(c->type, "b") == 0) {
        snprintf(c->reply_id, sizeof(c->reply_id), "%.60s+", c->id);
        snprintf(c->reply_type, sizeof(c->reply_type), "%s", c->type[0] == 'a' ? "b" : "c");
    } else {
        c->status = 400;
    }
}

#define CHAIN_DELIVERY ",\"delivery\":{\"retry\":3,\"backoffDelay\":\"PT0.001S\"}"

static void assert_chain(json_t *h, int64_t position)
{
    assert_int_equal(number(h, "position"), position);
    assert_string_equal(text(h, "event:id"), "1");
    assert_string_equal(text(h, "broker"), "b");
    assert_int_equal(json_array_size(at(h, "causes")), 0);
    assert_int_equal(json_array_size(at(h, "deliveries")), 1);
    assert_string_equal(text(h, "deliveries:0:trigger"), "t");
    assert_string_equal(text(h, STATE), "delivered");
    json_t *attempts = at(h, "deliveries:0:attempts");
    assert_int_equal(json_array_size(attempts), 2);
    assert_int_equal(number(attempts, "0:code"), 503);
    assert_string_equal(text(attempts, "0:end"), "retry");
    assert_string_equal(text(attempts, "0:error"), "answered 503 Service Unavailable");
    assert_non_null(at(attempts, "0:due"));
    assert_int_equal(number(attempts, "1:number"), 2);
    assert_int_equal(number(attempts, "1:code"), 200);
    json_t *reply = at(attempts, "1:reply");
    assert_int_equal(number(reply, "position"), number(attempts, "1:position") - 1);
    assert_string_equal(text(reply, "event:id"), "1+");
    json_t *last = at(reply, "deliveries:0:attempts:0:reply");
    assert_string_equal(text(last, "event:id"), "1++");
    assert_string_equal(text(last, STATE), "dead");
    assert_int_equal(number(last, "deliveries:0:attempts:0:code"), 400);
    assert_string_equal(text(last, "deliveries:0:attempts:0:end"), "dead");
    assert_true(json_is_false(at(h, "truncated")));
}

#define LAST_STATE "deliveries:0:attempts:1:reply:deliveries:0:attempts:0:reply:deliveries:0:state"

static int64_t run_chain(struct world *w)
{
    w->plan = busy_once_then_chain;
    world_trigger(w, "t", "f", CHAIN_DELIVERY);
    return world_send(w, "1", "a");
}

static void replies_make_a_tree(void **state)
{
    struct world *w = *state;
    int64_t position = run_chain(w);
    json_t *h = history_when(w, position, LAST_STATE, "dead");
    assert_chain(h, position);
    long long leaf =
        number(h, "deliveries:0:attempts:1:reply:deliveries:0:attempts:0:reply:position");
    json_decref(h);
    h = ask(w, 200, "/-/events/%lld", leaf);
    assert_int_equal(json_array_size(at(h, "causes")), 2); /* the nearest first */
    assert_string_equal(text(h, "causes:0:event:id"), "1+");
    assert_string_equal(text(h, "causes:0:answeredBy:trigger"), "t");
    assert_int_equal(number(h, "causes:0:answeredBy:attempt"), 1);
    assert_int_equal(number(h, "causes:1:position"), position);
    assert_int_equal(number(h, "causes:1:answeredBy:attempt"), 2);
    json_decref(h);
}

static void a_restart_changes_nothing(void **state)
{
    struct world *w = *state;
    int64_t position = run_chain(w);
    json_t *before = history_when(w, position, LAST_STATE, "dead");
    world_restart_served(w);
    json_t *after = history_when(w, position, LAST_STATE, "dead");
    assert_chain(after, position);
    json_object_del(before, "readTo");
    json_object_del(after, "readTo");
    assert_true(json_equal(before, after));
    json_decref(before);
    json_decref(after);
}

static void never(struct world *w, struct fake_call *c)
{
    c->never = true;
}

static void what_has_no_record_yet_is_told_by_the_loop(void **state)
{
    struct world *w = *state;
    w->plan = never;
    world_trigger(w, "t", "f", "");
    int64_t first = world_send(w, "0", "x");
    world_send_many(w, "e", TRIGGER_WINDOW + TRIGGER_WAITING_MAX + 100, "x");
    int64_t last = world_send(w, "last", "x");
    WORLD_UNTIL(w, w->in_flight == TRIGGER_WINDOW);
    WORLD_UNTIL(w, world_trigger_find(w, "t")->behind != 0);
    json_decref(history_when(w, first, STATE, "in flight"));
    json_decref(history_when(w, first + TRIGGER_WINDOW + 20, STATE, "waiting"));
    json_decref(history_when(w, last, STATE, "behind"));
}

static void fail_all(struct world *w, struct fake_call *c)
{
    c->status = 500;
}

static void an_event_behind_a_blocked_one_of_its_key(void **state)
{
    struct world *w = *state;
    w->plan = fail_all;
    world_trigger_annotated(w, "t", "\"sluice.dev/order\":\"ordered\"", "f",
                            ",\"delivery\":{\"retry\":5,\"backoffDelay\":\"PT1H\"}");
    w->partitionkey = "k";
    world_send(w, "0", "x");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_RETRIES) == 1);
    int64_t last = world_send(w, "1", "x");
    w->partitionkey = NULL;
    json_decref(history_when(w, last, STATE, "behind"));
}

static void a_delivery_that_waits_says_until_when(void **state)
{
    struct world *w = *state;
    w->plan = fail_all;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":5,\"backoffDelay\":\"PT5M\"}");
    int64_t position = world_send(w, "1", "x");
    json_t *h = history_when(w, position, STATE, "retrying");
    assert_string_equal(text(h, "deliveries:0:due"), text(h, "deliveries:0:attempts:0:due"));
    json_decref(h);
}

/* ---- records of other versions, and none ---- */

static void append(struct world *w, struct store_group *g)
{
    uint64_t before = store_synced(w->store);
    store_append(w->store, g, NULL, NULL);
    WORLD_UNTIL(w, store_synced(w->store) > before);
}

static void add_finish(struct store_group *g, uint64_t position, struct slice value)
{
    char key[sizeof(uint64_t)];
    bytes_put_le64(key, position);
    store_group_add(g, STORE_RECORD_FINISH, 77, slice_of(key, sizeof(key)), value);
}

/* As they were before ends had values: the row in RETRIES says what was. */
static void ends_of_older_versions_are_shown(void **state)
{
    struct world *w = *state;
    autobuf key = BUF_INIT;
    autobuf value = BUF_INIT;
    struct store_group g;
    int64_t position = world_send(w, "1", "x");
    store_group_init(&g);
    add_finish(&g, (uint64_t)position, SLICE(""));
    row_retry_key(77, RETRY_AGAIN, 5, (uint64_t)position, &key);
    buf_add_u32(&value, 1);
    buf_add_u32(&value, 503);
    buf_add_u64(&value, 0);
    buf_add_u64(&value, 1);
    buf_add_u64(&value, 1);
    buf_add_text(&value, "answered 503");
    store_group_add(&g, STORE_RECORD_PUT, STORE_TABLE_RETRIES, buf_slice(&key), buf_slice(&value));
    append(w, &g);
    json_t *h = ask(w, 200, "/-/events/%lld", (long long)position);
    assert_true(json_is_null(at(h, "deliveries:0:trigger"))); /* deleted since */
    assert_int_equal(number(h, "deliveries:0:triggerNumber"), 77);
    assert_string_equal(text(h, STATE), "retrying");
    assert_int_equal(number(h, "deliveries:0:attempts:0:number"), 1);
    assert_int_equal(number(h, "deliveries:0:attempts:0:code"), 503);
    assert_string_equal(text(h, "deliveries:0:attempts:0:error"), "answered 503");
    json_decref(h);
}

static void what_cannot_be_read_is_shown_as_such(void **state)
{
    struct world *w = *state;
    struct store_group g;
    int64_t position = world_send(w, "1", "x");
    store_group_init(&g);
    add_finish(&g, (uint64_t)position, SLICE("???"));
    append(w, &g);
    json_t *h = ask(w, 200, "/-/events/%lld", (long long)position);
    assert_string_equal(text(h, STATE), "unknown");
    assert_string_equal(text(h, "deliveries:0:attempts:0:error"),
                        "the record of this end cannot be read");
    json_decref(h);
    store_group_init(&g);
    store_group_add(&g, STORE_RECORD_EVENT, 1, SLICE(""), SLICE("no event"));
    append(w, &g);
    h = ask(w, 200, "/-/events/%llu", (unsigned long long)store_synced(w->store));
    assert_true(json_is_null(at(h, "event")));
    assert_string_equal(text(h, "undecodable"), "bm8gZXZlbnQ=");
    json_decref(h);
}

static void what_is_not_there_is_said_with_a_way_on(void **state)
{
    struct world *w = *state;
    int64_t position = world_send(w, "1", "x");
    json_t *e = ask(w, 404, "/-/events/%lld", (long long)position + 1000);
    assert_non_null(strstr(text(e, "error:message"), "the log ends with"));
    json_decref(e);
    e = ask(w, 404, "/-/events/1"); /* the broker's own record */
    assert_non_null(strstr(text(e, "error:message"), "no event"));
    json_decref(e);
    json_decref(ask(w, 400, "/-/events/x"));
    json_decref(ask(w, 400, "/-/events/0"));
    json_decref(ask(w, 400, "/-/events?limit=0"));
    json_decref(ask(w, 400, "/-/events?limit=1&since=yesterday"));
    json_decref(ask(w, 400, "/-/events?limit=1&order=up"));
    json_decref(ask(w, 400, "/-/attempts?event=abc"));
    json_decref(ask(w, 400, "/-/attempts?failed=maybe"));
    json_decref(ask(w, 404, "/-/attempts?trigger=none"));
}

static void what_the_log_has_no_more_is_gone(void **state)
{
    struct world *w = *state;
    int64_t position = world_send(w, "1", "x");
    world_send_many(w, "e", 3000, "x");
    WORLD_UNTIL(w, w->core->scanned == store_synced(w->store));
    world_checkpoint(w);
    store_retain(w->store, store_synced(w->store), 0);
    assert_true(store_first(w->store) > (uint64_t)position);
    json_t *e = ask(w, 410, "/-/events/%lld", (long long)position);
    assert_non_null(strstr(text(e, "error:message"), "the log begins with"));
    json_decref(e);
}

/* ---- pages ---- */

/* Reads all pages; expects each item once, in order, by their member `position`. */
static unsigned read_pages(struct world *w, const char *path, bool descending)
{
    char go_on[64] = "";
    long long last = descending ? INT64_MAX : 0;
    unsigned count = 0;
    for (;;) {
        json_t *page = ask(w, 200, "%s%s", path, go_on);
        for (size_t i = 0; i < json_array_size(at(page, "items")); i++) {
            long long position = number(json_array_get(at(page, "items"), i), "position");
            assert_true(descending ? position < last : position > last);
            last = position;
            count++;
        }
        bool more = at(page, "continue") != NULL;
        snprintf(go_on, sizeof(go_on), "&continue=%s", text(page, "continue"));
        json_decref(page);
        if (!more)
            return count;
    }
}

#define MANY 500

static void pages_hold_all_once(void **state)
{
    struct world *w = *state;
    w->plan = fail_all;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT0.001S\"}");
    world_send_many(w, "e", MANY, "x");
    world_send_many(w, "other", 40, "y");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == MANY + 40);
    assert_int_equal(read_pages(w, "/-/events?limit=7", false), MANY + 40);
    assert_int_equal(read_pages(w, "/-/events?limit=7&order=desc", true), MANY + 40);
    assert_int_equal(read_pages(w, "/-/events?limit=9&type=y", false), 40);
    assert_int_equal(read_pages(w, "/-/events?limit=9&id=other*", false), 40);
    assert_int_equal(read_pages(w, "/-/events?limit=9&namespace=none", false), 0);
    assert_int_equal(read_pages(w, "/-/events?id=other7", false), 1);
    assert_int_equal(read_pages(w, "/-/events?id=other7&order=desc", true), 1);
    assert_int_equal(read_pages(w, "/-/events?id=none", false), 0);
    assert_int_equal(read_pages(w, "/-/attempts?limit=11", true), 2 * (MANY + 40));
    assert_int_equal(read_pages(w, "/-/attempts?limit=1000&order=asc", false), 2 * (MANY + 40));
    assert_int_equal(read_pages(w, "/-/attempts?limit=100&failed=true&trigger=t", true),
                     2 * (MANY + 40));
}

/* Nothing is lost and nothing comes twice, however little of the log one request may read. */
static void small_budgets_only_cost_requests(void **state)
{
    struct world *w = *state;
    w->plan = fail_all;
    world_trigger(w, "t", "f", ",\"delivery\":{\"retry\":1,\"backoffDelay\":\"PT0.001S\"}");
    int64_t position = world_send(w, "first", "x");
    world_send_many(w, "e", 2 * MANY, "x");
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 2 * MANY + 1);
    w->core->inspect_bytes_max = 10000;
    assert_int_equal(read_pages(w, "/-/events?limit=400", false), 2 * MANY + 1);
    assert_int_equal(read_pages(w, "/-/events?limit=400&order=desc", true), 2 * MANY + 1);
    assert_int_equal(read_pages(w, "/-/events?id=e77", false), 1);
    assert_int_equal(read_pages(w, "/-/attempts?limit=400", true), 4 * MANY + 2);
    json_t *h = ask(w, 200, "/-/events/%lld", (long long)position);
    assert_true(json_is_true(at(h, "truncated")));
    assert_true((uint64_t)number(h, "readTo") < store_synced(w->store));
    json_decref(h);
}

static void attempts_carry_what_the_rows_say(void **state)
{
    struct world *w = *state;
    int64_t position = run_chain(w);
    json_decref(history_when(w, position, LAST_STATE, "dead"));
    json_t *page = ask(w, 200, "/-/attempts?event=%lld", (long long)position);
    assert_int_equal(json_array_size(at(page, "items")), 2);
    assert_int_equal(number(page, "items:0:number"), 2);
    assert_non_null(at(page, "items:0:reply"));
    assert_string_equal(text(page, "items:1:error"), "answered 503 Service Unavailable");
    assert_string_equal(text(page, "items:1:trigger"), "t");
    json_decref(page);
    page = ask(w, 200, "/-/attempts?failed=true");
    assert_int_equal(json_array_size(at(page, "items")), 2);
    assert_string_equal(text(page, "items:0:end"), "dead");
    assert_string_equal(text(page, "items:0:error"), "answered 400 Bad Request");
    json_decref(page);
}

/* Over many segments, which are passed over by their digests the second time. */
static void digests_hide_nothing(void **state)
{
    struct world *w = *state;
    int64_t position = run_chain(w);
    json_decref(history_when(w, position, LAST_STATE, "dead"));
    w->plan = NULL;
    world_send_many(w, "e", 4000, "x");
    WORLD_UNTIL(w, world_seen(w, "f", "e3999") == 1 && w->core->settling == 0);
    for (unsigned i = 0; i < 2; i++) {
        json_t *h = ask(w, 200, "/-/events/%lld", (long long)position);
        assert_chain(h, position);
        json_decref(h);
        json_t *page = ask(w, 200, "/-/events?id=e1234");
        assert_int_equal(json_array_size(at(page, "items")), 1);
        h = ask(w, 200, "/-/events/%lld", number(page, "items:0:position"));
        assert_string_equal(text(h, "event:id"), "e1234");
        assert_string_equal(text(h, STATE), "delivered");
        json_decref(h);
        json_decref(page);
    }
}

int main(void)
{
#define HISTORY_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, world_setup_served, world_teardown_served)
#define DISK_TEST(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, world_setup_served_disk, world_teardown_served)
    const struct CMUnitTest tests[] = {
        HISTORY_TEST(replies_make_a_tree),
        HISTORY_TEST(what_has_no_record_yet_is_told_by_the_loop),
        HISTORY_TEST(an_event_behind_a_blocked_one_of_its_key),
        HISTORY_TEST(a_delivery_that_waits_says_until_when),
        HISTORY_TEST(ends_of_older_versions_are_shown),
        HISTORY_TEST(what_cannot_be_read_is_shown_as_such),
        HISTORY_TEST(what_is_not_there_is_said_with_a_way_on),
        HISTORY_TEST(pages_hold_all_once),
        HISTORY_TEST(small_budgets_only_cost_requests),
        HISTORY_TEST(attempts_carry_what_the_rows_say),
        DISK_TEST(a_restart_changes_nothing),
        DISK_TEST(what_the_log_has_no_more_is_gone),
        DISK_TEST(digests_hide_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
