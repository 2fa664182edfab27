/* SPDX-License-Identifier: Apache-2.0 */
/* sluice send: one event, in binary form (CloudEvents HTTP binding §3.1) or structured (§3.2). */
#include "base/clock.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "base/random.h"
#include "cli/cli_internal.h"
#include "event/event.h"

#include <errno.h>
#include <string.h>

/* What the event borrows from. */
struct message {
    struct event event;
    char id[RANDOM_UUID_SIZE];
    char time[CLOCK_RFC3339_SIZE];
    struct buf data;
};

/* "name=value" to an attribute; only names in small letters and digits are legal. */
static int add_extension(struct event *e, const char *text, struct error *err)
{
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : 0;
    if (len == 0 || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789") != len)
        return error_set(err, -EINVAL,
                         "--extension wants name=value, the name in small letters and digits, not "
                         "\"%s\"",
                         text);
    struct event_attribute *a = &e->attributes[e->count];
    if (e->count == EVENT_ATTRIBUTES_MAX)
        return error_set(err, -EINVAL, "an event has at most %d attributes", EVENT_ATTRIBUTES_MAX);
    *a = (struct event_attribute){.name = slice_of(text, len), .value = slice_text(equals + 1)};
    e->count++;
    return 0;
}

static int read_data(const struct cli_call *call, struct message *m, struct error *err)
{
    const char *text = cli_call_value(call, "data"), *file = cli_call_value(call, "data-file");
    if (text != NULL && file != NULL)
        return error_set(err, -EINVAL, "--data and --data-file exclude each other");
    if (text == NULL && file == NULL)
        return 0;
    int status = 0;
    if (text != NULL)
        buf_add_text(&m->data, text);
    else
        status =
            fdio_read_file(strcmp(file, "-") == 0 ? "/dev/stdin" : file, EVENT_DATA_MAX, &m->data);
    if (status == -EFBIG || m->data.len > EVENT_DATA_MAX)
        return error_set(err, -EFBIG, "the data are larger than %d bytes", EVENT_DATA_MAX);
    if (status < 0)
        return error_set(err, status, "cannot read %s: %s", file, strerror(-status));
    if (!buf_ok(&m->data))
        return error_set(err, -ENOMEM, "out of memory");
    m->event.data = buf_slice(&m->data);
    m->event.has_data = true;
    return 0;
}

/* Data are JSON unless somebody says otherwise: then they had better be. */
static int check_data(const struct cli_call *call, const struct message *m, struct error *err)
{
    if (!m->event.has_data || cli_call_has(call, "content-type"))
        return 0;
    json_error_t where;
    json_t *value = json_loadb(m->data.ptr != NULL ? m->data.ptr : "", m->data.len,
                               JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &where);
    json_decref(value);
    if (value != NULL)
        return 0;
    return error_set(err, -EINVAL,
                     "the data are no JSON (%s); put text into double quotes, or give "
                     "--content-type text/plain",
                     where.text);
}

static void set(struct event *e, const char *name, const char *value)
{
    if (value != NULL)
        (void)event_set(e, name, slice_text(value)); /* there is room for the standard ones */
}

static int make_event(const struct cli_call *call, struct message *m, struct error *err)
{
    struct event *e = &m->event;
    const char *id = cli_call_value(call, "id");
    e->version = strcmp(cli_call_value(call, "specversion"), "0.3") == 0 ? EVENT_V03 : EVENT_V1;
    random_uuid(m->id);
    clock_format_rfc3339(clock_realtime(), 3, m->time);
    set(e, "id", id != NULL ? id : m->id);
    set(e, "type", cli_call_value(call, "type"));
    set(e, "source", cli_call_value(call, "source"));
    set(e, "time", m->time);
    set(e, "subject", cli_call_value(call, "subject"));
    int status = read_data(call, m, err);
    if (status == 0)
        status = check_data(call, m, err);
    if (e->has_data)
        set(e, "datacontenttype", cli_call_value(call, "content-type"));
    const char *extension;
    size_t at = 0;
    while (status == 0 && (extension = cli_call_next(call, "extension", &at)) != NULL)
        status = add_extension(e, extension, err);
    return status < 0 ? status : event_check(e, err);
}

/* Values have no control characters: event_check() saw to it, and those of the binding are encoded.
 */
static void add_header(void *ctx, struct slice name, struct slice value)
{
    struct buf *lines = ctx;
    buf_add_slice(lines, name);
    buf_add_text(lines, ": ");
    buf_add_slice(lines, value);
    buf_add_text(lines, "\r\n");
}

static void target_path(const struct cli_call *call, struct buf *out)
{
    const char *broker = call->argument_count > 0 ? call->arguments[0] : "default";
    const char *slash = strchr(broker, '/');
    struct slice space = slash != NULL ? slice_of(broker, (size_t)(slash - broker))
                                       : slice_text(cli_call_value(call, "namespace"));
    buf_add_byte(out, '/');
    remote_escape(space, out);
    buf_add_byte(out, '/');
    remote_escape(slice_text(slash != NULL ? slash + 1 : broker), out);
}

static int post(struct remote *r, const struct cli_call *call, const struct message *m,
                struct remote_reply *reply, struct error *err)
{
    autobuf path = BUF_INIT, json = BUF_INIT, headers = BUF_INIT;
    struct remote_request request = {
        .method = "POST", .url = cli_call_value(call, "url"), .has_body = true};
    target_path(call, &path);
    if (cli_call_has(call, "structured")) {
        event_json_write(&m->event, &json);
        request.content_type = "application/cloudevents+json";
        request.body = buf_slice(&json);
    } else {
        event_http_write(&m->event, add_header, &headers);
        request.body = m->event.data;
    }
    request.path = path.ptr;
    request.headers = buf_slice(&headers);
    return buf_ok(&path) && buf_ok(&json) && buf_ok(&headers)
               ? remote_request(r, &request, reply, err)
               : error_set(err, -ENOMEM, "out of memory");
}

/* A broker answers 202 and nothing more; a function called with --url may answer anything. */
static void show_reply(const struct message *m, const struct remote_reply *reply)
{
    struct slice id = event_get(&m->event, "id");
    bool good = reply->status < 300;
    terminal_print_safe(stdout, id);
    printf(" %s%ld%s%s\n", terminal_style(stdout, good ? TERMINAL_GREEN : TERMINAL_YELLOW),
           reply->status, reply->status == 202 ? " Accepted" : "",
           terminal_style(stdout, TERMINAL_PLAIN));
    if (reply->body.len > 0) {
        fwrite(reply->body.ptr, 1, reply->body.len, stdout);
        if (reply->body.ptr[reply->body.len - 1] != '\n')
            fputc('\n', stdout);
    }
}

static int run(const struct cli_call *call, const struct message *m)
{
    struct error err = ERROR_INIT;
    struct remote_reply reply = {0};
    struct remote *r = remote_new(call);
    if (r == NULL)
        return CLI_FAILED;
    int status = post(r, call, m, &reply, &err);
    if (status < 0) {
        terminal_error("%s", err.message);
    } else if (reply.status >= 400) {
        status = remote_refusal(&reply, &err);
        terminal_error("refused with %ld: %s", reply.status, err.message);
    } else {
        show_reply(m, &reply);
    }
    remote_reply_done(&reply);
    remote_free(r);
    return status < 0 ? CLI_FAILED : CLI_OK;
}

int cli_send(const struct cli_call *call)
{
    struct message m = {.data = BUF_INIT};
    struct error err = ERROR_INIT;
    int code;
    if (cli_call_has(call, "url") && call->argument_count > 0)
        code = cli_call_misuse(call, "BROKER and --url exclude each other");
    else if (make_event(call, &m, &err) < 0)
        code = cli_call_misuse(call, "%s%s%s", err.field, err.field[0] != '\0' ? ": " : "",
                               err.message);
    else
        code = run(call, &m);
    buf_done(&m.data);
    return code;
}
