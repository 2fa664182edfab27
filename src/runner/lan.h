/* SPDX-License-Identifier: Apache-2.0 */
/* The network that a function sees: a namespace with a loopback device, on which each rule of the
 * allow-list has a listening socket. The relay outside (relay.h) accepts on them. */
#ifndef SLUICE_RUNNER_LAN_H
#define SLUICE_RUNNER_LAN_H

#include "base/buf.h"
#include "base/error.h"
#include "runner/allow.h"

/* Where the proxy for *.SUFFIX:PORT listens inside. */
#define LAN_PROXY_HOST "127.83.255.254"
#define LAN_PROXY_PORT 3128
#define LAN_PROXY_URL  "http://127.83.255.254:3128"

#define LAN_SOCKETS_MAX (ALLOW_RULES_MAX + 1)

struct lan_socket {
    int fd;
    int rule; /* index in the list; -1: the proxy's */
};

/* Inside the namespace, with the right to configure it: brings the loopback device up, gives it the
 * addresses of the rules and opens the sockets. 0 or a negative errno. */
int lan_open(const struct allow_list *list, struct lan_socket sockets[LAN_SOCKETS_MAX],
             unsigned *ret_count, struct error *err);
/* The text of /etc/hosts: a loopback address for each name. */
void lan_hosts(const struct allow_list *list, const char *host_name, struct buf *out);

#endif
