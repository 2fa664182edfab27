/* SPDX-License-Identifier: Apache-2.0 */
/* From text to nodes: CESQL §2, with the precedence of §3.6. Operators of one precedence group from
 * left to right. */
#include "base/memory.h"
#include "event/cesql/cesql_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum precedence { /* the higher, the tighter; 0: no binary operator */
                  PRECEDENCE_NONE,
                  PRECEDENCE_LOGIC,
                  PRECEDENCE_COMPARISON,
                  PRECEDENCE_SUM,
                  PRECEDENCE_PRODUCT,
                  PRECEDENCE_IN,
                  PRECEDENCE_LIKE,
                  PRECEDENCE_UNARY,
};

static const struct {
    uint8_t precedence, node;
} operators[TOKEN_KIND_COUNT] = {
    [TOKEN_AND] = {PRECEDENCE_LOGIC, NODE_AND},
    [TOKEN_OR] = {PRECEDENCE_LOGIC, NODE_OR},
    [TOKEN_XOR] = {PRECEDENCE_LOGIC, NODE_XOR},
    [TOKEN_EQUAL] = {PRECEDENCE_COMPARISON, NODE_EQUAL},
    [TOKEN_NOT_EQUAL] = {PRECEDENCE_COMPARISON, NODE_NOT_EQUAL},
    [TOKEN_LESS] = {PRECEDENCE_COMPARISON, NODE_LESS},
    [TOKEN_LESS_EQUAL] = {PRECEDENCE_COMPARISON, NODE_LESS_EQUAL},
    [TOKEN_GREATER] = {PRECEDENCE_COMPARISON, NODE_GREATER},
    [TOKEN_GREATER_EQUAL] = {PRECEDENCE_COMPARISON, NODE_GREATER_EQUAL},
    [TOKEN_PLUS] = {PRECEDENCE_SUM, NODE_ADD},
    [TOKEN_MINUS] = {PRECEDENCE_SUM, NODE_SUBTRACT},
    [TOKEN_STAR] = {PRECEDENCE_PRODUCT, NODE_MULTIPLY},
    [TOKEN_SLASH] = {PRECEDENCE_PRODUCT, NODE_DIVIDE},
    [TOKEN_PERCENT] = {PRECEDENCE_PRODUCT, NODE_MODULO},
    [TOKEN_IN] = {PRECEDENCE_IN, NODE_IN},
    [TOKEN_LIKE] = {PRECEDENCE_LIKE, NODE_LIKE},
};

struct parser {
    struct lexer lexer;
    struct token token; /* the one that comes next */
    struct node *nodes;
    uint32_t count, cap;
    struct buf text; /* begins with the source */
    unsigned depth;
    struct cesql_scratch *scratch;
    struct cesql_place place;
    struct error *err;
    int status;
};

/* The first error counts. */
__attribute__((format(printf, 3, 4))) static bool wrong(struct parser *p, struct slice where,
                                                        const char *format, ...)
{
    if (p->status < 0)
        return false;
    va_list arguments;
    char message[200];
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    p->status = error_set(p->err, -EINVAL, "%s", message);
    p->place = (struct cesql_place){(size_t)(where.ptr - p->lexer.source.ptr), where.len};
    return false;
}

static bool out_of_memory(struct parser *p)
{
    p->status = error_set(p->err, -ENOMEM, "out of memory");
    return false;
}

static bool advance(struct parser *p)
{
    return lexer_next(&p->lexer, &p->token) || wrong(p, p->token.text, "%s", p->lexer.problem);
}

static bool expected(struct parser *p, const char *what)
{
    if (p->token.kind == TOKEN_END)
        return wrong(p, p->token.text, "expected %s, but the expression ends here", what);
    int shown = p->token.text.len > 40 ? 40 : (int)p->token.text.len;
    return wrong(p, p->token.text, "expected %s, found %.*s", what, shown, p->token.text.ptr);
}

static bool take(struct parser *p, enum token_kind kind, const char *what)
{
    return p->token.kind == kind ? advance(p) : expected(p, what);
}

