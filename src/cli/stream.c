/* SPDX-License-Identifier: Apache-2.0 */
/* GET /-/events streams one JSON object a line, {"position":…,"time":…,"namespace":…,
 * "broker":…,"dataBytes":…,"event":{…}}, the event last. */
#include "cli/stream.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "event/event.h"

#include <errno.h>
#include <string.h>

#define DATA_SHOWN     240        /* bytes of data on a line */
#define LINE_BYTES_MAX (8u << 20) /* an event of 1 MiB with every byte escaped */

struct stream {
    struct buf line; /* begun, not yet ended */
    bool json;
    uint64_t left; /* events still to show; UINT64_MAX: no end */
    bool overlong;
};

/* Wall clock of the time, which is RFC 3339 or nanoseconds. */
static void print_time(const json_t *time)
{
    char text[CLOCK_RFC3339_SIZE];
    uint64_t ns = 0;
    if (json_is_integer(time))
        ns = (uint64_t)json_integer_value(time);
    else if (json_is_string(time))
        (void)clock_parse_rfc3339(slice_text(json_string_value(time)), &ns);
    clock_format_rfc3339(ns, 3, text);
    printf("%s%.12s%s ", terminal_style(stdout, TERMINAL_DIM), text + strlen("2026-11-21T"),
           terminal_style(stdout, TERMINAL_PLAIN));
}

/* On one line, cut where it is long, never within a character. */
static void print_data(struct slice data)
{
    size_t len = data.len;
    if (!encoding_utf8_valid(data)) {
        printf("(%zu bytes)", len);
        return;
    }
    if (len > DATA_SHOWN) {
        len = DATA_SHOWN;
        while (len > 0 && ((unsigned char)data.ptr[len] & 0xc0) == 0x80)
            len--;
    }
    terminal_print_safe(stdout, slice_of(data.ptr, len));
    if (len < data.len)
        printf("… (%zu bytes)", data.len);
}

static void print_attribute(const struct event *e, const char *name, enum terminal_style style)
{
    struct slice value = event_get(e, name);
    printf("%s", terminal_style(stdout, style));
    terminal_print_safe(stdout, value);
    printf("%s ", terminal_style(stdout, TERMINAL_PLAIN));
}

static void print_event(struct slice json)
{
    struct event event = {0};
    struct event_arena arena = {0};
    struct error err = ERROR_INIT;
    if (event_json_read(json, &event, &arena, &err) == 0) {
        print_attribute(&event, "type", TERMINAL_CYAN);
        print_attribute(&event, "source", TERMINAL_PLAIN);
        print_attribute(&event, "id", TERMINAL_DIM);
        if (event.has_data)
            print_data(event.data);
    } else {
        terminal_print_safe(stdout, json);
    }
    event_arena_done(&arena);
}

/* The event is cut out before the rest is read as JSON, so that its data are shown exactly as they
 * are. What stands before it are numbers, a time and two names: none can hold the mark. */
static bool split(struct slice line, json_t **ret_head, struct slice *ret_event)
{
    static const char mark[] = "\"event\":";
    const char *at = memmem(line.ptr, line.len, mark, strlen(mark));
    if (at == NULL || line.ptr[line.len - 1] != '}')
        return false;
    const char *event = at + strlen(mark);
    autobuf head = BUF_INIT;
    buf_add(&head, line.ptr, (size_t)(event - line.ptr));
    buf_add_text(&head, "null}");
    *ret_head = buf_ok(&head) ? json_loadb(head.ptr, head.len, 0, NULL) : NULL;
    *ret_event = slice_of(event, (size_t)(line.ptr + line.len - 1 - event));
    return *ret_head != NULL;
}

static void print_text(struct slice line)
{
    json_t *head = NULL;
    struct slice event;
    if (!split(line, &head, &event)) {
        terminal_print_safe(stdout, line);
        return;
    }
    const char *space = json_string_value(json_object_get(head, "namespace"));
    const char *broker = json_string_value(json_object_get(head, "broker"));
    print_time(json_object_get(head, "time"));
    printf("%s/%s ", space != NULL ? space : "-", broker != NULL ? broker : "-");
    print_event(event);
    json_decref(head);
}

/* Non-zero when enough were shown. */
static int show(struct stream *t, struct slice line)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0) /* keeps the connection alive */
        return 0;
    if (t->json)
        fwrite(line.ptr, 1, line.len, stdout);
    else
        print_text(line);
    putchar('\n');
    if (fflush(stdout) != 0)
        return 1;
    return t->left != UINT64_MAX && --t->left == 0;
}

static int take(void *ctx, struct slice bytes)
{
    struct stream *t = ctx;
    while (bytes.len > 0) {
        const char *end = memchr(bytes.ptr, '\n', bytes.len);
        size_t len = end != NULL ? (size_t)(end - bytes.ptr) : bytes.len;
        buf_add(&t->line, bytes.ptr, len);
        t->overlong = t->line.len > LINE_BYTES_MAX || !buf_ok(&t->line);
        if (t->overlong)
            return 1;
        if (end == NULL)
            return 0;
        if (show(t, buf_slice(&t->line)) != 0)
            return 1;
        buf_reset(&t->line);
        bytes = slice_of(end + 1, bytes.len - len - 1);
    }
    return 0;
}

int stream_events(struct remote *r, const char *path, bool json, uint64_t count, struct error *err)
{
    struct stream t = {.line = BUF_INIT, .json = json, .left = count};
    int status = remote_stream(r, path, take, &t, err);
    if (status == 0 && t.overlong)
        status = error_set(err, -EBADMSG, "the server sent a line longer than %u MiB",
                           LINE_BYTES_MAX >> 20);
    else if (status == 0 && t.left != 0)
        status = error_set(err, -EPIPE,
                           ferror(stdout) ? "the output could not be written"
                                          : "the server ended the stream");
    buf_done(&t.line);
    return status;
}
