/* SPDX-License-Identifier: Apache-2.0 */
/* Events and requests for programs that read standard input and write standard output: WASI
 * commands, and the exec runtime. docs/functions-wasm.md has the contract. Pure functions, any
 * thread. */
#ifndef SLUICE_EVENT_STDIO_H
#define SLUICE_EVENT_STDIO_H

#include "event/event.h"

#define STDIO_HEADERS_MAX 128
#define STDIO_HEAD_MAX    65536 /* bytes of a reply's header block */

struct stdio_field {
    struct slice name, value;
};

struct stdio_request {
    const struct event *event; /* NULL: a plain request */
    struct slice method, path, query;
    struct slice body;                 /* of a plain request */
    const struct stdio_field *headers; /* of the HTTP request */
    unsigned header_count;
};

/* Appends what the program reads: the event in the JSON format and a newline, or the body. */
void stdio_input(const struct stdio_request *r, struct buf *out);

/* Calls add("NAME=value") for each variable of the request: attributes as CE_…, and what CGI/1.1
 * (RFC 3875 §4.1) has. input_len: of what stdio_input() made. The text lives during the call. 0 or
 * -ENOMEM. */
int stdio_environment(const struct stdio_request *r, size_t input_len,
                      void (*add)(void *ctx, struct slice variable), void *ctx);
/* The name in front of the =. */
struct slice stdio_variable_name(struct slice variable);

struct stdio_reply {
    bool is_event; /* then only event counts */
    unsigned status;
    struct stdio_field headers[STDIO_HEADERS_MAX];
    unsigned header_count;
    struct slice body;
    struct event event;
};

/* What the program wrote. Everything borrows from output, defaults and the arena. 0; -EINVAL when
 * it means to be an event and is none; -ENOMEM. */
int stdio_reply_read(struct slice output, const struct event_defaults *defaults,
                     struct event_arena *arena, struct stdio_reply *ret, struct error *err);

#endif
