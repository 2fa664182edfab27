/* SPDX-License-Identifier: Apache-2.0 */
/* sluice-load: options, threads, and the report as one JSON object on standard output. */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>

#define THREADS_MAX     8
#define CONNECTIONS_MAX 4096

static const char usage[] =
    "Usage: sluice-load [OPTION]... HOST:PORT | unix:PATH\n"
    "       sluice-load --mode sink\n"
    "  --mode http|redis|sink  what to speak (http); sink: be a subscriber that counts\n"
    "  --connections N         each with one request outstanding (64)\n"
    "  --threads N             (1)\n"
    "  --warmup S              seconds that do not count (0)\n"
    "  --duration S            seconds that count (3)\n"
    "  --count N               end after N requests instead\n"
    "  --rate R                requests per second at fixed times; latency counts from these\n"
    "  --method M --path P     (POST /)\n"
    "  --header 'Name: value'  repeatable; {id} and {sent} are stamped into each request\n"
    "  --body TEXT             the same (redis: the value of XADD's one field)\n";

enum option_id {
    OPTION_MODE = 256,
    OPTION_CONNECTIONS,
    OPTION_THREADS,
    OPTION_WARMUP,
    OPTION_DURATION,
    OPTION_COUNT,
    OPTION_RATE,
    OPTION_METHOD,
    OPTION_PATH,
    OPTION_HEADER,
    OPTION_BODY,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"mode", required_argument, NULL, OPTION_MODE},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"warmup", required_argument, NULL, OPTION_WARMUP},
    {"duration", required_argument, NULL, OPTION_DURATION},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"method", required_argument, NULL, OPTION_METHOD},
    {"path", required_argument, NULL, OPTION_PATH},
    {"header", required_argument, NULL, OPTION_HEADER},
    {"body", required_argument, NULL, OPTION_BODY},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static void fail(const char *what, const char *text)
{
    fprintf(stderr, "sluice-load: %s: %s\n", what, text);
    exit(2);
}

static double number(const char *name, const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= min && value <= max))
        fail(name, "is not a number in range");
    return value;
}

static enum load_mode mode_of(const char *text)
{
    static const char *const names[LOAD_MODE_COUNT] = {"http", "redis", "sink"};
    for (int i = 0; i < LOAD_MODE_COUNT; i++) {
        if (strcmp(names[i], text) == 0)
            return (enum load_mode)i;
    }
    fail(text, "no such mode");
    return LOAD_HTTP;
}

static void take_header_option(struct load_options *o, const char *text)
{
    if (o->header_count == LOAD_HEADERS_MAX)
        fail("--header", "too many");
    o->headers[o->header_count++] = text;
}

static void take_option(struct load_options *o, int id, const char *text)
{
    switch (id) {
    case OPTION_MODE:
        o->mode = mode_of(text);
        break;
    case OPTION_CONNECTIONS:
        o->connections = (unsigned)number("--connections", text, 1, CONNECTIONS_MAX);
        break;
    case OPTION_THREADS:
        o->threads = (unsigned)number("--threads", text, 1, THREADS_MAX);
        break;
    case OPTION_WARMUP:
        o->warmup_ns = (uint64_t)(number("--warmup", text, 0, 3600) * 1e9);
        break;
    case OPTION_DURATION:
        o->duration_ns = (uint64_t)(number("--duration", text, 0.01, 86400) * 1e9);
        break;
    case OPTION_COUNT:
        o->count = (uint64_t)number("--count", text, 1, 1e12);
        break;
    case OPTION_RATE:
        o->rate = number("--rate", text, 0.1, 1e7);
        break;
    case OPTION_METHOD:
        o->method = text;
        break;
    case OPTION_PATH:
        o->path = text;
        break;
    case OPTION_HEADER:
        take_header_option(o, text);
        break;
    case OPTION_BODY:
        o->body = text;
        break;
    case OPTION_HELP:
        fputs(usage, stdout);
        exit(0);
    default:
        fputs(usage, stderr);
        exit(2);
    }
}

static void take_unix_target(struct load_options *o, const char *path)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&o->address;
    if (strlen(path) >= sizeof(address->sun_path))
        fail(path, "path too long");
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, strlen(path) + 1);
    o->address_len = sizeof(*address);
    o->host = "localhost";
}

