/* SPDX-License-Identifier: Apache-2.0 */
/* Promises that were rejected and that nobody handles. QuickJS tells of each rejection that nobody
 * handles yet, and again when somebody does; what is left when the jobs have run is unhandled. */
#include "worker/engine_native.h"

#define REJECTION_MAX 32 /* remembered at once; more are as good as handled */

static struct rejection {
    engine_value promise, reason;
} rejections[REJECTION_MAX];
static unsigned count;

void engine_rejections_reset(void)
{
    count = 0;
}

static void forget(unsigned at)
{
    engine_drop(rejections[at].promise);
    engine_drop(rejections[at].reason);
    rejections[at] = rejections[--count];
}

static void note_handled(engine_value promise)
{
    for (unsigned i = 0; i < count; i++)
        if (native_unbox(rejections[i].promise) == native_unbox(promise)) {
            forget(i);
            return;
        }
}

void Z_envZ_host_promise_rejection(struct Z_env_instance_t *env, u32 promise, u32 reason,
                                   u32 handled)
{
    guard_enter_import();
    if (handled == 0 && count < REJECTION_MAX) {
        rejections[count++] = (struct rejection){promise, reason};
    } else {
        if (handled != 0)
            note_handled(promise);
        engine_drop(promise);
        engine_drop(reason);
    }
    guard_leave_import();
}

bool engine_take_rejection(struct engine_failure *f)
{
    if (count == 0)
        return false;
    engine_describe(rejections[0].reason, f);
    forget(0);
    return true;
}
