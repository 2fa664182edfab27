/* SPDX-License-Identifier: Apache-2.0 */
/* See metrics.h. One thread counts and writes. */
#include "worker/metrics.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "worker/settings.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BUCKET_COUNT 11
#define MEGABYTE     (1024.0 * 1024.0)

/* prom-client's, and how they are written. */
static const uint64_t bucket_limits[BUCKET_COUNT] = {
    5 * CLOCK_MILLISECOND,    10 * CLOCK_MILLISECOND,
    25 * CLOCK_MILLISECOND,   50 * CLOCK_MILLISECOND,
    100 * CLOCK_MILLISECOND,  250 * CLOCK_MILLISECOND,
    500 * CLOCK_MILLISECOND,  CLOCK_SECOND,
    2500 * CLOCK_MILLISECOND, 5 * CLOCK_SECOND,
    10 * CLOCK_SECOND};
static const char *const bucket_texts[BUCKET_COUNT] = {
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10"};

struct histogram {
    uint64_t buckets[BUCKET_COUNT + 1]; /* the last: more than all limits */
    uint64_t count, sum_ns;
};

static struct {
    uint64_t invocations, errors, bytes;
    struct histogram execution, queue, cold_start;
    uint64_t begun;             /* monotonic */
    uint64_t start_time;        /* of the calendar */
    uint64_t read_at, read_cpu; /* when the CPU time was last asked for */
    int memory_fd;
} metrics = {.memory_fd = -1};

static void observe(struct histogram *h, uint64_t ns)
{
    size_t i = 0;
    while (i < BUCKET_COUNT && ns > bucket_limits[i])
        i++;
    h->buckets[i]++;
    h->count++;
    h->sum_ns += ns;
}

void metrics_begin(void)
{
    metrics.begun = metrics.read_at = clock_monotonic();
    metrics.start_time = clock_realtime();
    metrics.memory_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

void metrics_ready(void)
{
    observe(&metrics.cold_start, clock_monotonic() - metrics.begun);
}

void metrics_called(uint64_t waited_ns, size_t bytes)
{
    metrics.invocations++;
    metrics.bytes += bytes;
    observe(&metrics.queue, waited_ns);
}

void metrics_answered(uint64_t begun)
{
    observe(&metrics.execution, clock_monotonic() - begun);
}

void metrics_sent(size_t bytes)
{
    metrics.bytes += bytes;
}

void metrics_failed(void)
{
    metrics.errors++;
}

/* ---- what the kernel knows ---- */

struct usage {
    double user, system;                    /* seconds */
    double utilization;                     /* percent of one processor since the last time */
    uint64_t virtual_bytes, resident_bytes; /* 0: unknown */
};

static uint64_t nanoseconds(struct timeval t)
{
    return (uint64_t)t.tv_sec * CLOCK_SECOND + (uint64_t)t.tv_usec * 1000;
}

static void read_memory(struct usage *u)
{
    char text[128];
    ssize_t len = metrics.memory_fd >= 0 ? pread(metrics.memory_fd, text, sizeof(text) - 1, 0) : -1;
    unsigned long long all = 0, resident = 0;
    if (len <= 0)
        return;
    text[len] = '\0';
    if (sscanf(text, "%llu %llu", &all, &resident) != 2)
        return;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    u->virtual_bytes = all * page;
    u->resident_bytes = resident * page;
}

static struct usage read_usage(void)
{
    struct usage u = {0};
    struct rusage r;
    if (getrusage(RUSAGE_SELF, &r) == 0) {
        uint64_t now = clock_monotonic(), cpu = nanoseconds(r.ru_utime) + nanoseconds(r.ru_stime);
        uint64_t elapsed = now - metrics.read_at;
        u.user = (double)nanoseconds(r.ru_utime) / (double)CLOCK_SECOND;
        u.system = (double)nanoseconds(r.ru_stime) / (double)CLOCK_SECOND;
        if (elapsed > 0)
            u.utilization = 100.0 * (double)(cpu - metrics.read_cpu) / (double)elapsed;
        metrics.read_at = now;
        metrics.read_cpu = cpu;
    }
    read_memory(&u);
    return u;
}

/* ---- text ---- */

static const char *const label_names[SETTINGS_LABEL_COUNT] = {
    [SETTINGS_NAME] = "faas_name",         [SETTINGS_ID] = "faas_id",
    [SETTINGS_INSTANCE] = "faas_instance", [SETTINGS_VERSION] = "faas_version",
    [SETTINGS_RUNTIME] = "faas_runtime",
};

static void add_escaped(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\\' || c == '"')
            buf_add_byte(out, '\\');
        if (c == '\n')
            buf_add_text(out, "\\n");
        else
            buf_add_byte(out, c);
    }
}

/* "faas_name="…",…", which every sample has. */
static void write_labels(struct buf *out)
{
    for (size_t i = 0; i < SETTINGS_LABEL_COUNT; i++) {
        buf_printf(out, "%s%s=\"", i > 0 ? "," : "", label_names[i]);
        add_escaped(out, buf_slice(&settings.labels[i]));
        buf_add_byte(out, '"');
    }
}

struct writer {
    struct buf *out;
    struct slice labels;
};

static void write_head(struct writer *w, const char *name, const char *kind, const char *help)
{
    buf_printf(w->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void write_value(struct writer *w, const char *name, const char *kind, const char *help,
                        double value)
{
    write_head(w, name, kind, help);
    buf_printf(w->out, "%s{" SLICE_FMT "} %.15g\n", name, SLICE_ARG(w->labels), value);
}

static void write_histogram(struct writer *w, const char *name, const char *help,
                            const struct histogram *h)
{
    uint64_t below = 0;
    write_head(w, name, "histogram", help);
    for (size_t i = 0; i <= BUCKET_COUNT; i++) {
        below += h->buckets[i];
        buf_printf(w->out, "%s_bucket{le=\"%s\"," SLICE_FMT "} %llu\n", name,
                   i < BUCKET_COUNT ? bucket_texts[i] : "+Inf", SLICE_ARG(w->labels),
                   (unsigned long long)below);
    }
    buf_printf(w->out, "%s_sum{" SLICE_FMT "} %.9f\n", name, SLICE_ARG(w->labels),
               (double)h->sum_ns / (double)CLOCK_SECOND);
    buf_printf(w->out, "%s_count{" SLICE_FMT "} %llu\n", name, SLICE_ARG(w->labels),
               (unsigned long long)h->count);
}

static void write_process(struct writer *w, const struct usage *u)
{
    write_value(w, "process_cpu_user_seconds_total", "counter",
                "Total user CPU time spent in seconds.", u->user);
    write_value(w, "process_cpu_system_seconds_total", "counter",
                "Total system CPU time spent in seconds.", u->system);
    write_value(w, "process_cpu_seconds_total", "counter",
                "Total user and system CPU time spent in seconds.", u->user + u->system);
    write_value(w, "process_start_time_seconds", "gauge",
                "Start time of the process since the Unix epoch in seconds.",
                (double)metrics.start_time / (double)CLOCK_SECOND);
    if (u->resident_bytes == 0)
        return;
    write_value(w, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
                (double)u->resident_bytes);
    write_value(w, "process_virtual_memory_bytes", "gauge",
                "Virtual memory size in bytes, most of which is reserved addresses only.",
                (double)u->virtual_bytes);
}

void metrics_write(struct buf *out)
{
    autobuf labels = BUF_INIT;
    write_labels(&labels);
    struct writer w = {.out = out, .labels = buf_slice(&labels)};
    struct usage u = read_usage();
    write_process(&w, &u);
    write_value(&w, "faas_invocations", "counter", "How often the function was called.",
                (double)metrics.invocations);
    write_value(&w, "faas_errors", "counter",
                "How many calls threw, ran into a limit or gave no answer.",
                (double)metrics.errors);
    write_histogram(&w, "faas_execution_latency",
                    "Seconds from when a request was read until it was answered.",
                    &metrics.execution);
    write_histogram(&w, "faas_queue_latency", "Seconds that calls waited before they began.",
                    &metrics.queue);
    write_histogram(&w, "faas_cold_start_latency",
                    "Seconds from the worker's start until it served.", &metrics.cold_start);
    write_value(&w, "faas_cpu_utilization", "gauge",
                "Percent of one processor, since this page was last asked for.", u.utilization);
    write_value(&w, "faas_mem_utilization", "gauge", "Megabytes of memory in use.",
                (double)u.resident_bytes / MEGABYTE);
    write_value(&w, "faas_netio_utilization", "gauge",
                "Megabytes of bodies, of requests and of answers.",
                (double)metrics.bytes / MEGABYTE);
    if (!buf_ok(&labels))
        out->failed = true;
}
