/* SPDX-License-Identifier: Apache-2.0 */
/* Runs requests through a function without a network: fixture.c stands in for the HTTP server.
 * The engine is prepared once, as in the zygote; each test is a child of its own, as a worker is.
 */
#ifndef SLUICE_TESTS_WORKER_FIXTURE_H
#define SLUICE_TESTS_WORKER_FIXTURE_H

#include "worker/worker_internal.h"

struct answer {
    unsigned status;
    struct buf headers; /* "Name: value\n"… */
    struct buf body;
};

/* Prepares engine and prelude; before the first fixture_run(). */
void fixture_prepare(void);
/* Runs test() in a child; true when it returned and every expect() held. ended gets the wait
 * status. */
bool fixture_run(void (*test)(void), int *ended);
/* In the child: loads the one-file function. isolation: event or instance; limits: JSON members or
 * "". */
void fixture_load(const char *isolation, const char *limits, const char *source);
bool fixture_load_bundle(const char *json, struct module *module);
/* In the child: an event with that data, or a plain request. The answer is valid until the next. */
const struct answer *fixture_event(const char *data);
const struct answer *fixture_request(const char *method, const char *path, const char *type,
                                     const char *body);
const struct answer *fixture_post(const struct http_header *headers, size_t count,
                                  const char *body);
/* An event that is handled, and perhaps waits; ids are borrowed until its end. */
struct http_request *fixture_begin(const char *path, const char *id, const char *data);
bool fixture_is_answered(const struct http_request *r);
/* Lets the worker go on until that one is answered, whose answer is valid until the next. */
const struct answer *fixture_finish(struct http_request *r);
/* What the function has logged and reported so far, as lines. */
const char *fixture_reports(void);
const char *fixture_body(const struct answer *a);

/* Ends the child with a message unless the condition holds. */
#define expect(condition)                                                                          \
    ((condition) ? (void)0 : fixture_expect_failed(__FILE__, __LINE__, #condition))
_Noreturn void fixture_expect_failed(const char *file, int line, const char *condition);
#define expect_contains(text, part) fixture_contains(__FILE__, __LINE__, text, part)
void fixture_contains(const char *file, int line, const char *text, const char *part);

#endif
