/* SPDX-License-Identifier: Apache-2.0 */
/* Runtimes: what runs the code of functions. Each is a folder with a runtime.yaml, so a new runtime
 * is a new folder (docs/runtimes.md). Read by the broker, by the command line and by sluice-runner:
 * a library of its own that needs base and libyaml only. */
#ifndef SLUICE_FUNCTION_RUNTIME_H
#define SLUICE_FUNCTION_RUNTIME_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUNTIME_FILE_MAX  (64 * 1024)
#define RUNTIME_WORDS_MAX 64 /* of a command, and of each other list */
#define RUNTIMES_MAX      64

enum runtime_sandbox {
    RUNTIME_PROCESS, /* a process of its own, confined by sluice-runner */
    RUNTIME_JS,      /* sluice-worker */
    RUNTIME_WASM,    /* sluice-worker */
    RUNTIME_URL,     /* something that serves already */
    RUNTIME_SANDBOX_COUNT
};

/* Both NULL-terminated lists and texts belong to the runtime. */
struct runtime_step {
    char *when;     /* file of the user's code that must be there, or NULL: always */
    char **command; /* words with ${…}, NULL-terminated */
};

struct runtime_variable {
    char *name, *value; /* the value with ${…} */
};

struct runtime {
    char *folder; /* absolute path, as given otherwise */
    char *name;   /* of spec.runtime: a DNS label */
    char **aliases;
    char *description;
    enum runtime_sandbox sandbox;
    char **main;    /* names of the user's main file, in the order in which they are looked for */
    char **command; /* words with ${…}; at least one when sandbox is RUNTIME_PROCESS */
    struct runtime_step *steps; /* prepare */
    size_t step_count;
    struct runtime_variable *environment;
    size_t variable_count;
    char **readable;       /* absolute paths that it needs besides the system's own */
    uint64_t memory_bytes; /* what the interpreter takes by itself; comes on top of limits.memory */
    char *template_folder; /* a name in folder, or NULL */
    char *dockerfile;      /* a name in folder, or NULL */
};

/* Reads FOLDER/runtime.yaml. 0, -ENOENT (there is none), -EINVAL with file, line and field in err,
 * or -ENOMEM. */
int runtime_load(const char *folder, struct runtime **ret, struct error *err);
void runtime_free(struct runtime *r);

/* All runtimes of a directory: each folder in it that has a runtime.yaml. Two with one name or
 * alias, or one that is wrong, fail it. */
struct runtime_set;
int runtime_set_load(const char *directory, struct runtime_set **ret, struct error *err);
void runtime_set_free(struct runtime_set *s);
size_t runtime_set_count(const struct runtime_set *s);
const struct runtime *runtime_set_at(const struct runtime_set *s, size_t i); /* by name */
/* By name or alias; NULL when there is none. */
const struct runtime *runtime_set_find(const struct runtime_set *s, const char *name);
/* Appends the names, with ", " between them: for messages. */
void runtime_set_names(const struct runtime_set *s, struct buf *out);

/* The directory of runtimes: given (an option, may be NULL), else SLUICE_RUNTIMES, else beside the
 * running program: ../runtimes of a build folder, ../share/sluice/runtimes (from bin) or
 * ../../share/sluice/runtimes (from libexec/sluice). 0 and a path that the caller frees, or -ENOENT
 * with all the places in err. */
int runtime_directory(const char *given, char **ret, struct error *err);

/* The main file: named when that is not NULL, else the first of r->main that exists, else the only
 * file when count is 1; NULL when there is none. The text is one of the arguments'. */
const char *runtime_choose_main(const struct runtime *r, const char *named,
                                const char *const *files, size_t count);

/* What ${…} means; NULL texts are refused where they are used. */
struct runtime_places {
    const char *runtime;  /* ${runtime}: the runtime's folder */
    const char *code;     /* ${code}: the user's files */
    const char *packages; /* ${packages}: what prepare installed */
    const char *main;     /* ${main}: name of the main file in code */
    const char *runner;   /* ${runner}: the sluice-runner program */
};
/* Appends the text with its ${…} replaced. 0, or -EINVAL for a name that is unknown or not there.
 */
int runtime_expand(const char *text, const struct runtime_places *places, struct buf *out,
                   struct error *err);

#endif
