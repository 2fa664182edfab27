/* SPDX-License-Identifier: Apache-2.0 */
/* A whole broker core for tests: a real store, registry and loop; the HTTP client and the functions
 * are fakes in world.c that record each delivery and answer it from a timer, as `plan` says. */
#ifndef SLUICE_TESTS_BROKER_WORLD_H
#define SLUICE_TESTS_BROKER_WORLD_H

#include "base/clock.h"
#include "broker/delivery.h"
#include "http/server.h"

#define WORLD_NAME_MAX 80

struct world;

/* One request under way; *struct http_call of this program. */
struct fake_call {
    struct list link;
    struct world *world;
    struct loop_timer timer;
    char to[WORLD_NAME_MAX]; /* the function's name, or the URL */
    char id[WORLD_NAME_MAX], type[WORLD_NAME_MAX];
    char code[16], destination[WORLD_NAME_MAX], data[256]; /* knativeerror… */
    http_call_done_fn *done;
    void (*cancelled)(void *ctx);
    void *ctx;
    /* what plan decides; 200 without a body, in the next turn, when it does nothing */
    unsigned status;
    int error;
    bool never; /* no answer until world_answer_all() */
    uint64_t delay_ns;
    const char *retry_after;   /* of static life */
    const char *fields, *body; /* of the answer, of static life: lines "Name: value\n"; or NULL */
    char reply_id[WORLD_NAME_MAX], reply_type[WORLD_NAME_MAX]; /* "": no reply */
    unsigned reply_attributes;                                 /* more of them */
    size_t reply_bytes;
};

struct seen {
    char to[WORLD_NAME_MAX], id[WORLD_NAME_MAX];
    uint64_t at_ns;
    bool finished; /* it was answered with success */
};

struct world {
    char dir[64];
    struct store_options options;
    struct clock_source clock; /* the machine's, and what world_pass() and world_set_clock() add */
    _Atomic uint64_t passed_ns, set_ns;
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct broker_core *core;
    struct http_server *server; /* of world_setup_served() */
    void (*plan)(struct world *w, struct fake_call *call);
    enum sink_state (*state)(struct world *w, const char *name); /* NULL: all are ready */
    struct list calls;
    struct seen *seen;
    size_t seen_count, seen_cap;
    unsigned in_flight, in_flight_max;
    const char *to_broker;       /* of events that are sent; NULL: b */
    const char *partitionkey;    /* of events that are sent; or NULL */
    char head[4096], sent[2048]; /* the last request: lines "Name: value\n", and its body */
    uint64_t timeout_ns;
    uint64_t dead_letters_max, dead_letters_age_ns; /* for world_open() */
    void *more;                                     /* the test's own */
    /* of the last write to the registry */
    bool answered;
    unsigned status;
    uint64_t version;
};

/* Fixtures: a world that is open, with broker b. */
int world_setup_memory(void **state); /* the store without a disk */
int world_setup_disk(void **state);
int world_teardown(void **state);
/* The same in memory, with the broker's routes on a real HTTP server of one thread. */
int world_setup_served(void **state);
/* The same on disk, in segments of 64 KiB. */
int world_setup_served_disk(void **state);
int world_teardown_served(void **state);
/* Ends without a checkpoint, and comes back. */
void world_restart_served(struct world *w);

/* memory: the twin without a disk, which cannot be opened again. */
void world_init(struct world *w, bool memory);
void world_done(struct world *w);
void world_open(struct world *w);
/* Ends without a checkpoint: what is not in the log is lost. */
void world_abandon(struct world *w);
/* Ends as the daemon does: lets deliveries end, then a checkpoint. */
void world_stop(struct world *w);
void world_checkpoint(struct world *w);

/* Creates, or replaces what is there. Fails the test when the registry does not take it. */
void world_apply(struct world *w, const char *json);
void world_delete(struct world *w, const struct resource_kind *kind, const char *name);
/* Until that is on disk; the core has not heard of it. */
void world_delete_unheard(struct world *w, const struct resource_kind *kind, const char *name);
/* A trigger on broker b; more: further members of spec, each with a comma before it. */
void world_trigger(struct world *w, const char *name, const char *function, const char *more);
/* The same, until it is on disk; the core has not heard of it. */
void world_trigger_unheard(struct world *w, const char *name, const char *function);
void world_broker(struct world *w, const char *name);
/* The same with annotations: "\"sluice.dev/order\":\"ordered\"". */
void world_trigger_annotated(struct world *w, const char *name, const char *annotations,
                             const char *function, const char *more);
struct trigger *world_trigger_find(struct world *w, const char *name);

/* Appends an event to broker b and waits until it is synced: its position, or negative errno. */
int64_t world_send(struct world *w, const char *id, const char *type);
/* With one attribute more; NULL: without. */
int64_t world_send_with(struct world *w, const char *id, const char *type, const char *name,
                        const char *value);
/* The machine's time and so much more, in RFC 3339; out has CLOCK_RFC3339_SIZE bytes. */
const char *world_time(struct world *w, int64_t in_ns, char *out);
int64_t world_send_data(struct world *w, const char *id, const char *type, struct slice data);
/* Prefix0 to prefix(count - 1), in groups of 100. */
void world_send_many(struct world *w, const char *prefix, unsigned count, const char *type);

void world_turn(struct world *w);
/* The same with a millisecond of the test's clock passed before; it waits for the disk only. */
void world_step(struct world *w);
/* Lets that much time pass at once: from timer to timer, each with the outcomes that it leads to.
 */
void world_pass(struct world *w, uint64_t ns);
/* Somebody sets the machine's clock: realtime differs by so much from what it was, timers do not.
 */
void world_set_clock(struct world *w, int64_t by_ns);
uint64_t world_realtime(struct world *w);
/* Runs the loop until nothing is to be done but to wait for timers of more than a moment. */
void world_rest(struct world *w);
void world_answer_all(struct world *w);     /* in the next turn */
void world_answer_all_now(struct world *w); /* before anything else happens */
/* A plan: 500, but not before world_answer_all(). */
void world_fail_when_told(struct world *w, struct fake_call *call);
unsigned world_seen(const struct world *w, const char *to, const char *id); /* id NULL: all */
unsigned world_rows(struct world *w, enum store_table t);
unsigned world_events(struct world *w, const char *type); /* in the log */

/* Runs the loop, turn by turn, until the condition holds; fails after a minute. */
#define WORLD_UNTIL_BY(turn, w, condition)                                                         \
    do {                                                                                           \
        uint64_t until_ = clock_monotonic() + 60 * CLOCK_SECOND;                                   \
        while (!(condition)) {                                                                     \
            if (clock_monotonic() > until_)                                                        \
                fail_msg("did not come: %s", #condition);                                          \
            turn(w);                                                                               \
        }                                                                                          \
    } while (0)
#define WORLD_UNTIL(w, condition) WORLD_UNTIL_BY(world_turn, w, condition)

#endif
