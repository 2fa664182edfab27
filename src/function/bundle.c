/* SPDX-License-Identifier: Apache-2.0 */
/* The bundle of worker/protocol.h. It is made when a worker starts and goes with the last one: an
 * idle function costs no more than its object in the registry. */
#include "function/function_internal.h"

#include "base/clock.h"
#include "base/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOG_BYTES (UINT64_C(256) << 10) /* printed by one call */

static json_t *limits_of(const struct function_spec *s)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "memoryBytes", (json_int_t)s->memory_bytes,
                     "timeoutMs", (json_int_t)(s->timeout_ns / CLOCK_MILLISECOND), "requestBytes",
                     (json_int_t)s->request_bytes, "responseBytes", (json_int_t)s->response_bytes,
                     "logBytes", (json_int_t)LOG_BYTES, "fetchBytes", (json_int_t)s->fetch_bytes,
                     "concurrency", (json_int_t)s->concurrency);
}

static void add_text(json_t *bundle, const char *name, const json_t *value, const char *fallback)
{
    const char *text = json_string_value(value);
    json_object_set_new(bundle, name, json_string(text != NULL ? text : fallback));
}

static json_t *wasm_part(const struct function_spec *s)
{
    static const char *const copied[] = {"function", "module", "arguments", "response", "result"};
    json_t *wasm = json_object();
    for (size_t i = 0; i < COUNT_OF(copied); i++) {
        json_t *value = json_object_get(s->source, copied[i]);
        if (value != NULL)
            json_object_set(wasm, copied[i], value);
    }
    return wasm;
}

static json_t *bundle_object(const struct function_spec *s, const json_t *metadata,
                             int64_t generation)
{
    json_t *bundle = json_object();
    add_text(bundle, "namespace", json_object_get(metadata, "namespace"), "");
    add_text(bundle, "name", json_object_get(metadata, "name"), "");
    add_text(bundle, "uid", json_object_get(metadata, "uid"), "");
    add_text(bundle, "isolation", json_object_get(s->source, "isolation"), "event");
    add_text(bundle, "runtime", json_object_get(s->source, "runtime"), "");
    json_object_set_new(bundle, "generation", json_integer(generation));
    json_object_set_new(bundle, "limits", limits_of(s));
    json_object_set(bundle, "env", s->environment);
    json_t *network = json_object_get(s->source, "network");
    if (network != NULL)
        json_object_set(bundle, "network", network);
    if (s->form == FUNCTION_WASM)
        json_object_set_new(bundle, "wasm", wasm_part(s));
    json_t *command = json_object_get(s->source, "command");
    if (command != NULL)
        json_object_set(bundle, "command", command);
    json_t *files = json_object_get(s->source, "codeSource");
    if (s->form != FUNCTION_WASM && files != NULL) {
        json_object_set(bundle, "files", files);
        if (s->main_file != NULL)
            json_object_set_new(bundle, "main", json_string(s->main_file));
    }
    return bundle;
}

/* Workers read it and nobody can change it any more. */
static int seal(const json_t *bundle)
{
    char *text = json_dumps(bundle, JSON_COMPACT);
    if (text == NULL)
        return -ENOMEM;
    int fd = memfd_create("sluice-bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int r = fd < 0 ? -errno : fdio_write_all(fd, text, strlen(text));
    free(text);
    if (r == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        r = -errno;
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    if (r < 0 && fd >= 0)
        close(fd);
    return r < 0 ? r : fd;
}

int bundle_make(const struct function_spec *s, const json_t *metadata, int64_t generation)
{
    json_t *bundle = bundle_object(s, metadata, generation);
    int fd = bundle != NULL ? seal(bundle) : -ENOMEM;
    json_decref(bundle);
    return fd;
}
