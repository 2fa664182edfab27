/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what a function may reach: host:port, *.suffix:port, [v6]:port. An address is reached
 * only when it is listed as one. */
#include "fetcher/fetcher.h"

#include "base/encoding.h"

#include <errno.h>

static int read_entry(struct slice text, struct allow_entry *ret)
{
    struct allow_entry e = {.below = slice_starts(text, "*.")};
    const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
    uint64_t port;
    if (colon == NULL)
        return -EINVAL;
    struct slice host = slice_of(text.ptr, (size_t)(colon - text.ptr));
    struct slice digits = slice_of(colon + 1, text.len - host.len - 1);
    if (encoding_parse_u64(digits, &port) < 0 || port == 0 || port > 65535)
        return -EINVAL;
    if (e.below)
        host = slice_of(host.ptr + 2, host.len - 2);
    bool bracketed = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (bracketed)
        host = slice_of(host.ptr + 1, host.len - 2);
    e.to.port = (uint16_t)port;
    if (destination_set_host(&e.to, host, bracketed) < 0 ||
        (e.below && e.to.form != DESTINATION_NAME))
        return -EINVAL;
    *ret = e;
    return 0;
}

int allow_add(struct allow_list *l, struct slice text)
{
    struct allow_entry entry;
    int r = read_entry(text, &entry);
    if (r < 0)
        return r;
    struct allow_entry *grown = reallocarray(l->entries, l->count + 1, sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    l->entries = grown;
    l->entries[l->count++] = entry;
    return 0;
}

void allow_done(struct allow_list *l)
{
    free(l->entries);
    *l = (struct allow_list){NULL, 0};
}

static bool matches(const struct allow_entry *e, const struct destination *d)
{
    if (e->to.port != d->port || e->to.form != d->form)
        return false;
    if (!e->below)
        return strcmp(e->to.host, d->host) == 0;
    size_t whole = strlen(d->host), tail = strlen(e->to.host);
    return whole > tail + 1 && d->host[whole - tail - 1] == '.' &&
           strcmp(d->host + whole - tail, e->to.host) == 0;
}

bool allow_has(const struct allow_list *l, const struct destination *d)
{
    for (size_t i = 0; i < l->count; i++)
        if (matches(&l->entries[i], d))
            return true;
    return false;
}
