/* SPDX-License-Identifier: Apache-2.0 */
/* The ways out of a function's network: connections that come in on the sockets inside of it
 * (lan.h) are carried to where their rule says, bytes in both directions. Runs outside, in the
 * runner's loop; names are looked up here. */
#ifndef SLUICE_RUNNER_RELAY_H
#define SLUICE_RUNNER_RELAY_H

#include "base/loop.h"
#include "runner/lan.h"

#define RELAY_CONNECTIONS_MAX 256

struct relay;

/* The sockets stay the caller's, open for as long as the relay lives. refused: called with what the
 * proxy did not let through. */
struct relay *relay_new(struct loop *loop, const struct allow_list *list,
                        const struct lan_socket *sockets, unsigned count,
                        void (*refused)(void *ctx, const char *host, uint16_t port), void *ctx);
void relay_free(struct relay *r);

#endif
