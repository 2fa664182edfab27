/* SPDX-License-Identifier: Apache-2.0 */
/* A URL is taken apart once; what is checked is what is called. Hosts that a resolver would read as
 * an address of another form ("127.1", "0x7f000001") are refused. */
#include "fetcher/fetcher.h"

#include "http/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define LABEL_MAX 63

static int set_address(struct destination *d, int family, const char *text)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    if (inet_pton(family, text, bytes) != 1 ||
        inet_ntop(family, bytes, d->host, sizeof(d->host)) == NULL)
        return -EINVAL;
    d->form = family == AF_INET ? DESTINATION_IPV4 : DESTINATION_IPV6;
    return 0;
}

/* Whether the last label is a number, so that the host is one, too (WHATWG URL §3.5). */
static bool ends_in_number(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *last = dot != NULL ? dot + 1 : host;
    if (last[0] == '0' && last[1] == 'x')
        return last[2 + strspn(last + 2, "0123456789abcdef")] == '\0';
    return last[strspn(last, "0123456789")] == '\0';
}

static bool is_name(const char *host)
{
    size_t label = 0;
    for (const char *at = host;; at++) {
        if (*at == '.' || *at == '\0') {
            if (label == 0 || label > LABEL_MAX)
                return false;
            label = 0;
            if (*at == '\0')
                return true;
        } else if (islower((unsigned char)*at) || isdigit((unsigned char)*at) || *at == '-' ||
                   *at == '_') {
            label++;
        } else {
            return false;
        }
    }
}

int destination_set_host(struct destination *d, struct slice host, bool bracketed)
{
    char text[DESTINATION_HOST_MAX + 1];
    if (!bracketed && host.len > 1 && slice_ends(host, "."))
        host.len--;
    if (host.len == 0 || host.len >= sizeof(text))
        return -EINVAL;
    for (size_t i = 0; i < host.len; i++)
        text[i] = (char)(host.ptr[i] >= 'A' && host.ptr[i] <= 'Z' ? host.ptr[i] + ('a' - 'A')
                                                                  : host.ptr[i]);
    text[host.len] = '\0';
    if (bracketed)
        return set_address(d, AF_INET6, text);
    if (!is_name(text))
        return -EINVAL;
    if (ends_in_number(text))
        return set_address(d, AF_INET, text);
    d->form = DESTINATION_NAME;
    memcpy(d->host, text, host.len + 1);
    return 0;
}

static void write_url(struct buf *out, const struct destination *d, const struct url *u)
{
    bool v6 = d->form == DESTINATION_IPV6;
    buf_reset(out);
    buf_add_text(out, d->secure ? "https://" : "http://");
    buf_printf(out, v6 ? "[%s]" : "%s", d->host);
    if (d->port != (d->secure ? 443 : 80))
        buf_printf(out, ":%u", (unsigned)d->port);
    if (u->path.len == 0)
        buf_add_byte(out, '/');
    url_add_escaped(out, u->path);
    url_add_escaped(out, u->query);
}

int destination_of(struct slice text, struct destination *ret, struct buf *url, struct error *err)
{
    struct url u;
    struct destination d = {.port = 0};
    if (text.len > FETCHER_URL_MAX)
        return error_set(err, -EINVAL, "the URL is longer than %d bytes", FETCHER_URL_MAX);
    if (url_split(text, &u) < 0)
        return error_set(err, -EINVAL, "\"" SLICE_FMT "\" is no http or https URL",
                         (int)(text.len < 200 ? text.len : 200), text.ptr);
    if (u.has_userinfo)
        return error_set(err, -EINVAL,
                         "URLs with a user name or password are not called: use the header "
                         "Authorization");
    if (destination_set_host(&d, u.host, u.is_ipv6) < 0)
        return error_set(err, -EINVAL, "\"" SLICE_FMT "\" is no host name that can be called",
                         (int)(u.host.len < 200 ? u.host.len : 200), u.host.ptr);
    d.port = u.port;
    d.secure = u.secure;
    write_url(url, &d, &u);
    if (!buf_ok(url))
        return error_set(err, -ENOMEM, "no memory for the URL");
    *ret = d;
    return 0;
}

void destination_show(const struct destination *d, char text[DESTINATION_SIZE])
{
    snprintf(text, DESTINATION_SIZE, d->form == DESTINATION_IPV6 ? "[%s]:%u" : "%s:%u", d->host,
             (unsigned)d->port);
}

bool destination_same_origin(const struct destination *a, const struct destination *b)
{
    return a->secure == b->secure && a->port == b->port && strcmp(a->host, b->host) == 0;
}
