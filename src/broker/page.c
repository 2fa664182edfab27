/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/page.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "broker/name_json.h"

#include <errno.h>

#define WINDOW_MIN   2048u /* positions that are read at once when the newest come first */
#define WINDOW_MAX   (1u << 17)
#define WINDOW_SMALL 16u

static struct page *of(struct inspect_job *job)
{
    return container_of(job, struct page, job);
}

static void item_done(struct page_item *item)
{
    buf_done(&item->bytes);
    buf_done(&item->body);
}

/* ---- reading ---- */

/* A run of the log: the last `max` items of it, as a ring; or the first when not `newest`. */
struct run {
    struct page_item *items;
    size_t first, count, max, bytes;
    bool newest;
};

static struct page_item *run_item(const struct run *r, size_t i)
{
    return &r->items[(r->first + i) % r->max];
}

static bool run_full(const struct run *r)
{
    return r->count == r->max || r->bytes >= PAGE_BYTES_MAX;
}

static void run_add(struct run *r, struct page_item *item)
{
    while (r->newest && r->count > 0 && run_full(r)) {
        struct page_item *oldest = run_item(r, 0);
        r->bytes -= oldest->charged;
        item_done(oldest);
        r->first = (r->first + 1) % r->max;
        r->count--;
    }
    item->charged = item->bytes.len; /* before records behind it add to it */
    r->bytes += item->charged;
    *run_item(r, r->count++) = *item;
}

/* From the first position to the last one; *ret_next is where it stopped. */
static int read_run(struct page *p, struct run *r, uint64_t first, uint64_t last,
                    uint64_t *ret_next)
{
    struct walk walk;
    struct store_entry e;
    int n;
    uint64_t behind = p->kind->behind, end = last > UINT64_MAX - behind ? last : last + behind;
    walk_begin(&walk, &p->job, first, end);
    walk.search = p->search;
    *ret_next = first;
    while ((n = walk_next(&walk, &e)) == 1) {
        struct page_item item = {.position = e.position, .time_ns = e.time_ns, .scope = e.scope};
        bool full = !r->newest && run_full(r);
        struct page_item *before = r->count > 0 ? run_item(r, r->count - 1) : NULL;
        if (full && (before == NULL || e.position > before->position + behind))
            break;
        n = p->kind->take(p, &e, full || e.position > last, before, &item);
        if (n < 0)
            break;
        if (n == 1)
            run_add(r, &item);
        if (!full)
            *ret_next = e.position + 1;
    }
    if (n == 0 && (r->newest || !run_full(r)))
        *ret_next = walk.position; /* parts may have been passed over */
    walk_done(&walk);
    return n < 0 ? n : 0;
}

static int run_begin(struct page *p, struct run *r)
{
    *r = (struct run){.max = p->limit, .newest = p->descending};
    r->items = calloc(r->max, sizeof(*r->items));
    return r->items != NULL ? 0 : -ENOMEM;
}

static void run_done(struct run *r)
{
    for (size_t i = 0; i < r->count; i++)
        item_done(run_item(r, i));
    free(r->items);
}

static void give(struct page *p, struct page_item *item)
{
    p->bytes += item->bytes.len + item->body.len;
    p->items[p->count++] = *item;
    *item = (struct page_item){.bytes = BUF_INIT};
}

static int read_ascending(struct page *p)
{
    struct run r;
    uint64_t next, last = store_synced(p->job.core->store);
    last = p->to < last ? p->to : last;
    int status = run_begin(p, &r);
    if (status < 0)
        return status;
    status = read_run(p, &r, p->from, last, &next);
    for (size_t i = 0; i < r.count && status == 0; i++)
        give(p, run_item(&r, i));
    p->next = next <= last ? next : 0;
    run_done(&r);
    return status;
}

/* Moves what fits to the page, the newest first; false: the page is full. */
static bool give_newest(struct page *p, struct run *r)
{
    while (r->count > 0) {
        if (p->count == p->limit || (p->count > 0 && p->bytes >= PAGE_BYTES_MAX))
            return false;
        give(p, run_item(r, r->count - 1));
        r->count--;
    }
    return p->count < p->limit && p->bytes < PAGE_BYTES_MAX;
}

static int read_window(struct page *p, uint64_t first, uint64_t last, bool *ret_more)
{
    struct run r;
    uint64_t next;
    int status = run_begin(p, &r);
    if (status < 0)
        return status;
    status = read_run(p, &r, first, last, &next);
    if (status == 0 && !p->job.exhausted) {
        *ret_more = give_newest(p, &r);
        /* What the ring let go stands below the last one that is shown. */
        p->next = (*ret_more ? first : p->items[p->count - 1].position) - 1;
    }
    run_done(&r);
    return status;
}

static int end_page(struct page *p, uint64_t lowest)
{
    if (p->next < lowest)
        p->next = 0;
    return 0;
}

/* The log is read forwards, so windows of it from its end on, ever larger ones while nothing is
 * found. What a window that was not read to its end holds, is left to the next page. */
static int read_descending(struct page *p)
{
    uint64_t width = WINDOW_MIN, last = store_synced(p->job.core->store);
    uint64_t lowest = store_first(p->job.core->store);
    lowest = p->from > lowest ? p->from : lowest;
    last = p->to < last ? p->to : last;
    bool more = true;
    int status = 0;
    while (more && status == 0 && last >= lowest && last > 0 && !p->job.exhausted) {
        uint64_t first = last - lowest < width ? lowest : last - width + 1;
        size_t before = p->count;
        p->next = last;
        status = read_window(p, first, last, &more);
        if (p->next == last && p->count == 0 && p->job.exhausted) {
            /* Not even one window: each page goes on a little, all the same. */
            inspect_grant(&p->job);
            first = last - lowest < WINDOW_SMALL ? lowest : last - WINDOW_SMALL + 1;
            status = read_window(p, first, last, &more);
            return status < 0 ? status : end_page(p, lowest);
        }
        last = p->next;
        if (p->count == before && width < WINDOW_MAX)
            width *= 2;
    }
    return status < 0 ? status : end_page(p, lowest);
}

