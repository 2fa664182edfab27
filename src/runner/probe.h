/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the program whether it is ready: GET /health/readiness over its own socket, again and again,
 * until it answers 200. */
#ifndef SLUICE_RUNNER_PROBE_H
#define SLUICE_RUNNER_PROBE_H

#include "base/loop.h"
#include "http/reply.h"

#include <sys/socket.h>

struct probe {
    struct loop *loop;
    struct loop_timer timer;
    struct loop_watch watch;
    int fd;
    struct sockaddr_storage address;
    socklen_t address_len;
    struct reply reply;
    unsigned status; /* of the last answer, 0: none yet */
    void (*ready)(void *ctx);
    void *ctx;
};

/* listener: the socket that the program serves. 0 or a negative errno. */
int probe_begin(struct probe *p, struct loop *loop, int listener, void (*ready)(void *ctx),
                void *ctx);
void probe_end(struct probe *p);

#endif
