/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/cgroup.h"

#include "base/buf.h"
#include "base/fdio.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CGROUP_FILE_MAX 65536
#define REMOVE_ATTEMPTS 50
#define NAME_PREFIX     "sluice-"

/* The runner's own group of the memory controller: a line "N:…,memory,…:/path" (version 1) or
 * "0::/path" (version 2) of /proc/self/cgroup. */
static int find_own(struct cgroup *g)
{
    autobuf text = BUF_INIT;
    int r = fdio_read_file("/proc/self/cgroup", CGROUP_FILE_MAX, &text);
    if (r < 0)
        return r;
    char *rest = text.ptr, *line;
    g->path[0] = '\0';
    while (rest != NULL && (line = strsep(&rest, "\n")) != NULL) {
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL)
            continue;
        *path++ = '\0';
        bool memory = strcmp(controllers + 1, "memory") == 0;
        if (memory || (controllers[1] == '\0' && g->path[0] == '\0')) {
            g->version2 = !memory;
            snprintf(g->path, sizeof(g->path), "/sys/fs/cgroup%s%s", memory ? "/memory" : "",
                     strcmp(path, "/") == 0 ? "" : path);
        }
        if (memory)
            break;
    }
    return g->path[0] != '\0' ? 0 : -ENOENT;
}

static int write_value(const struct cgroup *g, const char *file, uint64_t value)
{
    char path[PATH_MAX + 64], text[24];
    snprintf(path, sizeof(path), "%s/%s", g->path, file);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* A runner that was killed could not remove its group, whose name has the process that was in it.
 */
static void sweep(const char *parent)
{
    DIR *folder = opendir(parent);
    for (struct dirent *e; folder != NULL && (e = readdir(folder)) != NULL;) {
        char process[64];
        unsigned long pid;
        if (strncmp(e->d_name, NAME_PREFIX, strlen(NAME_PREFIX)) != 0)
            continue;
        pid = strtoul(e->d_name + strlen(NAME_PREFIX), NULL, 10);
        snprintf(process, sizeof(process), "/proc/%lu", pid);
        if (access(process, F_OK) < 0)
            (void)unlinkat(dirfd(folder), e->d_name, AT_REMOVEDIR);
    }
    if (folder != NULL)
        closedir(folder);
}

int cgroup_enter(struct cgroup *g, pid_t process, uint64_t memory_bytes)
{
    int r = find_own(g);
    if (r < 0)
        return r;
    sweep(g->path);
    size_t len = strlen(g->path);
    snprintf(g->path + len, sizeof(g->path) - len, "/" NAME_PREFIX "%d", (int)process);
    if (mkdir(g->path, 0755) < 0) {
        r = -errno;
        g->path[0] = '\0';
        return r;
    }
    r = write_value(g, g->version2 ? "memory.max" : "memory.limit_in_bytes", memory_bytes);
    if (r == 0) /* not everywhere */
        (void)write_value(g, g->version2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes",
                          g->version2 ? 0 : memory_bytes);
    if (r == 0)
        r = write_value(g, "cgroup.procs", (uint64_t)process);
    if (r < 0)
        cgroup_remove(g);
    return r;
}

unsigned cgroup_kills(const struct cgroup *g)
{
    char path[PATH_MAX + 64];
    autobuf text = BUF_INIT;
    snprintf(path, sizeof(path), "%s/%s", g->path,
             g->version2 ? "memory.events" : "memory.oom_control");
    if (g->path[0] == '\0' || fdio_read_file(path, CGROUP_FILE_MAX, &text) < 0)
        return 0;
    const char *at = strstr(text.ptr, "oom_kill ");
    return at != NULL ? (unsigned)strtoul(at + strlen("oom_kill "), NULL, 10) : 0;
}

/* The kernel lets go of the last process a little after its end was told. */
void cgroup_remove(struct cgroup *g)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    for (int i = 0; g->path[0] != '\0' && i < REMOVE_ATTEMPTS; i++) {
        if (rmdir(g->path) == 0 || errno != EBUSY)
            break;
        nanosleep(&pause, NULL);
    }
    g->path[0] = '\0';
}
