/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/allow.h"

#include "base/encoding.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static int refuse(struct slice text, struct error *err)
{
    return error_field(err, -EINVAL, "network.allow",
                       "must be HOST:PORT, *.SUFFIX:PORT or [IPV6]:PORT, is \"" SLICE_FMT "\"",
                       (int)(text.len < 80 ? text.len : 80), text.ptr);
}

/* Lower case, without the dot that may end a full name (RFC 1034 §3.1). */
static bool copy_host(struct slice host, char out[ALLOW_HOST_MAX + 1])
{
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (host.len == 0 || host.len > ALLOW_HOST_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    out[host.len] = '\0';
    return true;
}

static bool is_name(const char *host)
{
    size_t len = strlen(host);
    if (strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") != len || host[0] == '.' ||
        host[0] == '-' || strstr(host, "..") != NULL)
        return false;
    /* What ends in a number is an address to those that read it (WHATWG URL §3.5): 1.2.3, 0x7f. */
    const char *last = strrchr(host, '.');
    last = last != NULL ? last + 1 : host;
    return strspn(last, "0123456789") != strlen(last) && strncmp(last, "0x", 2) != 0;
}

static bool read_port(struct slice text, uint16_t *ret)
{
    uint64_t port;
    if (text.len > 5 || encoding_parse_u64(text, &port) < 0 || port == 0 || port > 65535)
        return false;
    *ret = (uint16_t)port;
    return true;
}

static bool read_host(struct slice host, struct allow_rule *rule)
{
    bool bracketed = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    bool suffix = host.len > 2 && memcmp(host.ptr, "*.", 2) == 0;
    char text[ALLOW_HOST_MAX + 1] = "";
    if (bracketed)
        host = slice_of(host.ptr + 1, host.len - 2);
    else if (suffix)
        host = slice_of(host.ptr + 2, host.len - 2);
    if (!copy_host(host, text))
        return false;
    if (bracketed) {
        rule->kind = ALLOW_IPV6;
        return inet_pton(AF_INET6, text, &rule->v6) == 1 &&
               inet_ntop(AF_INET6, &rule->v6, rule->host, sizeof(rule->host)) != NULL;
    }
    if (!suffix && inet_pton(AF_INET, text, &rule->v4) == 1)
        rule->kind = ALLOW_IPV4;
    else if (is_name(text))
        rule->kind = suffix ? ALLOW_SUFFIX : ALLOW_NAME;
    else
        return false;
    memcpy(rule->host, text, sizeof(text));
    return true;
}

int allow_parse(struct slice text, struct allow_rule *ret, struct error *err)
{
    struct allow_rule rule = {0};
    const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
    if (colon == NULL)
        return refuse(text, err);
    size_t host = (size_t)(colon - text.ptr);
    if (!read_port(slice_of(colon + 1, text.len - host - 1), &rule.port) ||
        !read_host(slice_of(text.ptr, host), &rule))
        return refuse(text, err);
    *ret = rule;
    return 0;
}

int allow_add(struct allow_list *list, struct slice text, struct error *err)
{
    if (list->count == ALLOW_RULES_MAX)
        return error_field(err, -EINVAL, "network.allow", "has more than %d entries",
                           ALLOW_RULES_MAX);
    int r = allow_parse(text, &list->rules[list->count], err);
    if (r < 0)
        return r;
    list->has_suffix |= list->rules[list->count].kind == ALLOW_SUFFIX;
    list->count++;
    return 0;
}

static bool matches(const struct allow_rule *rule, const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    size_t len = strlen(host), suffix = strlen(rule->host);
    switch (rule->kind) {
    case ALLOW_NAME:
        return strcmp(rule->host, host) == 0;
    case ALLOW_SUFFIX: /* at least one label before it */
        return len > suffix + 1 && host[len - suffix - 1] == '.' &&
               strcmp(host + len - suffix, rule->host) == 0 && is_name(host);
    case ALLOW_IPV4:
        return inet_pton(AF_INET, host, &v4) == 1 && memcmp(&v4, &rule->v4, sizeof(v4)) == 0;
    case ALLOW_IPV6:
        return inet_pton(AF_INET6, host, &v6) == 1 && memcmp(&v6, &rule->v6, sizeof(v6)) == 0;
    case ALLOW_KIND_COUNT:
        break;
    }
    return false;
}

bool allow_matches(const struct allow_list *list, struct slice host, uint16_t port)
{
    char text[ALLOW_HOST_MAX + 1];
    if (!copy_host(host, text) || strlen(text) != host.len - (host.ptr[host.len - 1] == '.'))
        return false;
    for (unsigned i = 0; i < list->count; i++)
        if (list->rules[i].port == port && matches(&list->rules[i], text))
            return true;
    return false;
}
