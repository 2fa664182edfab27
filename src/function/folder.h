/* SPDX-License-Identifier: Apache-2.0 */
/* Where the code and packages of functions that are processes lie, whose they are, and who fills
 * them. Loop thread only. */
#ifndef SLUICE_FUNCTION_FOLDER_H
#define SLUICE_FUNCTION_FOLDER_H

#include "function/programs.h"

struct function;
struct function_host;
struct function_spec;
struct version;

/* ---- prepare.c: runs sluice-runner prepare, few at a time ---- */

struct prepare_queue {
    struct loop *loop;
    const char *runner_path;
    struct list waiting, running;
    unsigned running_count;
    struct loop_timer kick;
    uint64_t prepares, failures;
};
struct prepare;
void prepare_queue_init(struct prepare_queue *q, struct loop *loop, const char *runner_path);
/* After all versions. */
void prepare_queue_done(struct prepare_queue *q);
/* Sets v->prepare; version_prepared() follows. 0 or -ENOMEM. */
int prepare_start(struct prepare_queue *q, struct version *v);
void prepare_cancel(struct prepare *p);

/* ---- uid.c: each function that is a process has a user id of its own ---- */

struct uid_table;
int uid_table_new(const char *folder, struct uid_table **ret, struct error *err);
void uid_table_free(struct uid_table *t);
/* The owner's (metadata.uid), the same each time; on disk when it returns. 0 or negative errno. */
int uid_take(struct uid_table *t, const char *owner, unsigned *ret);
void uid_give_back(struct uid_table *t, const char *owner);

/* ---- folder.c: code and packages of functions that are processes ---- */

#define FOLDER_DIGEST_SIZE 25
struct function_folders {
    char *path; /* DIR/functions, absolute */
    struct loop *loop;
    struct uid_table *uids;
    struct process removal;
    bool dirty; /* there is something to remove */
    uint64_t batch, discarded;
    struct loop_timer start;
};
int folders_init(struct function_host *h, const char *data_dir, struct error *err);
void folders_done(struct function_host *h);
/* Name of the folder for these files under this runtime. 0 or -ENOMEM. */
int folder_digest(const struct function_spec *s, char ret[FOLDER_DIGEST_SIZE]);
/* The caller frees it; NULL when out of memory. */
char *folder_path(const struct function *f, const char *digest, const char *suffix);
int folder_make_parent(const struct function *f);
bool folder_is_ready(const struct function *f, const char *digest);
int folder_set_ready(const struct function *f, const char *digest);
/* Removes those that no version uses. */
void folder_sweep(struct function *f);
/* Removes all of a function that is gone, and frees its user id. */
void folder_remove(struct function *f);

#endif
