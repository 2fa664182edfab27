/* SPDX-License-Identifier: Apache-2.0 */
/* meta.k8s.io/v1 Table: lists with the kinds' own columns, as `kubectl get` asks for them. */
#include "api/api_internal.h"

#include <inttypes.h>

static void add_column(struct buf *out, const struct resource_column *column)
{
    bool name = strcmp(column->path, "metadata.name") == 0;
    buf_printf(out,
               "{\"name\":\"%s\",\"type\":\"string\",\"format\":\"%s\",\"description\":\"%s\","
               "\"priority\":%d}",
               column->name, name ? "name" : "", column->path, column->priority);
}

void table_begin(struct buf *out, const struct resource_kind *kind, uint64_t version,
                 const char *continue_token)
{
    buf_printf(out,
               "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{"
               "\"resourceVersion\":\"%" PRIu64 "\"",
               version);
    if (continue_token != NULL)
        buf_printf(out, ",\"continue\":\"%s\"", continue_token);
    buf_add_text(out, "},\"columnDefinitions\":[");
    for (size_t i = 0; kind != NULL && i < kind->column_count; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        add_column(out, &kind->columns[i]);
    }
    buf_add_text(out, "],\"rows\":[");
}

static void add_row_object(struct buf *out, const json_t *object, enum query_include include)
{
    if (include == QUERY_INCLUDE_NONE)
        return;
    buf_add_text(out, ",\"object\":");
    if (include == QUERY_INCLUDE_OBJECT) {
        resource_dump(out, object);
        return;
    }
    buf_add_text(out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\","
                      "\"metadata\":");
    resource_dump(out, json_object_get(object, "metadata"));
    buf_add_byte(out, '}');
}

void table_row(struct buf *out, const struct resource_kind *kind, const json_t *stored,
               enum query_include include, uint64_t now_ns)
{
    json_t *object = kinds_show(kind, stored);
    buf_add_text(out, "{\"cells\":[");
    for (size_t i = 0; i < kind->column_count; i++) {
        autobuf cell = BUF_INIT;
        resource_column_text(&kind->columns[i], object, now_ns, &cell);
        if (i > 0)
            buf_add_byte(out, ',');
        buf_add_json_string(out, buf_slice(&cell));
    }
    buf_add_byte(out, ']');
    add_row_object(out, object, include);
    buf_add_byte(out, '}');
    json_decref(object);
}

void table_end(struct buf *out)
{
    buf_add_text(out, "]}");
}
