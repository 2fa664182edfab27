/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership helpers: cleanup attributes for locals, and a steal macro to hand a value over. */
#ifndef SLUICE_BASE_MEMORY_H
#define SLUICE_BASE_MEMORY_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static inline void memory_free_pointer(void *pointer)
{
    free(*(void **)pointer);
}

static inline void memory_close_descriptor(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#define autofree  __attribute__((cleanup(memory_free_pointer)))
#define autoclose __attribute__((cleanup(memory_close_descriptor)))

/* STEAL(pointer): the value, and the variable is NULL afterwards. STEAL_FD does the same for a
 * descriptor. */
#define STEAL(pointer)                                                                             \
    ({                                                                                             \
        __typeof__(pointer) stolen_ = (pointer);                                                   \
        (pointer) = NULL;                                                                          \
        stolen_;                                                                                   \
    })
#define STEAL_FD(fd)                                                                               \
    ({                                                                                             \
        int stolen_ = (fd);                                                                        \
        (fd) = -1;                                                                                 \
        stolen_;                                                                                   \
    })

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
