/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder only. */
#ifndef SLUICE_RESOURCE_INTERNAL_H
#define SLUICE_RESOURCE_INTERNAL_H

#include "resource/resource.h"

/* ---- lines.c: where each node of a text stands ---- */
#define LINES_ROOT 0u
/* An empty tree with its root; NULL when out of memory. */
struct resource_lines *lines_new(int line);
struct resource_lines *lines_ref(struct resource_lines *l);
void lines_unref(struct resource_lines *l);
/* A node below parent; key.ptr NULL: item number index of a list. Returns its id, or 0 when out of
 * memory (later lookups then find the parent). */
uint32_t lines_add(struct resource_lines *l, uint32_t parent, struct slice key, uint32_t index,
                   int line);
/* A new handle whose root is the item'th element of the list `key` below l's root; NULL when out of
 * memory or absent. */
struct resource_lines *lines_item(struct resource_lines *l, const char *key, uint32_t index);
int lines_root_line(const struct resource_lines *l);

/* ---- documents.c: what resource_parse() gathers ---- */
#define RESOURCE_NODES_MAX 1000000 /* values in one text: bounds memory at about 100 bytes each */
struct documents {
    struct resource_document *items;
    size_t len, cap;
};
/* Takes object and lines, on errors too. A kind: List becomes one document for each item; null is
 * skipped. */
int documents_add(struct documents *d, json_t *object, struct resource_lines *lines, int line,
                  struct error *err);
void documents_done(struct documents *d);
/* Size and NULs, before anything is read. */
int text_check(struct slice text, struct error *err);

/* ---- yaml.c, json.c ---- */
/* All documents of the text. first_line: of the text's beginning. */
int yaml_read(struct slice text, int first_line, struct documents *out, struct error *err);
/* The first JSON value of the text; ret_used: bytes up to its end. */
int json_read(struct slice text, int first_line, struct documents *out, size_t *ret_used,
              struct error *err);
/* A plain scalar by YAML 1.2's core schema (§10.3.2). 0 or -EINVAL with a message. */
int scalar_resolve(struct slice text, json_t **ret, struct error *err);

/* ---- name.c ---- */
bool name_is_label(struct slice name);     /* RFC 1123: a-z 0-9 -, 63 */
bool name_is_subdomain(struct slice name); /* labels and dots, 253 */
int name_check_labels(const json_t *labels, const char *field, struct error *err);
/* The closest of the given names, or NULL when none is close. */
struct nearest {
    struct slice wanted;
    struct slice best;
    unsigned distance;
};
void nearest_begin(struct nearest *n, struct slice wanted);
void nearest_offer(struct nearest *n, struct slice candidate);

/* ---- field.c ---- */
struct field_walk { /* where a walk over an object stands: with indexes, and as in the table */
    struct buf full, table;
};
struct field_mark {
    size_t full, table;
};
void field_walk_done(struct field_walk *w);
struct field_mark field_walk_enter(struct field_walk *w, const char *key);
struct field_mark field_walk_enter_item(struct field_walk *w, size_t index);
void field_walk_leave(struct field_walk *w, struct field_mark mark);
/* Is f a direct child of the object at this table path ("" for the top)? Its name then. */
bool field_is_child(const struct resource_field *f, struct slice table_path,
                    struct slice *ret_name);

/* ---- entries.c: what Secret and ConfigMap share ---- */
#define ENTRIES_MAX 10000
/* Keys, and that the values are base64; adds their sizes to *bytes and refuses more than 1 MiB. */
int entries_check(const json_t *object, const char *field, bool base64, size_t *bytes,
                  struct error *err);
/* What is immutable keeps these members. */
int entries_check_change(const json_t *before, const json_t *after, const char *const *kept,
                         struct error *err);

/* ---- pem.c ---- */
/* One certificate at least, and nothing else between BEGIN and END lines (RFC 7468). 0 or -EINVAL.
 */
int pem_check_certificates(struct slice text, const char *field, struct error *err);

/* ---- delivery.c: what Broker and Trigger share ---- */
int delivery_check(const json_t *object, const char *path, struct error *err);
/* {ref, uri}: one of both, complete. */
int destination_check(const json_t *object, const char *path, struct error *err);

#define DESTINATION_FIELDS(p, what)                                                                \
    {p ".ref", RESOURCE_OBJECT, .help = what " by reference"},                                     \
        {p ".ref.apiVersion", RESOURCE_STRING, .max = 317, .help = "API version of the object"},   \
        {p ".ref.group", RESOURCE_STRING, .max = 253, .help = "API group, instead of apiVersion"}, \
        {p ".ref.kind", RESOURCE_STRING, .required = true,                                         \
         .min = 1,      .max = 63,       .help = "kind of the object: Service, Function, Broker"}, \
        {p ".ref.name", RESOURCE_STRING, .required = true,                                         \
         .min = 1,      .max = 253,      .help = "name of the object"},                            \
        {p ".ref.namespace", RESOURCE_STRING, .max = 63,                                           \
         .help = "namespace of the object; default: this one's"},                                  \
        {p ".uri", RESOURCE_STRING, .max = 8192,                                                   \
         .help = "absolute URL, or a path relative to ref"},                                       \
        {p ".CACerts", RESOURCE_STRING, .max = 1 << 20,                                            \
         .help = "certificates (PEM) trusted for this URL"},                                       \
    {                                                                                              \
        p ".audience", RESOURCE_STRING, .max = 8192, .help = "OIDC audience of the destination"    \
    }

extern const char *const delivery_backoff_policies[], *const delivery_formats[];

#define DELIVERY_FIELDS                                                                            \
    {"spec.delivery", RESOURCE_OBJECT,                                                             \
     .help = "how events are delivered, and what if they cannot be"},                              \
        {"spec.delivery.retry", RESOURCE_INTEGER, .min = 0, .max = INT32_MAX,                      \
         .help = "retries after the first attempt"},                                               \
        {"spec.delivery.backoffPolicy", RESOURCE_STRING, .choices = delivery_backoff_policies,     \
         .help = "how the delay grows: linear is delay times the retry's number"},                 \
        {"spec.delivery.backoffDelay", RESOURCE_DURATION, .min = 0, .max = DELIVERY_DURATION_MAX,  \
         .help = "delay before the first retry"},                                                  \
        {"spec.delivery.timeout", RESOURCE_DURATION, .min = 1000000, .max = DELIVERY_DURATION_MAX, \
         .help = "time that one attempt may take"},                                                \
        {"spec.delivery.retryAfterMax", RESOURCE_DURATION, .min = 0, .max = DELIVERY_DURATION_MAX, \
         .help = "longest Retry-After that is honoured; PT0S: none"},                              \
        {"spec.delivery.format", RESOURCE_STRING, .choices = delivery_formats,                     \
         .help = "content mode of deliveries: json (structured) or binary"},                       \
        {"spec.delivery.deadLetterSink", RESOURCE_OBJECT,                                          \
         .help = "where events go that could not be delivered"},                                   \
        DESTINATION_FIELDS("spec.delivery.deadLetterSink", "dead-letter sink")
#define DELIVERY_DURATION_MAX (INT64_C(7) * 24 * 3600 * 1000000000) /* a week */

#endif