/* ---- nodes ---- */

static bool node_new(struct parser *p, enum node_kind kind, struct slice where, uint32_t *ret)
{
    if (p->count == CESQL_NODES_MAX)
        return wrong(p, where, "more than %d values and operators", CESQL_NODES_MAX);
    if (p->count == p->cap) {
        uint32_t cap = p->cap == 0 ? 16 : p->cap * 2;
        struct node *grown = realloc(p->nodes, cap * sizeof(*grown));
        if (grown == NULL)
            return out_of_memory(p);
        p->nodes = grown;
        p->cap = cap;
    }
    p->nodes[p->count] = (struct node){.kind = (uint8_t)kind,
                                       .height = 1,
                                       .child = NODE_NONE,
                                       .next = NODE_NONE,
                                       .at = (uint32_t)(where.ptr - p->lexer.source.ptr),
                                       .len = (uint32_t)where.len};
    *ret = p->count++;
    return true;
}

/* The node ends where what was read so far ends. */
static void node_end(struct parser *p, uint32_t node)
{
    size_t end = (size_t)(p->token.text.ptr - p->lexer.source.ptr);
    const char *source = p->lexer.source.ptr;
    while (end > p->nodes[node].at && strchr(" \t\r\n", source[end - 1]) != NULL)
        end--;
    p->nodes[node].len = (uint32_t)end - p->nodes[node].at;
}

static bool node_adopt(struct parser *p, uint32_t node, uint32_t last, uint32_t child)
{
    if (last == NODE_NONE)
        p->nodes[node].child = child;
    else
        p->nodes[last].next = child;
    if (p->nodes[child].height >= CESQL_DEPTH_MAX)
        return wrong(p, slice_of(p->lexer.source.ptr + p->nodes[child].at, p->nodes[child].len),
                     "nested deeper than %d", CESQL_DEPTH_MAX);
    if (p->nodes[node].height <= p->nodes[child].height)
        p->nodes[node].height = (uint8_t)(p->nodes[child].height + 1);
    return true;
}

static bool set_text(struct parser *p, uint32_t node, struct slice text)
{
    p->nodes[node].text.at = (uint32_t)p->text.len;
    p->nodes[node].text.len = (uint32_t)text.len;
    buf_add_slice(&p->text, text);
    return buf_ok(&p->text) || out_of_memory(p);
}

static bool set_lower(struct parser *p, uint32_t node, struct slice name)
{
    if (!set_text(p, node, name))
        return false;
    char *at = p->text.ptr + p->nodes[node].text.at;
    for (size_t i = 0; i < name.len; i++)
        if (at[i] >= 'A' && at[i] <= 'Z')
            at[i] = (char)(at[i] | 0x20);
    return true;
}

/* Without its quotes; a backslash before the quote is not part of the value. */
static bool set_unquoted(struct parser *p, uint32_t node, struct slice quoted)
{
    size_t start = p->text.len;
    for (size_t i = 1; i + 1 < quoted.len; i++) {
        if (quoted.ptr[i] == '\\' && quoted.ptr[i + 1] == quoted.ptr[0])
            i++;
        else if (quoted.ptr[i] == '\\' && quoted.ptr[i + 1] == '\\')
            buf_add_byte(&p->text, quoted.ptr[i++]); /* the pair stands as it is */
        buf_add_byte(&p->text, quoted.ptr[i]);
    }
    if (!buf_ok(&p->text))
        return out_of_memory(p);
    p->nodes[node].text.at = (uint32_t)start;
    p->nodes[node].text.len = (uint32_t)(p->text.len - start);
    return true;
}

/* ---- constants (§3.3: what can be known now is) ---- */

static bool all_literal(const struct parser *p, uint32_t node)
{
    const struct node *n = &p->nodes[node];
    if (n->child == NODE_NONE)
        return n->kind == NODE_CALL; /* CONCAT() */
    for (uint32_t i = n->child; i != NODE_NONE; i = p->nodes[i].next)
        if (!node_is_literal(&p->nodes[i]))
            return false;
    return n->kind != NODE_MISSING_CALL;
}

