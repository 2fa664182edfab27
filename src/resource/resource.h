/* SPDX-License-Identifier: Apache-2.0 */
/* Resources in Kubernetes' shape. Each kind is declared by one table (kinds.c): decoding of YAML
 * and JSON, defaults, validation messages with the field's path, columns and reference
 * documentation come from it. Pure functions; used by the broker and the CLI alike. */
#ifndef SLUICE_RESOURCE_RESOURCE_H
#define SLUICE_RESOURCE_RESOURCE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum resource_type { /* of a field */
                     RESOURCE_STRING,
                     RESOURCE_INTEGER,
                     RESOURCE_BOOLEAN,
                     RESOURCE_DURATION, /* ISO 8601 text */
                     RESOURCE_QUANTITY, /* bytes: 64Mi */
                     RESOURCE_STRING_MAP,
                     RESOURCE_OBJECT,
                     RESOURCE_LIST,
                     RESOURCE_ANY,
                     RESOURCE_TYPE_COUNT,
};

struct resource_field {
    const char
        *path; /* spec.subscriber.ref.name; [] stands for each item of a list: spec.env[].name */
    enum resource_type type;
    bool required;
    const char *fallback; /* default as JSON text; NULL: none */
    int64_t min, max; /* of integers, bytes of quantities, ns of durations; length of strings and
                         lists; both 0: no check */
    const char *const *choices; /* NULL-terminated, or NULL */
    const char *help;
};

struct resource_column { /* of `get` and of Table answers */
    const char *name,
        *path; /* JSON path in the object, "AGE" columns use .metadata.creationTimestamp;
                  condition:Ready.status, condition:Ready.reason; count:data+binaryData: how many
                entries these have */
    int priority;
};

struct resource_kind {
    const char *group, *version, *kind, *plural, *singular; /* group "" for core */
    const char *short_name;                                 /* or NULL */
    bool namespaced;
    bool label_name; /* names are RFC 1123 labels (63 characters), not subdomains (253) */
    const struct resource_field *fields;
    size_t field_count;
    const struct resource_column *columns;
    size_t column_count;
    const char *const
        *immutable; /* paths that a replace must not change; NULL-terminated, or NULL */
    /* Brings what the table has checked into the form that is kept; may be NULL. 0 or negative
     * errno.
     */
    int (*complete)(json_t *object, struct error *err);
    /* Checks that no table can say; may be NULL. 0 or -EINVAL with err->field. */
    int (*check)(const json_t *object, struct error *err);
    /* May the stored object become the other? May be NULL. 0 or -EINVAL with err->field. */
    int (*check_change)(const json_t *before, const json_t *after, struct error *err);
    const char *help;
};

extern const struct resource_kind resource_kind_namespace, resource_kind_broker,
    resource_kind_trigger, resource_kind_function, resource_kind_secret, resource_kind_configmap;
extern const struct resource_kind *const resource_kinds[];
extern const size_t resource_kind_count;

const struct resource_kind *resource_kind_of(const char *api_version, const char *kind);
/* By plural, singular or short name, as people type it; any case. */
const struct resource_kind *resource_kind_named(const char *name);
/* "eventing.knative.dev/v1", "v1". */
void resource_kind_api_version(const struct resource_kind *k, struct buf *out);

/* One document of a file. lines maps field paths to 1-based lines. */
struct resource_document {
    json_t *object;
    struct resource_lines *lines;
    int line; /* where the document starts */
};
#define RESOURCE_TEXT_MAX      (24u << 20)
#define RESOURCE_DEPTH_MAX     64
#define RESOURCE_DOCUMENTS_MAX 20000
/* YAML (one or more documents, also kind: List) or JSON. Duplicate keys, anchors and aliases beyond
 * a small budget, and depth are errors. Empty documents are skipped. err->line is set on errors.
 * The documents belong to the caller (resource_documents_free). */
int resource_parse(struct slice text, struct resource_document **ret, size_t *ret_count,
                   struct error *err);
void resource_documents_free(struct resource_document *documents, size_t count);
/* The same for text that says that it is JSON: nothing but RFC 8259 is taken. */
int resource_parse_json(struct slice text, struct resource_document **ret, size_t *ret_count,
                        struct error *err);
/* One JSON value of any type, within the same bounds. */
int resource_parse_value(struct slice text, json_t **ret, struct error *err);
/* The line of the field, or of its nearest parent that has one. */
int resource_line(const struct resource_document *d, const char *field);

/* Puts defaults in and checks all fields: unknown fields (strict), types, ranges, required ones,
 * names (RFC 1123), then kind->check. metadata.namespace is filled with fallback_namespace when the
 * kind wants one. 0 or -EINVAL with err->field and a message that says what to do. */
int resource_check(const struct resource_kind *kind, json_t *object, const char *fallback_namespace,
                   struct error *err);

/* Each field that the kind does not declare: its path, and the nearest declared name of its
 * siblings or "". With remove they are taken out. Stops with what each returns when that is not 0.
 */
typedef int resource_unknown_fn(void *ctx, const char *path, const char *nearest);
int resource_each_unknown(const struct resource_kind *kind, json_t *object, bool remove,
                          resource_unknown_fn *each, void *ctx);
/* The declared field at a table path (spec.env[].name), metadata's fields included; or NULL. */
const struct resource_field *resource_field_find(const struct resource_kind *kind,
                                                 struct slice table_path);
/* All fields of a kind: those that every kind has (apiVersion, kind, metadata…, status), then its
 * own; NULL past the last. */
const struct resource_field *resource_field_at(const struct resource_kind *kind, size_t index);

/* The cell of a column: "" when the object has no such value. now_ns: realtime, for ages. */
void resource_column_text(const struct resource_column *column, const json_t *object,
                          uint64_t now_ns, struct buf *out);

/* The value as compact JSON; a NULL value fails the buffer. */
void resource_dump(struct buf *out, const json_t *value);

/* Value at a path as "spec.delivery.retry"; NULL when absent. Borrowed. */
json_t *resource_at(const json_t *object, const char *path);
const char *resource_text_at(const json_t *object, const char *path); /* NULL unless a string */
/* Nanoseconds, bytes or the number at the path; fallback when absent. */
uint64_t resource_duration_at(const json_t *object, const char *path, uint64_t fallback);
uint64_t resource_bytes_at(const json_t *object, const char *path, uint64_t fallback);
int64_t resource_integer_at(const json_t *object, const char *path, int64_t fallback);

#endif
