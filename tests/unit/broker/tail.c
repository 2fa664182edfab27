/* SPDX-License-Identifier: Apache-2.0 */
/* GET /-/events over a real HTTP server: how many may read, and what becomes of those who do not.
 */
#include "world.h"

#include "unit.h"

#include "../http/peer.h"

#include <limits.h>

#define TAILS_MAX 64

static uint64_t counter(struct world *w, size_t offset)
{
    struct broker_core_stats stats;
    broker_core_stats(w->core, &stats);
    return *(const uint64_t *)(const void *)((const char *)&stats + offset);
}

#define STAT(w, name) counter(w, offsetof(struct broker_core_stats, name))

static int ask(struct world *w, const char *query)
{
    autobuf request = BUF_INIT;
    int fd = peer_connect(http_server_address(w->server));
    buf_printf(&request, "GET /-/events%s HTTP/1.1\r\nHost: localhost\r\n\r\n", query);
    peer_send(fd, buf_slice(&request));
    return fd;
}

/* Lets the loop go on until the peer has something to read, and reads it; false at the end. */
static bool more(struct world *w, int fd, struct buf *in)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    WORLD_UNTIL(w, poll(&p, 1, 0) > 0);
    return peer_more(fd, in);
}

static void read_until(struct world *w, int fd, struct buf *in, const char *text)
{
    while (in->len == 0 || strstr(in->ptr, text) == NULL)
        assert_true(more(w, fd, in));
}

static void there_are_so_many_at_most(void **state)
{
    struct world *w = *state;
    int fds[TAILS_MAX];
    autobuf in = BUF_INIT;
    for (unsigned i = 0; i < TAILS_MAX; i++)
        fds[i] = ask(w, "");
    WORLD_UNTIL(w, STAT(w, tails) == TAILS_MAX);
    int late = ask(w, "");
    read_until(w, late, &in, "at most 64");
    assert_int_equal(strncmp(in.ptr, "HTTP/1.1 429 ", 13), 0);
    assert_non_null(strstr(in.ptr, "\r\nRetry-After: 1\r\n"));
    close(late);
    close(fds[0]);
    WORLD_UNTIL(w, STAT(w, tails) == TAILS_MAX - 1);
    fds[0] = ask(w, "");
    WORLD_UNTIL(w, STAT(w, tails) == TAILS_MAX);
    for (unsigned i = 0; i < TAILS_MAX; i++)
        close(fds[i]);
    WORLD_UNTIL(w, STAT(w, tails) == 0);
}

/* More events than the kernel holds for a reader, some MiB each. */
static void send_much(struct world *w)
{
    static char data[900 << 10];
    memset(data, 'x', sizeof(data));
    for (unsigned i = 0; i < 24; i++) {
        char id[16];
        snprintf(id, sizeof(id), "big%u", i);
        assert_true(world_send_data(w, id, "t", slice_of(data, sizeof(data))) > 0);
    }
}

/* Turns that the loop takes in a time in which nothing happens. */
static unsigned idle_turns(struct world *w)
{
    unsigned turns = 0;
    uint64_t until = clock_monotonic() + 300 * CLOCK_MILLISECOND;
    for (; clock_monotonic() < until; turns++)
        loop_turn(w->loop, 100 * CLOCK_MILLISECOND);
    return turns;
}

static bool ends_well(const struct buf *in)
{
    return in->len >= 5 && memcmp(in->ptr + in->len - 5, "0\r\n\r\n", 5) == 0;
}

static void one_that_does_not_read_costs_nothing_and_is_cut(void **state)
{
    struct world *w = *state;
    autobuf in = BUF_INIT;
    int stuck = ask(w, "?from=earliest"), good = ask(w, "?from=earliest");
    WORLD_UNTIL(w, STAT(w, tails) == 2);
    send_much(w);
    read_until(w, good, &in, "big23");
    unsigned turns = UINT_MAX; /* many while the kernel takes some */
    for (unsigned i = 0; i < 20 && turns > 20; i++)
        turns = idle_turns(w);
    assert_in_range(turns, 0, 20);
    WORLD_UNTIL(w, STAT(w, tails_cut) == 1);
    WORLD_UNTIL(w, STAT(w, tails) == 1);
    autobuf rest = BUF_INIT;
    while (peer_more(stuck, &rest))
        ;
    assert_false(ends_well(&rest));
    world_send(w, "after", "t");
    read_until(w, good, &in, "after");
    close(stuck);
    close(good);
}

