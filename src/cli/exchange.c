/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/exchange.h"

#include "base/memory.h"
#include "http/reply.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* "scheme://" in front; one within a path or a query is none. */
static bool has_scheme(const char *text)
{
    size_t len = strcspn(text, "/?#");
    return len > 0 && text[len - 1] == ':' && strncmp(text + len, "//", 2) == 0;
}

void exchange_address(const char *text, struct buf *out)
{
    if (!has_scheme(text))
        buf_add_text(out, "http://");
    buf_add_text(out, text);
}

int exchange_split(struct exchange *x, struct error *err)
{
    if (url_split(slice_text(x->url), &x->parts) < 0)
        return exchange_bad_url(x, "it is no URL of http or https", err);
    return 0;
}

bool exchange_is_local(const struct url *u)
{
    char host[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (slice_is_nocase(u->host, "localhost"))
        return true;
    if (u->host.len >= sizeof(host))
        return false;
    memcpy(host, u->host.ptr, u->host.len);
    host[u->host.len] = '\0';
    if (u->is_ipv6)
        return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
    return inet_aton(host, &v4) != 0 && ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* As libcurl reads them for http; it looks at no_proxy, too. */
static bool has_proxy(void)
{
    static const char *const names[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0')
            return true;
    }
    return false;
}

bool exchange_needs_curl(const struct url *u)
{
    return !url_is_plain(u) || (!exchange_is_local(u) && has_proxy());
}

bool exchange_streams(const struct exchange *x, long status)
{
    return x->each != NULL && status >= 200 && status < 400;
}

int exchange_bad_url(const struct exchange *x, const char *what, struct error *err)
{
    return error_set(err, -EINVAL,
                     "%s is no address of a server (%s): it should look like http://127.0.0.1:8080",
                     x->server, what);
}

int exchange_nobody(const struct exchange *x, const char *what, struct error *err)
{
    return error_set(err, -ECONNREFUSED,
                     "no server answers at %s (%s): start one with `sluice serve --data-dir DIR`, "
                     "or name another with --server or SLUICE_SERVER",
                     x->server, what);
}

int exchange_silent(const struct exchange *x, const char *what, struct error *err)
{
    return error_set(err, -ETIMEDOUT,
                     "%s does not answer (%s): see whether it is busy and whether a firewall lets "
                     "you through, then try again",
                     x->server, what);
}

int exchange_no_http(const struct exchange *x, const char *what, struct error *err)
{
    return error_set(err, -EPROTO,
                     "what answers at %s is no HTTP (%s): name the server with --server or "
                     "SLUICE_SERVER, with https:// when it wants TLS",
                     x->server, what);
}

int exchange_failed(const struct exchange *x, const char *what, struct error *err)
{
    return error_set(err, -EIO, "the exchange with %s failed: %s", x->server, what);
}

int exchange_too_large(const struct exchange *x, struct error *err)
{
    return error_set(err, -EIO,
                     "the answer of %s is larger than %u MiB, or its headers than %d KiB: ask for "
                     "less",
                     x->server, EXCHANGE_ANSWER_MAX >> 20, REPLY_HEAD_MAX >> 10);
}
