/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder. A query is one request on its way: an HTTP thread reads and
 * checks it, the loop thread carries it out and answers. */
#ifndef SLUICE_API_INTERNAL_H
#define SLUICE_API_INTERNAL_H

#include "api/api.h"
#include "base/list.h"

#define API_BODY_MAX      (24u << 20)
#define API_SMALL_MAX     (64u << 10)
#define API_REQUIREMENTS  64
#define API_PATCH_OPS_MAX 1000
#define API_PATCH_TRIES   5

/* ---- selector.c ---- */
enum selector_operator {
    SELECTOR_EQUALS,
    SELECTOR_NOT_EQUALS,
    SELECTOR_EXISTS,
    SELECTOR_NOT_EXISTS,
    SELECTOR_IN,
    SELECTOR_NOT_IN
};
struct selector_requirement {
    enum selector_operator operator;
    char *key;
    char **values; /* one for (not) equals */
    size_t value_count;
};
struct selector {
    struct selector_requirement requirements[API_REQUIREMENTS];
    size_t count;
};
/* k=v, k==v, k!=v, k, !k, k in (a,b), k notin (a,b), joined by commas. 0 or -EINVAL. */
int selector_parse(struct slice text, struct selector *s, struct error *err);
/* metadata.name and metadata.namespace with =, == and != only. */
int selector_parse_fields(struct slice text, struct selector *s, struct error *err);
void selector_done(struct selector *s);
bool selector_matches_labels(const struct selector *s, const json_t *object);
bool selector_matches_fields(const struct selector *s, const json_t *object);

/* ---- query.c ---- */
enum query_verb {
    QUERY_GET,
    QUERY_LIST,
    QUERY_WATCH,
    QUERY_CREATE,
    QUERY_REPLACE,
    QUERY_PATCH,
    QUERY_DELETE
};
enum query_shape { QUERY_JSON, QUERY_TABLE };
enum query_include { QUERY_INCLUDE_METADATA, QUERY_INCLUDE_OBJECT, QUERY_INCLUDE_NONE };
enum query_validation { QUERY_STRICT, QUERY_WARN, QUERY_IGNORE };
enum query_patch { QUERY_PATCH_MERGE, QUERY_PATCH_STRATEGIC, QUERY_PATCH_JSON };

struct query {
    unsigned magic;
    struct loop_message message;
    struct api *api;
    struct http_request *request;
    const struct resource_kind *kind;
    enum query_verb verb;
    char *namespace_name; /* "": none in the path */
    char *name;           /* "": none in the path */
    enum query_shape shape;
    enum query_include include;
    struct selector labels, fields;
    uint64_t limit;         /* 0: none */
    char *after;            /* continue: namespace/name of the last one given; or NULL */
    char *resource_version; /* watch, list; or NULL */
    uint64_t timeout_s;     /* watch; 0: none */
    bool bookmarks, initial_events;
    bool dry_run, admin; /* admin: shows the admin token */
    enum query_validation validation;
    json_t *object; /* body */
    enum query_patch patch;
    unsigned tries;
    char *uid, *version; /* preconditions of a delete; or NULL */
    struct buf warnings; /* text of Warning headers, one a line */
};
#define QUERY_MAGIC 0x71756572u

void query_free(struct query *q);
/* The handler of all routes of resources; ctx is the api. */
void query_handle(struct http_request *request, void *ctx);

/* ---- body.c: on HTTP threads ---- */
/* Reads the request's body into q->object and checks it against the kind. 0, or the HTTP status to
 * refuse it with. */
unsigned body_read_object(struct query *q, struct error *err);
unsigned body_read_patch(struct query *q, struct error *err);
unsigned body_read_delete(struct query *q, struct error *err);
/* Unknown fields by the query's validation, then resource_check. For a patch's outcome as well. */
unsigned body_check(struct query *q, json_t *object, const struct resource_document *document,
                    struct error *err);

/* ---- admin.c: any thread ---- */
bool admin_token_shown(const struct admin_token *t, const struct http_request *request);

/* ---- protobuf.c ---- */
/* Is the kind read in this form: what kubectl's create commands make? */
bool protobuf_reads(const struct resource_kind *kind);
/* An object in Kubernetes' protobuf envelope (what `kubectl create namespace` sends). */
int protobuf_read_object(const struct resource_kind *kind, struct slice bytes, json_t **ret,
                         struct error *err);

