/* SPDX-License-Identifier: Apache-2.0 */
/* The file is one in memory: TLS libraries want a path, and what is in a manifest has none. */
#include "http/trust.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define COPY_SIZE (64 * 1024)

struct http_trust {
    struct http_trust *next;
    unsigned refs;
    int file; /* -1: not made yet */
    char *pem;
};

/* Many triggers have the same authority: one file does for all of them. */
static struct http_trust *all;

struct http_trust *http_trust_of(const char *pem)
{
    for (struct http_trust *t = all; t != NULL; t = t->next)
        if (strcmp(t->pem, pem) == 0)
            return http_trust_ref(t);
    struct http_trust *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->refs = 1;
    t->file = -1;
    t->pem = strdup(pem);
    if (t->pem == NULL) {
        free(t);
        return NULL;
    }
    t->next = all;
    all = t;
    return t;
}

struct http_trust *http_trust_ref(struct http_trust *t)
{
    if (t != NULL)
        t->refs++;
    return t;
}

void http_trust_unref(struct http_trust *t)
{
    if (t == NULL || --t->refs > 0)
        return;
    struct http_trust **at = &all;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    if (t->file >= 0)
        close(t->file);
    free(t->pem);
    free(t);
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/* One that is not there is as empty. */
static int copy_file(int to, const char *path)
{
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return 0;
    autofree char *bytes = malloc(COPY_SIZE);
    ssize_t n = bytes != NULL ? 1 : 0;
    int r = bytes != NULL ? 0 : -ENOMEM;
    while (r == 0 && (n = read(from, bytes, COPY_SIZE)) > 0)
        r = write_all(to, bytes, (size_t)n);
    if (r == 0 && n < 0)
        r = -errno;
    close(from);
    return r;
}

static int make_file(struct http_trust *t, const char *system)
{
    int fd = memfd_create("sluice-trust", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = system != NULL ? copy_file(fd, system) : 0;
    if (r == 0)
        r = write_all(fd, "\n", 1);
    if (r == 0)
        r = write_all(fd, t->pem, strlen(t->pem));
    if (r < 0) {
        close(fd);
        return r;
    }
    t->file = fd;
    return 0;
}

int http_trust_file(struct http_trust *t, const char *system, char path[HTTP_TRUST_PATH_SIZE])
{
    int r = t->file >= 0 ? 0 : make_file(t, system);
    if (r == 0)
        snprintf(path, HTTP_TRUST_PATH_SIZE, "/proc/self/fd/%d", t->file);
    return r;
}
