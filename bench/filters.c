/* SPDX-License-Identifier: Apache-2.0 */
/* What filters cost by themselves, on one core:
 *   filters cesql [SECONDS]              evaluations a second of an expression with five terms
 *   filters mixed TRIGGERS [SECONDS]     ns an event, with so many triggers of all dialects
 * The numbers alone go to standard output. */
#include "base/memory.h"
#include "base/must.h"
#include "broker/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EVENTS 64

struct made { /* an event and what it borrows */
    struct event event;
    char type[32], source[32], subject[32];
};

static void make(struct made *m, unsigned n)
{
    struct event *e = &m->event;
    snprintf(m->type, sizeof(m->type), "com.example.t%u", n);
    snprintf(m->source, sizeof(m->source), "/shop/s%u/orders", n);
    snprintf(m->subject, sizeof(m->subject), "order-%u", n);
    e->version = EVENT_V1;
    e->count = 0;
    event_set(e, "id", SLICE("9f1b5bd2-9e51-4f15-a0ba-2a6a4f5a3d9e"));
    event_set(e, "source", slice_text(m->source));
    event_set(e, "type", slice_text(m->type));
    event_set(e, "datacontenttype", SLICE("application/json"));
    event_set(e, "time", SLICE("2026-11-21T10:00:00Z"));
    event_set(e, "subject", slice_text(m->subject));
    event_set(e, "priority", SLICE("7"));
    event_set(e, "region", SLICE("eu"));
}

/* Of this thread: what else the machine does is not counted. */
static double cpu_seconds(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- one expression ---- */

static const char five_terms[] = "type LIKE 'com.example.%' AND source LIKE '%/orders' AND "
                                 "INT(priority) > 3 AND region IN ('us', 'eu') AND EXISTS subject";

static int cesql(double seconds)
{
    static struct cesql_scratch scratch;
    struct cesql *x = NULL;
    static struct made m;
    make(&m, 1);
    must(cesql_parse(slice_text(five_terms), &x, NULL, NULL) == 0);
    double start = cpu_seconds(), now = start;
    uint64_t done = 0;
    for (; now - start < seconds; now = cpu_seconds()) {
        for (int i = 0; i < 1000; i++)
            must(cesql_matches(x, &m.event, &scratch));
        done += 1000;
    }
    printf("%.0f\n", (double)done / (now - start));
    cesql_free(x);
    return 0;
}

/* ---- many triggers ---- */

/* %1$u is the trigger's number: each is for events of its own. */
static const char *const specs[] = {
    "{\"filter\":{\"attributes\":{\"type\":\"com.example.t%1$u\"}}}",
    "{\"filters\":[{\"exact\":{\"type\":\"com.example.t%1$u\",\"region\":\"eu\"}}]}",
    "{\"filters\":[{\"prefix\":{\"source\":\"/shop/s%1$u/\"}}]}",
    "{\"filters\":[{\"suffix\":{\"subject\":\"-%1$u\"}}]}",
    "{\"filters\":[{\"any\":[{\"exact\":{\"type\":\"com.example.t%1$u\"}},"
    "{\"exact\":{\"type\":\"com.example.u%1$u\"}}]}]}",
    "{\"filters\":[{\"all\":[{\"prefix\":{\"type\":\"com.example.\"}},"
    "{\"suffix\":{\"type\":\".t%1$u\"}}]}]}",
    "{\"filters\":[{\"exact\":{\"subject\":\"order-%1$u\"}},{\"not\":{\"exact\":{\"region\":\"us\"}"
    "}}]}",
    "{\"filters\":[{\"cesql\":\"type = 'com.example.t%1$u' AND INT(priority) > 3\"}]}",
    "{\"filters\":[{\"cesql\":\"source LIKE '/shop/s%1$u/%%' AND region IN ('eu', 'us')\"}]}",
    "{\"filters\":[{\"not\":{\"not\":{\"sql\":\"subject IN ('order-%1$u', 'x%1$u')\"}}}]}",
};

static void add(struct index *x, unsigned n)
{
    char text[512];
    struct filter *f = NULL;
    snprintf(text, sizeof(text), specs[n % COUNT_OF(specs)], n);
    json_t *spec = json_loads(text, 0, NULL);
    must(spec != NULL && filter_compile(spec, &f, NULL) == 0 && index_add(x, f, x) == 0);
    json_decref(spec);
    filter_free(f);
}

static void count(void *ctx, void *item)
{
    ++*(uint64_t *)ctx;
}

/* Each event is for one trigger, and for each trigger there are events. */
static int mixed(unsigned triggers, double seconds)
{
    struct index x = {0};
    for (unsigned n = 0; n < triggers; n++)
        add(&x, n);
    static struct made events[EVENTS];
    double start = cpu_seconds(), busy = 0;
    uint64_t done = 0, found = 0;
    while (cpu_seconds() - start < seconds) {
        for (unsigned i = 0; i < EVENTS; i++)
            make(&events[i], (unsigned)((done + i) * 7919 % triggers));
        double before = cpu_seconds();
        for (unsigned i = 0; i < EVENTS; i++)
            index_match(&x, &events[i].event, count, &found);
        busy += cpu_seconds() - before;
        done += EVENTS;
    }
    must(found == done);
    printf("%.1f\n", busy * 1e9 / (double)done);
    index_done(&x);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "cesql") == 0)
        return cesql(argc > 2 ? atof(argv[2]) : 1);
    if (argc >= 3 && strcmp(argv[1], "mixed") == 0 && atoi(argv[2]) > 0)
        return mixed((unsigned)atoi(argv[2]), argc > 3 ? atof(argv[3]) : 1);
    fprintf(stderr, "usage: filters cesql [SECONDS] | mixed TRIGGERS [SECONDS]\n");
    return 2;
}
