/* SPDX-License-Identifier: Apache-2.0 */
/* QuickJS as a guest: one instance in this process. */
#ifndef SLUICE_WORKER_ENGINE_H
#define SLUICE_WORKER_ENGINE_H

#include "base/buf.h"
#include "base/error.h"
#include "event/event.h"
#include "worker/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

/* A value of the guest: the address of its box in guest memory; 0 is none. */
typedef uint32_t engine_value;

/* A host function that the prelude gets. argv are borrowed. Returns a value that it owns, or 0
 * after engine_throw(). Runs in GUARD_IMPORT. */
struct engine_function {
    const char *name;
    engine_value (*call)(uint32_t argc, const engine_value *argv);
};

struct engine_failure {
    struct buf name, message, stack, file;
    int line, column; /* 0: unknown */
    int status;       /* a numeric `code` of the error, 400 to 599; else 0 */
    bool out_of_memory;
    bool interrupted; /* ended by the interrupt hook */
    bool unhandled;   /* what a promise was rejected with that nobody handles */
};

/* Module loading, answered by the program. resolve appends the file's name; both return 0 or
 * -ENOENT with the message. */
struct engine_loader {
    int (*resolve)(struct slice base, struct slice specifier, struct buf *name, struct error *err);
    int (*load)(struct slice name, struct buf *source, struct error *err);
};

int engine_init(struct error *err);
void engine_set_loader(const struct engine_loader *loader);
struct snapshot *engine_snapshot(void);
/* Clamps what the instance may grow to. */
void engine_set_memory_limit(uint64_t bytes);
/* Three quarters of its heap are in use. Not inside guard_run(). */
bool engine_heap_is_short(void);
/* Collects garbage, makes room so that a fresh instance need not grow its memory at once, and moves
 * the collector's threshold away. final: a snapshot follows. */
void engine_settle(bool final);
/* What is allocated from here on lies behind all that there is, side by side. Inside guard_run().
 */
void engine_close_holes(void);
void engine_reseed(void);
/* The interrupt hook throws from this monotonic time on; 0: never. */
void engine_set_soft_deadline(uint64_t deadline_ns);

/* What follows calls the guest: only inside guard_run(), where host functions are, too. */
engine_value engine_eval(struct slice source, const char *name, int flags);
/* The same, but its functions have no text of their source: what an event uses lies closer
 * together, on fewer pages. */
engine_value engine_eval_without_source(struct slice source, const char *name);
engine_value engine_call(engine_value function, uint32_t argc, const engine_value *argv);
engine_value engine_string(struct slice text);
engine_value engine_bytes(struct slice bytes);
engine_value engine_undefined(void);
engine_value engine_boolean(bool value);
engine_value engine_new_number(double number);
engine_value engine_object(void);
/* A promise and the functions that settle it. */
engine_value engine_promise(engine_value *ret_resolve, engine_value *ret_reject);
/* Give an object a property of its own. A negative errno: an exception is pending. */
int engine_set_text(engine_value object, struct slice name, struct slice text);
int engine_set_value(engine_value object, struct slice name, engine_value value);
void engine_add_functions(engine_value object, const struct engine_function *functions,
                          size_t count);
/* For host functions: the value as their result, an exception passed on. */
engine_value engine_pass(engine_value value);
engine_value engine_property(engine_value object, const char *name);
/* Another reference to the same value. */
engine_value engine_keep(engine_value value);
void engine_drop(engine_value value);
bool engine_is_exception(engine_value value);
bool engine_is_function(engine_value value);
bool engine_is_string(engine_value value);
bool engine_is_undefined(engine_value value);
bool engine_is_true(engine_value value);
double engine_number(engine_value value);
/* Appends the text of a string value; -E2BIG beyond max. */
int engine_get_text(engine_value value, size_t max, struct buf *out);
/* The same for the bytes of an ArrayBuffer or a view of one; -EINVAL when it is neither. */
int engine_get_bytes(engine_value value, size_t max, struct buf *out);
engine_value engine_throw(const char *message); /* returns 0 */
engine_value engine_take_exception(void);
/* Appends the members of an array as console.log shows its arguments. -ENOTSUP: there is something
 * that only runtimes/js/inspect.js can show; -E2BIG: more than max bytes. After an error the
 * appended text is of no use. */
int engine_inspect(engine_value list, size_t max, struct buf *out);
/* Appends what JSON.stringify() gives. -ENOTSUP: only that can do it; -E2BIG: more than max bytes.
 */
int engine_json(engine_value value, size_t max, struct buf *out);

/* What an event's data are to the guest. */
enum engine_data {
    ENGINE_DATA_NONE,
    ENGINE_DATA_JSON,  /* says its type */
    ENGINE_DATA_GUESS, /* no type: JSON if they can be parsed, else text, else bytes */
    ENGINE_DATA_TEXT,  /* bytes if they are no UTF-8 */
    ENGINE_DATA_BYTES,
};
/* What is odd about an event; runtimes/js/main.js has the same numbers. */
enum engine_oddity {
    ENGINE_EVENT_BAD_JSON = 1, /* the data are not the JSON that they should be */
    ENGINE_EVENT_QUERY = 2,    /* the request has a query string */
    ENGINE_EVENT_BYTES = 4,    /* the data are bytes */
    ENGINE_EVENT_ORIGIN = 8,   /* the function's cors() is to be asked */
};
/* Calls function(event), or function(event, oddities) when there are any. abandon: a snapshot takes
 * back what is left behind, which is more than freeing could. A negative errno: an exception is
 * pending. */
int engine_call_event(engine_value function, const struct event *e, enum engine_data form,
                      unsigned oddities, bool abandon);
/* The prototypes of the events that handlers get, and of those of the builder of replies. */
void engine_event_use(engine_value prototype, engine_value reply_prototype);

/* Where a reply goes: its attributes as "name NUL value NUL"…, and its data. */
struct engine_reply {
    struct buf *head, *body;
    size_t body_max;
    bool (*is_json_type)(struct slice content_type);
    bool has_type, is_json; /* engine_read_event()'s own */
};
/* -ENOTSUP: an event that only runtimes/js/answer.js can write; head and body are of no use then.
 * -E2BIG: the data have more than body_max bytes; -EMSGSIZE: so have the attributes. */
int engine_read_event(engine_value event, struct engine_reply *r);

/* Once, before all of these: the names ['constructor', 'name', 'prototype', Symbol.toStringTag, the
 * symbol of custom inspection] and the samples [{}, [], 'text', 7, true, null, undefined, 1.5].
 * -ENOTSUP when this build of the engine has other values than those that are read here. */
int engine_prepare(engine_value names, engine_value samples);
/* Runs queued jobs until there are none. -EINTR when the interrupt hook ended one, with the place.
 */
int engine_run_jobs(struct engine_failure *f);
/* Describes one of the promises that were rejected since the reset and that nobody handles; after
 * engine_run_jobs(). False: there is none (left). */
bool engine_take_rejection(struct engine_failure *f);
void engine_rejections_reset(void);
/* The interrupt hook has thrown since the soft deadline was set. */
bool engine_interrupted(void);
/* Takes the pending exception, or describes a thrown value. */
void engine_take_failure(struct engine_failure *f);
void engine_describe(engine_value thrown, struct engine_failure *f);
void engine_failure_reset(struct engine_failure *f);
void engine_failure_done(struct engine_failure *f);

#endif
