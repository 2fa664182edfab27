/* SPDX-License-Identifier: Apache-2.0 */
/* A strict scanner of JSON text (RFC 8259) that finds where values begin and end and copies
 * nothing, so that data can be handed on as the exact bytes that came: a JSON library would turn
 * 1.10 into 1.1 and lose digits of big integers. */
#include "base/encoding.h"
#include "event/event_internal.h"

#include <errno.h>

void json_scan_begin(struct json_scan *s, struct slice text)
{
    static const char nothing[] = "";
    const char *start = text.ptr != NULL ? text.ptr : nothing;
    *s = (struct json_scan){.start = start, .at = start, .end = start + text.len};
}

static int scan_fail(struct json_scan *s, const char *problem)
{
    s->problem = problem;
    return -EINVAL;
}

int json_scan_line(const struct json_scan *s)
{
    int line = 1;
    for (const char *p = s->start; p < s->at; p++)
        line += *p == '\n';
    return line;
}

void json_scan_space(struct json_scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

bool json_scan_take(struct json_scan *s, char byte)
{
    json_scan_space(s);
    if (s->at == s->end || *s->at != byte)
        return false;
    s->at++;
    return true;
}

static bool is_digit(const struct json_scan *s)
{
    return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static int scan_digits(struct json_scan *s)
{
    if (!is_digit(s))
        return scan_fail(s, "a number lacks a digit");
    while (is_digit(s))
        s->at++;
    return 0;
}

static int scan_number(struct json_scan *s)
{
    if (*s->at == '-')
        s->at++;
    if (s->at < s->end && *s->at == '0')
        s->at++; /* nothing may follow a leading zero */
    else if (scan_digits(s) < 0)
        return -EINVAL;
    if (is_digit(s))
        return scan_fail(s, "a number has a leading zero");
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (scan_digits(s) < 0)
            return -EINVAL;
    }
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        if (scan_digits(s) < 0)
            return -EINVAL;
    }
    return 0;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* At a backslash. */
static int scan_escape(struct json_scan *s)
{
    if (s->end - s->at < 2)
        return scan_fail(s, "a string does not end");
    char c = s->at[1];
    if (c == '\0' || strchr("\"\\/bfnrtu", c) == NULL)
        return scan_fail(s, "a string has an unknown escape");
    if (c != 'u') {
        s->at += 2;
        return 0;
    }
    if (s->end - s->at < 6)
        return scan_fail(s, "a string does not end");
    for (int i = 2; i < 6; i++)
        if (!is_hex(s->at[i]))
            return scan_fail(s, "\\u is not followed by four hexadecimal digits");
    s->at += 6;
    return 0;
}

/* True when one of the eight bytes is a quote, a backslash, a control character or not ASCII. */
static bool scan_special(const char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    uint64_t quote = v ^ (ones * '"'), backslash = v ^ (ones * '\\');
    uint64_t found = (quote - ones) | (backslash - ones) | (v - ones * 0x20) | v;
    return (found & highs) != 0;
}

/* At the opening quote. */
static int scan_string(struct json_scan *s, bool *ret_escaped)
{
    const char *begin = ++s->at;
    bool ascii = true;
    for (;;) {
        while (s->end - s->at >= 8 && !scan_special(s->at))
            s->at += 8;
        if (s->at == s->end)
            return scan_fail(s, "a string does not end");
        unsigned char c = (unsigned char)*s->at;
        if (c == '"')
            break;
        if (c < 0x20)
            return scan_fail(s, "a string has a control character that is not escaped");
        if (c == '\\') {
            *ret_escaped = true;
            if (scan_escape(s) < 0)
                return -EINVAL;
            continue;
        }
        ascii = ascii && c < 0x80;
        s->at++;
    }
    if (!ascii && !encoding_utf8_valid(slice_of(begin, (size_t)(s->at - begin))))
        return scan_fail(s, "a string is not valid UTF-8");
    s->at++;
    return 0;
}

static int scan_word(struct json_scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
        return scan_fail(s, "there is something that is no JSON value");
    s->at += n;
    return 0;
}

/* Anything but an object or an array. */
static int scan_scalar(struct json_scan *s, enum json_kind *ret_kind, bool *ret_escaped)
{
    switch (*s->at) {
    case '"':
        *ret_kind = JSON_STRING;
        return scan_string(s, ret_escaped);
    case 't':
        *ret_kind = JSON_TRUE;
        return scan_word(s, "true");
    case 'f':
        *ret_kind = JSON_FALSE;
        return scan_word(s, "false");
    case 'n':
        *ret_kind = JSON_NULL;
        return scan_word(s, "null");
    default:
        if (*s->at != '-' && !is_digit(s))
            return scan_fail(s, "there is something that is no JSON value");
        *ret_kind = JSON_NUMBER;
        return scan_number(s);
    }
}

/* The containers that are open around the current place: one bit each, set for an object. */
struct nesting {
    unsigned depth;
    uint64_t objects[JSON_DEPTH_MAX / 64];
};

static bool nesting_in_object(const struct nesting *n)
{
    unsigned top = n->depth - 1;
    return (n->objects[top / 64] >> top % 64 & 1) != 0;
}

static bool nesting_push(struct nesting *n, bool object)
{
    if (n->depth == JSON_DEPTH_MAX)
        return false;
    uint64_t bit = UINT64_C(1) << n->depth % 64;
    if (n->depth % 64 == 0)
        n->objects[n->depth / 64] = 0;
    if (object)
        n->objects[n->depth / 64] |= bit;
    else
        n->objects[n->depth / 64] &= ~bit;
    n->depth++;
    return true;
}

static int scan_name(struct json_scan *s)
{
    bool escaped = false;
    json_scan_space(s);
    if (s->at == s->end || *s->at != '"')
        return scan_fail(s, "an object's member has no name in quotes");
    if (scan_string(s, &escaped) < 0)
        return -EINVAL;
    return json_scan_take(s, ':') ? 0 : scan_fail(s, "a colon is missing after a member's name");
}

/* After a value inside a container: closes what ends here. True when another value must follow,
 * false when the outermost container has ended. */
static int scan_after_value(struct json_scan *s, struct nesting *n, bool *ret_more)
{
    while (n->depth > 0) {
        bool object = nesting_in_object(n);
        if (json_scan_take(s, ',')) {
            *ret_more = true;
            return object ? scan_name(s) : 0;
        }
        if (!json_scan_take(s, object ? '}' : ']'))
            return scan_fail(s, s->at == s->end ? "the text ends inside an object or array"
                                                : "a comma or closing bracket is missing");
        n->depth--;
    }
    *ret_more = false;
    return 0;
}

/* At [ or {. *ret_more: a value follows inside. */
static int scan_open(struct json_scan *s, struct nesting *n, bool *ret_more)
{
    bool object = *s->at++ == '{';
    if (!nesting_push(n, object))
        return scan_fail(s, "objects and arrays are nested too deeply");
    if (json_scan_take(s, object ? '}' : ']')) {
        n->depth--;
        return scan_after_value(s, n, ret_more);
    }
    *ret_more = true;
    return object ? scan_name(s) : 0;
}

int json_scan_value(struct json_scan *s, struct json_value *ret)
{
    struct nesting nesting = {0};
    bool more = true, escaped = false, outermost = true;
    enum json_kind kind = JSON_NULL, outer_kind = JSON_NULL;
    json_scan_space(s);
    const char *begin = s->at;
    while (more) {
        json_scan_space(s);
        if (s->at == s->end)
            return scan_fail(s, "the text ends where a value should be");
        int status;
        if (*s->at == '{' || *s->at == '[') {
            kind = *s->at == '{' ? JSON_OBJECT : JSON_ARRAY;
            if (outermost)
                outer_kind = kind;
            outermost = false;
            status = scan_open(s, &nesting, &more);
        } else {
            status = scan_scalar(s, &kind, &escaped);
            if (outermost)
                outer_kind = kind;
            outermost = false;
            if (status == 0)
                status = scan_after_value(s, &nesting, &more);
        }
        if (status < 0)
            return status;
    }
    *ret = (struct json_value){outer_kind, escaped, slice_of(begin, (size_t)(s->at - begin))};
    return 0;
}

bool json_scan_valid(struct slice text)
{
    struct json_scan s;
    struct json_value v;
    json_scan_begin(&s, text);
    if (json_scan_value(&s, &v) < 0)
        return false;
    json_scan_space(&s);
    return s.at == s.end;
}

static unsigned hex4(const char *p)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)p[i];
        v = v << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

