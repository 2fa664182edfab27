/* SPDX-License-Identifier: Apache-2.0 */
/* WASI's functions with addresses and lengths of every kind: whatever a guest passes, only its own
 * memory is touched, and only what it named. */
#include "worker/wasi.h"

#include "unit.h"

#include "base/memory.h"

#include <sys/mman.h>

#define PAGE      65536u
#define ROUNDS    60000
#define ARGUMENTS 9

/* What the guest may use lies between pages that nobody may touch. */
static wasm_rt_memory_t memory = {.pages = 2, .size = 2 * PAGE, .max_pages = 2};

static int make_memory(void **state)
{
    uint8_t *all = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(all != MAP_FAILED);
    memory.data = all + PAGE;
    assert_int_equal(mprotect(memory.data, memory.size, PROT_READ | PROT_WRITE), 0);
    wasi.memory = &memory;
    wasi.output_max = 4096;
    wasi.log_max = 0; /* reports nothing */
    wasi_strings_add(&wasi.arguments, SLICE("program"));
    wasi_strings_add(&wasi.arguments, SLICE(""));
    wasi_strings_add(&wasi.environment, SLICE("NAME=value"));
    return 0;
}

static uint64_t seed = 1;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Near an edge most of the time. */
static uint32_t any_number(void)
{
    static const uint32_t edges[] = {
        0, 1, 2, 3, 8, 16, 48, 64, PAGE, 2 * PAGE, 2 * PAGE - 24, 1u << 31, UINT32_MAX};
    uint32_t edge = edges[next() % COUNT_OF(edges)];
    switch (next() % 4) {
    case 0:
        return edge;
    case 1:
        return edge - (uint32_t)(next() % 64);
    case 2:
        return edge + (uint32_t)(next() % 64);
    default:
        return (uint32_t)next();
    }
}

typedef uint32_t call_fn(const uint32_t *a);
#define CALL(name, ...)                                                                            \
    static uint32_t call_##name(const uint32_t *a)                                                 \
    {                                                                                              \
        return wasi_##name(__VA_ARGS__);                                                           \
    }
CALL(args_get, a[0], a[1])
CALL(args_sizes_get, a[0], a[1])
CALL(environ_get, a[0], a[1])
CALL(environ_sizes_get, a[0], a[1])
CALL(clock_res_get, a[0], a[1])
CALL(clock_time_get, a[0], a[1], a[2])
CALL(fd_close, a[0])
CALL(fd_fdstat_get, a[0], a[1])
CALL(fd_fdstat_set_flags, a[0], a[1])
CALL(fd_fdstat_set_rights, a[0], a[1], a[2])
CALL(fd_filestat_get, a[0], a[1])
CALL(fd_pread, a[0], a[1], a[2], a[3], a[4])
CALL(fd_prestat_get, a[0], a[1])
CALL(fd_prestat_dir_name, a[0], a[1], a[2])
CALL(fd_pwrite, a[0], a[1], a[2], a[3], a[4])
CALL(fd_read, a[0], a[1], a[2], a[3])
CALL(fd_readdir, a[0], a[1], a[2], a[3], a[4])
CALL(fd_renumber, a[0], a[1])
CALL(fd_seek, a[0], a[1], a[2], a[3])
CALL(fd_tell, a[0], a[1])
CALL(fd_write, a[0], a[1], a[2], a[3])
CALL(path_filestat_get, a[0], a[1], a[2], a[3], a[4])
CALL(path_link, a[0], a[1], a[2], a[3], a[4], a[5], a[6])
CALL(path_open, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8])
CALL(path_readlink, a[0], a[1], a[2], a[3], a[4], a[5])
CALL(path_rename, a[0], a[1], a[2], a[3], a[4], a[5])
CALL(path_symlink, a[0], a[1], a[2], a[3], a[4])
CALL(random_get, a[0], a[1])
CALL(sock_recv, a[0], a[1], a[2], a[3], a[4], a[5])
CALL(sock_send, a[0], a[1], a[2], a[3], a[4])

