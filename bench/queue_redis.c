/* SPDX-License-Identifier: Apache-2.0 */
/* Redis Streams: WINDOW connections that XADD, one command outstanding each, and WINDOW that read
 * as consumers of one group: XREADGROUP of one message, then XACK of it together with the next
 * XREADGROUP, which saves them a round trip. One thread of epoll for each side. */
#include "queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLY_MAX  4096
#define EVENTS_MAX 256
#define ID_MAX     48

struct peer {
    int fd;
    unsigned number;
    size_t len;
    char reply[REPLY_MAX];
    char id[ID_MAX]; /* consumers: of the message that was read last */
};

struct side {
    const struct queue_options *options;
    int epoll;
    struct peer *peers;
    uint64_t sent, done;
};

static void connect_peer(const struct queue_options *o, struct peer *p)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o->port)};
    int on = 1;
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->fd < 0 || inet_pton(AF_INET, o->host, &to.sin_addr) != 1 ||
        connect(p->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        queue_fail("connect", strerror(errno));
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void send_text(const struct peer *p, const char *text, size_t len)
{
    if (send(p->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        queue_fail("send", strerror(errno));
}

/* Where the reply at text ends (Redis protocol 2), NULL when more has to come. Takes the id of the
 * first message of an answer to XREADGROUP: the bulk string at depth 3. */
static const char *reply_end(const char *text, const char *end, unsigned depth, char *ret_id)
{
    const char *line = memchr(text, '\n', (size_t)(end - text));
    if (line == NULL)
        return NULL;
    line++;
    long n = strtol(text + 1, NULL, 10);
    if (*text == '-')
        queue_fail("redis", text);
    if (*text == '$' && n >= 0) {
        if (end - line < n + 2)
            return NULL;
        if (depth == 4 && ret_id != NULL && ret_id[0] == '\0')
            snprintf(ret_id, ID_MAX, "%.*s", (int)(n < ID_MAX ? n : ID_MAX - 1), line);
        return line + n + 2;
    }
    for (long i = 0; *text == '*' && i < n && line != NULL; i++)
        line = reply_end(line, end, depth + 1, ret_id);
    return line;
}

/* ---- producers ---- */

static void add(struct side *s, const struct peer *p)
{
    static char text[REPLY_MAX];
    static size_t len;
    if (len == 0)
        len = (size_t)snprintf(
            text, sizeof(text),
            "*5\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$4\r\ndata\r\n$%zu\r\n%s\r\n",
            strlen(s->options->body), s->options->body);
    if (s->sent == s->options->count)
        return;
    s->sent++;
    send_text(p, text, len);
}

static void added(struct side *s, struct peer *p)
{
    if (reply_end(p->reply, p->reply + p->len, 0, NULL) == NULL)
        return;
    p->len = 0;
    s->done++;
    add(s, p);
}

/* ---- consumers ---- */

/* Finishes the message with that id (NULL: none yet) and waits for another. */
static void ask(const struct peer *p, const char *id)
{
    char text[512], consumer[16];
    int len = 0;
    if (id != NULL)
        len = snprintf(text, sizeof(text),
                       "*4\r\n$4\r\nXACK\r\n$6\r\nevents\r\n$1\r\ng\r\n$%zu\r\n%s\r\n", strlen(id),
                       id);
    snprintf(consumer, sizeof(consumer), "c%u", p->number);
    len += snprintf(text + len, sizeof(text) - (size_t)len,
                    "*11\r\n$10\r\nXREADGROUP\r\n$5\r\nGROUP\r\n$1\r\ng\r\n$%zu\r\n%s\r\n"
                    "$5\r\nCOUNT\r\n$1\r\n1\r\n$5\r\nBLOCK\r\n$1\r\n0\r\n"
                    "$7\r\nSTREAMS\r\n$6\r\nevents\r\n$1\r\n>\r\n",
                    strlen(consumer), consumer);
    send_text(p, text, (size_t)len);
}

static void consumed(struct side *s, struct peer *p)
{
    const char *at = p->reply, *end = p->reply + p->len, *next;
    while ((next = reply_end(at, end, 0, NULL)) != NULL) {
        if (*at == ':') {
            s->done++;
        } else {
            p->id[0] = '\0';
            reply_end(at, end, 0, p->id);
            if (p->id[0] == '\0')
                queue_fail("redis", "an answer to XREADGROUP has no message");
            ask(p, p->id);
        }
        at = next;
    }
    p->len = (size_t)(end - at);
    memmove(p->reply, at, p->len);
}

/* ---- both ---- */

static void take(struct side *s, struct peer *p, void (*answered)(struct side *s, struct peer *p))
{
    ssize_t n = recv(p->fd, p->reply + p->len, sizeof(p->reply) - p->len, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        queue_fail("recv", n == 0 ? "closed" : strerror(errno));
    p->len += (size_t)n;
    answered(s, p);
}

static void side_open(struct side *s)
{
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->peers = calloc(s->options->window, sizeof(*s->peers));
    if (s->epoll < 0 || s->peers == NULL)
        queue_fail("out of", "memory");
    for (unsigned i = 0; i < s->options->window; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &s->peers[i]};
        s->peers[i].number = i;
        connect_peer(s->options, &s->peers[i]);
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->peers[i].fd, &e);
    }
}

static void side_run(struct side *s, void (*answered)(struct side *s, struct peer *p))
{
    struct epoll_event events[EVENTS_MAX];
    while (s->done < s->options->count) {
        int n = epoll_wait(s->epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++)
            take(s, events[i].data.ptr, answered);
    }
}

static void *consume(void *argument)
{
    struct side *s = argument;
    for (unsigned i = 0; i < s->options->window; i++)
        ask(&s->peers[i], NULL);
    side_run(s, consumed);
    return NULL;
}

/* The stream and its group are there already. */
static void run(const struct queue_options *o)
{
    struct side consumers = {.options = o}, producers = {.options = o};
    pthread_t thread;
    side_open(&consumers);
    side_open(&producers);
    if (pthread_create(&thread, NULL, consume, &consumers) != 0)
        queue_fail("pthread_create", "failed");
    for (unsigned i = 0; i < o->window; i++)
        add(&producers, &producers.peers[i]);
    side_run(&producers, added);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    return queue_main(argc, argv, run);
}