#define FOLDED_TEXT_MAX (4 * CESQL_LENGTH_MAX)

static bool set_folded_text(struct parser *p, uint32_t node, struct slice value)
{
    struct node *n = &p->nodes[node];
    const char *text = p->text.ptr;
    n->kind = NODE_LITERAL_STRING;
    if (value.ptr < text || value.ptr > text + p->text.len)
        return set_text(p, node, value);
    n->text.at = (uint32_t)(value.ptr - text); /* a part of a text that is there already */
    n->text.len = (uint32_t)value.len;
    return true;
}

/* A node of constants becomes one itself, unless it is an error: that stays one of each evaluation.
 */
static bool fold(struct parser *p, uint32_t node)
{
    node_end(p, node);
    if (!all_literal(p, node))
        return true;
    if (p->scratch == NULL && (p->scratch = malloc(sizeof(*p->scratch))) == NULL)
        return out_of_memory(p);
    p->scratch->used = 0;
    struct cesql x = {.count = p->count, .root = node, .nodes = p->nodes, .text = p->text.ptr};
    struct cesql_result result;
    cesql_evaluate(&x, NULL, p->scratch, &result);
    struct cesql_value v = result.value;
    if (result.error != CESQL_NO_ERROR ||
        (v.type == CESQL_STRING && p->text.len + v.string.len > FOLDED_TEXT_MAX))
        return true;
    struct node *n = &p->nodes[node];
    n->child = NODE_NONE;
    n->height = 1;
    if (v.type == CESQL_STRING)
        return set_folded_text(p, node, v.string);
    n->kind = v.type == CESQL_INTEGER ? NODE_LITERAL_INTEGER : NODE_LITERAL_BOOLEAN;
    n->integer = v.type == CESQL_INTEGER ? v.integer : (int32_t)v.boolean;
    return true;
}

/* ---- operands ---- */

static bool expression(struct parser *p, unsigned least, uint32_t *ret);

/* Expressions with commas between them, up to the closing parenthesis, as children of node after
 * `last`. */
static bool list(struct parser *p, uint32_t node, uint32_t last, unsigned max, const char *what)
{
    for (unsigned n = 0;; n++) {
        uint32_t child = NODE_NONE;
        if (n == max)
            return wrong(p, p->token.text, "more than %u %s", max, what);
        if (!expression(p, PRECEDENCE_LOGIC, &child) || !node_adopt(p, node, last, child))
            return false;
        last = child;
        if (p->token.kind == TOKEN_CLOSE)
            return advance(p);
        if (!take(p, TOKEN_COMMA, "a comma or )"))
            return false;
    }
}

static bool call(struct parser *p, struct slice name, uint32_t *ret)
{
    bool named;
    for (size_t i = 0; i < name.len; i++)
        if ((name.ptr[i] >= '0' && name.ptr[i] <= '9') || name.ptr[0] == '_')
            return wrong(p, name, "a function's name has letters and, after the first, _");
    if (!node_new(p, NODE_MISSING_CALL, name, ret) || !advance(p))
        return false;
    if (p->token.kind == TOKEN_CLOSE) {
        if (!advance(p))
            return false;
    } else if (!list(p, *ret, NODE_NONE, CESQL_ARGUMENTS_MAX, "arguments")) {
        return false;
    }
    unsigned count = 0;
    for (uint32_t i = p->nodes[*ret].child; i != NODE_NONE; i = p->nodes[i].next)
        count++;
    const struct function *f = function_find(name, count, &named);
    if (f != NULL) {
        p->nodes[*ret].kind = NODE_CALL;
        p->nodes[*ret].detail = (uint8_t)(f - cesql_functions);
    } else if (!set_text(p, *ret, name)) {
        return false;
    }
    return fold(p, *ret);
}

static bool is_attribute_name(struct slice word)
{
    return memchr(word.ptr, '_', word.len) == NULL;
}

