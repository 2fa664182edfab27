/* SPDX-License-Identifier: Apache-2.0 */
/* The modules that are part of Node: those that make sense in a sandbox are given
 * (runtimes/js/builtin.js), the others are named in an error. */
#include "worker/bundle_internal.h"

#include "base/memory.h"

static const char *const given[] = {"assert", "buffer",     "console", "events",
                                    "path",   "path/posix", "process", "querystring",
                                    "timers", "url",        "util",    "timers/promises"};

static const char *const node_only[] = {
    "assert/strict",
    "async_hooks",
    "child_process",
    "cluster",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "dns/promises",
    "domain",
    "fs",
    "fs/promises",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path/win32",
    "perf_hooks",
    "punycode",
    "readline",
    "readline/promises",
    "repl",
    "sea",
    "sqlite",
    "stream",
    "stream/consumers",
    "stream/promises",
    "stream/web",
    "string_decoder",
    "sys",
    "test",
    "tls",
    "trace_events",
    "tty",
    "util/types",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
};

struct slice builtin_name(struct slice specifier)
{
    return slice_starts(specifier, "node:") ? slice_of(specifier.ptr + 5, specifier.len - 5)
                                            : specifier;
}

static bool is_among(struct slice name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_is(name, names[i]))
            return true;
    return false;
}

enum builtin builtin_kind(struct slice specifier)
{
    struct slice name = builtin_name(specifier);
    if (is_among(name, given, COUNT_OF(given)))
        return BUILTIN_GIVEN;
    bool is_named = name.len < specifier.len;
    return is_named || is_among(name, node_only, COUNT_OF(node_only)) ? BUILTIN_NODE_ONLY
                                                                      : BUILTIN_NONE;
}