static call_fn *const calls[] = {
    call_args_get,
    call_args_sizes_get,
    call_environ_get,
    call_environ_sizes_get,
    call_clock_res_get,
    call_clock_time_get,
    call_fd_close,
    call_fd_fdstat_get,
    call_fd_fdstat_set_flags,
    call_fd_filestat_get,
    call_fd_fdstat_set_rights,
    call_fd_pread,
    call_fd_prestat_get,
    call_fd_prestat_dir_name,
    call_fd_pwrite,
    call_fd_read,
    call_fd_readdir,
    call_fd_renumber,
    call_fd_seek,
    call_fd_tell,
    call_fd_write,
    call_path_filestat_get,
    call_path_link,
    call_path_open,
    call_path_readlink,
    call_path_rename,
    call_path_symlink,
    call_random_get,
    call_sock_recv,
    call_sock_send,
};

static void begin(void)
{
    wasi_begin();
    wasi.input = SLICE("what comes in");
}

static void fill_memory(void)
{
    uint64_t *words = (uint64_t *)(void *)memory.data;
    for (size_t i = 0; i < memory.size / sizeof(*words); i++)
        words[i] = next() % 3 == 0 ? any_number() | (uint64_t)any_number() << 32 : 0;
}

static void any_arguments(void **state)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t a[ARGUMENTS];
        if (round % 512 == 0)
            fill_memory();
        if (round % 16 == 0)
            begin();
        for (size_t i = 0; i < ARGUMENTS; i++)
            a[i] = any_number();
        if (next() % 2 == 0)
            a[0] = (uint32_t)(next() % 4); /* a descriptor, or the number of a clock */
        uint32_t status = calls[next() % COUNT_OF(calls)](a);
        assert_true(status <= WASI_NOTCAPABLE);
        assert_true(wasi.output.len <= wasi.output_max && wasi.input_at <= wasi.input.len);
    }
}

/* Those that would wait are not among the subscriptions: a descriptor is always ready. */
static void any_subscriptions(void **state)
{
    for (unsigned round = 0; round < 2000; round++) {
        fill_memory();
        begin();
        uint32_t from = any_number(), count = any_number() % 40 + 1;
        char *first = wasi_at(from, 48);
        if (first != NULL)
            first[8] = 1;
        uint32_t status = wasi_poll_oneoff(from, any_number(), count, any_number());
        assert_true(status <= WASI_NOTCAPABLE);
    }
}

static void bounds_are_exact(void **state)
{
    assert_non_null(wasi_at(0, 2 * PAGE));
    assert_null(wasi_at(0, 2 * PAGE + 1));
    assert_non_null(wasi_at(2 * PAGE, 0));
    assert_null(wasi_at(2 * PAGE + 1, 0));
    assert_non_null(wasi_at(2 * PAGE - 8, 8));
    assert_null(wasi_at(2 * PAGE - 7, 8));
    assert_null(wasi_at(UINT32_MAX, UINT32_MAX));
    assert_null(wasi_at(1, UINT64_MAX));
    wasi.memory = NULL;
    assert_null(wasi_at(0, 0));
    assert_int_equal(wasi_args_sizes_get(0, 4), WASI_FAULT);
    wasi.memory = &memory;
    memory.pages = PAGE; /* 4 GiB, whose size in bytes is 0 in 32 bits */
    memory.size = 0;
    assert_non_null(wasi_at(UINT32_MAX, 1));
    assert_null(wasi_at(UINT32_MAX, 2));
    memory.pages = 2;
    memory.size = 2 * PAGE;
}

/* Vectors may overlap the list that names them, and each other. */
static void overlapping_vectors(void **state)
{
    begin();
    memset(memory.data, 0, 256);
    const uint32_t list[] = {0, 8, 4, 8};
    memcpy(memory.data, list, sizeof(list));
    assert_int_equal(wasi_fd_read(0, 0, 2, 100), WASI_SUCCESS);
    begin();
    memcpy(memory.data, list, sizeof(list));
    assert_int_equal(wasi_fd_write(1, 0, 2, 0), WASI_SUCCESS);
    assert_int_equal(wasi.output.len, 16);
    assert_int_equal(wasi_get_u32(memory.data), 16);
}

/* Lines without text are reports all the same. */
static void empty_lines_are_counted(void **state)
{
    begin();
    wasi.log_max = 4;
    wasi_write_error(SLICE("\n\n\n"));
    assert_false(wasi.log_cut);
    wasi_write_error(SLICE("\n\n\n"));
    assert_true(wasi.log_cut);
    wasi.log_max = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_exact),        cmocka_unit_test(overlapping_vectors),
        cmocka_unit_test(empty_lines_are_counted), cmocka_unit_test(any_arguments),
        cmocka_unit_test(any_subscriptions),
    };
    return cmocka_run_group_tests(tests, make_memory, NULL);
}