static bool word(struct parser *p, uint32_t *ret)
{
    struct slice name = p->token.text;
    if (!advance(p))
        return false;
    if (p->token.kind == TOKEN_OPEN)
        return call(p, name, ret);
    if (!is_attribute_name(name))
        return wrong(p, name, "an attribute's name has a-z and 0-9 only");
    return node_new(p, NODE_ATTRIBUTE, name, ret) && set_lower(p, *ret, name);
}

static bool exists(struct parser *p, uint32_t *ret)
{
    struct slice start = p->token.text;
    if (!advance(p))
        return false;
    if (p->token.kind != TOKEN_WORD || !is_attribute_name(p->token.text))
        return expected(p, "the name of an attribute after EXISTS");
    if (!node_new(p, NODE_EXISTS, start, ret) || !set_lower(p, *ret, p->token.text) || !advance(p))
        return false;
    node_end(p, *ret);
    return true;
}

/* digits, or a sign and digits. */
static bool integer(struct parser *p, struct slice text, uint32_t *ret)
{
    int32_t value;
    if (!integer_parse(text, &value))
        return wrong(p, text, "an Integer is at least -2147483648 and at most 2147483647");
    if (!node_new(p, NODE_LITERAL_INTEGER, text, ret) || !advance(p))
        return false;
    p->nodes[*ret].integer = value;
    return true;
}

/* A sign and a number with nothing between them are one literal. */
static bool sign(struct parser *p, uint32_t *ret)
{
    struct token start = p->token;
    if (!advance(p))
        return false;
    bool adjacent = p->token.text.ptr == start.text.ptr + 1;
    if (adjacent && p->token.kind == TOKEN_INTEGER)
        return integer(p, slice_of(start.text.ptr, 1 + p->token.text.len), ret);
    if (start.kind == TOKEN_PLUS)
        return expected(p, "a number right after +");
    uint32_t child = NODE_NONE;
    if (!node_new(p, NODE_NEGATE, start.text, ret) || !expression(p, PRECEDENCE_UNARY, &child) ||
        !node_adopt(p, *ret, NODE_NONE, child))
        return false;
    return fold(p, *ret);
}

static bool not_(struct parser *p, uint32_t *ret)
{
    uint32_t child = NODE_NONE;
    return node_new(p, NODE_NOT, p->token.text, ret) && advance(p) &&
           expression(p, PRECEDENCE_UNARY, &child) && node_adopt(p, *ret, NODE_NONE, child) &&
           fold(p, *ret);
}

static bool string(struct parser *p, uint32_t *ret)
{
    struct slice quoted = p->token.text;
    if (!node_new(p, NODE_LITERAL_STRING, quoted, ret) || !set_unquoted(p, *ret, quoted) ||
        !advance(p))
        return false;
    if (p->token.kind == TOKEN_STRING && p->token.text.ptr == quoted.ptr + quoted.len &&
        p->token.text.ptr[0] == quoted.ptr[0])
        return wrong(p, p->token.text, "a quote within a text is written \\%c", quoted.ptr[0]);
    return true;
}

static bool boolean(struct parser *p, uint32_t *ret)
{
    bool yes = p->token.kind == TOKEN_TRUE;
    if (!node_new(p, NODE_LITERAL_BOOLEAN, p->token.text, ret) || !advance(p))
        return false;
    p->nodes[*ret].integer = yes;
    return true;
}

static bool group(struct parser *p, uint32_t *ret)
{
    struct slice start = p->token.text;
    if (!advance(p) || !expression(p, PRECEDENCE_LOGIC, ret) ||
        !take(p, TOKEN_CLOSE, "an operator or )"))
        return false;
    p->nodes[*ret].at = (uint32_t)(start.ptr - p->lexer.source.ptr);
    node_end(p, *ret);
    return true;
}

