/* SPDX-License-Identifier: Apache-2.0 */
/* What functions without JavaScript gave, when spec.result says what it is. */
#include "worker/native.h"

#include "event/json_scan.h"

#include <errno.h>

static void typed_reply(const char *type, struct slice output, struct stdio_reply *ret)
{
    ret->is_event = false;
    ret->status = output.len > 0 ? 200 : 204;
    ret->body = output;
    ret->header_count = output.len > 0 ? 1 : 0;
    ret->headers[0] = (struct stdio_field){SLICE("content-type"), slice_text(type)};
}

int native_read_reply(const char *result, struct slice output,
                      const struct event_defaults *defaults, struct event_arena *arena,
                      struct stdio_reply *ret, struct error *err)
{
    if (result == NULL)
        return stdio_reply_read(output, defaults, arena, ret, err);
    if (strcmp(result, "event") == 0) {
        ret->is_event = true;
        return event_json_read_filled(output, defaults, &ret->event, arena, err);
    }
    if (strcmp(result, "json") == 0 && output.len > 0 && !json_scan_valid(output))
        return error_set(err, -EINVAL, "spec.result says json, and this is none");
    typed_reply(strcmp(result, "json") == 0   ? "application/json"
                : strcmp(result, "text") == 0 ? "text/plain; charset=utf-8"
                                              : "application/octet-stream",
                output, ret);
    return 0;
}
