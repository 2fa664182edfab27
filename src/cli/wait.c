/* SPDX-License-Identifier: Apache-2.0 */
/* apply --wait: asks for each item until its Ready condition is True. Functions come before
 * triggers, which need them. */
#include "base/clock.h"
#include "base/memory.h"
#include "cli/cli_internal.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define PAUSE_MIN_NS (5 * CLOCK_MILLISECOND)
#define PAUSE_MAX_NS (100 * CLOCK_MILLISECOND)
/* A condition that stays False this long will not become True by itself. */
#define SETTLED_NS (2 * CLOCK_SECOND)

static const struct resource_kind *const waited_kinds[] = {
    &resource_kind_broker,
    &resource_kind_function,
    &resource_kind_trigger,
};

struct condition {
    char status[16]; /* "" when there is none yet, or it is about an older generation */
    char reason[64];
    char message[384];
};

static void copy(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text != NULL ? text : "");
}

static void read_condition(const json_t *object, struct condition *ret)
{
    *ret = (struct condition){.status = ""};
    size_t i;
    json_t *entry;
    int64_t generation = resource_integer_at(object, "metadata.generation", 0);
    if (resource_integer_at(object, "status.observedGeneration", generation) < generation)
        return;
    json_array_foreach(resource_at(object, "status.conditions"), i, entry)
    {
        const char *type = json_string_value(json_object_get(entry, "type"));
        if (type == NULL || strcmp(type, "Ready") != 0)
            continue;
        copy(ret->status, sizeof(ret->status), json_string_value(json_object_get(entry, "status")));
        copy(ret->reason, sizeof(ret->reason), json_string_value(json_object_get(entry, "reason")));
        copy(ret->message, sizeof(ret->message),
             json_string_value(json_object_get(entry, "message")));
    }
}

static int ask(struct remote *r, const struct manifest_item *item, struct condition *ret,
               struct error *err)
{
    autobuf path = BUF_INIT;
    struct remote_reply reply = {0};
    remote_resource_path(item->kind, item->namespace_name, item->name, &path);
    if (!buf_ok(&path))
        return error_set(err, -ENOMEM, "out of memory");
    int status = remote_call(
        r, &(struct remote_request){.path = path.ptr, .accept = "application/json"}, &reply, err);
    if (status < 0)
        return status;
    json_t *object = json_loadb(reply.body.ptr, reply.body.len, 0, NULL);
    remote_reply_done(&reply);
    if (object == NULL)
        return error_set(err, -EBADMSG, "the server's answer is no JSON");
    read_condition(object, ret);
    json_decref(object);
    return 0;
}

static void pause_for(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / CLOCK_SECOND),
                         .tv_nsec = (long)(ns % CLOCK_SECOND)};
    nanosleep(&t, NULL);
}

static int explain(const struct condition *c, uint64_t waited, struct error *err)
{
    if (c->status[0] == '\0')
        return error_set(err, -ETIMEDOUT, "has no Ready condition after %.1f s",
                         (double)waited / 1e9);
    return error_set(err, -ETIMEDOUT, "not ready after %.1f s: %s%s%s", (double)waited / 1e9,
                     c->reason[0] != '\0' ? c->reason : "no reason given",
                     c->message[0] != '\0' ? ": " : "", c->message);
}

/* The terminal's last line says what is being waited for. */
static void show_progress(const struct manifest_item *item, const struct condition *c)
{
    if (!terminal_has_colours(stderr))
        return;
    fprintf(stderr, "\r\033[K%swaiting for %s %s", terminal_style(stderr, TERMINAL_DIM),
            item->kind->singular, item->name);
    if (c->reason[0] != '\0') {
        fprintf(stderr, ": ");
        terminal_print_safe(stderr, slice_text(c->reason));
    }
    fprintf(stderr, "%s", terminal_style(stderr, TERMINAL_PLAIN));
}

static void end_progress(void)
{
    if (terminal_has_colours(stderr))
        fprintf(stderr, "\r\033[K");
}

/* 0, or a negative errno and why. */
static int wait_item(struct remote *r, const struct manifest_item *item, uint64_t deadline,
                     struct error *err)
{
    uint64_t start = clock_monotonic(), false_since = 0, pause = PAUSE_MIN_NS;
    for (;;) {
        struct condition c = {.status = ""};
        int status = ask(r, item, &c, err);
        if (status < 0 || strcmp(c.status, "True") == 0)
            return status;
        uint64_t now = clock_monotonic();
        if (strcmp(c.status, "False") != 0)
            false_since = 0;
        else if (false_since == 0)
            false_since = now;
        if (now >= deadline || (false_since != 0 && now - false_since >= SETTLED_NS))
            return explain(&c, now - start, err);
        show_progress(item, &c);
        pause_for(pause);
        pause = 2 * pause < PAUSE_MAX_NS ? 2 * pause : PAUSE_MAX_NS;
    }
}

int wait_ready(struct remote *r, const struct manifest *m, uint64_t timeout_ns)
{
    uint64_t deadline = clock_monotonic() + timeout_ns;
    int code = CLI_OK;
    for (size_t k = 0; k < COUNT_OF(waited_kinds); k++) {
        for (size_t i = 0; i < m->count; i++) {
            const struct manifest_item *item = &m->items[i];
            if (!item->applied || item->kind != waited_kinds[k])
                continue;
            struct error err = ERROR_INIT;
            int status = wait_item(r, item, deadline, &err);
            end_progress();
            if (status < 0) {
                terminal_error("%s/%s: %s", item->kind->singular, item->name, err.message);
                code = CLI_FAILED;
                continue;
            }
            resource_print_name(item->kind, item->name, stdout);
            printf(" ready\n");
            fflush(stdout);
        }
    }
    return code;
}
