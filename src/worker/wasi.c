/* SPDX-License-Identifier: Apache-2.0 */
/* The program's surroundings: memory, arguments, environment, clocks, randomness, its end. Every
 * address and length comes from the guest and is believed only after wasi_at(). */
#include "worker/wasi.h"

#include "base/clock.h"

#include <time.h>

#define WASM_PAGE         UINT64_C(65536)
#define WASI_ERRORS_KEPT  4096 /* of the error output, for the message of a bad end */
#define WASI_LINE_MAX     3072 /* a longer line is logged in pieces */
#define WASI_OUTPUT_SPARE 65536

struct wasi wasi;

/* ---- memory ---- */

void *wasi_at(uint32_t address, uint64_t len)
{
    const wasm_rt_memory_t *memory = wasi.memory;
    /* The size in bytes would overflow for 65536 pages. */
    if (memory == NULL || len > memory->pages * WASM_PAGE ||
        address > memory->pages * WASM_PAGE - len)
        return NULL;
    return memory->data + address;
}

uint32_t wasi_put_u32(uint32_t address, uint32_t value)
{
    void *at = wasi_at(address, sizeof(value));
    if (at == NULL)
        return WASI_FAULT;
    memcpy(at, &value, sizeof(value));
    return WASI_SUCCESS;
}

uint32_t wasi_put_u64(uint32_t address, uint64_t value)
{
    void *at = wasi_at(address, sizeof(value));
    if (at == NULL)
        return WASI_FAULT;
    memcpy(at, &value, sizeof(value));
    return WASI_SUCCESS;
}

/* ---- one call ---- */

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * CLOCK_SECOND + (uint64_t)t.tv_nsec;
}

static void reset(struct buf *b)
{
    if (b->cap > WASI_OUTPUT_SPARE || b->failed) {
        buf_done(b);
        *b = (struct buf)BUF_INIT;
    }
    buf_reset(b);
}

void wasi_begin(void)
{
    static const uint64_t common = UINT64_C(1) << 3 | UINT64_C(1) << 21 | UINT64_C(1) << 27;
    for (uint8_t i = 0; i < WASI_DESCRIPTORS; i++)
        wasi.descriptors[i] = (struct wasi_descriptor){
            .open = true,
            .stream = i,
            .rights = common | (i == 0 ? WASI_RIGHT_READ : WASI_RIGHT_WRITE)};
    reset(&wasi.output);
    reset(&wasi.errors);
    reset(&wasi.line);
    wasi.input = slice_of(NULL, 0);
    wasi.event_id = slice_of(NULL, 0);
    wasi.input_at = 0;
    wasi.log_bytes = 0;
    wasi.log_cut = wasi.exited = wasi.output_full = false;
    wasi.exit_code = 0;
    wasi.cpu_start = cpu_ns();
}

/* A line costs its newline, too: empty ones are not for nothing. */
static void log_line(void)
{
    if (wasi.log_bytes + wasi.line.len < wasi.log_max) {
        wasi.log_bytes += wasi.line.len + 1;
        report_log(REPORT_INFO, wasi.event_id, buf_slice(&wasi.line));
    } else if (!wasi.log_cut) {
        wasi.log_cut = true;
        report_limit("output", wasi.event_id,
                     "the rest of this call's log is left out: it has more bytes than the limit");
    }
    buf_reset(&wasi.line);
}

/* The last bytes are kept in two halves' worth of room, so that little is moved. */
static void keep_errors(struct slice text)
{
    if (text.len > WASI_ERRORS_KEPT)
        text = slice_of(text.ptr + text.len - WASI_ERRORS_KEPT, WASI_ERRORS_KEPT);
    if (wasi.errors.len + text.len > (size_t)2 * WASI_ERRORS_KEPT) {
        size_t dropped = wasi.errors.len - WASI_ERRORS_KEPT;
        memmove(wasi.errors.ptr, wasi.errors.ptr + dropped, WASI_ERRORS_KEPT);
        wasi.errors.len = WASI_ERRORS_KEPT;
    }
    buf_add_slice(&wasi.errors, text);
}

void wasi_write_error(struct slice text)
{
    keep_errors(text);
    while (text.len > 0 && !wasi.log_cut && !guard_time_is_up()) {
        const char *newline = memchr(text.ptr, '\n', text.len);
        size_t len = newline != NULL ? (size_t)(newline - text.ptr) : text.len;
        size_t room = WASI_LINE_MAX - wasi.line.len;
        size_t part = len < room ? len : room;
        buf_add(&wasi.line, text.ptr, part);
        bool ended = newline != NULL && part == len;
        text = slice_of(text.ptr + part + ended, text.len - part - ended);
        if (ended || wasi.line.len == WASI_LINE_MAX)
            log_line();
    }
}

