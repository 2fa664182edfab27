/* SPDX-License-Identifier: Apache-2.0 */
/* sluice get: tables come from the server, which knows the columns of each kind. */
#include "base/memory.h"
#include "cli/cli_internal.h"

#include <errno.h>
#include <string.h>

#define ACCEPT_TABLE "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

void resource_print_name(const struct resource_kind *kind, const char *name, FILE *out)
{
    fprintf(out, "%s%s%s/%s", kind->singular, kind->group[0] != '\0' ? "." : "", kind->group, name);
}

struct getter {
    struct remote *remote;
    const struct resource_kind *kind;
    const char *namespace_name; /* NULL: all */
    const char *output;
    struct table *table;
};

static bool is_table(const struct getter *g)
{
    return strcmp(g->output, "table") == 0 || strcmp(g->output, "wide") == 0;
}

static int fetch(const struct getter *g, const char *name, json_t **ret, struct error *err)
{
    autobuf path = BUF_INIT;
    struct remote_reply reply = {0};
    remote_resource_path(g->kind, g->namespace_name, name, &path);
    if (!buf_ok(&path))
        return error_set(err, -ENOMEM, "out of memory");
    struct remote_request request = {
        .path = path.ptr,
        .accept = is_table(g) ? ACCEPT_TABLE : "application/json",
    };
    int status = remote_call(g->remote, &request, &reply, err);
    if (status < 0)
        return status;
    json_error_t where;
    *ret = json_loadb(reply.body.len > 0 ? reply.body.ptr : "", reply.body.len, 0, &where);
    remote_reply_done(&reply);
    return *ret != NULL
               ? 0
               : error_set(err, -EBADMSG, "the server's answer is no JSON: %s", where.text);
}

static bool shown(const struct getter *g, const json_t *column)
{
    return strcmp(g->output, "wide") == 0 ||
           json_integer_value(json_object_get(column, "priority")) == 0;
}

static void add_heads(struct getter *g, const json_t *columns)
{
    size_t i, count = g->namespace_name == NULL && g->kind->namespaced ? 1 : 0;
    json_t *column;
    json_array_foreach(columns, i, column) count += shown(g, column);
    g->table = count > 0 ? table_new(count) : NULL;
    if (g->table == NULL)
        return;
    if (g->namespace_name == NULL && g->kind->namespaced)
        table_add(g->table, "NAMESPACE");
    json_array_foreach(columns, i, column)
    {
        if (!shown(g, column))
            continue;
        autobuf head = BUF_INIT;
        buf_add_text(&head, json_string_value(json_object_get(column, "name")) != NULL
                                ? json_string_value(json_object_get(column, "name"))
                                : "");
        for (size_t c = 0; c < head.len; c++)
            head.ptr[c] =
                (char)(head.ptr[c] >= 'a' && head.ptr[c] <= 'z' ? head.ptr[c] - 32 : head.ptr[c]);
        table_add(g->table, head.len > 0 ? head.ptr : "");
    }
}

static void add_cell(struct table *t, const json_t *cell)
{
    if (json_is_string(cell) || cell == NULL || json_is_null(cell)) {
        table_add(t, json_is_string(cell) ? json_string_value(cell) : "");
        return;
    }
    autofree char *text = json_dumps(cell, JSON_ENCODE_ANY | JSON_COMPACT);
    table_add(t, text != NULL ? text : "");
}

/* Adds the rows of a Table answer; the first one brings the heads. */
static int add_rows(struct getter *g, const json_t *answer, struct error *err)
{
    const json_t *columns = json_object_get(answer, "columnDefinitions");
    if (g->table == NULL)
        add_heads(g, columns);
    if (g->table == NULL)
        return error_set(err, -EBADMSG, "the server's answer is no Table; try -o yaml");
    size_t i, c;
    json_t *row, *column;
    json_array_foreach(json_object_get(answer, "rows"), i, row)
    {
        const json_t *cells = json_object_get(row, "cells");
        if (g->namespace_name == NULL && g->kind->namespaced)
            add_cell(g->table, resource_at(row, "object.metadata.namespace"));
        json_array_foreach(columns, c, column)
        {
            if (shown(g, column))
                add_cell(g->table, json_array_get(cells, c));
        }
    }
    return 0;
}

static void print_names(const struct getter *g, const json_t *answer)
{
    const json_t *items = json_object_get(answer, "items");
    size_t count = items != NULL ? json_array_size(items) : 1;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = items != NULL ? json_array_get(items, i) : answer;
        const char *name = resource_text_at(item, "metadata.name");
        resource_print_name(g->kind, name != NULL ? name : "", stdout);
        fputc('\n', stdout);
    }
}

static int show(struct getter *g, json_t *answer, bool first, struct error *err)
{
    if (is_table(g))
        return add_rows(g, answer, err);
    if (strcmp(g->output, "name") == 0) {
        print_names(g, answer);
    } else if (strcmp(g->output, "yaml") == 0) {
        if (!first)
            puts("---");
        if (yaml_write(answer, stdout) < 0)
            return error_set(err, -EIO, "could not write the YAML");
    } else {
        json_dumpf(answer, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
    }
    return 0;
}

static int get_one(struct getter *g, const char *name, bool first)
{
    struct error err = ERROR_INIT;
    json_t *answer = NULL;
    int status = fetch(g, name, &answer, &err);
    if (status == 0)
        status = show(g, answer, first, &err);
    json_decref(answer);
    if (status < 0)
        terminal_error("%s", err.message);
    return status < 0 ? CLI_FAILED : CLI_OK;
}

static int get_all(struct getter *g, const struct cli_call *call)
{
    int code = CLI_OK;
    if (call->argument_count == 1)
        code = get_one(g, NULL, true);
    for (unsigned i = 1; i < call->argument_count; i++) {
        int one = get_one(g, call->arguments[i], i == 1);
        code = one != CLI_OK ? one : code;
    }
    return code;
}

int cli_get(const struct cli_call *call)
{
    struct getter g = {
        .kind = resource_kind_named(call->arguments[0]),
        .namespace_name =
            cli_call_has(call, "all-namespaces") ? NULL : cli_call_value(call, "namespace"),
        .output = cli_call_value(call, "output"),
    };
    if (g.kind == NULL)
        return cli_unknown_kind(call, call->arguments[0]);
    if (g.namespace_name == NULL && call->argument_count > 1)
        return cli_call_misuse(call, "a name is looked for in one namespace: leave out -A");
    g.remote = remote_new(call);
    if (g.remote == NULL)
        return CLI_FAILED;
    int code = get_all(&g, call);
    if (g.table != NULL && table_rows(g.table) > 1)
        table_print(g.table, stdout);
    else if (g.table != NULL && code == CLI_OK)
        fprintf(stderr, "no %s%s%s\n", g.kind->plural,
                g.namespace_name != NULL && g.kind->namespaced ? " in namespace " : "",
                g.namespace_name != NULL && g.kind->namespaced ? g.namespace_name : "");
    table_free(g.table);
    remote_free(g.remote);
    return code;
}
