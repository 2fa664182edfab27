/* SPDX-License-Identifier: Apache-2.0 */
/* The host functions through which a guest logs, asks for its request and answers it: for the call
 * that it runs for, unless it names another that waits in the same instance. */
#include "worker/program.h"

#include "base/encoding.h"

#include <errno.h>
#include <stdlib.h>

#define CALL_ORIGIN_MAX 1024

/* ---- host functions for answering ---- */

/* A text costs its newline, too: empty ones are not for nothing. */
static size_t log_room(void)
{
    uint64_t max = program.bundle->limits.log_bytes;
    return call->log_bytes + 1 < max ? max - call->log_bytes - 1 : 0;
}

/* Surrogates without a partner, which the guest gives as three bytes each, become U+FFFD, which has
 * as many. */
static void mend_surrogates(struct buf *text)
{
    char *end = text->ptr + text->len;
    for (char *at = text->ptr; at != NULL && (at = memchr(at, '\xed', (size_t)(end - at))); at++)
        if (end - at >= 3 && (unsigned char)at[1] >= 0xa0)
            memcpy(at, "\xef\xbf\xbd", 3);
}

/* status: 0, or -E2BIG when the text has more bytes than there is room for. */
static void write_log(engine_value level_value, int status, struct buf *text)
{
    double level = engine_number(level_value);
    if (call->log_bytes >= program.bundle->limits.log_bytes)
        status = -E2BIG;
    if (status == 0 && buf_ok(text)) {
        call->log_bytes += text->len + 1;
        mend_surrogates(text);
        report_log(level >= 0 && level < REPORT_LEVEL_COUNT ? (enum report_level)level
                                                            : REPORT_INFO,
                   call->event_id, buf_slice(text));
    } else if (status == -E2BIG && !call->log_cut) {
        call->log_cut = true;
        report_limit("output", call->event_id,
                     "the rest of this call's log is left out: it has "
                     "more bytes than the limit");
    }
}

static void begin_log(struct buf *text)
{
    if (text->cap > CALL_HEAD_MAX) {
        buf_done(text);
        *text = (struct buf)BUF_INIT;
    }
    buf_reset(text);
}

/* log(level, text) */
static engine_value host_log(uint32_t argc, const engine_value *argv)
{
    static struct buf text;
    if (argc < 2)
        return engine_undefined();
    begin_log(&text);
    write_log(argv[0], engine_get_text(argv[1], log_room(), &text), &text);
    return engine_undefined();
}

/* print(level, values) as console.log does: whether it could, for some values are shown by
 * runtimes/js/inspect.js. */
static engine_value host_print(uint32_t argc, const engine_value *argv)
{
    static struct buf text;
    if (argc < 2)
        return engine_boolean(false);
    begin_log(&text);
    int status = engine_inspect(argv[1], log_room(), &text);
    if (status < 0 && status != -E2BIG)
        return engine_boolean(false);
    write_log(argv[0], status, &text);
    return engine_boolean(true);
}

static engine_value host_prepare(uint32_t argc, const engine_value *argv)
{
    if (argc < 2 || engine_prepare(argv[0], argv[1]) < 0)
        return engine_throw("this build of the JavaScript engine has values of another form");
    return engine_undefined();
}

static void take_body(engine_value value)
{
    size_t max = program.bundle->limits.response_bytes;
    int status = engine_is_string(value) ? engine_get_text(value, max, &call->body)
                                         : engine_get_bytes(value, max, &call->body);
    if (status == -E2BIG || !buf_ok(&call->body))
        call->too_large = true;
}

static engine_value host_reply(uint32_t argc, const engine_value *argv)
{
    if (argc < 3 || call_is_answered())
        return engine_undefined();
    call->status = (unsigned)engine_number(argv[0]);
    if (engine_get_text(argv[1], CALL_HEAD_MAX, &call->head) < 0)
        return engine_throw("the headers of the answer are too large");
    take_body(argv[2]);
    call->replied = true;
    return engine_undefined();
}

/* replyJson(status, headers, value): whether it could. */
static engine_value host_reply_json(uint32_t argc, const engine_value *argv)
{
    if (argc < 3)
        return engine_boolean(false);
    if (call_is_answered())
        return engine_boolean(true);
    buf_reset(&call->body);
    int status = engine_json(argv[2], program.bundle->limits.response_bytes, &call->body);
    if (status == -ENOTSUP)
        return engine_boolean(false);
    if (engine_get_text(argv[1], CALL_HEAD_MAX, &call->head) < 0)
        return engine_throw("the headers of the answer are too large");
    call->too_large = status < 0;
    call->status = (unsigned)engine_number(argv[0]);
    call->replied = true;
    return engine_boolean(true);
}