/* Times become positions here: that reads the log, too. */
static void narrow(struct page *p)
{
    struct store *store = p->job.core->store;
    if (p->since_ns != 0) {
        uint64_t first = store_find_time(store, p->since_ns);
        p->from = first > p->from ? first : p->from;
    }
    if (p->until_ns != 0) {
        uint64_t behind = store_find_time(store, p->until_ns);
        p->to = behind - 1 < p->to ? behind - 1 : p->to;
    }
}

static void read_page(struct inspect_job *job)
{
    struct page *p = of(job);
    narrow(p);
    p->items = calloc(p->limit, sizeof(*p->items));
    int r = p->items == NULL ? -ENOMEM : p->descending ? read_descending(p) : read_ascending(p);
    if (r < 0)
        job->error = r;
}

/* ---- the answer ---- */

static void answer_page(struct inspect_job *job)
{
    struct page *p = of(job);
    autobuf out = BUF_INIT;
    if (job->error != 0) {
        http_respond_errorf(job->request, 503, "the log cannot be read: %s", strerror(-job->error));
        return;
    }
    buf_add_text(&out, "{\"items\":[");
    for (size_t i = 0; i < p->count; i++) {
        if (i > 0)
            buf_add_byte(&out, ',');
        p->kind->write(p, &p->items[i], &out);
    }
    buf_add_byte(&out, ']');
    if (p->next != 0)
        buf_printf(&out, ",\"continue\":\"%llu\"", (unsigned long long)p->next);
    buf_add_text(&out, "}\n");
    json_answer(job->request, &out);
}

static void free_page(struct inspect_job *job)
{
    struct page *p = of(job);
    for (size_t i = 0; i < p->count; i++)
        item_done(&p->items[i]);
    free(p->items);
    if (p->kind->done != NULL)
        p->kind->done(p);
    free(p);
}

static bool prepare_page(struct inspect_job *job)
{
    return of(job)->kind->prepare(job);
}

static const struct inspect_ops page_ops = {
    .prepare = prepare_page, .read = read_page, .answer = answer_page, .free = free_page};

void page_request(struct page *p, struct broker_core *core, struct http_request *request,
                  const struct page_kind *kind)
{
    p->kind = kind;
    inspect_request(&p->job, core, request, &page_ops);
}

/* ---- the query ---- */

static int read_position(struct http_request *request, const char *name, uint64_t *ret,
                         struct error *err)
{
    struct slice text = http_request_query_value(request, name);
    if (text.ptr == NULL || encoding_parse_u64(text, ret) == 0)
        return 0;
    return error_set(err, -EINVAL, "%s: a position, not \"" SLICE_FMT "\"", name, SLICE_ARG(text));
}

/* 0: the query has no such time. */
static int read_time(struct http_request *request, const char *name, uint64_t *ret,
                     struct error *err)
{
    struct slice text = http_request_query_value(request, name);
    *ret = 0;
    if (text.ptr == NULL || clock_parse_rfc3339(text, ret) == 0)
        return 0;
    return error_set(err, -EINVAL,
                     "%s: a time as in RFC 3339 (2026-11-21T08:00:00Z), not \"" SLICE_FMT "\"",
                     name, SLICE_ARG(text));
}

static int read_order(struct page *p, struct http_request *request, struct error *err)
{
    struct slice order = http_request_query_value(request, "order");
    if (order.ptr == NULL)
        return 0;
    p->descending = slice_is(order, "desc");
    if (p->descending || slice_is(order, "asc"))
        return 0;
    return error_set(err, -EINVAL, "order: asc or desc, not \"" SLICE_FMT "\"", SLICE_ARG(order));
}

static int read_limit(struct page *p, struct http_request *request, struct error *err)
{
    struct slice limit = http_request_query_value(request, "limit");
    p->limit = PAGE_ITEMS_DEFAULT;
    if (limit.ptr == NULL ||
        (encoding_parse_u64(limit, &p->limit) == 0 && p->limit > 0 && p->limit <= PAGE_ITEMS_MAX))
        return 0;
    return error_set(err, -EINVAL, "limit: a number from 1 to %u, not \"" SLICE_FMT "\"",
                     PAGE_ITEMS_MAX, SLICE_ARG(limit));
}

int page_read_query(struct page *p, struct http_request *request, bool descending_by_default,
                    struct error *err)
{
    uint64_t go_on = 0;
    struct slice from = http_request_query_value(request, "from");
    p->from = 1;
    p->to = UINT64_MAX;
    p->descending = descending_by_default;
    int r = from.ptr != NULL && slice_is(from, "earliest")
                ? 0
                : read_position(request, "from", &p->from, err);
    r = r == 0 ? read_position(request, "to", &p->to, err) : r;
    r = r == 0 ? read_position(request, "continue", &go_on, err) : r;
    r = r == 0 ? read_time(request, "since", &p->since_ns, err) : r;
    r = r == 0 ? read_time(request, "until", &p->until_ns, err) : r;
    r = r == 0 ? read_order(p, request, err) : r;
    r = r == 0 ? read_limit(p, request, err) : r;
    if (r < 0)
        return r;
    if (go_on != 0 && p->descending)
        p->to = go_on;
    else if (go_on != 0)
        p->from = go_on;
    return 0;
}
