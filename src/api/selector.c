/* SPDX-License-Identifier: Apache-2.0 */
/* Label and field selectors, as Kubernetes' API takes them in queries. */
#include "api/api_internal.h"
#include "base/memory.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

void selector_done(struct selector *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct selector_requirement *r = &s->requirements[i];
        for (size_t j = 0; j < r->value_count; j++)
            free(r->values[j]);
        free(r->values);
        free(r->key);
    }
    s->count = 0;
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && isspace((unsigned char)s.ptr[0]))
        s = slice_of(s.ptr + 1, s.len - 1);
    while (s.len > 0 && isspace((unsigned char)s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool is_word(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.ptr[i]) && strchr("-_./", s.ptr[i]) == NULL)
            return false;
    return true;
}

static int add_value(struct selector_requirement *r, struct slice value)
{
    value = trim(value);
    if (!is_word(value))
        return -EINVAL;
    char **values = reallocarray(r->values, r->value_count + 1, sizeof(*values));
    if (values == NULL)
        return -ENOMEM;
    r->values = values;
    r->values[r->value_count] = slice_dup(value);
    if (r->values[r->value_count] == NULL)
        return -ENOMEM;
    r->value_count++;
    return 0;
}

/* (a, b, c) */
static int add_values(struct selector_requirement *r, struct slice list)
{
    list = trim(list);
    if (list.len < 2 || list.ptr[0] != '(' || list.ptr[list.len - 1] != ')')
        return -EINVAL;
    list = slice_of(list.ptr + 1, list.len - 2);
    for (;;) {
        const char *comma = list.len > 0 ? memchr(list.ptr, ',', list.len) : NULL;
        size_t len = comma != NULL ? (size_t)(comma - list.ptr) : list.len;
        int status = add_value(r, slice_of(list.ptr, len));
        if (status < 0 || comma == NULL)
            return status;
        list = slice_of(comma + 1, list.len - len - 1);
    }
}

static int set_key(struct selector_requirement *r, struct slice key)
{
    key = trim(key);
    if (key.len == 0 || !is_word(key))
        return -EINVAL;
    r->key = slice_dup(key);
    return r->key != NULL ? 0 : -ENOMEM;
}

/* key, blank, word: true when the requirement is "key word (…)"; *ret_list is what follows. */
static bool is_set_form(struct slice text, const char *word, struct slice *ret_key,
                        struct slice *ret_list)
{
    const char *open = memchr(text.ptr, '(', text.len);
    if (open == NULL)
        return false;
    struct slice head = trim(slice_of(text.ptr, (size_t)(open - text.ptr)));
    size_t len = strlen(word);
    if (!slice_ends(head, word) || head.len < len + 2 ||
        !isspace((unsigned char)head.ptr[head.len - len - 1]))
        return false;
    *ret_key = slice_of(head.ptr, head.len - len);
    *ret_list = slice_of(open, text.len - (size_t)(open - text.ptr));
    return true;
}

static int parse_equality(struct selector_requirement *r, struct slice text, const char *equals)
{
    size_t at = (size_t)(equals - text.ptr), after = at + 1;
    struct slice key = slice_of(text.ptr, at);
    r->operator= SELECTOR_EQUALS;
    if (at > 0 && text.ptr[at - 1] == '!') {
        r->operator= SELECTOR_NOT_EQUALS;
        key.len--;
    } else if (after < text.len && text.ptr[after] == '=') {
        after++;
    }
    int status = set_key(r, key);
    return status < 0 ? status : add_value(r, slice_of(text.ptr + after, text.len - after));
}

static int parse_requirement(struct selector_requirement *r, struct slice text)
{
    struct slice key, list;
    const char *equals;
    text = trim(text);
    if (is_set_form(text, "notin", &key, &list)) {
        r->operator= SELECTOR_NOT_IN;
    } else if (is_set_form(text, "in", &key, &list)) {
        r->operator= SELECTOR_IN;
    } else if (text.len > 0 && (equals = memchr(text.ptr, '=', text.len)) != NULL) {
        return parse_equality(r, text, equals);
    } else if (text.len > 0 && text.ptr[0] == '!') {
        r->operator= SELECTOR_NOT_EXISTS;
        return set_key(r, slice_of(text.ptr + 1, text.len - 1));
    } else {
        r->operator= SELECTOR_EXISTS;
        return set_key(r, text);
    }
    int status = set_key(r, key);
    return status < 0 ? status : add_values(r, list);
}

/* The length up to the comma that ends a requirement: not those within brackets. */
static size_t requirement_length(struct slice text)
{
    bool inside = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '(')
            inside = true;
        else if (text.ptr[i] == ')')
            inside = false;
        else if (text.ptr[i] == ',' && !inside)
            return i;
    }
    return text.len;
}

int selector_parse(struct slice text, struct selector *s, struct error *err)
{
    struct slice rest = text;
    while (rest.len > 0) {
        if (s->count == API_REQUIREMENTS)
            return error_set(err, -EINVAL, "a selector has at most %d requirements",
                             API_REQUIREMENTS);
        size_t len = requirement_length(rest);
        struct selector_requirement *r = &s->requirements[s->count++];
        *r = (struct selector_requirement){0};
        if (parse_requirement(r, slice_of(rest.ptr, len)) < 0)
            return error_set(err, -EINVAL, "unable to parse the selector \"%.*s\"",
                             (int)(text.len < 200 ? text.len : 200), text.ptr);
        len += len < rest.len;
        rest = slice_of(rest.ptr + len, rest.len - len);
    }
    return 0;
}

int selector_parse_fields(struct slice text, struct selector *s, struct error *err)
{
    int status = selector_parse(text, s, err);
    for (size_t i = 0; status == 0 && i < s->count; i++) {
        const struct selector_requirement *r = &s->requirements[i];
        bool known =
            strcmp(r->key, "metadata.name") == 0 || strcmp(r->key, "metadata.namespace") == 0;
        if (!known || r->operator> SELECTOR_NOT_EQUALS)
            return error_set(err, -EINVAL,
                             "\"%.80s\" is not a known field selector: only metadata.name and "
                             "metadata.namespace with = and != are",
                             r->key);
    }
    return status;
}

static bool has_value(const struct selector_requirement *r, const char *value)
{
    for (size_t i = 0; i < r->value_count; i++)
        if (strcmp(r->values[i], value) == 0)
            return true;
    return false;
}

/* value NULL: there is none. */
static bool meets(const struct selector_requirement *r, const char *value)
{
    switch (r->operator) {
    case SELECTOR_EXISTS:
        return value != NULL;
    case SELECTOR_NOT_EXISTS:
        return value == NULL;
    case SELECTOR_EQUALS:
    case SELECTOR_IN:
        return value != NULL && has_value(r, value);
    case SELECTOR_NOT_EQUALS:
    case SELECTOR_NOT_IN:
        return value == NULL || !has_value(r, value);
    }
    return false;
}

bool selector_matches_labels(const struct selector *s, const json_t *object)
{
    const json_t *labels = s->count > 0 ? resource_at(object, "metadata.labels") : NULL;
    for (size_t i = 0; i < s->count; i++) {
        const struct selector_requirement *r = &s->requirements[i];
        if (!meets(r, json_string_value(json_object_get(labels, r->key))))
            return false;
    }
    return true;
}

bool selector_matches_fields(const struct selector *s, const json_t *object)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct selector_requirement *r = &s->requirements[i];
        const char *value = resource_text_at(object, r->key);
        if (!meets(r, value != NULL ? value : ""))
            return false;
    }
    return true;
}
