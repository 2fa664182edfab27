/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that look into the log have in common: pages, times, names. */
#ifndef SLUICE_CLI_INSPECT_H
#define SLUICE_CLI_INSPECT_H

#include "cli/cli_internal.h"

/* GET as JSON. 0, or negative errno with err (-ENOENT for 404). The text of the answer, when it is
 * wanted, goes to ret_text. */
int inspect_get(struct remote *r, const char *path, json_t **ret, struct buf *ret_text,
                struct error *err);
/* Appends the items of all pages to *items until there are max of them. path has a query, to which
 * limit and continue are added. */
int inspect_pages(struct remote *r, const char *path, uint64_t max, json_t *items,
                  struct error *err);

/* Adds &name=value, escaped; nothing when value is NULL. */
void inspect_add(struct buf *path, const char *name, const char *value);
/* --since and --until: RFC 3339, or how long ago (90s, 10m, 2h, 1d, PT10M); adds &since=…. False
 * after printing what is wrong. */
bool inspect_add_time(const struct cli_call *call, const char *option, struct buf *path);
/* --limit. False after printing what is wrong. */
bool inspect_limit(const struct cli_call *call, uint64_t *ret);
/* Namespace of the call, or nothing with --all-namespaces. */
void inspect_add_namespace(const struct cli_call *call, struct buf *path);

const char *inspect_text(const json_t *object, const char *member); /* "" when there is none */
/* "namespace/name", or "(deleted, number 7)". */
void inspect_name(const json_t *object, const char *member, struct buf *out);
/* Says what went wrong, with the field that the server named. */
void inspect_complain(const struct error *err);

/* 22:15:04.626 of an RFC 3339 time; with the date when `whole`. */
void inspect_time(const json_t *object, const char *member, bool whole, struct buf *out);

/* The same, with the date when that is another than `day`'s, an RFC 3339 time too. */
void inspect_time_after(const json_t *object, const char *member, const char *day, struct buf *out);
/* The status, "no answer", and for how long: "503", "3.1 ms". */
void inspect_code(const json_t *attempt, struct buf *out);
void inspect_latency(const json_t *attempt, struct buf *out);
/* A cell: the text of the buffer, or "-". The buffer is emptied. */
void inspect_cell(struct table *t, struct buf *text);

#endif
