/* SPDX-License-Identifier: Apache-2.0 */
/* The words and the environment of a function's program. */
#include "runner/protocol.h"
#include "runner/sandbox.h"

#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define VARIABLES_MAX 2048

struct environment {
    char **all;
    size_t count;
    struct error *err;
};

static size_t name_length(const char *variable)
{
    return strcspn(variable, "=") + 1;
}

/* A later one takes the place of an earlier one. */
static int put(struct environment *e, char *variable)
{
    if (variable == NULL)
        return error_set(e->err, -ENOMEM, "out of memory");
    size_t len = name_length(variable);
    for (size_t i = 0; i < e->count; i++) {
        if (strncmp(e->all[i], variable, len) != 0)
            continue;
        free(e->all[i]);
        e->all[i] = variable;
        return 0;
    }
    if (e->count == VARIABLES_MAX) {
        free(variable);
        return error_set(e->err, -E2BIG, "more than %d variables", VARIABLES_MAX);
    }
    e->all[e->count++] = variable;
    return 0;
}

static int set(struct environment *e, const char *name, const char *value)
{
    char *variable;
    return put(e, asprintf(&variable, "%s=%s", name, value) < 0 ? NULL : variable);
}

static int set_number(struct environment *e, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    return set(e, name, text);
}

struct pair {
    const char *name, *value;
};

static int set_all(struct environment *e, const struct pair *pairs, size_t count)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++)
        if (pairs[i].value != NULL)
            r = set(e, pairs[i].name, pairs[i].value);
    return r;
}