/* One that reads with pauses gets all, in order. */
static void one_that_reads_slowly_gets_all(void **state)
{
    struct world *w = *state;
    autobuf in = BUF_INIT;
    int fd = ask(w, "?from=earliest&follow=false");
    send_much(w);
    WORLD_UNTIL(w, STAT(w, tails) == 1);
    world_rest(w);
    while (!ends_well(&in))
        assert_true(more(w, fd, &in));
    const char *at = in.ptr;
    for (unsigned i = 0; i < 24; i++) {
        char id[16];
        snprintf(id, sizeof(id), "\"big%u\"", i);
        at = memmem(at, in.len - (size_t)(at - in.ptr), id, strlen(id));
        assert_non_null(at);
    }
    close(fd);
    WORLD_UNTIL(w, STAT(w, tails) == 0);
    assert_int_equal(STAT(w, tails_cut), 0);
}

/* At least so many: a chunk may end in the middle of what is looked for. */
static unsigned lines(const struct buf *in)
{
    unsigned n = 0;
    for (const char *at = in->ptr; at != NULL; n++) {
        at = memmem(at, in->len - (size_t)(at - in->ptr), "{\"position\":", 12);
        if (at == NULL)
            break;
        at++;
    }
    return n;
}

#define READERS         8
#define EVENTS          600
#define RECORDS_AT_ONCE 500 /* TAIL_RECORDS_A_TURN */

/* What comes within a tenth of a second, of all. */
static unsigned come_so_far(const int *fds, struct buf *in)
{
    unsigned n = 0;
    for (;;) {
        struct pollfd p[READERS];
        for (unsigned i = 0; i < READERS; i++)
            p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        if (poll(p, READERS, 100) <= 0)
            break;
        for (unsigned i = 0; i < READERS; i++)
            if (p[i].revents != 0)
                assert_true(peer_more(fds[i], &in[i]));
    }
    for (unsigned i = 0; i < READERS; i++)
        n += lines(&in[i]);
    return n;
}

static bool all_end_well(const struct buf *in)
{
    for (unsigned i = 0; i < READERS; i++)
        if (!ends_well(&in[i]))
            return false;
    return true;
}

/* Deliveries wait for one turn's share, not for one of each reader. */
static void all_together_read_so_much_in_a_turn(void **state)
{
    struct world *w = *state;
    int fds[READERS];
    struct buf in[READERS];
    unsigned turns = 0;
    for (unsigned i = 0; i < EVENTS; i++)
        world_send(w, "e", "t");
    for (unsigned i = 0; i < READERS; i++) {
        in[i] = (struct buf)BUF_INIT;
        fds[i] = ask(w, "?from=earliest&follow=false");
    }
    while (!all_end_well(in)) {
        assert_in_range(come_so_far(fds, in), 0, turns * RECORDS_AT_ONCE);
        loop_turn(w->loop, 100 * CLOCK_MILLISECOND);
        turns++;
    }
    for (unsigned i = 0; i < READERS; i++) {
        close(fds[i]);
        buf_done(&in[i]);
    }
    WORLD_UNTIL(w, STAT(w, tails) == 0);
}

int main(void)
{
#define TAIL_TEST(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, world_setup_served, world_teardown_served)
    const struct CMUnitTest tests[] = {
        TAIL_TEST(there_are_so_many_at_most),
        TAIL_TEST(one_that_does_not_read_costs_nothing_and_is_cut),
        TAIL_TEST(one_that_reads_slowly_gets_all),
        TAIL_TEST(all_together_read_so_much_in_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
