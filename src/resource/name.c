/* SPDX-License-Identifier: Apache-2.0 */
/* Names as Kubernetes has them: RFC 1123 labels and subdomains, label keys and values; and the
 * nearest name for "did you mean". */
#include "base/memory.h"
#include "resource/resource_internal.h"

#include <ctype.h>
#include <errno.h>

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool name_is_label(struct slice name)
{
    if (name.len == 0 || name.len > 63 || !is_lower_alnum(name.ptr[0]) ||
        !is_lower_alnum(name.ptr[name.len - 1]))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_lower_alnum(name.ptr[i]) && name.ptr[i] != '-')
            return false;
    return true;
}

bool name_is_subdomain(struct slice name)
{
    if (name.len == 0 || name.len > 253)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i], before = i > 0 ? name.ptr[i - 1] : '.';
        if (!is_lower_alnum(c) && c != '-' && c != '.')
            return false;
        if ((!is_lower_alnum(c) && before == '.') || (c == '.' && !is_lower_alnum(before)))
            return false;
    }
    return is_lower_alnum(name.ptr[name.len - 1]);
}

/* Letters, digits, - _ . with a letter or digit at both ends; up to 63. */
static bool is_qualified_part(struct slice part)
{
    if (part.len == 0 || part.len > 63 || !isalnum((unsigned char)part.ptr[0]) ||
        !isalnum((unsigned char)part.ptr[part.len - 1]))
        return false;
    for (size_t i = 0; i < part.len; i++)
        if (!isalnum((unsigned char)part.ptr[i]) && strchr("-_.", part.ptr[i]) == NULL)
            return false;
    return true;
}

static bool is_label_key(struct slice key)
{
    const char *slash = memchr(key.ptr, '/', key.len);
    if (slash == NULL)
        return is_qualified_part(key);
    size_t prefix = (size_t)(slash - key.ptr);
    return name_is_subdomain(slice_of(key.ptr, prefix)) &&
           is_qualified_part(slice_of(slash + 1, key.len - prefix - 1));
}

int name_check_labels(const json_t *labels, const char *field, struct error *err)
{
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)labels, key, value)
    {
        if (!is_label_key(slice_text(key)))
            return error_field(
                err, -EINVAL, field,
                "the key \"%.80s\" must be letters, digits, - _ . (at most 63), with "
                "an optional domain/ before it",
                key);
        struct slice text = slice_text(json_string_value(value));
        if (strcmp(field, "metadata.labels") == 0 && text.len > 0 && !is_qualified_part(text))
            return error_field(err, -EINVAL, field,
                               "the value \"%.80s\" of %.80s must be letters, digits, - _ . (at "
                               "most 63)",
                               text.ptr, key);
    }
    return 0;
}

#define NEAREST_MAX 40 /* longer names get no suggestion */

/* Levenshtein's distance, ASCII case counting as equal. */
static unsigned distance(struct slice a, struct slice b)
{
    unsigned row[NEAREST_MAX + 1];
    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool same =
                tolower((unsigned char)a.ptr[i - 1]) == tolower((unsigned char)b.ptr[j - 1]);
            unsigned best = diagonal + !same;
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[b.len];
}

void nearest_begin(struct nearest *n, struct slice wanted)
{
    unsigned close = (unsigned)wanted.len / 3;
    *n = (struct nearest){.wanted = wanted, .best = {"", 0}, .distance = close < 1 ? 2 : close + 1};
}

void nearest_offer(struct nearest *n, struct slice candidate)
{
    if (n->wanted.len > NEAREST_MAX || candidate.len > NEAREST_MAX)
        return;
    unsigned d = distance(n->wanted, candidate);
    if (d >= n->distance)
        return;
    n->distance = d;
    n->best = candidate;
}
