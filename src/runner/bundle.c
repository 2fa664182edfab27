/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/bundle.h"

#include "base/buf.h"
#include "base/filename.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MEBIBYTE           (UINT64_C(1) << 20)
#define BUNDLE_ENV_MAX     1024
#define BUNDLE_WORDS_MAX   1000
#define BUNDLE_CONCURRENCY 1024

static const char *text_of(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && *text != '\0' ? text : otherwise;
}

static int check_files(const struct bundle *b, struct error *err)
{
    const char *name;
    json_t *text;
    if (!json_is_object(b->files) || json_object_size(b->files) == 0)
        return error_field(err, -EINVAL, "files", "the bundle has no files");
    if (json_object_size(b->files) > BUNDLE_FILES_MAX)
        return error_field(err, -EINVAL, "files", "more than %d files", BUNDLE_FILES_MAX);
    json_object_foreach(b->files, name, text)
    {
        if (!filename_is_inside(name))
            return error_field(err, -EINVAL, "files",
                               "\"%.80s\" is no file name: a relative path without . and .. parts",
                               name);
        if (!json_is_string(text))
            return error_field(err, -EINVAL, "files", "%.80s must be a text", name);
    }
    if (b->main != NULL && json_object_get(b->files, b->main) == NULL)
        return error_field(err, -ENOENT, "main",
                           "the main file %.80s is not among the function's files", b->main);
    return 0;
}

/* What begins with SLUICE_ is the runner's to say. */
static int check_env(const struct bundle *b, struct error *err)
{
    const char *name;
    json_t *value;
    if (b->env != NULL && !json_is_object(b->env))
        return error_field(err, -EINVAL, "env", "must be an object of texts");
    if (json_object_size(b->env) > BUNDLE_ENV_MAX)
        return error_field(err, -EINVAL, "env", "more than %d variables", BUNDLE_ENV_MAX);
    json_object_foreach(b->env, name, value)
    {
        if (*name == '\0' || strchr(name, '=') != NULL || strncmp(name, "SLUICE_", 7) == 0)
            return error_field(err, -EINVAL, "env", "%.80s cannot be set for a function", name);
        if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
            return error_field(err, -EINVAL, "env", "%.80s must be a text without NUL", name);
    }
    return 0;
}

static int check_words(const json_t *words, const char *field, struct error *err)
{
    size_t i;
    json_t *word;
    if (words != NULL && (!json_is_array(words) || json_array_size(words) > BUNDLE_WORDS_MAX))
        return error_field(err, -EINVAL, field, "must be a list of at most %d texts",
                           BUNDLE_WORDS_MAX);
    json_array_foreach(words, i, word)
    {
        if (!json_is_string(word) || strlen(json_string_value(word)) != json_string_length(word))
            return error_field(err, -EINVAL, field, "must be texts without NUL");
    }
    return 0;
}

static int read_allow(struct bundle *b, struct error *err)
{
    const json_t *list = json_object_get(json_object_get(b->root, "network"), "allow");
    size_t i;
    json_t *entry;
    int r = check_words(list, "network.allow", err);
    json_array_foreach(list, i, entry)
    {
        if (r == 0)
            r = allow_add(&b->allow, slice_text(json_string_value(entry)), err);
    }
    return r;
}

static int read_limit(const json_t *limits, const char *key, uint64_t otherwise, uint64_t max,
                      uint64_t *ret, struct error *err)
{
    const json_t *value = json_object_get(limits, key);
    *ret = otherwise;
    if (value == NULL)
        return 0;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number <= 0 || (uint64_t)number > max)
        return error_field(err, -EINVAL, "limits", "%s must be a whole number from 1 to %llu", key,
                           (unsigned long long)max);
    *ret = (uint64_t)number;
    return 0;
}

static int read_limits(struct bundle *b, struct error *err)
{
    const json_t *limits = json_object_get(b->root, "limits");
    struct bundle_limits *l = &b->limits;
    uint64_t concurrency = 0;
    const struct {
        const char *key;
        uint64_t otherwise, max;
        uint64_t *to;
    } all[] = {
        {"memoryBytes", 64 * MEBIBYTE, UINT64_C(1) << 40, &l->memory_bytes},
        {"timeoutMs", 30000, UINT64_C(86400000), &l->timeout_ms},
        {"requestBytes", MEBIBYTE, UINT64_C(1) << 32, &l->request_bytes},
        {"responseBytes", MEBIBYTE, UINT64_C(1) << 32, &l->response_bytes},
        {"logBytes", MEBIBYTE / 4, UINT64_C(1) << 32, &l->log_bytes},
        {"concurrency", 16, BUNDLE_CONCURRENCY, &concurrency},
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < COUNT_OF(all); i++)
        r = read_limit(limits, all[i].key, all[i].otherwise, all[i].max, all[i].to, err);
    l->concurrency = (unsigned)concurrency;
    return r;
}

static int read_members(struct bundle *b, struct error *err)
{
    b->namespace_name = text_of(b->root, "namespace", "default");
    b->name = text_of(b->root, "name", "function");
    b->runtime = text_of(b->root, "runtime", NULL);
    b->main = text_of(b->root, "main", NULL);
    b->files = json_object_get(b->root, "files");
    b->env = json_object_get(b->root, "env");
    b->arguments = json_object_get(b->root, "command");
    json_int_t generation = json_integer_value(json_object_get(b->root, "generation"));
    b->generation = generation > 0 ? (uint64_t)generation : 0;
    int r = check_files(b, err);
    if (r == 0)
        r = check_env(b, err);
    if (r == 0)
        r = check_words(b->arguments, "command", err);
    if (r == 0)
        r = read_limits(b, err);
    if (r == 0)
        r = read_allow(b, err);
    return r;
}

int bundle_parse(struct slice json, struct bundle *ret, struct error *err)
{
    json_error_t problem;
    struct bundle b = {
        .root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem)};
    if (b.root == NULL)
        return error_set(err, -EINVAL, "the bundle is no JSON: %s (line %d)", problem.text,
                         problem.line);
    int r = json_is_object(b.root) ? read_members(&b, err)
                                   : error_set(err, -EINVAL, "the bundle is no JSON object");
    if (r < 0) {
        bundle_done(&b);
        return r;
    }
    *ret = b;
    return 0;
}

void bundle_done(struct bundle *b)
{
    json_decref(b->root);
    b->root = NULL;
}

/* From the beginning, whoever else shares the descriptor's offset; pipes have none. */
static ssize_t read_at(int fd, char *at, size_t len, size_t offset)
{
    ssize_t n;
    do
        n = pread(fd, at, len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    if (n >= 0 || errno != ESPIPE)
        return n;
    do
        n = read(fd, at, len);
    while (n < 0 && errno == EINTR);
    return n;
}

int bundle_read(int fd, struct bundle *ret, struct error *err)
{
    autobuf text = BUF_INIT;
    for (;;) {
        char *at = buf_reserve(&text, 65536);
        if (at == NULL)
            return error_set(err, -ENOMEM, "out of memory");
        ssize_t n = read_at(fd, at, 65536, text.len);
        if (n < 0)
            return error_set(err, -errno, "cannot read the bundle: %s", strerror(errno));
        if (n == 0)
            return bundle_parse(buf_slice(&text), ret, err);
        text.len += (size_t)n;
        if (text.len > BUNDLE_BYTES_MAX)
            return error_set(err, -EFBIG, "the bundle is larger than %u bytes", BUNDLE_BYTES_MAX);
    }
}
