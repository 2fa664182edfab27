/* SPDX-License-Identifier: Apache-2.0 */
/* Lets old segments go. The owner of the state says what is still needed; the checkpoint and the
 * segment that is written to are never passed. */
#include "store/disk.h"

#include <string.h>

bool disk_retain_due(const struct store *s)
{
    struct disk *d = (struct disk *)(uintptr_t)disk_of_const(s);
    pthread_mutex_lock(&d->spares.lock);
    uint64_t files = d->spares.live + SPARES_WANTED;
    pthread_mutex_unlock(&d->spares.lock);
    return d->size_max != 0 && files * d->segment_bytes > d->size_max;
}

/* Takes the oldest segment out of the list when it may go. Its readers keep it until they move on.
 */
static bool take_oldest(struct disk *d, uint64_t needed, uint64_t keep_since_ns, bool over,
                        uint64_t *ret_number, bool *ret_reusable)
{
    struct segments *s = &d->segments;
    struct segment *unused = NULL;
    bool taken = false;
    pthread_mutex_lock(&s->lock);
    if (s->len >= 2 && s->list[1]->first <= needed &&
        s->list[1]->first <= atomic_load(&d->checkpoint.position) + 1 &&
        (over || atomic_load(&s->list[1]->time_ns) < keep_since_ns || keep_since_ns == 0)) {
        struct segment *g = s->list[0];
        taken = true;
        *ret_number = g->number;
        *ret_reusable = g->users == 0 && g->bytes == d->segment_bytes && !atomic_load(&g->poisoned);
        atomic_store(&g->retired, true);
        s->len--;
        memmove(s->list, s->list + 1, s->len * sizeof(struct segment *));
        atomic_store(&s->first, s->list[0]->first);
        unused = g->users == 0 ? g : NULL;
    }
    pthread_mutex_unlock(&s->lock);
    if (unused != NULL)
        segment_free(s, unused);
    return taken;
}

void disk_retain(struct store *s, uint64_t needed, uint64_t keep_since_ns)
{
    struct disk *d = disk_of(s);
    uint64_t number;
    bool reusable, any = false;
    while (take_oldest(d, needed, keep_since_ns, disk_retain_due(s), &number, &reusable)) {
        spares_give(d, number, reusable);
        digest_forget(d, number);
        any = true;
    }
    if (any)
        (void)d->io->sync_folder(d->io->ctx, d->folder);
}
