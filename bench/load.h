/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmark's load generator: the same few system calls per request against every peer, so that
 * what differs is the peer. It shares two cores with what it measures and must stay light: one
 * outstanding request per connection, requests made once and stamped in place. */
#ifndef SLUICE_BENCH_LOAD_H
#define SLUICE_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#define NS_PER_S 1000000000ull

enum load_mode { LOAD_HTTP, LOAD_REDIS, LOAD_SINK, LOAD_MODE_COUNT };

#define LOAD_HEADERS_MAX 16

struct load_options {
    enum load_mode mode;
    struct sockaddr_storage address;
    socklen_t address_len;
    const char *host; /* as given: the Host header */
    const char *method, *path, *body;
    const char *headers[LOAD_HEADERS_MAX];
    size_t header_count;
    unsigned connections, threads;
    uint64_t warmup_ns, duration_ns;
    uint64_t count; /* end after so many requests; 0: by time */
    double rate;    /* requests per second over all threads at fixed due times; 0: closed loop */
};

uint64_t load_now_ns(void); /* CLOCK_MONOTONIC: the same in every process of the machine */

/* ---- histogram.c: log-linear, relative error below 1 % ---- */
#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_BUCKETS  ((65 - HISTOGRAM_SUB_BITS) << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t count, sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* The value below which quantile (0 to 1) of all lie; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, double quantile);
/* {"mean":…,"p50":…,"p90":…,"p99":…,"max":…} in microseconds, of values in nanoseconds. */
void histogram_print_us(const struct histogram *h, FILE *out);

/* ---- wire.c: requests made once, responses framed ---- */
#define WIRE_STAMPS_MAX 4
#define WIRE_ID_LEN     16 /* {id}: hexadecimal, unique within a run */
#define WIRE_SENT_LEN   20 /* {sent}: nanoseconds, decimal; the time the request was due */

struct wire_template {
    char *bytes;
    size_t len;
    size_t ids[WIRE_STAMPS_MAX], sents[WIRE_STAMPS_MAX];
    size_t id_count, sent_count;
};

/* 0, -ENOMEM, -E2BIG (too many placeholders). */
int wire_template_init(struct wire_template *t, const struct load_options *o);
void wire_template_done(struct wire_template *t);
/* Writes id and time into bytes, a copy of the template's. */
void wire_stamp(const struct wire_template *t, char *bytes, uint64_t id, uint64_t sent_ns);

enum wire_state {
    WIRE_HEAD,
    WIRE_BODY,
    WIRE_CHUNK_SIZE,
    WIRE_CHUNK_DATA,
    WIRE_CHUNK_END,
    WIRE_TRAILER,
};

enum wire_kind { WIRE_HTTP_RESPONSE, WIRE_HTTP_REQUEST, WIRE_REDIS_REPLY };

enum wire_result { WIRE_MORE, WIRE_DONE, WIRE_BAD };

struct wire_reader {
    enum wire_kind kind;
    enum wire_state state;
    uint64_t left; /* of the body or chunk */
    unsigned status;
    bool close;       /* the peer will close after this message */
    size_t line_len;  /* of the chunk-size or trailer line so far */
    uint64_t sent_ns; /* requests: the number that ends ce-id, else 0 */
    char method;      /* requests: first letter */
    size_t len;       /* bytes of an unfinished head in buf */
    char buf[16 * 1024];
};

void wire_reader_reset(struct wire_reader *r);
/* Takes len bytes that were put at buf + r->len. One message at a time: bytes after its end are
 * WIRE_BAD, since nothing was asked for. */
enum wire_result wire_reader_take(struct wire_reader *r, size_t len);

/* ---- client.c: one thread with its connections ---- */
enum client_error { CLIENT_CONNECT, CLIENT_CLOSED, CLIENT_PROTOCOL, CLIENT_ERROR_COUNT };

#define CLIENT_STATUS_MAX 600

struct client {
    const struct load_options *options;
    const struct wire_template *template;
    unsigned number, connections; /* of this thread */
    uint64_t start_ns;            /* common to all threads */
    /* results */
    uint64_t statuses[CLIENT_STATUS_MAX];
    uint64_t errors[CLIENT_ERROR_COUNT];
    uint64_t answered; /* outside the measured time, too */
    uint64_t reconnects, unfinished, elapsed_ns;
    struct histogram latency; /* of answers below 400 */
};

/* Runs to the end of the measurement. Thread entry: argument is a struct client. */
void *client_run(void *client);

/* ---- sink.c ---- */
/* Listens on a free loopback port, prints {"address":…}, answers every POST with 202 and GET with a
 * report; DELETE resets the counts. Until killed. */
int sink_run(void);

#endif
