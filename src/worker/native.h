/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that are a WebAssembly module by itself, with no JavaScript around: WASI commands, and
 * exports that take bytes and give bytes. docs/functions-wasm.md has the contract. */
#ifndef SLUICE_WORKER_NATIVE_H
#define SLUICE_WORKER_NATIVE_H

#include "event/stdio.h"
#include "worker/worker_internal.h"

/* Whether an export of that signature takes one text or bytes and gives one back, so that it needs
 * no arguments to be made for it. */
bool native_takes_bytes(const char *signature);
/* Takes the result apart: a packed i64, or two i32. */
void native_unpack(const char *signature, const union worker_module_value *results,
                   uint32_t *ret_address, uint32_t *ret_len);

/* What any module finds around it: arguments, environment, and a log for what it prints. */
void native_settle(struct bundle *b);
/* The same at the beginning of a call. */
void native_begin(struct slice event_id);

/* Whether the bundle's function is one. */
bool native_is(const struct bundle *b, const struct module *m);
/* Checks that the module has what the function needs, and starts it. */
int native_load(struct bundle *b, struct module *m, struct error *err);
/* http_handler_fn: one request through the function, from reading to answering. */
void native_handle(struct http_request *request, void *ctx);

/* ---- native_reply.c ---- */

/* As stdio_reply_read(), but what the output is was said: spec.result; NULL: it was not. */
int native_read_reply(const char *result, struct slice output,
                      const struct event_defaults *defaults, struct event_arena *arena,
                      struct stdio_reply *ret, struct error *err);

#endif
