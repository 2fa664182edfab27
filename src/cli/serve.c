/* SPDX-License-Identifier: Apache-2.0 */
/* sluice serve: options to daemon/serve.h. */
#include "daemon/serve.h"
#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "cli/cli_internal.h"
#include "cli/place.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* All values of a repeated option, NULL-terminated; the caller frees the array. */
static const char **collect(const struct cli_call *call, const char *option)
{
    const char **values = calloc(call->given_count + 1, sizeof(*values));
    if (values == NULL)
        return NULL;
    size_t at = 0;
    for (size_t i = 0; (values[i] = cli_call_next(call, option, &at)) != NULL; i++)
        ;
    return values;
}

static int read_dead_letters(const struct cli_call *call, struct serve_options *ret)
{
    const char *max = cli_call_value(call, "dead-letters");
    const char *age = cli_call_value(call, "dead-letters-age");
    if (encoding_parse_u64(slice_text(max), &ret->dead_letters_max) < 0)
        return cli_call_misuse(call, "--dead-letters wants a number, not \"%s\"", max);
    if (clock_parse_duration(slice_text(age), &ret->dead_letters_age_ns) < 0)
        return cli_call_misuse(
            call, "--dead-letters-age wants a duration as P30D or PT12H, not \"%s\"", age);
    return CLI_OK;
}

static int check(const struct cli_call *call, const char *worker)
{
    if (cli_call_value(call, "data-dir") == NULL)
        return cli_call_misuse(call, "serve wants --data-dir DIR: the folder to keep events in");
    const char *listen = cli_call_value(call, "listen");
    if (strrchr(listen, ':') == NULL)
        return cli_call_misuse(call, "--listen wants HOST:PORT, not \"%s\"", listen);
    if (worker == NULL || access(worker, X_OK) != 0) {
        terminal_error("cannot run the sluice-worker program%s%s", worker != NULL ? ": " : "",
                       worker != NULL ? worker : "");
        terminal_hint("it is built and installed beside sluice; --worker FILE says where it is");
        return CLI_FAILED;
    }
    return CLI_OK;
}

static int start(const struct cli_call *call, const char *worker, const char *const *hosts,
                 const char *const *origins)
{
    struct serve_options options = {
        .data_dir = cli_call_value(call, "data-dir"),
        .listen = cli_call_value(call, "listen"),
        .store = strcmp(cli_call_value(call, "store"), "memory") == 0 ? SERVE_STORE_MEMORY
                                                                      : SERVE_STORE_DISK,
        .log_json = strcmp(cli_call_value(call, "log-format"), "json") == 0,
        .quiet = cli_call_has(call, "quiet"),
        .insecure = cli_call_has(call, "insecure"),
        .worker_path = worker,
        .runtimes = cli_call_value(call, "runtimes"),
        .admin_token_file = cli_call_value(call, "admin-token-file"),
        .allow_unsandboxed = cli_call_has(call, "allow-unsandboxed"),
        .hosts = hosts,
        .origins = origins,
    };
    if (hosts == NULL || origins == NULL) {
        terminal_error("out of memory");
        return CLI_FAILED;
    }
    int code = read_dead_letters(call, &options);
    const char *memory = cli_call_value(call, "overload-memory");
    if (code == CLI_OK && memory != NULL &&
        encoding_parse_bytes(slice_text(memory), &options.overload_memory) < 0)
        code = cli_call_misuse(call, "--overload-memory wants bytes as 512Mi, not \"%s\"", memory);
    return code == CLI_OK ? serve_run(&options) : code;
}

int cli_serve(const struct cli_call *call)
{
    autofree char *found = place_program("sluice-worker");
    const char *named = cli_call_value(call, "worker");
    const char *worker = named != NULL ? named : found;
    int code = check(call, worker);
    if (code != CLI_OK)
        return code;
    const char **hosts = collect(call, "allow-host");
    const char **origins = collect(call, "allow-origin");
    code = start(call, worker, hosts, origins);
    free(hosts);
    free(origins);
    return code;
}
