/* SPDX-License-Identifier: Apache-2.0 */
/* CloudEvents SQL Expression Language 1.0.0 (CESQL): an expression is parsed once and evaluated
 * against many events. An evaluation always gives a value, and with an error the value that the
 * specification gives it (§3.3). It is of the fail-fast kind (§4.1): the first error ends it; each
 * operator and function around it has the zero value of its type.
 *
 * A compiled expression is immutable: any thread may evaluate it. Evaluations allocate nothing. */
#ifndef SLUICE_EVENT_CESQL_CESQL_H
#define SLUICE_EVENT_CESQL_CESQL_H

#include "base/buf.h"
#include "base/error.h"
#include "event/event.h"

#define CESQL_LENGTH_MAX    16384 /* bytes of an expression */
#define CESQL_DEPTH_MAX     100   /* parentheses, operators and calls within each other */
#define CESQL_NODES_MAX     4096  /* operators, calls, names and values */
#define CESQL_LIST_MAX      1000  /* elements of a set */
#define CESQL_ARGUMENTS_MAX 64    /* of one call */
#define CESQL_SCRATCH_MAX   65536 /* bytes of text that one evaluation may make */

enum cesql_type { CESQL_BOOLEAN, CESQL_INTEGER, CESQL_STRING, CESQL_TYPE_COUNT };

struct cesql_value {
    enum cesql_type type;
    union {
        bool boolean;
        int32_t integer;
        struct slice string; /* of the event, the expression or the scratch */
    };
};

/* §3.3. */
enum cesql_error {
    CESQL_NO_ERROR,
    CESQL_PARSE,
    CESQL_MATH,
    CESQL_CAST,
    CESQL_MISSING_FUNCTION,
    CESQL_FUNCTION_EVALUATION,
    CESQL_MISSING_ATTRIBUTE,
    CESQL_GENERIC,
    CESQL_ERROR_COUNT
};
/* "parse", "math", …, "missingAttribute": as the specification's test kit spells them. */
const char *cesql_error_name(enum cesql_error error);
const char *cesql_type_name(enum cesql_type type); /* "Boolean", … */

/* A piece of the expression's text. */
struct cesql_place {
    size_t at, len; /* bytes */
};

struct cesql;
struct need;
struct need_term;

/* -EINVAL: a parse error, err says what is wrong and ret_place where. -ENOMEM. ret_place and err
 * may be NULL. The text is copied. */
int cesql_parse(struct slice text, struct cesql **ret, struct cesql_place *ret_place,
                struct error *err);
void cesql_free(struct cesql *x);
struct slice cesql_text(const struct cesql *x);
/* "column 7: expected …": for one-line messages; columns are counted in characters from 1. */
size_t cesql_column(struct slice text, struct cesql_place place);

/* Where texts go that an evaluation makes (CONCAT, UPPER, …). One for each thread; what it holds is
 * good until the next evaluation. */
struct cesql_scratch {
    size_t used;
    char bytes[CESQL_SCRATCH_MAX];
};

struct cesql_result {
    struct cesql_value value;
    enum cesql_error error;
    /* For cesql_explain(). */
    unsigned reason, node;
    enum cesql_type wanted;
    struct slice subject;
};

void cesql_evaluate(const struct cesql *x, const struct event *e, struct cesql_scratch *scratch,
                    struct cesql_result *ret);
/* As a filter (§1.2): the value is the Boolean true, and there was no error. */
bool cesql_matches(const struct cesql *x, const struct event *e, struct cesql_scratch *scratch);
/* What went wrong, as a sentence without its kind; and where. Before the next evaluation. */
void cesql_explain(const struct cesql *x, const struct cesql_result *result, struct buf *out,
                   struct cesql_place *ret_place);
/* true, 12 or "text". */
void cesql_value_write(const struct cesql_value *value, struct buf *out);

/* ---- the parts of an expression ---- */

struct cesql_part {
    unsigned node;
    const char *operator_name; /* AND, OR, XOR, NOT; NULL: it has no parts */
    struct slice text;         /* of the expression */
};
void cesql_whole(const struct cesql *x, struct cesql_part *ret);
/* Operand i of a part; false past the last. */
bool cesql_operand(const struct cesql *x, const struct cesql_part *of, size_t i,
                   struct cesql_part *ret);
/* The part by itself, whether it counts for the whole or not. */
void cesql_evaluate_part(const struct cesql *x, const struct cesql_part *part,
                         const struct event *e, struct cesql_scratch *scratch,
                         struct cesql_result *ret);

/* What an event must have for cesql_matches(). Borrows from the expression and the arena; NULL: out
 * of memory. */
struct need *cesql_need(const struct cesql *x, struct event_arena *arena);
/* The value of a need's term as text, in the scratch; false: it has none. */
bool cesql_term_value(const struct need_term *term, const struct event *e,
                      struct cesql_scratch *scratch, struct slice *ret);

/* ---- the functions, for documentation and tests ---- */

struct cesql_function_row {
    const char *name, *arguments, *returns, *help;
};
/* False at the end. */
bool cesql_function_at(size_t i, struct cesql_function_row *ret);

#endif
