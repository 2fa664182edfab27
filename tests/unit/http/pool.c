/* SPDX-License-Identifier: Apache-2.0 */
/* The client's connections against a listener in the same program. */
#include "http/client_pool.h"

#include "base/clock.h"
#include "base/memory.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct loop *loop;
static struct pool pool;
static int listener;
static uint16_t port;
static int events_seen;

static void note(void *ctx, uint32_t events)
{
    events_seen++;
}

static int setup(void **state)
{
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(inet);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&inet, len), 0);
    assert_int_equal(listen(listener, 1024), 0);
    getsockname(listener, (struct sockaddr *)&inet, &len);
    port = ntohs(inet.sin_port);
    loop = loop_new();
    return loop != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    loop_free(loop);
    return close(listener);
}

static struct pool_peer *make_peer(const char *name)
{
    struct pool_target target;
    assert_int_equal(pool_target_tcp(SLICE("127.0.0.1"), port, &target), 0);
    struct pool_peer *peer = pool_peer(&pool, name, &target);
    assert_non_null(peer);
    return peer;
}

/* A connection on which a call has ended well. */
static void use(struct pool_peer *peer)
{
    struct pool_connection *n = NULL;
    peer->calls++;
    assert_int_equal(pool_connect(peer, &events_seen, &n), 0);
    for (int before = events_seen; n->connecting && events_seen == before;)
        loop_turn(loop, CLOCK_SECOND);
    if (n->connecting)
        assert_int_equal(pool_connected(n), 0);
    pool_give_back(n, true);
    peer->calls--;
}

static void what_is_idle_for_long_is_closed(void **state)
{
    pool_init(&pool, loop, NULL, 8, 20 * CLOCK_MILLISECOND);
    pool.ready = note;
    use(make_peer("one"));
    use(make_peer("two"));
    assert_int_equal(pool.idle_count, 2);
    uint64_t deadline = clock_monotonic() + 20 * CLOCK_SECOND;
    while (pool.idle_count > 0 && clock_monotonic() < deadline)
        loop_turn(loop, CLOCK_SECOND);
    assert_int_equal(pool.idle_count, 0);
    assert_int_equal(pool.peers.len, 0); /* and nothing is left of the peers */
    pool_done(&pool);
}

static void the_oldest_goes_when_there_are_too_many(void **state)
{
    char name[16];
    pool_init(&pool, loop, NULL, 8, 1000 * CLOCK_SECOND);
    pool.ready = note;
    for (int i = 0; i < POOL_IDLE_MAX + 3; i++) {
        snprintf(name, sizeof(name), "%d", i);
        use(make_peer(name));
        if (i % 64 == 63) /* room in the listener's queue */
            for (int k = 0; k < 64; k++)
                close(accept(listener, NULL, NULL));
    }
    assert_true(pool.idle_count <= POOL_IDLE_MAX);
    assert_null(map_get(&pool.peers, SLICE("0")));
    pool_done(&pool);
}

static void the_last_used_is_taken_first(void **state)
{
    pool_init(&pool, loop, NULL, 8, 1000 * CLOCK_SECOND);
    pool.ready = note;
    struct pool_peer *peer = make_peer("peer");
    peer->calls++;
    struct pool_connection *first = NULL, *second = NULL;
    assert_int_equal(pool_connect(peer, &events_seen, &first), 0);
    assert_int_equal(pool_connect(peer, &events_seen, &second), 0);
    pool_give_back(second, true);
    pool_give_back(first, true);
    assert_ptr_equal(pool_take(peer), first);
    assert_ptr_equal(pool_take(peer), second);
    assert_null(pool_take(peer));
    pool_give_back(first, false);
    assert_int_equal(peer->connections, 1);
    pool_close(second);
    peer->calls--;
    pool_peer_release_if_unused(peer);
    pool_done(&pool);
}

/* The first address is slow, the second refuses: back to the first. */
static void a_slow_address_is_not_given_up(void **state)
{
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(inet);
    int slow = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(slow, (struct sockaddr *)&inet, len), 0);
    assert_int_equal(listen(slow, 0), 0);
    getsockname(slow, (struct sockaddr *)&inet, &len);
    int fill = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)connect(fill, (struct sockaddr *)&inet, len); /* its queue is full: packets are dropped */
    pool_init(&pool, loop, NULL, 8, 1000 * CLOCK_SECOND);
    pool.ready = note;
    pool.patience_ns = 20 * CLOCK_MILLISECOND;
    struct pool_target target = {.count = 2};
    target.addresses[0].v4 = inet;
    target.addresses[0].len = sizeof(inet);
    target.addresses[1] = target.addresses[0];
    target.addresses[1].v4.sin_port = htons(1); /* nobody listens there */
    struct pool_peer *peer = pool_peer(&pool, "peer", &target);
    struct pool_connection *n = NULL;
    peer->calls++;
    assert_int_equal(pool_connect(peer, &events_seen, &n), 0);
    int status = -EINPROGRESS;
    for (int before = events_seen; status == -EINPROGRESS && n->connecting; before = events_seen) {
        while (events_seen == before)
            loop_turn(loop, CLOCK_SECOND);
        status = pool_connected(n);
        if (n->last_chance) /* room again */
            close(accept(slow, NULL, NULL));
    }
    assert_int_equal(status, 0);
    assert_true(n->last_chance);
    assert_int_equal(n->address, 0);
    pool_give_back(n, false);
    peer->calls--;
    pool_peer_release_if_unused(peer);
    pool_done(&pool);
    close(fill);
    close(slow);
}

static void names_are_told_from_addresses(void **state)
{
    struct pool_target t;
    char path[300];
    assert_int_equal(pool_target_tcp(SLICE("::1"), 80, &t), 0);
    assert_int_equal(t.count, 1);
    assert_int_equal(pool_target_tcp(SLICE("LOCALHOST"), 80, &t), 0);
    assert_int_equal(t.count, 2);
    assert_null(t.host);
    static const char *const names[] = {"localhost.example", "127.1", "sluice.example"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(pool_target_tcp(slice_text(names[i]), 80, &t), 0);
        assert_string_equal(t.host, names[i]);
        free(t.host);
    }
    memset(path, '1', sizeof(path));
    assert_int_equal(pool_target_tcp(slice_of(path, sizeof(path)), 80, &t), -EINVAL);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(pool_target_unix(path, &t), -ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_idle_for_long_is_closed),
        cmocka_unit_test(the_oldest_goes_when_there_are_too_many),
        cmocka_unit_test(the_last_used_is_taken_first),
        cmocka_unit_test(a_slow_address_is_not_given_up),
        cmocka_unit_test(names_are_told_from_addresses),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
