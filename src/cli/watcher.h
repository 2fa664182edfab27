/* SPDX-License-Identifier: Apache-2.0 */
/* Says when something changed that a function's project is made of (inotify). */
#ifndef SLUICE_CLI_WATCHER_H
#define SLUICE_CLI_WATCHER_H

#include <stdbool.h>

struct watcher;

struct watcher *watcher_new(void); /* NULL: out of memory or descriptors */
void watcher_free(struct watcher *w);
/* What belongs to the path now: the folders of a project, or a file with what it imports. */
void watcher_update(struct watcher *w, const char *path);
/* Readable when there is something to take. */
int watcher_fd(const struct watcher *w);
/* Takes it; whether any of it matters. */
bool watcher_take(struct watcher *w);

#endif
