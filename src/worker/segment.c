/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/segment.h"

#ifdef __x86_64__
#include "base/must.h"

#include <asm/hwcap2.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint8_t *current; /* NULL in a new program; fork inherits it with the register */
static bool call_forced;

bool segment_needs_call(void)
{
    return call_forced || (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) == 0;
}

void segment_force_call(void)
{
    call_forced = true;
}

void segment_set(const uint8_t *base)
{
    if (base == current)
        return;
    if (segment_needs_call())
        must(syscall(SYS_arch_prctl, SEGMENT_CALL, base) == 0);
    else
        __asm__ volatile("wrgsbase %0" ::"r"(base) : "memory");
    current = base;
}
#else
void segment_set(const uint8_t *base)
{
}

bool segment_needs_call(void)
{
    return false;
}

void segment_force_call(void)
{
}
#endif
