/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by registry*.c: what is held, and a write on its way. All on the loop thread, but for
 * write_appended(). */
#ifndef SLUICE_RESOURCE_REGISTRY_INTERNAL_H
#define SLUICE_RESOURCE_REGISTRY_INTERNAL_H

#include "base/map.h"
#include "resource/registry.h"

#define REGISTRY_KINDS_MAX      16
#define REGISTRY_OBSERVERS_MAX  16
#define REGISTRY_RESOURCES_MAX  100000
#define REGISTRY_BYTES_MAX      (UINT64_C(1) << 30) /* JSON of all resources */
#define REGISTRY_VALUE_MAX      (30u << 20)         /* JSON of one; a group must hold it */
#define REGISTRY_STATUS_RETRY_S 1
#define REGISTRY_IN_FLIGHT_MAX  256       /* writes on their way at the same time */
#define REGISTRY_DEFAULT        "default" /* the namespace that is always there; a broker's name */

struct registry_entry {
    struct resource resource;
    char *namespace_name, *name;
    size_t bytes;                         /* of its JSON */
    struct registry_write *queued_status; /* not yet begun; takes later statuses in */
};

struct registry_shelf { /* one kind's entries in order of namespace and name */
    struct registry_entry **entries;
    size_t len, cap;
};

struct registry {
    struct store *store;
    struct loop *loop;
    struct registry_shelf shelves[REGISTRY_KINDS_MAX];
    uint32_t next_number;
    uint64_t version, bytes;
    size_t count;
    struct {
        const struct resource_kind *kind;
        registry_observer_fn *observer;
        void *ctx;
    } observers[REGISTRY_OBSERVERS_MAX];
    size_t observer_count;
    struct {
        registry_extend_fn *extend; /* NULL: nothing comes with this kind */
        void *ctx;
    } extensions[REGISTRY_KINDS_MAX];
    struct list queue;     /* of registry_write */
    struct list delayed;   /* status writes that the store refused */
    struct list in_flight; /* of registry_write: appended, not yet synced */
    size_t in_flight_count;
    struct map busy; /* registry_key() of each to its write */
    bool alone;      /* the one in flight goes alone */
    struct loop_message kick;
    bool kicked, stopped;
    struct loop_timer retry;
};

enum registry_write_kind { WRITE_CREATE, WRITE_REPLACE, WRITE_DELETE, WRITE_STATUS };

/* What one write changes; a namespace's deletion is many. */
struct registry_step {
    enum registry_change change;
    const struct resource_kind *kind;
    struct registry_entry *entry; /* NULL when added */
    json_t *object;               /* as it will be; NULL when deleted */
    uint32_t number;
    size_t bytes;
};

struct registry_write {
    struct list node; /* in queue, delayed or in_flight */
    struct registry *registry;
    enum registry_write_kind what;
    const struct resource_kind *kind;
    json_t *object; /* as given; the status of WRITE_STATUS */
    char *namespace_name, *name, *uid, *version;
    uint32_t number; /* WRITE_STATUS: of the very resource that was meant */
    struct buf key;  /* of the subject, while in flight */
    bool dry_run;
    registry_done_fn *done;
    void *ctx;

    struct registry_step *steps;
    size_t step_count, step_cap;
    uint32_t numbers; /* how many were taken */
    size_t subject;   /* the step that is the object asked for */
    unsigned status;  /* HTTP */
    struct error err;

    struct loop_message message; /* from the log thread */
    int append_error;
    uint64_t position;
};

/* ---- registry.c ---- */
size_t registry_kind_index(const struct resource_kind *kind);
struct registry_entry *registry_entry_find(const struct registry *r,
                                           const struct resource_kind *kind,
                                           const char *namespace_name, const char *name);
/* Takes object. NULL when out of memory. */
struct registry_entry *registry_entry_add(struct registry *r, const struct resource_kind *kind,
                                          uint32_t number, json_t *object);
/* Takes it from its shelf; it lives on until registry_entry_free(). */
void registry_entry_remove(struct registry *r, struct registry_entry *e);
void registry_entry_free(struct registry_entry *e);
void registry_notify(struct registry *r, enum registry_change change, struct registry_entry *e,
                     const json_t *before);
/* group/kind/namespace/name. */
void registry_key(const struct resource_kind *kind, const char *namespace_name, const char *name,
                  struct buf *out);
#define REGISTRY_NUMBER_KEY SLICE("next") /* row of STORE_TABLE_NUMBERS: 4 bytes, little-endian */
/* Value of a row: format (1), three zero bytes, number (4 bytes, little-endian), then the object as
 * JSON without metadata.resourceVersion, which is the row's position. */
#define REGISTRY_VALUE_FORMAT 1
#define REGISTRY_VALUE_HEADER 8

/* ---- registry_change.c: what a write would change; all validation against the present ---- */
/* Fills steps, or status and err. No steps and status < 400: nothing to write. */
void registry_prepare(struct registry *r, struct registry_write *w);
__attribute__((format(printf, 3, 4))) void
registry_refuse(struct registry_write *w, unsigned status, const char *format, ...);
int registry_set_version(json_t *object, uint64_t version);

/* ---- registry_write.c ---- */
void registry_write_free(struct registry_write *w);
/* Once. */
void registry_answer(struct registry_write *w, struct resource *resource);

/* ---- registry_apply.c: what is synced is shown ---- */
void registry_apply(struct registry *r, struct registry_write *w);

#endif
