/* SPDX-License-Identifier: Apache-2.0 */
/* sluice tail: events from now on. */
#include "base/encoding.h"
#include "base/memory.h"
#include "cli/stream.h"

#include <string.h>

static int run(const struct cli_call *call, uint64_t count)
{
    autobuf path = BUF_INIT;
    struct error err = ERROR_INIT;
    buf_add_text(&path, "/-/events?");
    if (!cli_call_has(call, "all-namespaces")) {
        buf_add_text(&path, "namespace=");
        remote_escape(slice_text(cli_call_value(call, "namespace")), &path);
    }
    if (call->argument_count > 0) {
        buf_add_text(&path, "&broker=");
        remote_escape(slice_text(call->arguments[0]), &path);
    }
    struct remote *r = buf_ok(&path) ? remote_new(call) : NULL;
    if (r == NULL)
        return CLI_FAILED;
    bool json = strcmp(cli_call_value(call, "output"), "json") == 0;
    int status = stream_events(r, path.ptr, json, count, &err);
    remote_free(r);
    if (status < 0 && !ferror(stdout))
        terminal_error("%s", err.message);
    return status == 0 ? CLI_OK : CLI_FAILED;
}

int cli_tail(const struct cli_call *call)
{
    uint64_t number = UINT64_MAX;
    const char *count = cli_call_value(call, "count");
    if (count != NULL && (encoding_parse_u64(slice_text(count), &number) < 0 || number == 0))
        return cli_call_misuse(call, "--count wants a number from 1 on, not \"%s\"", count);
    return run(call, number);
}
