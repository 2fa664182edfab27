/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of event/cesql/ only: the compiled form and its evaluation.
 *
 * An expression is an array of nodes that refer to each other by number (a child list is the first
 * child and its siblings), and one run of text that they point into. */
#ifndef SLUICE_EVENT_CESQL_CESQL_INTERNAL_H
#define SLUICE_EVENT_CESQL_CESQL_INTERNAL_H

#include "event/cesql/cesql.h"

enum node_kind {
    NODE_LITERAL_BOOLEAN, /* integer */
    NODE_LITERAL_INTEGER, /* integer */
    NODE_LITERAL_STRING,  /* text */
    NODE_ATTRIBUTE,       /* text: the name in lower case */
    NODE_EXISTS,          /* text: the name */
    NODE_CALL,            /* detail: row of the function table; children: arguments */
    NODE_MISSING_CALL,    /* text: the name; children: arguments, never evaluated */
    NODE_NOT,
    NODE_NEGATE,
    NODE_LIKE, /* detail: enum like_kind; text: the pattern; one child */
    NODE_IN,   /* children: the left side, then the set */
    NODE_MULTIPLY,
    NODE_DIVIDE,
    NODE_MODULO,
    NODE_ADD,
    NODE_SUBTRACT,
    NODE_EQUAL,
    NODE_NOT_EQUAL,
    NODE_LESS,
    NODE_LESS_EQUAL,
    NODE_GREATER,
    NODE_GREATER_EQUAL,
    NODE_AND, /* two children or more, from left to right */
    NODE_OR,
    NODE_XOR,
    NODE_KIND_COUNT
};

#define NODE_NONE UINT32_MAX

struct node {
    uint8_t kind;
    uint8_t detail;
    uint8_t height;
    uint8_t reserved;
    uint32_t child, next; /* NODE_NONE: none */
    uint32_t at, len;     /* the node's place in the expression */
    union {
        int32_t integer;
        struct {
            uint32_t at, len;
        } text;
    };
};

struct cesql {
    uint32_t count, root;
    uint32_t source_len; /* the source is the beginning of text */
    const struct node *nodes;
    const char *text;
};

static inline struct slice node_text(const struct cesql *x, const struct node *n)
{
    return slice_of(x->text + n->text.at, n->text.len);
}

static inline bool node_is_literal(const struct node *n)
{
    return n->kind <= NODE_LITERAL_STRING;
}

/* ---- evaluation (evaluate.c) ---- */

enum cesql_reason { /* what cesql_explain() says */
                    REASON_NONE,
                    REASON_MISSING_ATTRIBUTE,
                    REASON_MISSING_FUNCTION,
                    REASON_CAST, /* subject cannot be cast to wanted */
                    REASON_DIVISION_BY_ZERO,
                    REASON_OVERFLOW,
                    REASON_NEGATIVE_LENGTH,
                    REASON_POSITION,
                    REASON_SCRATCH,
                    REASON_COUNT
};

/* One evaluation. */
struct run {
    const struct cesql *x;
    const struct event *event; /* NULL while constants are folded */
    struct cesql_scratch *scratch;
    struct cesql_result *result;
};

/* The value of the node. False: an error, the first, is in the result, and *ret is the value that
 * goes with it. */
bool node_evaluate(struct run *r, uint32_t node, struct cesql_value *ret);
/* Notes the error; returns false. */
bool run_fail(struct run *r, enum cesql_error error, enum cesql_reason reason);
/* Room for a text; NULL after noting the error. */
char *run_reserve(struct run *r, size_t len);
void value_set_zero(struct cesql_value *v, enum cesql_type type);
static inline void value_set_boolean(struct cesql_value *v, bool b)
{
    v->type = CESQL_BOOLEAN;
    v->boolean = b;
}
static inline void value_set_integer(struct cesql_value *v, int32_t i)
{
    v->type = CESQL_INTEGER;
    v->integer = i;
}
static inline void value_set_string(struct cesql_value *v, struct slice s)
{
    v->type = CESQL_STRING;
    v->string = s;
}

