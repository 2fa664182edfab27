/* SPDX-License-Identifier: Apache-2.0 */
/* The listening socket. */
#ifndef SLUICE_HTTP_LISTEN_H
#define SLUICE_HTTP_LISTEN_H

#include "http/guard.h"

struct http_listen {
    int fd;
    bool is_tcp;
    char address[HTTP_HOST_MAX + 8]; /* HOST:PORT, or unix:PATH */
};
int http_listen_open(const char *listen, struct http_listen *ret, struct http_guard *guard,
                     struct error *err);
/* Fills in address and guard from a socket that listens already. */
int http_listen_adopt(int fd, struct http_listen *ret, struct http_guard *guard, struct error *err);

#endif
