/* SPDX-License-Identifier: Apache-2.0 */
/* A client made of a plain socket, so that tests can send what no client library would. */
#ifndef SLUICE_TESTS_HTTP_PEER_H
#define SLUICE_TESTS_HTTP_PEER_H

#include "base/buf.h"
#include "unit.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_WAIT_MS 10000

/* Connects to HOST:PORT or [ADDRESS]:PORT. */
static inline int peer_connect(const char *address)
{
    char host[128];
    const char *colon = strrchr(address, ':');
    bool brackets = address[0] == '[';
    snprintf(host, sizeof(host), "%.*s", (int)(colon - address) - 2 * brackets, address + brackets);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    assert_int_equal(getaddrinfo(host, colon + 1, &hints, &found), 0);
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int status = connect(fd, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (status < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* What the peer does not take, because it has closed, is dropped. */
static inline void peer_send(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        bytes = slice_of(bytes.ptr + n, bytes.len - (size_t)n);
    }
}

/* False at the end of the connection, or when nothing comes for PEER_WAIT_MS. */
static inline bool peer_more(int fd, struct buf *in)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, PEER_WAIT_MS) <= 0)
        return false;
    char *at = buf_reserve(in, 65536);
    ssize_t n = recv(fd, at, 65536, 0);
    if (n <= 0)
        return false;
    in->len += (size_t)n;
    in->ptr[in->len] = '\0';
    return true;
}

/* One answer with a Content-Length (or none and 204), taken off the front of in into out. */
static inline bool peer_answer(int fd, struct buf *in, struct buf *out, bool head)
{
    buf_reset(out);
    char *end = NULL;
    while (in->len == 0 || (end = strstr(in->ptr, "\r\n\r\n")) == NULL)
        if (!peer_more(fd, in))
            return false;
    size_t len = (size_t)(end - in->ptr) + 4;
    const char *field = strcasestr(in->ptr, "\r\nContent-Length:");
    if (field != NULL && field < end && !head)
        len += strtoul(field + 17, NULL, 10);
    while (in->len < len)
        if (!peer_more(fd, in))
            return false;
    buf_add(out, in->ptr, len);
    memmove(in->ptr, in->ptr + len, in->len - len);
    in->len -= len;
    in->ptr[in->len] = '\0';
    return true;
}

static inline void peer_read_all(int fd, struct buf *out)
{
    while (peer_more(fd, out))
        ;
}

/* Sends on a connection of its own, and gives the status of the answer; 0 for none. */
static inline int peer_ask(const char *address, struct slice request, struct buf *out)
{
    struct buf in = BUF_INIT;
    int fd = peer_connect(address);
    assert_true(fd >= 0);
    peer_send(fd, request);
    bool good = peer_answer(fd, &in, out, slice_starts(request, "HEAD"));
    close(fd);
    buf_done(&in);
    return good && out->len > 12 ? (int)strtol(out->ptr + 9, NULL, 10) : 0;
}

/* The server has closed the connection. */
static inline bool peer_closed(int fd)
{
    char byte;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, PEER_WAIT_MS) > 0 && recv(fd, &byte, 1, 0) <= 0;
}

#endif