static size_t utf8_put(char *out, unsigned c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* At the u of \uXXXX, whose digits the scan has seen. Returns the bytes taken after the backslash,
 * 0 for a lone surrogate. */
static size_t unescape_unicode(const char *p, const char *end, char *out, size_t *n)
{
    unsigned c = hex4(p + 1);
    size_t taken = 5;
    if (c >= 0xdc00 && c <= 0xdfff)
        return 0;
    if (c >= 0xd800 && c <= 0xdbff) {
        if (end - p < 11 || p[5] != '\\' || p[6] != 'u')
            return 0;
        unsigned low = hex4(p + 7);
        if (low < 0xdc00 || low > 0xdfff)
            return 0;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        taken = 11;
    }
    *n += utf8_put(out + *n, c);
    return taken;
}

int json_scan_string(const struct json_value *v, struct event_arena *arena, struct slice *ret)
{
    const char *p = v->raw.ptr + 1, *end = v->raw.ptr + v->raw.len - 1;
    if (!v->escaped) {
        *ret = slice_of(p, (size_t)(end - p));
        return 0;
    }
    char *out = event_arena_alloc(arena, (size_t)(end - p)); /* unescaping never makes it longer */
    if (out == NULL)
        return -ENOMEM;
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    size_t n = 0;
    while (p < end) {
        if (*p != '\\') {
            out[n++] = *p++;
            continue;
        }
        p++;
        if (*p == 'u') {
            size_t taken = unescape_unicode(p, end, out, &n);
            if (taken == 0)
                return -EINVAL;
            p += taken;
        } else {
            out[n++] = to[strchr(from, *p) - from];
            p++;
        }
    }
    *ret = slice_of(out, n);
    return 0;
}
