/* SPDX-License-Identifier: Apache-2.0 */
/* A subscriber that does nothing but count: POST is an event, answered 202 with no body; its delay
 * is taken from the time at the end of its ce-id (see {sent}). GET reports, DELETE starts anew. */
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 128

struct peer {
    int fd;
    struct wire_reader reader;
};

struct sink {
    int epoll, listener;
    uint64_t count, first_ns, last_ns, unstamped;
    struct histogram delay;
};

static int listen_loopback(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return -errno;
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void accept_peer(struct sink *s)
{
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct peer *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        close(fd);
        return;
    }
    p->fd = fd;
    p->reader.kind = WIRE_HTTP_REQUEST;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void peer_drop(struct peer *p)
{
    close(p->fd);
    free(p);
}

static void count_event(struct sink *s, const struct wire_reader *r)
{
    uint64_t now = load_now_ns();
    if (s->count++ == 0)
        s->first_ns = now;
    s->last_ns = now;
    if (r->sent_ns != 0 && r->sent_ns <= now)
        histogram_add(&s->delay, now - r->sent_ns);
    else
        s->unstamped++;
}

static bool peer_send(const struct peer *p, const char *text, size_t len)
{
    return send(p->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool send_report(const struct sink *s, const struct peer *p)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    if (f == NULL)
        return false;
    fprintf(f, "{\"count\":%llu,\"unstamped\":%llu,\"seconds\":%.6f,\"delay_us\":",
            (unsigned long long)s->count, (unsigned long long)s->unstamped,
            (double)(s->last_ns - s->first_ns) / 1e9);
    histogram_print_us(&s->delay, f);
    fputs("}\n", f);
    fclose(f);
    char head[128];
    int n = snprintf(
        head, sizeof(head),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", len);
    bool sent = peer_send(p, head, (size_t)n) && peer_send(p, text, len);
    free(text);
    return sent;
}

static bool answer(struct sink *s, const struct peer *p)
{
    static const char accepted[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    if (p->reader.method == 'G')
        return send_report(s, p);
    if (p->reader.method == 'D') {
        s->count = s->first_ns = s->last_ns = s->unstamped = 0;
        memset(&s->delay, 0, sizeof(s->delay));
    } else {
        count_event(s, &p->reader);
    }
    return peer_send(p, accepted, sizeof(accepted) - 1);
}

static void peer_read(struct sink *s, struct peer *p)
{
    size_t at = p->reader.state == WIRE_HEAD ? p->reader.len : 0;
    ssize_t n = recv(p->fd, p->reader.buf + at, sizeof(p->reader.buf) - at, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    enum wire_result result = n <= 0 ? WIRE_BAD : wire_reader_take(&p->reader, (size_t)n);
    if (result == WIRE_MORE)
        return;
    if (result == WIRE_BAD || !answer(s, p)) {
        peer_drop(p);
        return;
    }
    wire_reader_reset(&p->reader);
}

int sink_run(void)
{
    struct sink *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    int port = 0;
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->listener = listen_loopback(&port);
    if (s->epoll < 0 || s->listener < 0) {
        int r = -errno;
        free(s);
        return r;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &event);
    printf("{\"address\":\"127.0.0.1:%d\"}\n", port);
    fflush(stdout);
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int n = epoll_wait(s->epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                accept_peer(s);
            else
                peer_read(s, events[i].data.ptr);
        }
    }
}
