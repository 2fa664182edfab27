/* SPDX-License-Identifier: Apache-2.0 */
/* GET /-/dead over a real HTTP server: rows that no trigger wants, and rows that are damaged. */
#include "world.h"

#include "unit.h"

#include "../http/peer.h"
#include "broker/row.h"

#define TURN_ROWS 32 /* looked at in one turn of the loop */

static void put_row(struct world *w, uint32_t trigger, uint64_t position, struct slice value)
{
    struct store_group g;
    autobuf key = BUF_INIT;
    row_object_key(trigger, position, &key);
    store_group_init(&g);
    store_group_add(&g, STORE_RECORD_PUT, STORE_TABLE_DEAD, buf_slice(&key), value);
    store_append(w->store, &g, NULL, NULL);
}

/* Expects a page without letters, and gives the turns of the loop that it took. */
static unsigned ask_for_nothing(struct world *w)
{
    autobuf in = BUF_INIT;
    unsigned turns = 0;
    int fd = peer_connect(http_server_address(w->server));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    peer_send(fd, SLICE("GET /-/dead HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    for (; poll(&p, 1, 0) == 0 && turns < 100000; turns++)
        world_turn(w);
    while (in.len == 0 || strstr(in.ptr, "{\"items\":[]}\n") == NULL)
        assert_true(peer_more(fd, &in));
    close(fd);
    return turns;
}

static void the_last_number_of_a_trigger_ends_the_table(void **state)
{
    struct world *w = *state;
    autobuf value = BUF_INIT;
    row_dead_value(&(struct dead_row){.attempts = 1}, &value);
    put_row(w, UINT32_MAX, 1, buf_slice(&value));
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 1);
    ask_for_nothing(w);
}

static void damaged_rows_are_passed_in_turns(void **state)
{
    struct world *w = *state;
    world_trigger(w, "t", "f", "");
    for (unsigned i = 0; i < 50 * TURN_ROWS; i++)
        put_row(w, world_trigger_find(w, "t")->number, i, SLICE("damaged"));
    WORLD_UNTIL(w, world_rows(w, STORE_TABLE_DEAD) == 50 * TURN_ROWS);
    assert_true(ask_for_nothing(w) >= 49);
}

int main(void)
{
#define DEAD_TEST(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, world_setup_served, world_teardown_served)
    const struct CMUnitTest tests[] = {
        DEAD_TEST(the_last_number_of_a_trigger_ends_the_table),
        DEAD_TEST(damaged_rows_are_passed_in_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