static bool operand(struct parser *p, uint32_t *ret)
{
    static bool (*const rows[TOKEN_KIND_COUNT])(struct parser * p, uint32_t * ret) = {
        [TOKEN_OPEN] = group,    [TOKEN_PLUS] = sign,    [TOKEN_MINUS] = sign,
        [TOKEN_STRING] = string, [TOKEN_WORD] = word,    [TOKEN_NOT] = not_,
        [TOKEN_EXISTS] = exists, [TOKEN_TRUE] = boolean, [TOKEN_FALSE] = boolean,
    };
    if (p->token.kind == TOKEN_INTEGER)
        return integer(p, p->token.text, ret);
    return rows[p->token.kind] != NULL ? rows[p->token.kind](p, ret) : expected(p, "a value");
}

/* ---- operators ---- */

static bool make_not(struct parser *p, bool negated, uint32_t *node)
{
    if (!negated)
        return true;
    uint32_t child = *node;
    struct slice where = slice_of(p->lexer.source.ptr + p->nodes[child].at, p->nodes[child].len);
    return node_new(p, NODE_NOT, where, node) && node_adopt(p, *node, NODE_NONE, child) &&
           fold(p, *node);
}

/* The operator is `kind`, from where the left side begins; it is the token that comes next. */
static bool operator_new(struct parser *p, enum node_kind kind, uint32_t left, uint32_t *ret)
{
    struct slice where = slice_of(p->lexer.source.ptr + p->nodes[left].at, 0);
    return node_new(p, kind, where, ret) && node_adopt(p, *ret, NODE_NONE, left) && advance(p);
}

static bool like(struct parser *p, bool negated, uint32_t *left)
{
    uint32_t node = NODE_NONE;
    if (!operator_new(p, NODE_LIKE, *left, &node))
        return false;
    if (p->token.kind != TOKEN_STRING)
        return expected(p, "a pattern in quotes after LIKE");
    uint32_t pattern = NODE_NONE; /* only for its text */
    if (!string(p, &pattern))
        return false;
    autofree char *raw =
        slice_dup(slice_of(p->text.ptr + p->nodes[pattern].text.at, p->nodes[pattern].text.len));
    if (raw == NULL)
        return out_of_memory(p);
    p->text.len = p->nodes[pattern].text.at;
    struct slice source = slice_of(raw, p->nodes[pattern].text.len);
    p->count--;
    struct node *n = &p->nodes[node];
    n->text.at = (uint32_t)p->text.len;
    n->detail = (uint8_t)like_compile(source, &p->text);
    n->text.len = (uint32_t)p->text.len - n->text.at;
    if (!buf_ok(&p->text))
        return out_of_memory(p);
    *left = node;
    return fold(p, node) && make_not(p, negated, left);
}

static bool in(struct parser *p, bool negated, uint32_t *left)
{
    uint32_t node = NODE_NONE;
    if (!operator_new(p, NODE_IN, *left, &node) ||
        !take(p, TOKEN_OPEN, "( and the elements of a set after IN") ||
        !list(p, node, *left, CESQL_LIST_MAX, "elements in a set"))
        return false;
    *left = node;
    return fold(p, node) && make_not(p, negated, left);
}

/* a AND b AND c is one node: the tree stays flat, however many there are. */
static bool extend(struct parser *p, uint32_t node)
{
    uint32_t last = p->nodes[node].child, child = NODE_NONE;
    while (p->nodes[last].next != NODE_NONE)
        last = p->nodes[last].next;
    if (!advance(p) || !expression(p, PRECEDENCE_LOGIC + 1, &child) ||
        !node_adopt(p, node, last, child))
        return false;
    node_end(p, node);
    return true;
}

static bool binary(struct parser *p, uint32_t *left)
{
    enum node_kind kind = (enum node_kind)operators[p->token.kind].node;
    unsigned precedence = operators[p->token.kind].precedence;
    uint32_t node = NODE_NONE, right = NODE_NONE;
    if (precedence == PRECEDENCE_LOGIC && p->nodes[*left].kind == kind)
        return extend(p, *left);
    if (!operator_new(p, kind, *left, &node) || !expression(p, precedence + 1, &right) ||
        !node_adopt(p, node, *left, right))
        return false;
    *left = node;
    return fold(p, node);
}

