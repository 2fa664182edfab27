/* SPDX-License-Identifier: Apache-2.0 */
/* Brokers by namespace and name for the HTTP threads: an immutable, reference-counted map that the
 * loop replaces. */
#include "broker/directory.h"

#include "base/buf.h"
#include "base/map.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct names {
    atomic_uint refs;
    struct map map; /* "namespace/name" → struct ingress_measure */
};

struct directory {
    pthread_mutex_t lock; /* held only to take or replace the pointer */
    struct names *names;
};

static void names_unref(struct names *n)
{
    if (n == NULL || atomic_fetch_sub(&n->refs, 1) != 1)
        return;
    map_done(&n->map);
    free(n);
}

struct directory *directory_new(void)
{
    struct directory *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return NULL;
    pthread_mutex_init(&d->lock, NULL);
    d->names = calloc(1, sizeof(*d->names));
    if (d->names == NULL) {
        free(d);
        return NULL;
    }
    atomic_init(&d->names->refs, 1);
    return d;
}

void directory_free(struct directory *d)
{
    if (d == NULL)
        return;
    names_unref(d->names);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static struct names *names_take(struct directory *d)
{
    pthread_mutex_lock(&d->lock);
    struct names *n = d->names;
    atomic_fetch_add(&n->refs, 1);
    pthread_mutex_unlock(&d->lock);
    return n;
}

struct ingress_measure *directory_find(struct directory *d, struct slice namespace_name,
                                       struct slice name)
{
    char key[512];
    size_t len = namespace_name.len + 1 + name.len;
    if (len > sizeof(key) || namespace_name.len == 0 || name.len == 0)
        return NULL;
    memcpy(key, namespace_name.ptr, namespace_name.len);
    key[namespace_name.len] = '/';
    memcpy(key + namespace_name.len + 1, name.ptr, name.len);
    struct names *n = names_take(d);
    struct ingress_measure *measure = map_get(&n->map, slice_of(key, len));
    names_unref(n);
    return measure;
}

static struct names *names_copy(const struct names *from)
{
    struct names *copy = calloc(1, sizeof(*copy));
    if (copy == NULL)
        return NULL;
    atomic_init(&copy->refs, 1);
    size_t at = 0;
    struct slice key;
    void *value;
    while (map_next(&from->map, &at, &key, &value)) {
        if (map_put(&copy->map, key, value) < 0) {
            names_unref(copy);
            return NULL;
        }
    }
    return copy;
}

static int directory_change(struct directory *d, const char *namespace_name, const char *name,
                            struct ingress_measure *measure)
{
    autobuf key = BUF_INIT;
    buf_printf(&key, "%s/%s", namespace_name, name);
    struct names *copy = names_copy(d->names); /* only the loop replaces it: safe to read */
    if (copy == NULL || !buf_ok(&key))
        return -ENOMEM;
    if (measure == NULL)
        map_remove(&copy->map, buf_slice(&key));
    else if (map_put(&copy->map, buf_slice(&key), measure) < 0) {
        names_unref(copy);
        return -ENOMEM;
    }
    pthread_mutex_lock(&d->lock);
    struct names *old = d->names;
    d->names = copy;
    pthread_mutex_unlock(&d->lock);
    names_unref(old);
    return 0;
}

int directory_put(struct directory *d, const char *namespace_name, const char *name,
                  struct ingress_measure *measure)
{
    return directory_change(d, namespace_name, name, measure);
}

void directory_remove(struct directory *d, const char *namespace_name, const char *name)
{
    (void)directory_change(d, namespace_name, name, NULL);
}
