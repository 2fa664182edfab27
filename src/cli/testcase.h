/* SPDX-License-Identifier: Apache-2.0 */
/* One case of `sluice function test`: what is sent to a function, and what must come back. The form
 * of the files is told in docs/functions-cli.md. */
#ifndef SLUICE_CLI_TESTCASE_H
#define SLUICE_CLI_TESTCASE_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>

struct testcase {
    char *file;       /* where it stands */
    json_t *json;     /* checked: known fields of the right types */
    const char *name; /* borrowed from json */
};

struct testcases {
    struct testcase *items;
    size_t count, cap;
};

/* Reads a file, or the .yaml, .yml and .json files of a folder. 0, or a negative errno after saying
 * on stderr what is wrong. */
int testcases_load(struct testcases *t, const char *path);
void testcases_done(struct testcases *t);

/* A request, ready to be sent. */
struct testcase_request {
    const char *method, *path;
    struct buf headers, body; /* header lines */
    bool has_body;
};
int testcase_request(const struct testcase *c, struct testcase_request *ret, struct error *err);
void testcase_request_done(struct testcase_request *r);

/* What came back. */
struct testcase_answer {
    long status;
    struct slice headers, body;
};
/* Each expectation that is not met, as a line of text. */
void testcase_compare(const struct testcase *c, const struct testcase_answer *answer,
                      struct buf *ret_complaints);
/* The first expected log line that none of the printed ones (a list of texts) has in it; NULL: all
 * are there. */
const char *testcase_missing_log(const struct testcase *c, const json_t *printed);

#endif
