/* SPDX-License-Identifier: Apache-2.0 */
/* sluice filter test: why a trigger wants an event, or does not. */
#include "base/memory.h"
#include "cli/cli_internal.h"
#include "cli/event_file.h"
#include "resource/filter.h"

#include <errno.h>

enum mark { MARK_YES, MARK_NO, MARK_PASSED_OVER };

/* One event against some filters. */
struct trial {
    const struct event *event;
    struct cesql_scratch scratch;
    bool all_match;
    bool trouble;
    unsigned tried;
};

static void print_mark(unsigned depth, enum mark mark)
{
    static const struct {
        const char *text;
        enum terminal_style style;
    } marks[] = {{"✓", TERMINAL_GREEN}, {"✗", TERMINAL_RED}, {"-", TERMINAL_DIM}};
    printf("%*s%s%s%s ", (int)(2 * depth), "", terminal_style(stdout, marks[mark].style),
           marks[mark].text, terminal_style(stdout, TERMINAL_PLAIN));
}

static enum mark mark_of(bool counts, bool yes)
{
    return !counts ? MARK_PASSED_OVER : yes ? MARK_YES : MARK_NO;
}

/* A remark at the end of a line. */
static void print_remark(const char *text, struct slice value)
{
    printf("  %s(%s", terminal_style(stdout, TERMINAL_DIM), text);
    terminal_print_safe(stdout, value);
    printf(")%s", terminal_style(stdout, TERMINAL_PLAIN));
}

/* ---- expressions ---- */

/* On one line, whatever breaks it has. */
static void print_expression(struct slice text)
{
    while (text.len > 0) {
        size_t line = 0, blank = 0;
        while (line < text.len && strchr("\t\r\n", text.ptr[line]) == NULL)
            line++;
        terminal_print_safe(stdout, slice_of(text.ptr, line));
        while (line + blank < text.len && strchr(" \t\r\n", text.ptr[line + blank]) != NULL)
            blank++;
        if (blank > 0 && line + blank < text.len)
            putchar(' ');
        text = slice_of(text.ptr + line + blank, text.len - line - blank);
    }
}

static void print_result(const struct cesql *x, const struct cesql_result *result)
{
    autobuf text = BUF_INIT;
    if (result->error != CESQL_NO_ERROR) {
        buf_printf(&text, "%s: ", cesql_error_name(result->error));
        cesql_explain(x, result, &text, NULL);
    } else if (result->value.type != CESQL_BOOLEAN) {
        cesql_value_write(&result->value, &text);
        buf_printf(&text, ", no Boolean");
    } else {
        return;
    }
    print_remark("", buf_slice(&text));
}

/* What follows an operand of AND or OR that decides is not looked at. */
static void show_part(struct trial *t, const struct cesql *x, const struct cesql_part *part,
                      unsigned depth, bool counts, struct cesql_result *ret)
{
    struct cesql_part operand;
    cesql_evaluate_part(x, part, t->event, &t->scratch, ret);
    print_mark(depth, mark_of(counts, ret->error == CESQL_NO_ERROR &&
                                          ret->value.type == CESQL_BOOLEAN && ret->value.boolean));
    if (part->operator_name == NULL) {
        print_expression(part->text);
        print_result(x, ret);
        putchar('\n');
        return;
    }
    puts(part->operator_name);
    for (size_t i = 0; cesql_operand(x, part, i, &operand); i++) {
        struct cesql_result result;
        show_part(t, x, &operand, depth + 1, counts, &result);
        bool yes = result.value.type == CESQL_BOOLEAN && result.value.boolean;
        bool decided = result.error != CESQL_NO_ERROR ||
                       (strcmp(part->operator_name, "AND") == 0 && !yes) ||
                       (strcmp(part->operator_name, "OR") == 0 && yes);
        counts = counts && !decided;
    }
}

static void show_cesql(struct trial *t, const struct filter_node *n, unsigned depth, bool counts)
{
    struct cesql_part whole;
    struct cesql_result result;
    cesql_whole(n->cesql, &whole);
    print_mark(depth, mark_of(counts, cesql_matches(n->cesql, t->event, &t->scratch)));
    printf("%s: ", n->dialect);
    print_expression(cesql_text(n->cesql));
    if (whole.operator_name == NULL) {
        cesql_evaluate(n->cesql, t->event, &t->scratch, &result);
        print_result(n->cesql, &result);
    }
    putchar('\n');
    if (whole.operator_name != NULL)
        show_part(t, n->cesql, &whole, depth + 1, counts, &result);
}

/* ---- attributes ---- */

static void show_attribute(struct trial *t, const struct filter_node *n, unsigned depth,
                           bool counts)
{
    bool yes = filter_node_matches(n, t->event, &t->scratch);
    struct slice is = event_value(t->event, n->name);
    print_mark(depth, mark_of(counts, yes));
    printf("%s: ", n->dialect);
    terminal_print_safe(stdout, n->name);
    if (n->kind == FILTER_PRESENT) {
        fputs(" with any value", stdout);
    } else {
        fputs(" = ", stdout);
        terminal_print_safe(stdout, n->value);
    }
    if (is.ptr == NULL)
        print_remark("the event has none", SLICE(""));
    else if (!yes || n->kind != FILTER_EXACT)
        print_remark("the event: ", is);
    putchar('\n');
}

