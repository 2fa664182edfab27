/* SPDX-License-Identifier: Apache-2.0 */
/* The allow-list of a function's network: HOST:PORT, *.SUFFIX:PORT, [IPV6]:PORT. Pure. */
#ifndef SLUICE_RUNNER_ALLOW_H
#define SLUICE_RUNNER_ALLOW_H

#include "base/error.h"
#include "base/slice.h"

#include <netinet/in.h>
#include <stdbool.h>

#define ALLOW_RULES_MAX 64
#define ALLOW_HOST_MAX  253

enum allow_kind { ALLOW_NAME, ALLOW_SUFFIX, ALLOW_IPV4, ALLOW_IPV6, ALLOW_KIND_COUNT };

struct allow_rule {
    enum allow_kind kind;
    char host[ALLOW_HOST_MAX + 1]; /* lower case; of a suffix what follows the * ; an address in
                                      its shortest form */
    uint16_t port;
    struct in_addr v4;
    struct in6_addr v6;
};

struct allow_list {
    struct allow_rule rules[ALLOW_RULES_MAX];
    unsigned count;
    bool has_suffix;
};

/* 0 or -EINVAL. */
int allow_parse(struct slice text, struct allow_rule *ret, struct error *err);
int allow_add(struct allow_list *list, struct slice text, struct error *err);
/* Whether that host, a name or an address without brackets, may be reached at the port. */
bool allow_matches(const struct allow_list *list, struct slice host, uint16_t port);

#endif
