/* SPDX-License-Identifier: Apache-2.0 */
/* How translated code reads and writes its memory: put into wasm2c's output in place of what stands
 * in wasm2c_accessors.txt, for QuickJS by translate.py and for a user's module by
 * function/builder.c.
 *
 * wasm2c's own accessors fetch the memory's address from the instance again and again, since for
 * all that the C compiler knows each store may have changed it. On x86-64 the segment register GS
 * holds it instead (segment.c), so that an access is one instruction.
 *
 * addr is the sum of two 32-bit numbers and never more, counted in 64 bits: an access begins within
 * the 8 GiB that are reserved behind the memory's first byte, and faults where there is no memory.
 *
 * The statements are volatile because a load whose value nobody wants must trap all the same. They
 * are assembly because GCC 12 forgets the segment of a __seg_gs object whose address is a constant
 * beyond 2 GiB; the compiler's part is to form the address, as if it were one of the process. */
#if defined(__x86_64__) && defined(__LP64__) && defined(__GNUC__)
#define MOVE_i32_load     "movl %%gs:%1, %k0"
#define MOVE_i64_load     "movq %%gs:%1, %q0"
#define MOVE_f32_load     "movss %%gs:%1, %0"
#define MOVE_f64_load     "movsd %%gs:%1, %0"
#define MOVE_i32_load8_s  "movsbl %%gs:%1, %k0"
#define MOVE_i64_load8_s  "movsbq %%gs:%1, %q0"
#define MOVE_i32_load8_u  "movzbl %%gs:%1, %k0"
#define MOVE_i64_load8_u  "movzbl %%gs:%1, %k0"
#define MOVE_i32_load16_s "movswl %%gs:%1, %k0"
#define MOVE_i64_load16_s "movswq %%gs:%1, %q0"
#define MOVE_i32_load16_u "movzwl %%gs:%1, %k0"
#define MOVE_i64_load16_u "movzwl %%gs:%1, %k0"
#define MOVE_i64_load32_s "movslq %%gs:%1, %q0"
#define MOVE_i64_load32_u "movl %%gs:%1, %k0"
#define MOVE_i32_store    "movl %k1, %%gs:%0"
#define MOVE_i64_store    "movq %q1, %%gs:%0"
#define MOVE_f32_store    "movss %1, %%gs:%0"
#define MOVE_f64_store    "movsd %1, %%gs:%0"
#define MOVE_i32_store8   "movb %b1, %%gs:%0"
#define MOVE_i64_store8   "movb %b1, %%gs:%0"
#define MOVE_i32_store16  "movw %w1, %%gs:%0"
#define MOVE_i64_store16  "movw %w1, %%gs:%0"
#define MOVE_i64_store32  "movl %k1, %%gs:%0"

/* Where a value of the type can be. */
#define LOADED_u32 "=r"
#define LOADED_u64 "=r"
#define LOADED_f32 "=x"
#define LOADED_f64 "=x"
#define STORED_u8  "qi"
#define STORED_u16 "ri"
#define STORED_u32 "ri"
#define STORED_u64 "re"
#define STORED_f32 "x"
#define STORED_f64 "x"

#define DEFINE_LOAD(name, t1, t2, t3)                                                              \
    static inline t3 name(wasm_rt_memory_t *mem, u64 addr)                                         \
    {                                                                                              \
        typedef t1 __attribute__((may_alias, aligned(1))) cell;                                    \
        MEMCHECK(mem, addr, t1);                                                                   \
        t3 result;                                                                                 \
        __asm__ volatile(MOVE_##name                                                               \
                         : LOADED_##t3(result)                                                     \
                         : "m"(*(const cell *)(uintptr_t)addr)                                     \
                         : "memory");                                                              \
        return result;                                                                             \
    }

#define DEFINE_STORE(name, t1, t2)                                                                 \
    static inline void name(wasm_rt_memory_t *mem, u64 addr, t2 value)                             \
    {                                                                                              \
        typedef t1 __attribute__((may_alias, aligned(1))) cell;                                    \
        MEMCHECK(mem, addr, t1);                                                                   \
        __asm__ volatile(MOVE_##name                                                               \
                         : "=m"(*(cell *)(uintptr_t)addr)                                          \
                         : STORED_##t1((t1)value)                                                  \
                         : "memory");                                                              \
    }
#else /* as wasm2c has them */
#define DEFINE_LOAD(name, t1, t2, t3)                                                              \
    static inline t3 name(wasm_rt_memory_t *mem, u64 addr)                                         \
    {                                                                                              \
        MEMCHECK(mem, addr, t1);                                                                   \
        t1 result;                                                                                 \
        wasm_rt_memcpy(&result, &mem->data[addr], sizeof(t1));                                     \
        wasm_asm("" ::"r"(result));                                                                \
        return (t3)(t2)result;                                                                     \
    }

#define DEFINE_STORE(name, t1, t2)                                                                 \
    static inline void name(wasm_rt_memory_t *mem, u64 addr, t2 value)                             \
    {                                                                                              \
        MEMCHECK(mem, addr, t1);                                                                   \
        t1 wrapped = (t1)value;                                                                    \
        wasm_rt_memcpy(&mem->data[addr], &wrapped, sizeof(t1));                                    \
    }
#endif
