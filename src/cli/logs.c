/* SPDX-License-Identifier: Apache-2.0 */
/* sluice logs: GET …/functions/NAME/log, plain text. */
#include "base/encoding.h"
#include "base/memory.h"
#include "cli/cli_internal.h"

#include <unistd.h>

/* A function may print anything. On a terminal its control characters are shown instead of obeyed;
 * elsewhere the bytes stay as they are. */
static int show(void *ctx, struct slice bytes)
{
    const bool *terminal = ctx;
    size_t start = 0;
    if (!*terminal) {
        fwrite(bytes.ptr, 1, bytes.len, stdout);
        return fflush(stdout) != 0;
    }
    for (size_t i = 0; i <= bytes.len; i++) {
        if (i < bytes.len && bytes.ptr[i] != '\n' && bytes.ptr[i] != '\t')
            continue;
        terminal_print_safe(stdout, slice_of(bytes.ptr + start, i - start));
        if (i < bytes.len)
            putchar(bytes.ptr[i]);
        start = i + 1;
    }
    return fflush(stdout) != 0;
}

static void log_path(const struct cli_call *call, const char *tail, struct buf *out)
{
    remote_resource_path(&resource_kind_function, cli_call_value(call, "namespace"),
                         call->arguments[0], out);
    buf_printf(out, "/log?follow=%s", cli_call_has(call, "follow") ? "true" : "false");
    if (tail != NULL)
        buf_printf(out, "&tailLines=%s", tail);
}

int cli_logs(const struct cli_call *call)
{
    const char *tail = cli_call_value(call, "tail");
    uint64_t lines = 0;
    if (tail != NULL && (encoding_parse_u64(slice_text(tail), &lines) < 0 || lines == 0))
        return cli_call_misuse(call, "--tail wants a number of lines from 1 on, not \"%s\"", tail);
    autobuf path = BUF_INIT;
    struct error err = ERROR_INIT;
    bool terminal = isatty(STDOUT_FILENO) == 1;
    log_path(call, tail, &path);
    struct remote *r = buf_ok(&path) ? remote_new(call) : NULL;
    if (r == NULL)
        return CLI_FAILED;
    int status = remote_stream(r, path.ptr, show, &terminal, &err);
    remote_free(r);
    if (status < 0)
        terminal_error("%s", err.message);
    return status < 0 ? CLI_FAILED : CLI_OK;
}