static int set_system(struct environment *e, const struct bundle *b, const char *tmp)
{
    char revision[300];
    snprintf(revision, sizeof(revision), "%.255s-%05llu", b->name,
             (unsigned long long)b->generation);
    const struct pair pairs[] = {
        {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        {"LANG", "C.UTF-8"},
        {"HOME", tmp},
        {"TMPDIR", tmp},
        {"HOSTNAME", b->name},
        /* as on Knative */
        {"K_SERVICE", b->name},
        {"K_REVISION", revision},
        {"K_CONFIGURATION", b->name},
    };
    return set_all(e, pairs, COUNT_OF(pairs));
}

static int set_runtime(struct environment *e, const struct runtime *r,
                       const struct runtime_places *places)
{
    int status = 0;
    for (size_t i = 0; status == 0 && i < r->variable_count; i++) {
        autobuf value = BUF_INIT;
        status = runtime_expand(r->environment[i].value, places, &value, e->err);
        if (status == 0)
            status = set(e, r->environment[i].name, value.ptr);
    }
    return status;
}

static int set_user(struct environment *e, const struct bundle *b)
{
    const char *name;
    json_t *value;
    int r = 0;
    json_object_foreach(b->env, name, value)
    {
        if (r == 0)
            r = set(e, name, json_string_value(value));
    }
    return r;
}

static int set_proxy(struct environment *e)
{
    static const struct pair pairs[] = {
        {"http_proxy", LAN_PROXY_URL},       {"https_proxy", LAN_PROXY_URL},
        {"HTTP_PROXY", LAN_PROXY_URL},       {"HTTPS_PROXY", LAN_PROXY_URL},
        {"no_proxy", "localhost,127.0.0.1"},
    };
    return set_all(e, pairs, COUNT_OF(pairs));
}

/* spec.command, as a JSON array. */
static int set_command(struct environment *e, const json_t *words)
{
    autofree char *text = json_dumps(words, JSON_COMPACT);
    return text == NULL ? error_set(e->err, -ENOMEM, "out of memory")
                        : set(e, "SLUICE_COMMAND", text);
}

/* What is written last, so that nobody else's say counts. */
static int set_own(struct environment *e, const struct sandbox_options *o,
                   const struct runtime_places *places)
{
    const struct bundle *b = o->bundle;
    const struct bundle_limits *l = &b->limits;
    const struct pair pairs[] = {
        {"SLUICE_NAMESPACE", b->namespace_name},
        {"SLUICE_NAME", b->name},
        {"SLUICE_CODE", places->code},
        {"SLUICE_PACKAGES", places->packages},
        {"SLUICE_RUNTIME", places->runtime},
        {"SLUICE_MAIN", b->main},
        {"SLUICE_LISTEN_FD", o->listener >= 0 ? "3" : NULL},
    };
    int r = set_all(e, pairs, COUNT_OF(pairs));
    if (r == 0 && b->arguments != NULL)
        r = set_command(e, b->arguments);
    if (r == 0)
        r = set_number(e, "SLUICE_GENERATION", b->generation);
    if (r == 0)
        r = set_number(e, "SLUICE_TIMEOUT_MS", l->timeout_ms);
    if (r == 0)
        r = set_number(e, "SLUICE_CONCURRENCY", l->concurrency);
    if (r == 0)
        r = set_number(e, "SLUICE_REQUEST_BYTES", l->request_bytes);
    if (r == 0)
        r = set_number(e, "SLUICE_RESPONSE_BYTES", l->response_bytes);
    if (r == 0)
        r = set_number(e, "SLUICE_LOG_BYTES", l->log_bytes);
    return r;
}

/* Programs that fetch packages find their registries, proxies and certificates by the variables of
 * whoever runs sluice. */
static bool is_for_packages(const char *variable)
{
    static const char *const names[] = {
        "http_proxy=",         "https_proxy=",   "no_proxy=",     "NODE_EXTRA_CA_CERTS=",
        "REQUESTS_CA_BUNDLE=", "SSL_CERT_FILE=", "SSL_CERT_DIR=", "CURL_CA_BUNDLE=",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strncasecmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return strncmp(variable, "PIP_", 4) == 0 || strncasecmp(variable, "npm_config_", 11) == 0;
}

static int set_for_packages(struct environment *e)
{
    int r = 0;
    for (char **at = environ; r == 0 && *at != NULL; at++)
        if (is_for_packages(*at))
            r = put(e, strdup(*at));
    return r;
}

static int build_environment(const struct sandbox_options *o, const struct runtime_places *places,
                             const char *tmp, bool proxied, struct environment *e)
{
    e->all = calloc(VARIABLES_MAX + 1, sizeof(*e->all));
    if (e->all == NULL)
        return error_set(e->err, -ENOMEM, "out of memory");
    int r = set_system(e, o->bundle, tmp);
    if (r == 0 && proxied)
        r = set_proxy(e);
    if (r == 0)
        r = set_runtime(e, o->runtime, places);
    /* What a function is told (secrets among it) is not for the programs that install packages. */
    if (r == 0)
        r = o->preparing ? set_for_packages(e) : set_user(e, o->bundle);
    return r < 0 ? r : set_own(e, o, places);
}

static int build_words(char *const *words, const struct runtime_places *places, char ***ret,
                       struct error *err)
{
    char **argv = calloc(RUNTIME_WORDS_MAX + 1, sizeof(*argv));
    if (argv == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *ret = argv; /* what becomes of it ends with exec or exit */
    for (size_t i = 0; words[i] != NULL && i < RUNTIME_WORDS_MAX; i++) {
        autobuf word = BUF_INIT;
        int r = runtime_expand(words[i], places, &word, err);
        if (r < 0)
            return r;
        argv[i] = word.ptr != NULL ? buf_steal(&word) : strdup("");
        if (argv[i] == NULL)
            return error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

int program_build(const struct sandbox_options *o, const struct runtime_places *places,
                  const char *tmp, bool proxied, struct program *ret, struct error *err)
{
    struct environment e = {.err = err};
    int r = build_words(o->words, places, &ret->argv, err);
    if (r == 0)
        r = build_environment(o, places, tmp, proxied, &e);
    ret->envp = e.all;
    return r;
}
