/* SPDX-License-Identifier: Apache-2.0 */
/* Traps and time: guest code runs inside guard_run() and nowhere else. */
#ifndef SLUICE_WORKER_GUARD_H
#define SLUICE_WORKER_GUARD_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* How guard_run() ended besides 0 and the wasm_rt_trap_t values, which stay below. */
#define GUARD_STOPPED_TIME   100
#define GUARD_STOPPED_MEMORY 101
#define GUARD_STOPPED_OUTPUT 102
#define GUARD_EXITED         103 /* the guest asked for it */

/* Signal handlers and an alternate stack for this thread. Once, in the first process. */
int guard_init(struct error *err);
/* Creates the timer; timers are not inherited, so each worker does it after fork. */
int guard_start_timer(struct error *err);
/* Runs fn(ctx), which may call guests. 0, a wasm_rt_trap_t, or GUARD_STOPPED_*: then fn was unwound
 * while a guest ran, and the guest's state is undefined until its snapshot is restored. Not
 * reentrant. */
int guard_run(void (*fn)(void *ctx), void *ctx);
/* Monotonic nanoseconds at which guest code is unwound; 0: never. */
void guard_set_deadline(uint64_t deadline_ns);
const char *guard_describe(int ended);

/* Around each call into a guest, and around the body of each import. What lies between leaving and
 * entering may use the C library freely; what is held while the guest runs is lost when the guest
 * is unwound, so it must be static. memory is the guest's, NULL while it has none; an import may
 * enter its own guest again, but no other. */
void guard_enter_guest(const uint8_t *memory);
void guard_leave_guest(void);
void guard_enter_import(void);
void guard_leave_import(void);
/* Whether an import that takes long is to end: leaving it unwinds the guest. */
bool guard_time_is_up(void);
/* Ends guard_run() from inside a guest or an import. */
_Noreturn void guard_trap(int code);

#endif
