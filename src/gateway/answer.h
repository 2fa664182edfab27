/* SPDX-License-Identifier: Apache-2.0 */
/* Between HTTP and programs that read standard input and write standard output (event/stdio.h):
 * what they wrote becomes the answer. Of WASI commands in the worker and of exec functions in the
 * runner. Each takes the request over; any thread. */
#ifndef SLUICE_GATEWAY_ANSWER_H
#define SLUICE_GATEWAY_ANSWER_H

#include "event/stdio.h"
#include "http/server.h"

struct gateway_failure {
    unsigned status;     /* HTTP status */
    const char *kind;    /* "time", "memory", "exit"… */
    const char *message; /* for people */
};
/* {"error":{"status":…,"reason":…,"kind":…,"message":…,"event":…}}; event_id empty: there is none.
 */
void gateway_answer_failure(struct http_request *request, struct slice event_id,
                            const struct gateway_failure *failure);
/* In binary mode (CloudEvents' HTTP binding §3.1). */
void gateway_answer_event(struct http_request *request, const struct event *e);
/* Status, headers and body of a reply that is no event. */
void gateway_answer_plain(struct http_request *request, const struct stdio_reply *reply);

#endif
