/* SPDX-License-Identifier: Apache-2.0 */
/* sluice apply */
#include "base/clock.h"
#include "base/encoding.h"
#include "base/memory.h"
#include "cli/apply_items.h"

#include <errno.h>
#include <string.h>

static const struct {
    const char *unit;
    uint64_t ns;
} units[] = {
    {"ms", CLOCK_MILLISECOND},
    {"s", CLOCK_SECOND},
    {"m", 60 * CLOCK_SECOND},
    {"h", 3600 * CLOCK_SECOND},
};

#define WAIT_MAX (24 * 3600 * CLOCK_SECOND)

/* 30s, 500ms, 2m, 1h, or ISO 8601 as PT30S. */
static int parse_wait(const char *text, uint64_t *ret_ns)
{
    if (clock_parse_duration(slice_text(text), ret_ns) == 0)
        return *ret_ns <= WAIT_MAX ? 0 : -ERANGE;
    size_t digits = strspn(text, "0123456789");
    uint64_t number = 0;
    if (encoding_parse_u64(slice_of(text, digits), &number) < 0)
        return -EINVAL;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (strcmp(text + digits, units[i].unit) != 0)
            continue;
        *ret_ns = number * units[i].ns;
        return number <= WAIT_MAX / units[i].ns ? 0 : -ERANGE;
    }
    return -EINVAL;
}

static void report(const struct manifest_item *item, const char *outcome)
{
    resource_print_name(item->kind, item->name, stdout);
    printf(" %s\n", outcome);
    fflush(stdout);
}

/* The API's answers name object and field in their message, as Kubernetes' do: the object stands
 * before it already. */
static const char *without_object(const struct error *err, bool *ret_has_field)
{
    const char *at = err->field[0] != '\0' ? strstr(err->message, err->field) : NULL;
    *ret_has_field = at != NULL || err->field[0] == '\0';
    return at != NULL ? at : err->message;
}

static void complain(const struct manifest_item *item, const struct error *err)
{
    bool has_field;
    const char *message = without_object(err, &has_field);
    const char *file = strcmp(item->file, "-") == 0 ? "stdin" : item->file;
    char line[16] = "";
    if (item->line > 0) /* a function that has no manifest stands on none */
        snprintf(line, sizeof(line), ":%d", item->line);
    terminal_error("%s%s: %s/%s: %s%s%s", file, line, item->kind->singular, item->name,
                   has_field ? "" : err->field, has_field ? "" : ": ", message);
}

/* In the order of the documents, whatever was done first. False: no server, and each further item
 * would only say it again. */
static bool show(void *ctx, size_t index, const struct apply_result *result)
{
    struct manifest *m = ctx;
    struct manifest_item *item = &m->items[index];
    item->applied = result->status == 0;
    if (result->status == 0) {
        report(item, result->outcome);
        return true;
    }
    complain(item, &result->err);
    m->failed++;
    return result->status != -ECONNREFUSED;
}

static int run(const struct cli_call *call, struct manifest *m, uint64_t timeout)
{
    manifest_sort(m);
    if (m->count == 0)
        return CLI_OK;
    if (cli_call_has(call, "dry-run")) {
        for (size_t i = 0; i < m->count; i++)
            report(&m->items[i], "checked (dry run)");
        return CLI_OK;
    }
    if (apply_items(call, m, show, m) < 0)
        return CLI_FAILED;
    if (!cli_call_has(call, "wait"))
        return CLI_OK;
    struct remote *r = remote_new(call);
    int code = r != NULL ? wait_ready(r, m, timeout) : CLI_FAILED;
    remote_free(r);
    return code;
}

int apply_wait_time(const struct cli_call *call, uint64_t *ret_ns)
{
    const char *wait = cli_call_value(call, "wait");
    if (parse_wait(wait, ret_ns) == 0)
        return CLI_OK;
    return cli_call_misuse(call, "--wait takes a time up to a day, as 30s, 2m or PT30S, not \"%s\"",
                           wait);
}

int apply_manifest(const struct cli_call *call, struct manifest *m, uint64_t wait_ns)
{
    int code = run(call, m, wait_ns);
    return m->failed > 0 ? CLI_FAILED : code;
}

int cli_apply(const struct cli_call *call)
{
    uint64_t timeout = 0;
    int code = apply_wait_time(call, &timeout);
    if (code != CLI_OK)
        return code;
    if (!cli_call_has(call, "filename"))
        return cli_call_misuse(call, "apply wants -f FILE: a manifest, a folder, or - for stdin");
    struct manifest m = {0};
    const char *file;
    size_t at = 0;
    while ((file = cli_call_next(call, "filename", &at)) != NULL)
        manifest_load(&m, file, cli_call_value(call, "namespace"), cli_call_has(call, "namespace"));
    code = apply_manifest(call, &m, timeout);
    manifest_done(&m);
    return code;
}