static void take_target(struct load_options *o, const char *target)
{
    if (strncmp(target, "unix:", 5) == 0) {
        take_unix_target(o, target + 5);
        return;
    }
    char host[256];
    const char *colon = strrchr(target, ':');
    if (colon == NULL || (size_t)(colon - target) >= sizeof(host))
        fail(target, "expected HOST:PORT or unix:PATH");
    memcpy(host, target, (size_t)(colon - target));
    host[colon - target] = '\0';
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int r = getaddrinfo(host, colon + 1, &hints, &found);
    if (r != 0)
        fail(target, gai_strerror(r));
    memcpy(&o->address, found->ai_addr, found->ai_addrlen);
    o->address_len = found->ai_addrlen;
    o->host = target;
    freeaddrinfo(found);
}

static void print_statuses(const struct client *total)
{
    const char *separator = "";
    printf("\"status\":{");
    for (unsigned i = 0; i < CLIENT_STATUS_MAX; i++) {
        if (total->statuses[i] == 0)
            continue;
        printf("%s\"%u\":%llu", separator, i, (unsigned long long)total->statuses[i]);
        separator = ",";
    }
    printf("},");
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6 +
           (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6;
}

static void report(const struct load_options *o, const struct client *total)
{
    double seconds = (double)total->elapsed_ns / 1e9;
    uint64_t all = 0;
    for (unsigned i = 0; i < CLIENT_STATUS_MAX; i++)
        all += total->statuses[i];
    uint64_t good = total->latency.count;
    printf("{\"connections\":%u,\"threads\":%u,\"rate\":%.1f,\"seconds\":%.6f,\"answers\":%llu,"
           "\"good\":%llu,\"good_per_second\":%.1f,",
           o->connections, o->threads, o->rate, seconds, (unsigned long long)all,
           (unsigned long long)good, seconds > 0 ? (double)good / seconds : 0);
    print_statuses(total);
    printf("\"errors\":{\"connect\":%llu,\"closed\":%llu,\"protocol\":%llu},\"reconnects\":%llu,"
           "\"unfinished\":%llu,\"answered_in_all\":%llu,\"latency_us\":",
           (unsigned long long)total->errors[CLIENT_CONNECT],
           (unsigned long long)total->errors[CLIENT_CLOSED],
           (unsigned long long)total->errors[CLIENT_PROTOCOL],
           (unsigned long long)total->reconnects, (unsigned long long)total->unfinished,
           (unsigned long long)total->answered);
    histogram_print_us(&total->latency, stdout);
    printf(",\"generator_cpu_seconds\":%.3f}\n", cpu_seconds());
}

static void merge(struct client *total, const struct client *part)
{
    for (unsigned i = 0; i < CLIENT_STATUS_MAX; i++)
        total->statuses[i] += part->statuses[i];
    for (unsigned i = 0; i < CLIENT_ERROR_COUNT; i++)
        total->errors[i] += part->errors[i];
    total->answered += part->answered;
    total->reconnects += part->reconnects;
    total->unfinished += part->unfinished;
    if (part->elapsed_ns > total->elapsed_ns)
        total->elapsed_ns = part->elapsed_ns;
    histogram_merge(&total->latency, &part->latency);
}

static void run_load(const struct load_options *o)
{
    struct wire_template template;
    int r = wire_template_init(&template, o);
    struct client *clients = calloc(o->threads + 1, sizeof(*clients));
    if (r < 0 || clients == NULL)
        fail("request", strerror(r < 0 ? -r : ENOMEM));
    struct client *total = &clients[o->threads];
    pthread_t threads[THREADS_MAX];
    uint64_t start = load_now_ns();
    for (unsigned i = 0; i < o->threads; i++) {
        clients[i] = (struct client){.options = o,
                                     .template = &template,
                                     .number = i,
                                     .start_ns = start,
                                     .connections = o->connections / o->threads +
                                                    (i < o->connections % o->threads)};
        r = pthread_create(&threads[i], NULL, client_run, &clients[i]);
        if (r != 0)
            fail("thread", strerror(r));
    }
    for (unsigned i = 0; i < o->threads; i++) {
        pthread_join(threads[i], NULL);
        merge(total, &clients[i]);
    }
    report(o, total);
    free(clients);
    wire_template_done(&template);
}

int main(int argc, char **argv)
{
    struct load_options o = {.method = "POST",
                             .path = "/",
                             .connections = 64,
                             .threads = 1,
                             .duration_ns = 3 * NS_PER_S};
    int id;
    while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        take_option(&o, id, optarg);
    if (o.mode == LOAD_SINK) {
        int r = sink_run();
        fail("sink", strerror(-r));
    }
    if (optind != argc - 1)
        fail("arguments", "expected one HOST:PORT or unix:PATH; see --help");
    if (o.mode == LOAD_REDIS && o.body == NULL)
        fail("--mode redis", "needs --body");
    if (o.threads > o.connections)
        o.threads = o.connections;
    take_target(&o, argv[optind]);
    run_load(&o);
    return 0;
}