/* NOT between two operands belongs to LIKE or IN. */
static bool negated_operator(struct parser *p, unsigned least, uint32_t *left, bool *ret_done)
{
    struct lexer lexer = p->lexer;
    struct token token = p->token;
    if (!advance(p))
        return false;
    if (p->token.kind != TOKEN_LIKE && p->token.kind != TOKEN_IN)
        return expected(p, "LIKE or IN after NOT");
    if (operators[p->token.kind].precedence < least) {
        p->lexer = lexer;
        p->token = token;
        *ret_done = true;
        return true;
    }
    return p->token.kind == TOKEN_LIKE ? like(p, true, left) : in(p, true, left);
}

/* Operators that bind at least so tightly. */
static bool operations(struct parser *p, unsigned least, uint32_t *left)
{
    for (bool done = false; !done;) {
        enum token_kind kind = p->token.kind;
        if (kind == TOKEN_NOT) {
            if (!negated_operator(p, least, left, &done))
                return false;
            continue;
        }
        unsigned precedence = operators[kind].precedence;
        if (precedence == PRECEDENCE_NONE || precedence < least)
            return true;
        bool good = kind == TOKEN_LIKE ? like(p, false, left)
                    : kind == TOKEN_IN ? in(p, false, left)
                                       : binary(p, left);
        if (!good)
            return false;
    }
    return true;
}

static bool expression(struct parser *p, unsigned least, uint32_t *ret)
{
    if (++p->depth > CESQL_DEPTH_MAX)
        return wrong(p, p->token.text, "nested deeper than %d", CESQL_DEPTH_MAX);
    bool good = operand(p, ret) && operations(p, least, ret);
    p->depth--;
    return good;
}

/* ---- the whole ---- */

static bool whole(struct parser *p, uint32_t *ret)
{
    struct slice source = p->lexer.source;
    if (source.len > CESQL_LENGTH_MAX)
        return wrong(p, slice_of(source.ptr, 0), "longer than %d bytes", CESQL_LENGTH_MAX);
    if (!utf8_is_valid(source))
        return wrong(p, slice_of(source.ptr, 0), "not UTF-8");
    buf_add_slice(&p->text, source);
    if (!advance(p) || !expression(p, PRECEDENCE_LOGIC, ret))
        return false;
    return p->token.kind == TOKEN_END || expected(p, "an operator");
}

/* One block: the expression, its nodes, its text. */
static struct cesql *pack(const struct parser *p, uint32_t root)
{
    size_t nodes = p->count * sizeof(struct node);
    char *block = malloc(sizeof(struct cesql) + nodes + p->text.len);
    if (block == NULL)
        return NULL;
    struct cesql *x = (struct cesql *)(void *)block;
    char *text = block + sizeof(*x) + nodes;
    memcpy(block + sizeof(*x), p->nodes, nodes);
    memcpy(text, p->text.ptr, p->text.len);
    *x = (struct cesql){.count = p->count,
                        .root = root,
                        .source_len = (uint32_t)p->lexer.source.len,
                        .nodes = (const struct node *)(void *)(block + sizeof(*x)),
                        .text = text};
    return x;
}

int cesql_parse(struct slice text, struct cesql **ret, struct cesql_place *ret_place,
                struct error *err)
{
    uint32_t root = 0;
    struct slice source = text.ptr != NULL ? text : SLICE("");
    struct parser p = {.lexer = {.source = source}, .err = err};
    if (whole(&p, &root) && (*ret = pack(&p, root)) == NULL)
        out_of_memory(&p);
    if (ret_place != NULL)
        *ret_place = p.place;
    free(p.nodes);
    free(p.scratch);
    buf_done(&p.text);
    return p.status;
}

void cesql_free(struct cesql *x)
{
    free(x);
}

struct slice cesql_text(const struct cesql *x)
{
    return slice_of(x->text, x->source_len);
}