void wasi_end(void)
{
    if (wasi.line.len > 0)
        log_line();
}

/* ---- arguments and environment ---- */

void wasi_strings_reset(struct wasi_strings *s)
{
    buf_reset(&s->text);
    s->count = 0;
}

void wasi_strings_add(struct wasi_strings *s, struct slice string)
{
    buf_add_slice(&s->text, string);
    buf_add_byte(&s->text, '\0');
    s->count++;
}

static uint32_t put_sizes(const struct wasi_strings *s, uint32_t ret_count, uint32_t ret_bytes)
{
    if (wasi_at(ret_count, sizeof(uint32_t)) == NULL ||
        wasi_at(ret_bytes, sizeof(uint32_t)) == NULL)
        return WASI_FAULT;
    wasi_put_u32(ret_count, s->count);
    return wasi_put_u32(ret_bytes, (uint32_t)s->text.len);
}

static uint32_t put_strings(const struct wasi_strings *s, uint32_t pointers, uint32_t text)
{
    char *to = wasi_at(text, s->text.len);
    if (to == NULL || wasi_at(pointers, (uint64_t)s->count * sizeof(uint32_t)) == NULL)
        return WASI_FAULT;
    if (s->text.len > 0)
        memcpy(to, s->text.ptr, s->text.len);
    const char *at = s->text.ptr;
    for (uint32_t i = 0; i < s->count; i++) {
        wasi_put_u32(pointers + i * (uint32_t)sizeof(uint32_t),
                     text + (uint32_t)(at - s->text.ptr));
        at += strlen(at) + 1;
    }
    return WASI_SUCCESS;
}

uint32_t wasi_args_get(uint32_t pointers, uint32_t text)
{
    return put_strings(&wasi.arguments, pointers, text);
}

uint32_t wasi_args_sizes_get(uint32_t ret_count, uint32_t ret_bytes)
{
    return put_sizes(&wasi.arguments, ret_count, ret_bytes);
}

uint32_t wasi_environ_get(uint32_t pointers, uint32_t text)
{
    return put_strings(&wasi.environment, pointers, text);
}

uint32_t wasi_environ_sizes_get(uint32_t ret_count, uint32_t ret_bytes)
{
    return put_sizes(&wasi.environment, ret_count, ret_bytes);
}

/* ---- clocks ---- */

enum clock_id { CLOCK_ID_REALTIME, CLOCK_ID_MONOTONIC, CLOCK_ID_PROCESS, CLOCK_ID_THREAD };

/* Processor time counts from the beginning of the call: what others used is no business of this
 * one. */
uint32_t wasi_clock(uint32_t id, uint64_t *ret)
{
    if (id > CLOCK_ID_THREAD)
        return WASI_INVAL;
    *ret = id == CLOCK_ID_REALTIME    ? clock_realtime()
           : id == CLOCK_ID_MONOTONIC ? clock_monotonic()
                                      : cpu_ns() - wasi.cpu_start;
    return WASI_SUCCESS;
}

uint32_t wasi_clock_time_get(uint32_t id, uint64_t precision, uint32_t ret)
{
    uint64_t now = 0;
    uint32_t status = wasi_clock(id, &now);
    return status == WASI_SUCCESS ? wasi_put_u64(ret, now) : status;
}

uint32_t wasi_clock_res_get(uint32_t id, uint32_t ret)
{
    return id <= CLOCK_ID_THREAD ? wasi_put_u64(ret, 1) : (uint32_t)WASI_INVAL;
}

/* ---- the rest ---- */

uint32_t wasi_random_get(uint32_t address, uint32_t len)
{
    unsigned char block[256];
    char *to = wasi_at(address, len);
    if (to == NULL)
        return WASI_FAULT;
    for (uint32_t done = 0; done < len && !guard_time_is_up();) {
        uint32_t part = len - done < sizeof(block) ? len - done : (uint32_t)sizeof(block);
        entropy_bytes(block, part);
        memcpy(to + done, block, part);
        done += part;
    }
    return WASI_SUCCESS;
}

void wasi_proc_exit(uint32_t code)
{
    wasi.exited = true;
    wasi.exit_code = code;
}

/* There are no signals. */
uint32_t wasi_proc_raise(uint32_t signal_number)
{
    return WASI_NOSYS;
}

uint32_t wasi_sched_yield(void)
{
    return WASI_SUCCESS;
}
