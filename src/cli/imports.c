/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/imports.h"

#include "base/memory.h"

#define TEMPLATE_DEPTH 64
#define TOKENS         4

const char *const imports_builtins[] = {
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
    NULL,
};

static const char *const given[] = {"assert", "buffer",     "console", "events",
                                    "path",   "path/posix", "process", "querystring",
                                    "timers", "url",        "util",    "timers/promises"};

enum token_kind { TOKEN_NONE, TOKEN_WORD, TOKEN_STRING, TOKEN_OTHER };

struct token {
    enum token_kind kind;
    struct slice text;
};

struct lexer {
    struct slice text;
    size_t at;
    int line;
    struct token last[TOKENS];       /* the newest first */
    unsigned braces[TEMPLATE_DEPTH]; /* open ones within each ${ */
    unsigned depth;
    imports_found_fn *each;
    void *ctx;
};

static char peek(const struct lexer *l, size_t ahead)
{
    return l->at + ahead < l->text.len ? l->text.ptr[l->at + ahead] : '\0';
}

static void step(struct lexer *l)
{
    if (l->at < l->text.len && l->text.ptr[l->at++] == '\n')
        l->line++;
}

static void push(struct lexer *l, enum token_kind kind, size_t from)
{
    memmove(&l->last[1], &l->last[0], (TOKENS - 1) * sizeof(l->last[0]));
    l->last[0] = (struct token){kind, slice_of(l->text.ptr + from, l->at - from)};
}

static bool is(const struct lexer *l, unsigned back, const char *text)
{
    return l->last[back].kind != TOKEN_STRING && slice_is(l->last[back].text, text);
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

/* ---- what is no code ---- */

static void skip_line(struct lexer *l)
{
    while (l->at < l->text.len && peek(l, 0) != '\n')
        step(l);
}

static void skip_comment(struct lexer *l)
{
    l->at += 2;
    while (l->at < l->text.len && !(peek(l, 0) == '*' && peek(l, 1) == '/'))
        step(l);
    step(l);
    step(l);
}

/* A slash begins a regular expression where no operand stands before it. */
static bool regexp_may_begin(const struct lexer *l)
{
    static const char *const before[] = {"return", "typeof", "case",  "in",   "of",
                                         "delete", "void",   "throw", "new",  "instanceof",
                                         "else",   "do",     "yield", "await"};
    const struct token *t = &l->last[0];
    if (t->kind == TOKEN_NONE)
        return true;
    if (t->kind == TOKEN_OTHER)
        return strchr(")]}", t->text.ptr[0]) == NULL;
    for (size_t i = 0; t->kind == TOKEN_WORD && i < COUNT_OF(before); i++) {
        if (slice_is(t->text, before[i]))
            return true;
    }
    return false;
}

static void skip_regexp(struct lexer *l)
{
    bool in_class = false;
    size_t from = l->at;
    for (step(l); l->at < l->text.len && peek(l, 0) != '\n'; step(l)) {
        char c = peek(l, 0);
        if (c == '\\')
            step(l);
        else if (c == '[')
            in_class = true;
        else if (c == ']')
            in_class = false;
        else if (c == '/' && !in_class)
            break;
    }
    step(l);
    push(l, TOKEN_STRING, from);
}

/* Up to the end of a template, or into the code of its next ${. */
static void skip_template(struct lexer *l, size_t from)
{
    while (l->at < l->text.len) {
        char c = peek(l, 0);
        if (c == '$' && peek(l, 1) == '{' && l->depth < TEMPLATE_DEPTH) {
            l->at += 2;
            l->braces[l->depth++] = 0;
            push(l, TOKEN_NONE, from);
            return;
        }
        if (c == '\\')
            step(l);
        step(l);
        if (c == '`')
            break;
    }
    push(l, TOKEN_STRING, from);
}

/* ---- what is ---- */

/* The tokens before a string, the newest first: from | import | ( require | ( import. */
static bool imports(const struct lexer *l)
{
    if (is(l, 0, "from"))
        return l->last[1].kind == TOKEN_WORD || is(l, 1, "}") || is(l, 1, "*");
    if (is(l, 0, "import"))
        return !is(l, 1, ".");
    return is(l, 0, "(") && (is(l, 1, "require") || is(l, 1, "import")) && !is(l, 2, ".");
}

static void take_string(struct lexer *l)
{
    char quote = peek(l, 0);
    int line = l->line;
    size_t from = l->at;
    for (step(l); l->at < l->text.len && peek(l, 0) != quote && peek(l, 0) != '\n'; step(l)) {
        if (peek(l, 0) == '\\')
            step(l);
    }
    struct slice content = slice_of(l->text.ptr + from + 1, l->at - from - 1);
    bool closed = peek(l, 0) == quote;
    step(l);
    if (closed && imports(l) && content.len > 0)
        l->each(l->ctx, content, line);
    push(l, TOKEN_STRING, from);
}

static void take_word(struct lexer *l)
{
    size_t from = l->at;
    while (l->at < l->text.len && is_word_byte(peek(l, 0)))
        l->at++;
    push(l, TOKEN_WORD, from);
}

static void take_brace(struct lexer *l)
{
    size_t from = l->at;
    bool closes = peek(l, 0) == '}';
    l->at++;
    if (closes && l->depth > 0 && l->braces[l->depth - 1] == 0) {
        l->depth--;
        skip_template(l, from);
        return;
    }
    if (l->depth > 0)
        l->braces[l->depth - 1] += closes ? -1u : 1u;
    push(l, TOKEN_OTHER, from);
}

static void take(struct lexer *l)
{
    char c = peek(l, 0), next = peek(l, 1);
    size_t from = l->at;
    if (strchr(" \t\r\n\f\v", c) != NULL) {
        step(l);
    } else if (c == '/' && next == '/') {
        skip_line(l);
    } else if (c == '/' && next == '*') {
        skip_comment(l);
    } else if (c == '/' && regexp_may_begin(l)) {
        skip_regexp(l);
    } else if (c == '"' || c == '\'') {
        take_string(l);
    } else if (c == '`') {
        l->at++;
        skip_template(l, from);
    } else if (c == '{' || c == '}') {
        take_brace(l);
    } else if (is_word_byte(c)) {
        take_word(l);
    } else {
        l->at++;
        push(l, TOKEN_OTHER, from);
    }
}

void imports_each(struct slice text, imports_found_fn *each, void *ctx)
{
    struct lexer l = {.text = text, .line = 1, .each = each, .ctx = ctx};
    if (slice_starts(text, "#!"))
        skip_line(&l);
    while (l.at < text.len)
        take(&l);
}

bool imports_is_builtin(struct slice specifier)
{
    if (slice_starts(specifier, "node:"))
        return true;
    const char *slash = memchr(specifier.ptr, '/', specifier.len);
    if (slash != NULL)
        specifier.len = (size_t)(slash - specifier.ptr);
    for (size_t i = 0; imports_builtins[i] != NULL; i++) {
        if (slice_is(specifier, imports_builtins[i]))
            return true;
    }
    return false;
}

bool imports_is_given(struct slice specifier)
{
    if (slice_starts(specifier, "node:"))
        specifier = slice_of(specifier.ptr + 5, specifier.len - 5);
    for (size_t i = 0; i < COUNT_OF(given); i++) {
        if (slice_is(specifier, given[i]))
            return true;
    }
    return false;
}

bool imports_is_file(struct slice specifier)
{
    return slice_starts(specifier, "/") || slice_starts(specifier, "./") ||
           slice_starts(specifier, "../") || slice_is(specifier, ".") || slice_is(specifier, "..");
}
