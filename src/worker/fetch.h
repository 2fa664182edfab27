/* SPDX-License-Identifier: Apache-2.0 */
/* fetch() for guests: fetch.c has the requests that are under way, fetch_link.c the socket to the
 * process that does them. */
#ifndef SLUICE_WORKER_FETCH_H
#define SLUICE_WORKER_FETCH_H

#include "base/error.h"
#include "fetcher/protocol.h"
#include "worker/program.h"

struct json_t;

/* ---- fetch.c ---- */

/* Starts the fetcher of a bundle that has a network.allow. Before the process is confined. */
int fetch_start(const struct bundle *b, struct error *err);
/* Bytes of memory that the worker itself needs for it, besides the guest's. */
uint64_t fetch_own_bytes(const struct bundle *b);
extern const struct engine_function fetch_functions[];
extern const size_t fetch_function_count;

/* From the link: an answer, whose payload is valid during the call. 0, or -EPROTO. */
int fetch_take(const struct fetcher_frame *frame);
/* From the link: the fetcher is gone. */
void fetch_lost(void);

/* ---- fetch_link.c ---- */

/* allow: the bundle's list, checked. queue_max: bytes that may wait to be sent. */
int fetch_link_start(struct json_t *allow, size_t queue_max, struct error *err);
/* Starts the program with that socket. 0 or a negative errno. */
int fetch_link_spawn(int socket);
bool fetch_link_is_up(void);
bool fetch_link_was_up(void); /* it was started once */
size_t fetch_link_room(void);
/* Takes the frame over. 0 or -ENOMEM. Only while the link is up. */
int fetch_link_send(struct buf *frame);

#endif
