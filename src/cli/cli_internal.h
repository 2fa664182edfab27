/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: one table of commands and options (commands.c), from which parsing, help, the
 * manual page and docs/cli.md are made, and one file per command. One thread, but
 * for apply_items.c. */
#ifndef SLUICE_CLI_INTERNAL_H
#define SLUICE_CLI_INTERNAL_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "resource/resource.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit codes, documented in the help. */
enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* ---- the table (commands.c) ---- */

struct cli_option {
    const char *name;           /* without the dashes */
    char letter;                /* short form, or 0 */
    const char *argument;       /* what it is called in help; NULL: a flag */
    bool argument_optional;     /* --wait and --wait=30s, never --wait 30s */
    bool repeated;              /* may be given more than once; else the last one counts */
    const char *fallback;       /* value when it is not given, or NULL */
    const char *environment;    /* variable that is used before the fallback, or NULL */
    const char *const *choices; /* NULL-terminated, or NULL */
    const char *help;
};

struct cli_call;

struct cli_command {
    const char *name;      /* one word, or two: "function new" is of the group "function" */
    const char *arguments; /* as shown: "KIND [NAME...]" */
    unsigned arguments_min, arguments_max;
    const char *summary;  /* one line */
    const char *details;  /* paragraphs, or NULL */
    const char *examples; /* lines, or NULL */
    const struct cli_option *options;
    size_t option_count;
    bool remote; /* takes the options of cli_remote_options, too */
    bool dashes; /* a word with a dash at its front that is no option is an argument */
    int (*run)(const struct cli_call *call);
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;
extern const struct cli_option cli_remote_options[];
extern const size_t cli_remote_option_count;

const struct cli_command *cli_command_named(const char *name);
/* The command that the first words name, and how many of them do. */
const struct cli_command *cli_command_typed(const char *const *words, int count, int *ret_used);
bool cli_command_is_group(const char *word);
bool cli_command_in_group(const struct cli_command *c, const char *group);
/* The command whose name is nearest to what was typed, as its second word when there is a group;
 * NULL when none is near. */
const struct cli_command *cli_command_nearest(const char *group, const char *typed);
/* The option at index i of the command's own and common ones together; NULL past the end. */
const struct cli_option *cli_command_option(const struct cli_command *c, size_t i);

int cli_apply(const struct cli_call *call);
int cli_cesql(const struct cli_call *call);
int cli_attempts(const struct cli_call *call);
int cli_event(const struct cli_call *call);
int cli_events(const struct cli_call *call);
int cli_dead_delete(const struct cli_call *call);
int cli_dead_edit(const struct cli_call *call);
int cli_dead_list(const struct cli_call *call);
int cli_dead_show(const struct cli_call *call);
int cli_delete(const struct cli_call *call);
int cli_filter_test(const struct cli_call *call);
int cli_function_build(const struct cli_call *call);
int cli_function_deploy(const struct cli_call *call);
int cli_function_new(const struct cli_call *call);
int cli_function_run(const struct cli_call *call);
int cli_function_test(const struct cli_call *call);
int cli_get(const struct cli_call *call);
int cli_help(const struct cli_call *call);
int cli_logs(const struct cli_call *call);
int cli_pause(const struct cli_call *call);
int cli_redrive(const struct cli_call *call);
int cli_replay(const struct cli_call *call);
int cli_resume(const struct cli_call *call);
int cli_send(const struct cli_call *call);
int cli_serve(const struct cli_call *call);
int cli_tail(const struct cli_call *call);
int cli_version(const struct cli_call *call);

/* ---- a call: what was typed, checked against the table (call.c) ---- */

struct cli_given {
    const struct cli_option *option;
    const char *value; /* NULL: a flag, or without its optional argument */
};

struct cli_call {
    const struct cli_command *command;
    struct cli_given *given; /* owned */
    size_t given_count;
    const char **arguments; /* owned array, borrowed strings */
    unsigned argument_count;
    bool help; /* --help was there: nothing else was checked */
};

/* argv without program and command. 0, or -EINVAL with a message for people. */
int cli_call_init(struct cli_call *call, const struct cli_command *command, int argc, char **argv,
                  struct error *err);
void cli_call_done(struct cli_call *call);
/* Whether the option was given. */
bool cli_call_has(const struct cli_call *call, const char *option);
/* Its value: given, from the environment, or the fallback; NULL when there is none. */
const char *cli_call_value(const struct cli_call *call, const char *option);
/* Each value of a repeated option: start with *at = 0; NULL at the end. */
const char *cli_call_next(const struct cli_call *call, const char *option, size_t *at);
/* Prints the error with a pointer to the command's help; returns CLI_USAGE. */
__attribute__((format(printf, 2, 3))) int cli_call_misuse(const struct cli_call *call,
                                                          const char *format, ...);

/* The same for a kind that nobody knows, listing those that are known. */
int cli_unknown_kind(const struct cli_call *call, const char *name);

void cli_help_overview(FILE *out);
/* The commands of a group. */
void cli_help_group(FILE *out, const char *group);
void cli_help_command(FILE *out, const struct cli_command *c);
void cli_help_markdown(FILE *out);
void cli_help_manual(FILE *out);

/* ---- the terminal (terminal.c) ---- */

enum terminal_style {
    TERMINAL_PLAIN,
    TERMINAL_BOLD,
    TERMINAL_DIM,
    TERMINAL_RED,
    TERMINAL_GREEN,
    TERMINAL_YELLOW,
    TERMINAL_CYAN,
    TERMINAL_STYLE_COUNT
};

/* A terminal, NO_COLOR unset (https://no-color.org), TERM not "dumb". */
bool terminal_has_colours(FILE *out);
/* The escape sequence, or "" where there are no colours. TERMINAL_PLAIN ends a style. */
const char *terminal_style(FILE *out, enum terminal_style style);
/* Text that others wrote: control characters are shown as escapes, so that it cannot drive the
 * terminal. */
void terminal_print_safe(FILE *out, struct slice text);
/* Columns that the text takes, one for each character of UTF-8. */
size_t terminal_width(struct slice text);
/* One line "sluice: …" on stderr. */
__attribute__((format(printf, 1, 2))) void terminal_error(const char *format, ...);
/* A line about a step that takes its time, on stderr. */
__attribute__((format(printf, 1, 2))) void terminal_progress(const char *format, ...);
/* A further line below an error: what to do. */
__attribute__((format(printf, 1, 2))) void terminal_hint(const char *format, ...);

/* ---- the server (remote.c) ---- */

struct remote;

struct remote_request {
    const char *method;       /* NULL: GET */
    const char *path;         /* with query; from the server's root */
    const char *url;          /* a whole URL instead of path, or NULL */
    const char *accept;       /* or NULL */
    const char *content_type; /* or NULL */
    struct slice headers;     /* further lines, each with CR LF at its end */
    struct slice body;
    bool has_body;
};

struct remote_reply {
    long status;
    struct buf headers; /* the lines, as they came; plain HTTP only */
    struct buf body;
};

/* The server that the call names. NULL after printing why not. */
struct remote *remote_new(const struct cli_call *call);
void remote_free(struct remote *r);
void remote_reply_done(struct remote_reply *reply);
/* 0 when an answer came, whatever its status; else negative errno and err says what to do. */
int remote_request(struct remote *r, const struct remote_request *request,
                   struct remote_reply *reply, struct error *err);
/* The same, but answers of 400 and above are errors as well, with the server's own message. -ENOENT
 * for 404, -EEXIST for 409, -EINVAL for other 4xx, -EIO for the rest. */
int remote_call(struct remote *r, const struct remote_request *request, struct remote_reply *reply,
                struct error *err);
/* A GET whose body goes to each() piece by piece as it comes, until the server ends it or each()
 * returns non-zero; that is no error. */
int remote_stream(struct remote *r, const char *path, int (*each)(void *ctx, struct slice bytes),
                  void *ctx, struct error *err);
/* Fills err from an error answer: Kubernetes' Status or {"error":{…}}. Returns err->code. */
int remote_refusal(const struct remote_reply *reply, struct error *err);
/* /apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME; namespace_name and name may be NULL. */
void remote_resource_path(const struct resource_kind *kind, const char *namespace_name,
                          const char *name, struct buf *out);
void remote_escape(struct slice text, struct buf *out);

/* ---- manifests (manifest.c, embed.c) ---- */

struct manifest_item {
    char *file; /* "-" for stdin */
    int line;
    const struct resource_kind *kind;
    bool applied;
    json_t *object;                    /* namespace filled in, files embedded */
    const char *name, *namespace_name; /* borrowed from object; namespace_name "" if cluster-wide */
};

struct manifest {
    struct manifest_item *items;
    size_t count, cap;
    unsigned failed; /* documents and files that were wrong; each was printed */
    bool names_only; /* set before loading: the objects' code is not read */
};

/* Reads a file, the files of a folder, or stdin ("-"); prints each error as file:line: field:
 * message and goes on. namespace_name is for documents that name none; when forced, one that names
 * another is an error. */
void manifest_load(struct manifest *m, const char *path, const char *namespace_name, bool forced);
/* One more object, which is right as it is; takes a reference. 0 or -ENOMEM. */
int manifest_add(struct manifest *m, const char *file, const struct resource_kind *kind,
                 json_t *object);
void manifest_done(struct manifest *m);
/* Namespaces to the front; everything else keeps its order. */
void manifest_sort(struct manifest *m);
/* Puts into a Function what it refers to beside its manifest: the module's bytes, the files of a
 * code folder. file is the manifest's path. 0 or a negative errno with err->field. */
int embed_files(json_t *object, const char *file, struct error *err);

/* ---- output ---- */

/* The value as block-style YAML (yaml.c). 0 or -ENOMEM. */
int yaml_write(json_t *value, FILE *out);
/* Cells in aligned columns (table.c). */
struct table;
struct table *table_new(size_t columns);
void table_free(struct table *t);
/* The next cell, row by row; text is copied. */
void table_add(struct table *t, const char *text);
/* Rows begun, the heads included. */
size_t table_rows(const struct table *t);
void table_print(const struct table *t, FILE *out);

/* "trigger.eventing.knative.dev/name", as kubectl writes it (get.c). */
void resource_print_name(const struct resource_kind *kind, const char *name, FILE *out);
/* Waits until all items that can be Ready are; prints each that is, and why others are not
 * (wait.c). CLI_OK or CLI_FAILED. */
int wait_ready(struct remote *r, const struct manifest *m, uint64_t timeout_ns);

#endif