/* replyEvent(event): whether it could. */
static engine_value host_reply_event(uint32_t argc, const engine_value *argv)
{
    if (argc < 1)
        return engine_boolean(false);
    if (call_is_answered())
        return engine_boolean(true);
    struct engine_reply reply = {.head = &call->head,
                                 .body = &call->body,
                                 .body_max = program.bundle->limits.response_bytes,
                                 .is_json_type = request_is_json};
    buf_reset(&call->head);
    buf_reset(&call->body);
    int status = engine_read_event(argv[0], &reply);
    if (status == -ENOTSUP) {
        buf_reset(&call->head);
        buf_reset(&call->body);
        return engine_boolean(false);
    }
    if (status == -EMSGSIZE || call->head.len > CALL_HEAD_MAX || !buf_ok(&call->head))
        return engine_throw("the attributes of the reply are too large");
    call->too_large = status < 0 || !buf_ok(&call->body);
    call->replied = call->is_event_reply = true;
    return engine_boolean(true);
}

/* replyParts(attributes, data): the attributes as name NUL value NUL name… */
static engine_value host_reply_parts(uint32_t argc, const engine_value *argv)
{
    if (argc < 2 || call_is_answered())
        return engine_undefined();
    if (engine_get_text(argv[0], CALL_HEAD_MAX, &call->head) < 0)
        return engine_throw("the attributes of the reply are too large");
    take_body(argv[1]);
    call->replied = call->is_event_reply = true;
    return engine_undefined();
}

static engine_value host_fail(uint32_t argc, const engine_value *argv)
{
    if (argc < 1 || call_is_answered())
        return engine_undefined();
    engine_describe(argv[0], &program.failure);
    call->failed = true;
    return engine_undefined();
}

/* request(): undefined when the guest runs for none. */
static engine_value host_request(uint32_t argc, const engine_value *argv)
{
    return call->request != NULL ? request_value(call->request) : engine_undefined();
}

/* useEvents(prototype, replyPrototype) */
static engine_value host_use_events(uint32_t argc, const engine_value *argv)
{
    if (argc < 2)
        return engine_throw("two prototypes are needed");
    engine_event_use(argv[0], argv[1]);
    return engine_undefined();
}

enum body_form { BODY_BYTES, BODY_TEXT, BODY_UTF8 }; /* runtimes/js/context.js has the same */

/* body(form): empty when the guest runs for no request; for BODY_UTF8 undefined when it is none. */
static engine_value host_body(uint32_t argc, const engine_value *argv)
{
    struct slice body = call->request != NULL ? http_request_body(call->request) : SLICE("");
    double form = argc > 0 ? engine_number(argv[0]) : BODY_TEXT;
    if (form == BODY_BYTES)
        return engine_bytes(body);
    if (form == BODY_UTF8 && !encoding_utf8_valid(body))
        return engine_undefined();
    return engine_string(body);
}

/* refuse(status, message): the caller's mistake, which the function did not see. */
static engine_value host_refuse(uint32_t argc, const engine_value *argv)
{
    if (argc < 2 || call_is_answered())
        return engine_undefined();
    call->status = (unsigned)engine_number(argv[0]);
    if (engine_get_text(argv[1], CALL_HEAD_MAX, &call->body) < 0)
        return engine_throw("the message is too long");
    call->replied = call->refused = true;
    return engine_undefined();
}

/* allowOrigin(origin): the web page that may read the answer; '' for none. */
static engine_value host_allow_origin(uint32_t argc, const engine_value *argv)
{
    call->cors = CALL_CORS_OWN;
    buf_reset(&call->origin);
    if (argc < 1 || engine_get_text(argv[0], CALL_ORIGIN_MAX, &call->origin) < 0)
        buf_reset(&call->origin);
    return engine_undefined();
}

/* The number of the call that the guest runs for; 0: none. */
static engine_value host_call(uint32_t argc, const engine_value *argv)
{
    return engine_new_number(call->number);
}

/* enter(number): from here on the host functions are for that call. The number of the call that
 * they were for, for leave(number); undefined when it has been answered. */
static engine_value host_enter(uint32_t argc, const engine_value *argv)
{
    uint32_t before = call->number;
    if (argc < 1 || !call_switch((uint32_t)engine_number(argv[0])))
        return engine_undefined();
    return engine_new_number(before);
}

static engine_value host_leave(uint32_t argc, const engine_value *argv)
{
    if (argc > 0)
        call_switch_back((uint32_t)engine_number(argv[0]));
    return engine_undefined();
}

const struct engine_function call_functions[] = {
    {"log", host_log},
    {"print", host_print},
    {"prepare", host_prepare},
    {"useEvents", host_use_events},
    {"reply", host_reply},
    {"replyJson", host_reply_json},
    {"replyEvent", host_reply_event},
    {"replyParts", host_reply_parts},
    {"fail", host_fail},
    {"request", host_request},
    {"body", host_body},
    {"refuse", host_refuse},
    {"allowOrigin", host_allow_origin},
    {"call", host_call},
    {"enter", host_enter},
    {"leave", host_leave},
};
const size_t call_function_count = COUNT_OF(call_functions);
