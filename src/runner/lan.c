/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/lan.h"

#include "base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define BACKLOG 128

/* The kernel's in6_ifreq, whose header does not go together with the C library's. */
struct lan_ifreq6 {
    struct in6_addr address;
    uint32_t prefix;
    int index;
};

/* Names get addresses of 127.83.0.0/16, equal names the same. */
static struct in_addr name_address(const struct allow_list *list, unsigned rule)
{
    unsigned first = 0;
    while (strcmp(list->rules[first].host, list->rules[rule].host) != 0 ||
           list->rules[first].kind != list->rules[rule].kind)
        first++;
    uint32_t host = 0x7f530000u | (first / 250) << 8 | (first % 250 + 1);
    if (strcmp(list->rules[rule].host, "localhost") == 0)
        host = INADDR_LOOPBACK;
    return (struct in_addr){.s_addr = htonl(host)};
}

void lan_hosts(const struct allow_list *list, const char *host_name, struct buf *out)
{
    buf_printf(out, "127.0.0.1 localhost %s\n", host_name);
    for (unsigned i = 0; i < list->count; i++) {
        char text[INET_ADDRSTRLEN];
        struct in_addr address = name_address(list, i);
        if (list->rules[i].kind == ALLOW_NAME && address.s_addr != htonl(INADDR_LOOPBACK))
            buf_printf(out, "%s %s\n", inet_ntop(AF_INET, &address, text, sizeof(text)),
                       list->rules[i].host);
    }
}

static int bring_up(int control)
{
    struct ifreq request = {.ifr_flags = IFF_UP | IFF_RUNNING};
    strcpy(request.ifr_name, "lo");
    return ioctl(control, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

static int add_ipv4(int control, unsigned number, struct in_addr address)
{
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "lo:%u", number + 1);
    const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = address};
    const struct sockaddr_in mask = {.sin_family = AF_INET, .sin_addr.s_addr = INADDR_NONE};
    memcpy(&request.ifr_addr, &in, sizeof(in));
    if (ioctl(control, SIOCSIFADDR, &request) < 0)
        return errno == EEXIST ? 0 : -errno;
    memcpy(&request.ifr_netmask, &mask, sizeof(mask));
    return ioctl(control, SIOCSIFNETMASK, &request) < 0 ? -errno : 0;
}

static int add_ipv6(struct in6_addr address)
{
    autoclose int control = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const struct lan_ifreq6 request = {
        .address = address, .prefix = 128, .index = (int)if_nametoindex("lo")};
    if (control < 0 || ioctl(control, SIOCSIFADDR, &request) < 0)
        return errno == EEXIST ? 0 : -errno;
    return 0;
}

static int listen_at(const struct sockaddr *address, socklen_t len)
{
    const int yes = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if ((address->sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) < 0) ||
        bind(fd, address, len) < 0 || listen(fd, BACKLOG) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static int listen_ipv4(struct in_addr address, uint16_t port)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address};
    return listen_at((const struct sockaddr *)&at, sizeof(at));
}

static int listen_ipv6(struct in6_addr address, uint16_t port)
{
    const struct sockaddr_in6 at = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = address};
    return listen_at((const struct sockaddr *)&at, sizeof(at));
}

static int open_rule(int control, const struct allow_list *list, unsigned number)
{
    const struct allow_rule *rule = &list->rules[number];
    int r = 0;
    if (rule->kind == ALLOW_NAME)
        return listen_ipv4(name_address(list, number), rule->port);
    if (rule->kind == ALLOW_IPV6) {
        if (!IN6_IS_ADDR_LOOPBACK(&rule->v6))
            r = add_ipv6(rule->v6);
        return r < 0 ? r : listen_ipv6(rule->v6, rule->port);
    }
    if (ntohl(rule->v4.s_addr) >> 24 != IN_LOOPBACKNET)
        r = add_ipv4(control, number, rule->v4);
    return r < 0 ? r : listen_ipv4(rule->v4, rule->port);
}

int lan_open(const struct allow_list *list, struct lan_socket sockets[LAN_SOCKETS_MAX],
             unsigned *ret_count, struct error *err)
{
    unsigned count = 0;
    autoclose int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int r = control < 0 ? -errno : bring_up(control);
    if (r < 0)
        return error_set(err, r, "cannot bring up the loopback device: %s", strerror(-r));
    for (unsigned i = 0; i < list->count; i++) {
        if (list->rules[i].kind == ALLOW_SUFFIX)
            continue;
        int fd = open_rule(control, list, i);
        if (fd == -EADDRINUSE)
            continue; /* the rule is there twice */
        if (fd < 0) {
            r = error_field(err, fd, "network.allow", "cannot provide %s:%u: %s",
                            list->rules[i].host, (unsigned)list->rules[i].port, strerror(-fd));
            break;
        }
        sockets[count++] = (struct lan_socket){fd, (int)i};
    }
    if (r == 0 && list->has_suffix) {
        struct in_addr address;
        (void)inet_pton(AF_INET, LAN_PROXY_HOST, &address);
        int fd = listen_ipv4(address, LAN_PROXY_PORT);
        if (fd < 0)
            r = error_set(err, fd, "cannot open the proxy's socket: %s", strerror(-fd));
        else
            sockets[count++] = (struct lan_socket){fd, -1};
    }
    while (r < 0 && count > 0)
        close(sockets[--count].fd);
    *ret_count = count;
    return r;
}
