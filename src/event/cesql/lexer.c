/* SPDX-License-Identifier: Apache-2.0 */
/* CESQL's words: §2.2 and §2.3. */
#include "base/memory.h"
#include "event/cesql/cesql_internal.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static const struct {
    const char *text;
    enum token_kind kind;
} symbols[] = {
    /* the longer first */
    {"!=", TOKEN_NOT_EQUAL},     {"<>", TOKEN_NOT_EQUAL}, {"<=", TOKEN_LESS_EQUAL},
    {">=", TOKEN_GREATER_EQUAL}, {"(", TOKEN_OPEN},       {")", TOKEN_CLOSE},
    {",", TOKEN_COMMA},          {"*", TOKEN_STAR},       {"/", TOKEN_SLASH},
    {"%", TOKEN_PERCENT},        {"+", TOKEN_PLUS},       {"-", TOKEN_MINUS},
    {"=", TOKEN_EQUAL},          {"<", TOKEN_LESS},       {">", TOKEN_GREATER},
};

static const struct {
    const char *text;
    enum token_kind kind;
} keywords[] = {
    {"and", TOKEN_AND}, {"or", TOKEN_OR},     {"xor", TOKEN_XOR},
    {"not", TOKEN_NOT}, {"like", TOKEN_LIKE}, {"exists", TOKEN_EXISTS},
    {"in", TOKEN_IN},   {"true", TOKEN_TRUE}, {"false", TOKEN_FALSE},
};

static enum token_kind word_kind(struct slice word)
{
    for (size_t i = 0; i < COUNT_OF(keywords); i++)
        if (slice_is_nocase(word, keywords[i].text))
            return keywords[i].kind;
    for (size_t i = 0; i < word.len; i++)
        if (!is_digit(word.ptr[i]))
            return TOKEN_WORD;
    return TOKEN_INTEGER;
}

/* Up to the quote that closes it; a backslash takes the next character with it, whatever it is. */
static bool string_end(struct lexer *l, struct slice rest, struct token *ret)
{
    for (size_t i = 1; i < rest.len; i++) {
        if (rest.ptr[i] == '\\') {
            i++;
        } else if (rest.ptr[i] == rest.ptr[0]) {
            *ret = (struct token){TOKEN_STRING, slice_of(rest.ptr, i + 1)};
            return true;
        }
    }
    l->problem = "the text that begins here has no closing quote";
    ret->text = slice_of(rest.ptr, 1);
    return false;
}

static bool symbol(struct lexer *l, struct slice rest, struct token *ret)
{
    for (size_t i = 0; i < COUNT_OF(symbols); i++) {
        if (slice_starts(rest, symbols[i].text)) {
            *ret = (struct token){symbols[i].kind, slice_of(rest.ptr, strlen(symbols[i].text))};
            return true;
        }
    }
    l->problem = "this character has no meaning in an expression";
    ret->text = slice_of(rest.ptr, utf8_step(rest));
    return false;
}

bool lexer_next(struct lexer *l, struct token *ret)
{
    while (l->at < l->source.len && is_space(l->source.ptr[l->at]))
        l->at++;
    struct slice rest = slice_of(l->source.ptr + l->at, l->source.len - l->at);
    *ret = (struct token){TOKEN_END, slice_of(rest.ptr, 0)};
    if (rest.len == 0)
        return true;
    bool good = true;
    if (rest.ptr[0] == '\'' || rest.ptr[0] == '"') {
        good = string_end(l, rest, ret);
    } else if (is_word(rest.ptr[0])) {
        size_t n = 1;
        while (n < rest.len && is_word(rest.ptr[n]))
            n++;
        ret->text = slice_of(rest.ptr, n);
        ret->kind = word_kind(ret->text);
    } else {
        good = symbol(l, rest, ret);
    }
    l->at += ret->text.len;
    return good;
}