/* ---- casts (cast.c, §3.7) ---- */
/* In place. False: noted, and the value is the type's zero. */
bool value_cast(struct run *r, struct cesql_value *v, enum cesql_type type);
/* The same without noting anything. */
bool value_can_cast(const struct cesql_value *v, enum cesql_type type);
/* A decimal integer of 32 bits with an optional sign. */
bool integer_parse(struct slice text, int32_t *ret);
#define INTEGER_TEXT_MAX 12
size_t integer_write(int32_t v, char out[INTEGER_TEXT_MAX]);

/* ---- LIKE (like.c, §3.4.3) ---- */

enum like_kind { LIKE_EXACT, LIKE_PREFIX, LIKE_SUFFIX, LIKE_CONTAINS, LIKE_GENERAL };
/* Bytes that no UTF-8 text has. */
#define LIKE_ANY_RUN '\xff' /* % */
#define LIKE_ANY_ONE '\xfe' /* _ */
/* Appends the pattern in its compiled form: without wildcards at its ends for PREFIX, SUFFIX and
 * CONTAINS. */
enum like_kind like_compile(struct slice pattern, struct buf *out);
bool like_matches(enum like_kind kind, struct slice pattern, struct slice text);

/* ---- functions (function.c) ---- */

#define FUNCTION_ANY_TYPE CESQL_TYPE_COUNT /* as it comes */
#define FUNCTION_VARIADIC UINT8_MAX

typedef bool function_run(struct run *r, const struct cesql_value *arguments, unsigned count,
                          struct cesql_value *ret);
struct function {
    const char *name;
    uint8_t min, max;                  /* arguments */
    enum cesql_type first, rest, type; /* types of the arguments and of the value */
    function_run *run;
    const char *arguments, *help;
};
extern const struct function cesql_functions[];
extern const size_t cesql_function_count;
/* The row, or NULL; *ret_named says whether one of the name is there with another arity. */
const struct function *function_find(struct slice name, unsigned count, bool *ret_named);

/* string_function.c; what they do stands in the table. */
function_run string_length, string_concat, string_concat_ws, string_lower, string_upper,
    string_trim, string_left, string_right, string_substring;

/* ---- characters (unicode.c) ---- */

/* Bytes of the character at the front; a byte that is no UTF-8 counts as one. len > 0. */
static inline size_t utf8_step(struct slice s)
{
    size_t n = 1;
    while (n < s.len && ((unsigned char)s.ptr[n] & 0xc0) == 0x80)
        n++;
    return n;
}
size_t utf8_length(struct slice s);
/* The rest of s after n characters; empty when it has no more. */
struct slice utf8_skip(struct slice s, size_t n);
bool utf8_is_valid(struct slice s);
struct slice utf8_trim(struct slice s);
/* Letter by letter, into out of at least utf8_case_room(len) bytes. */
static inline size_t utf8_case_room(size_t len)
{
    return len + len / 2 + 4;
}
size_t utf8_lower(struct slice s, char *out);
size_t utf8_upper(struct slice s, char *out);

/* ---- words (lexer.c) ---- */

enum token_kind {
    TOKEN_END,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_COMMA,
    TOKEN_STAR,
    TOKEN_SLASH,
    TOKEN_PERCENT,
    TOKEN_PLUS,
    TOKEN_MINUS,
    TOKEN_EQUAL,
    TOKEN_NOT_EQUAL,
    TOKEN_LESS,
    TOKEN_LESS_EQUAL,
    TOKEN_GREATER,
    TOKEN_GREATER_EQUAL,
    TOKEN_STRING,  /* with its quotes */
    TOKEN_INTEGER, /* digits */
    TOKEN_WORD,    /* a name */
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_XOR,
    TOKEN_NOT,
    TOKEN_LIKE,
    TOKEN_EXISTS,
    TOKEN_IN,
    TOKEN_TRUE,
    TOKEN_FALSE,
    TOKEN_KIND_COUNT
};

struct token {
    enum token_kind kind;
    struct slice text; /* of the source */
};

struct lexer {
    struct slice source;
    size_t at;
    const char *problem; /* why the last token could not be read */
};

/* False: lexer->problem says why, and ret->text is the place. */
bool lexer_next(struct lexer *l, struct token *ret);

#endif
