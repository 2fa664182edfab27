/* SPDX-License-Identifier: Apache-2.0 */
/* YAML's plain scalars to JSON values, by the core schema of YAML 1.2 (§10.3.2). yes, no, on and
 * off are text. What YAML 1.1 and 1.2 read differently (0777) is refused rather than guessed. */
#include "resource/resource_internal.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

static bool is_one_of(struct slice text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (slice_is(text, *words))
            return true;
    return false;
}

static size_t digits(struct slice text, size_t at, int base)
{
    size_t n = 0;
    for (; at + n < text.len; n++) {
        unsigned char c = (unsigned char)text.ptr[at + n];
        bool good = base == 16 ? isxdigit(c) != 0 : c >= '0' && c < '0' + base;
        if (!good)
            break;
    }
    return n;
}

static int integer(struct slice text, size_t prefix, int base, json_t **ret, struct error *err)
{
    char *end;
    errno = 0;
    long long value = strtoll(text.ptr + prefix, &end, base);
    if (errno == ERANGE)
        return error_set(err, -EINVAL, "the number %.40s has more than 64 bits: quote it",
                         text.ptr);
    *ret = json_integer(value);
    return *ret != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* [-+]? digits, 0o and 0x forms. */
static bool looks_integer(struct slice t, size_t *ret_prefix, int *ret_base)
{
    bool special = t.len > 2 && t.ptr[0] == '0' && (t.ptr[1] == 'o' || t.ptr[1] == 'x');
    *ret_base = !special ? 10 : t.ptr[1] == 'o' ? 8 : 16;
    *ret_prefix = special ? 2 : 0;
    size_t at = special ? 2 : t.len > 0 && (t.ptr[0] == '-' || t.ptr[0] == '+');
    size_t n = digits(t, at, *ret_base);
    return n > 0 && at + n == t.len;
}

/* [-+]? ( . digits | digits ( . digits* )? ) ( [eE] [-+]? digits )? */
static bool looks_real(struct slice t)
{
    size_t at = t.len > 0 && (t.ptr[0] == '-' || t.ptr[0] == '+');
    size_t whole = digits(t, at, 10), fraction = 0;
    at += whole;
    if (at < t.len && t.ptr[at] == '.') {
        at++;
        fraction = digits(t, at, 10);
        at += fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (at < t.len && (t.ptr[at] == 'e' || t.ptr[at] == 'E')) {
        at++;
        at += at < t.len && (t.ptr[at] == '-' || t.ptr[at] == '+');
        size_t exponent = digits(t, at, 10);
        if (exponent == 0)
            return false;
        at += exponent;
    }
    return at == t.len;
}

static bool is_ambiguous_octal(struct slice t)
{
    size_t at = t.len > 0 && (t.ptr[0] == '-' || t.ptr[0] == '+');
    return t.len > at + 1 && t.ptr[at] == '0';
}

static int real(struct slice text, json_t **ret, struct error *err)
{
    double value = strtod(text.ptr, NULL);
    if (!isfinite(value))
        return error_set(err, -EINVAL, "the number %.40s is too large: quote it", text.ptr);
    *ret = json_real(value);
    return *ret != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* text is followed by a NUL, as libyaml's values are. */
int scalar_resolve(struct slice text, json_t **ret, struct error *err)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const no_json[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf",
                                          "+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
                                          ".NaN",  ".NAN",  NULL};
    if (is_one_of(text, nulls))
        *ret = json_null();
    else if (is_one_of(text, trues))
        *ret = json_true();
    else if (is_one_of(text, falses))
        *ret = json_false();
    else if (is_one_of(text, no_json))
        return error_set(err, -EINVAL, "%s is no number that can be stored: quote it", text.ptr);
    else {
        size_t prefix;
        int base;
        if (looks_integer(text, &prefix, &base)) {
            if (base == 10 && is_ambiguous_octal(text))
                return error_set(err, -EINVAL,
                                 "%.40s is octal to some readers and decimal to others: quote it, "
                                 "or write 0o… for octal",
                                 text.ptr);
            return integer(text, prefix, base, ret, err);
        }
        if (looks_real(text))
            return real(text, ret, err);
        *ret = json_stringn(text.ptr, text.len);
        if (*ret == NULL)
            return error_set(err, -EINVAL, "text that is not UTF-8");
    }
    return 0;
}