/* ---- the tree ---- */

static void show(struct trial *t, const struct filter_node *n, unsigned depth, bool counts);

static void show_children(struct trial *t, const struct filter_node *n, unsigned depth, bool counts)
{
    for (const struct filter_node *child = n->children; child != NULL; child = child->next)
        show(t, child, depth, counts);
}

/* All parts are looked at here, so that each that does not match is seen. */
static void show(struct trial *t, const struct filter_node *n, unsigned depth, bool counts)
{
    if (n->kind == FILTER_CESQL) {
        show_cesql(t, n, depth, counts);
    } else if (n->kind < FILTER_ALL) {
        show_attribute(t, n, depth, counts);
    } else {
        print_mark(depth, mark_of(counts, filter_node_matches(n, t->event, &t->scratch)));
        puts(n->dialect);
        show_children(t, n, depth + 1, counts);
    }
}

static void show_filter(struct trial *t, const struct filter *f, const char *space,
                        const char *name)
{
    bool yes = filter_node_matches(f->root, t->event, &t->scratch);
    print_mark(0, yes ? MARK_YES : MARK_NO);
    printf("trigger %s/%s %s\n", space, name, yes ? "matches" : "does not match");
    if (f->root->children == NULL)
        puts("  no filter: every event matches");
    else
        show(t, f->root, 1, true);
    t->all_match = t->all_match && yes;
    t->tried++;
}

static void try_object(struct trial *t, const json_t *object)
{
    struct filter *f = NULL;
    struct error err = ERROR_INIT;
    const char *name = resource_text_at(object, "metadata.name");
    const char *space = resource_text_at(object, "metadata.namespace");
    if (filter_compile(resource_at(object, "spec"), &f, &err) < 0) {
        terminal_error("trigger/%s: %s: %s", name, err.field, err.message);
        t->trouble = true;
        return;
    }
    show_filter(t, f, space != NULL ? space : "default", name != NULL ? name : "");
    filter_free(f);
}

/* ---- where triggers come from ---- */

static bool is_wanted(const struct cli_call *call, const char *name)
{
    for (unsigned i = 0; i < call->argument_count; i++)
        if (strcmp(call->arguments[i], name) == 0)
            return true;
    return call->argument_count == 0;
}

static void try_files(struct trial *t, const struct cli_call *call)
{
    struct manifest m = {.names_only = true};
    const char *file;
    size_t at = 0;
    while ((file = cli_call_next(call, "filename", &at)) != NULL)
        manifest_load(&m, file, cli_call_value(call, "namespace"), cli_call_has(call, "namespace"));
    t->trouble = m.failed > 0;
    for (size_t i = 0; i < m.count; i++)
        if (m.items[i].kind == &resource_kind_trigger && is_wanted(call, m.items[i].name))
            try_object(t, m.items[i].object);
    if (t->tried == 0 && !t->trouble) {
        terminal_error("there is no such trigger in these files");
        t->trouble = true;
    }
    manifest_done(&m);
}

static json_t *fetch(struct remote *r, const struct cli_call *call, const char *name)
{
    autobuf path = BUF_INIT;
    struct remote_reply reply = {0};
    struct error err = ERROR_INIT;
    remote_resource_path(&resource_kind_trigger, cli_call_value(call, "namespace"), name, &path);
    struct remote_request request = {.path = path.ptr, .accept = "application/json"};
    if (!buf_ok(&path) || remote_call(r, &request, &reply, &err) < 0) {
        terminal_error("trigger/%s: %s", name, buf_ok(&path) ? err.message : "out of memory");
        return NULL;
    }
    json_t *object = json_loadb(reply.body.ptr, reply.body.len, 0, NULL);
    remote_reply_done(&reply);
    if (object == NULL)
        terminal_error("trigger/%s: the server's answer is no JSON", name);
    return object;
}

static void try_remote(struct trial *t, const struct cli_call *call)
{
    struct remote *r = remote_new(call);
    t->trouble = r == NULL;
    for (unsigned i = 0; r != NULL && i < call->argument_count; i++) {
        json_t *object = fetch(r, call, call->arguments[i]);
        if (object != NULL)
            try_object(t, object);
        else
            t->trouble = true;
        json_decref(object);
    }
    remote_free(r);
}

int cli_filter_test(const struct cli_call *call)
{
    struct event_file file;
    struct error err = ERROR_INIT;
    const char *event = cli_call_value(call, "event");
    if (event == NULL)
        return cli_call_misuse(call, "filter test wants --event FILE");
    if (!cli_call_has(call, "filename") && call->argument_count == 0)
        return cli_call_misuse(call, "filter test wants the name of a trigger, or --filename");
    autofree struct trial *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        terminal_error("out of memory");
        return CLI_USAGE;
    }
    t->all_match = true;
    t->event = &file.event;
    if (event_file_read(&file, event, &err) < 0) {
        terminal_error("%s", err.message);
        t->trouble = true;
    } else if (cli_call_has(call, "filename")) {
        try_files(t, call);
    } else {
        try_remote(t, call);
    }
    event_file_done(&file);
    if (t->trouble)
        return CLI_USAGE;
    return t->all_match ? CLI_OK : CLI_FAILED;
}