/* ---- patch.c: RFC 7396 and RFC 6902 ---- */
/* Changes target in place; NULL when out of memory (target is gone then). Takes target. */
json_t *patch_merge(json_t *target, const json_t *patch);
/* Takes out the directives of a strategic merge patch ($patch, $setElementOrder/…). */
void patch_strip_directives(json_t *patch);
/* Takes *document and replaces it. 0, -EINVAL (malformed), -ENOENT (a path or test fails). */
int patch_json(json_t **document, const json_t *operations, struct error *err);

/* ---- answer.c ---- */
/* Answers and frees q. */
void answer_status(struct query *q, unsigned status, const struct error *err);
void answer_object(struct query *q, unsigned status, const json_t *object);
void answer_deleted(struct query *q, const json_t *last);
/* Takes body's bytes. */
void answer_text(struct query *q, unsigned status, const char *content_type, struct buf *body);
/* For handlers without a query. */
void answer_plain_status(struct http_request *request, unsigned status, const char *message);
/* A Status as JSON; kind and name may be NULL. create tells AlreadyExists from Conflict. */
void answer_add_status(struct buf *out, unsigned status, const struct resource_kind *kind,
                       const char *name, bool create, const struct error *err);
/* A stored object as the kind shows it. */
void answer_add_shown(struct buf *out, const struct resource_kind *kind, const json_t *stored);

/* ---- table.c ---- */
/* {"kind":"Table",…,"rows":[ without the end; then rows, then table_end. kind NULL: no columns, as
 * in a watch after its first event. */
void table_begin(struct buf *out, const struct resource_kind *kind, uint64_t version,
                 const char *continue_token);
void table_row(struct buf *out, const struct resource_kind *kind, const json_t *stored,
               enum query_include include, uint64_t now_ns);
void table_end(struct buf *out);

/* ---- pod.c ---- */
extern const struct resource_kind pod_kind;
/* The pod that stands for a function; NULL when out of memory. */
json_t *pod_of(const json_t *function);

/* ---- kinds.c: what is served: the stored kinds, then pods ---- */
size_t kinds_count(void);
const struct resource_kind *kinds_at(size_t index);
const struct resource_kind *kinds_find(struct slice group, struct slice version,
                                       struct slice plural);
bool kinds_is_view(const struct resource_kind *kind); /* read-only, made from another kind */
/* The stored kind that a kind is made from: itself, or Function for pods. */
const struct resource_kind *kinds_stored(const struct resource_kind *kind);
/* A stored object as the kind shows it; a new reference, NULL when out of memory. */
json_t *kinds_show(const struct resource_kind *kind, const json_t *stored);

/* ---- read.c, write.c, watch.c: on the loop thread; they take q ---- */
void read_get(struct query *q);
void read_list(struct query *q);
/* Is the object in the namespace of the query and selected? */
bool read_selects(const struct query *q, const json_t *object);
/* Does it come, in the order of the registry, after the one that token (namespace/name) names? */
bool read_is_after(const char *namespace_name, const char *name, const char *token);
void write_create(struct query *q);
void write_replace(struct query *q);
void write_patch(struct query *q);
void write_delete(struct query *q);
void watch_begin(struct query *q);

struct watch_set;
struct watch_set *watch_set_new(struct api *a);
void watch_set_quiesce(struct watch_set *s);
/* The last state of the object that q names, if it was deleted not long ago; or NULL. */
const json_t *watch_gone(const struct watch_set *s, const struct query *q);
void watch_set_free(struct watch_set *s);

/* ---- discovery.c, openapi.c: on HTTP threads; ctx is the api ---- */
void discovery_handle_core(struct http_request *request, void *ctx);
void discovery_handle_groups(struct http_request *request, void *ctx);
void discovery_handle_group(struct http_request *request, void *ctx);
void discovery_handle_resources(struct http_request *request, void *ctx);
void discovery_handle_version(struct http_request *request, void *ctx);
void openapi_handle_v2(struct http_request *request, void *ctx);
void openapi_handle_v3(struct http_request *request, void *ctx);

/* ---- openapi_v2.c ---- */
/* An OpenAPI 3 document (as openapi.c makes it) as version 2 in protobuf; out fails when memory
 * runs out. */
void openapi_v2_encode(struct buf *out, json_t *document);

/* ---- log.c ---- */
void log_handle(struct http_request *request, void *ctx);

struct api {
    struct loop *loop;
    struct registry *registry;
    struct function_host *functions;
    struct watch_set *watches;
    const struct admin_token *admin; /* NULL: nobody has it */
    bool quiet;                      /* the server ends: what is under way ends in this turn */
};

#endif
