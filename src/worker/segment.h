/* SPDX-License-Identifier: Apache-2.0 */
/* The segment register GS, in which translated code expects its memory's address (see
 * linear_memory.h). On other processors than x86-64 there is none, and all this does nothing. */
#ifndef SLUICE_WORKER_SEGMENT_H
#define SLUICE_WORKER_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#define SEGMENT_CALL 0x1001 /* ARCH_SET_GS */

/* This thread's accesses through GS count from there on. */
void segment_set(const uint8_t *base);
/* Whether segment_set() needs arch_prctl(ARCH_SET_GS), because the kernel does not let programs
 * write the register (AT_HWCAP2, since Linux 5.9). */
bool segment_needs_call(void);
void segment_force_call(void); /* for tests */

#endif
