/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: HOST:PORT opened here, or a TCP or Unix socket that somebody else opened. */
#include "http/listen.h"
#include "base/encoding.h"
#include "base/fdio.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LISTEN_BACKLOG 1024
/* Of a peer that has vanished nothing is heard: it is asked after a while of silence, and given up
 * after another, in which it did not answer, or did not take a byte of what is waiting for it. */
#define SILENCE_S 45
#define PROBE_S   15
#define GIVE_UP_S 90

/* HOST:PORT, [ADDRESS]:PORT or :PORT. */
static int listen_split(const char *listen, char host[HTTP_HOST_MAX], char port[8],
                        struct error *err)
{
    const char *colon = strrchr(listen, ':');
    uint64_t number = 0;
    if (colon == NULL || encoding_parse_u64(slice_text(colon + 1), &number) < 0 || number > 65535)
        return error_set(err, -EINVAL, "\"%.200s\" is no HOST:PORT to listen on, as 127.0.0.1:8080",
                         listen);
    struct slice name = slice_of(listen, (size_t)(colon - listen));
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = slice_of(name.ptr + 1, name.len - 2);
    else if (name.len > 0 && memchr(name.ptr, ':', name.len) != NULL)
        return error_set(err, -EINVAL, "put the IPv6 address in brackets: [%.*s]:%s",
                         (int)(name.len > 64 ? 64 : name.len), name.ptr, colon + 1);
    if (name.len >= HTTP_HOST_MAX)
        return error_set(err, -EINVAL, "the host to listen on is longer than %d bytes",
                         HTTP_HOST_MAX - 1);
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    snprintf(port, 8, "%u", (unsigned)number);
    return 0;
}

/* Fills in the guard; returns the port. */
static unsigned guard_learn(struct http_guard *guard, const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address;
        inet_ntop(AF_INET, &v4->sin_addr, guard->bound_address, sizeof(guard->bound_address));
        guard->wildcard = v4->sin_addr.s_addr == htonl(INADDR_ANY);
        return ntohs(v4->sin_port);
    }
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)address;
        char text[INET6_ADDRSTRLEN];
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
        snprintf(guard->bound_address, sizeof(guard->bound_address), "[%s]", text);
        guard->wildcard = IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
        return ntohs(v6->sin6_port);
    }
    return 0;
}

/* Accepted sockets inherit them, so they cost nothing there. A socket that cannot have them serves
 * all the same. */
static void set_tcp_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, SILENCE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, PROBE_S},
        {IPPROTO_TCP, TCP_KEEPCNT, (GIVE_UP_S - SILENCE_S) / PROBE_S},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, GIVE_UP_S * 1000},
    };
    for (size_t i = 0; i < COUNT_OF(options); i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                   sizeof(options[i].value));
}

int http_listen_adopt(int fd, struct http_listen *ret, struct http_guard *guard, struct error *err)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    memset(&address, 0, sizeof(address));
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return error_set(err, -errno, "the listening socket has no address: %s", strerror(errno));
    int status = fdio_set_nonblocking(fd);
    if (status < 0)
        return error_set(err, status, "the listening socket: %s", strerror(-status));
    unsigned port = guard_learn(guard, &address);
    ret->fd = fd;
    ret->is_tcp = address.ss_family != AF_UNIX;
    if (address.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const void *)&address;
        snprintf(ret->address, sizeof(ret->address), "unix:%.*s", (int)sizeof(un->sun_path),
                 un->sun_path);
        return 0;
    }
    set_tcp_options(fd);
    snprintf(ret->address, sizeof(ret->address), "%s:%u", guard->bound_address, port);
    return 0;
}

/* A socket that listens on this address, or a negative errno. */
static int listen_on(const struct addrinfo *a)
{
    autoclose int fd =
        socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -errno;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
        return -errno;
    return STEAL_FD(fd);
}

int http_listen_open(const char *listen, struct http_listen *ret, struct http_guard *guard,
                     struct error *err)
{
    char port[8];
    int status = listen_split(listen, guard->bound_host, port, err);
    if (status < 0)
        return status;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    const char *host = guard->bound_host[0] != '\0' ? guard->bound_host : NULL;
    int looked_up = getaddrinfo(host, port, &hints, &found);
    if (looked_up != 0)
        return error_set(err, -EADDRNOTAVAIL, "cannot listen on %s: %s", listen,
                         gai_strerror(looked_up));
    int fd = -EADDRNOTAVAIL;
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next)
        fd = listen_on(a);
    freeaddrinfo(found);
    if (fd < 0)
        return error_set(err, fd, "cannot listen on %s: %s", listen, strerror(-fd));
    status = http_listen_adopt(fd, ret, guard, err);
    if (status < 0)
        close(fd);
    return status;
}
