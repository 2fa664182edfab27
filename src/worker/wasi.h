/* SPDX-License-Identifier: Apache-2.0 */
/* WASI preview 1 for modules: what a program has of its surroundings during one call. There are
 * standard input, output and error output, arguments, environment, clocks and randomness; no files
 * and no network. The functions themselves are called by translated code only
 * (function/module_imports.c lists them). */
#ifndef SLUICE_WORKER_WASI_H
#define SLUICE_WORKER_WASI_H

#include "worker/worker_internal.h"

#define WASI_DESCRIPTORS 3

/* Strings as the guest gets them: each with a NUL behind. */
struct wasi_strings {
    struct buf text;
    uint32_t count;
};
void wasi_strings_reset(struct wasi_strings *s);
void wasi_strings_add(struct wasi_strings *s, struct slice string);

struct wasi_descriptor {
    bool open;
    uint8_t stream; /* 0 input, 1 output, 2 error output */
    uint16_t flags;
    uint64_t rights, inheriting;
};

struct wasi {
    wasm_rt_memory_t *memory; /* NULL: the module has none */

    /* Set before a call. */
    struct slice input;
    size_t output_max;
    bool output_is_log; /* standard output is logged, too */
    uint64_t log_max;
    struct slice event_id; /* for log lines */
    struct wasi_strings arguments, environment;

    /* What came out. */
    struct buf output;
    struct buf errors; /* the end of the error output */
    bool exited, output_full;
    uint32_t exit_code;

    /* Inside. */
    size_t input_at;
    struct buf line; /* of the error output, not yet ended */
    uint64_t log_bytes;
    bool log_cut;
    uint64_t cpu_start;
    struct wasi_descriptor descriptors[WASI_DESCRIPTORS];
};
extern struct wasi wasi;

/* Forgets the last call: descriptors as at the start, no input, no output. Arguments and
 * environment stay. */
void wasi_begin(void);
/* After the call: the error output's last line is logged. */
void wasi_end(void);

/* ---- for wasi*.c and their tests ---- */

enum wasi_errno {
    WASI_SUCCESS = 0,
    WASI_BADF = 8,
    WASI_FAULT = 21,
    WASI_INVAL = 28,
    WASI_NOSYS = 52,
    WASI_NOTDIR = 54,
    WASI_NOTSOCK = 57,
    WASI_NOTSUP = 58,
    WASI_OVERFLOW = 61,
    WASI_SPIPE = 70,
    WASI_NOTCAPABLE = 76,
};

#define WASI_RIGHT_READ  (UINT64_C(1) << 1)
#define WASI_RIGHT_WRITE (UINT64_C(1) << 6)

/* len bytes of the guest's memory at address, or NULL when they are not all there. Good until the
 * guest runs again. */
void *wasi_at(uint32_t address, uint64_t len);
/* Little-endian, as the guest has them; only after wasi_at(). */
static inline uint32_t wasi_get_u32(const void *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof(v));
    return v;
}
static inline uint64_t wasi_get_u64(const void *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof(v));
    return v;
}
/* WASI_SUCCESS or WASI_FAULT. */
uint32_t wasi_put_u32(uint32_t address, uint32_t value);
uint32_t wasi_put_u64(uint32_t address, uint64_t value);

/* The open descriptor of that number, or NULL. */
struct wasi_descriptor *wasi_descriptor(uint32_t fd);
/* Nanoseconds of the clock; WASI_INVAL when there is none of that number. */
uint32_t wasi_clock(uint32_t id, uint64_t *ret);

/* Kept for the message of a bad end, and logged line by line. */
void wasi_write_error(struct slice text);

/* ---- the functions: as the guest calls them, but for what wasi_imports.c does around ---- */

void wasi_proc_exit(uint32_t code);
void wasi_script_abort(uint32_t message, uint32_t file, uint32_t line, uint32_t column);
void wasi_script_trace(uint32_t message, uint32_t count, const double *numbers);
uint32_t wasi_args_get(uint32_t pointers, uint32_t text);
uint32_t wasi_args_sizes_get(uint32_t ret_count, uint32_t ret_bytes);
uint32_t wasi_environ_get(uint32_t pointers, uint32_t text);
uint32_t wasi_environ_sizes_get(uint32_t ret_count, uint32_t ret_bytes);
uint32_t wasi_clock_res_get(uint32_t id, uint32_t ret);
uint32_t wasi_clock_time_get(uint32_t id, uint64_t precision, uint32_t ret);
uint32_t wasi_fd_advise(uint32_t fd, uint64_t offset, uint64_t len, uint32_t advice);
uint32_t wasi_fd_allocate(uint32_t fd, uint64_t offset, uint64_t len);
uint32_t wasi_fd_close(uint32_t fd);
uint32_t wasi_fd_datasync(uint32_t fd);
uint32_t wasi_fd_fdstat_get(uint32_t fd, uint32_t ret);
uint32_t wasi_fd_fdstat_set_flags(uint32_t fd, uint32_t flags);
uint32_t wasi_fd_fdstat_set_rights(uint32_t fd, uint64_t rights, uint64_t inheriting);
uint32_t wasi_fd_filestat_get(uint32_t fd, uint32_t ret);
uint32_t wasi_fd_filestat_set_size(uint32_t fd, uint64_t size);
uint32_t wasi_fd_filestat_set_times(uint32_t fd, uint64_t accessed, uint64_t modified,
                                    uint32_t flags);
uint32_t wasi_fd_pread(uint32_t fd, uint32_t vectors, uint32_t count, uint64_t offset,
                       uint32_t ret);
uint32_t wasi_fd_prestat_get(uint32_t fd, uint32_t ret);
uint32_t wasi_fd_prestat_dir_name(uint32_t fd, uint32_t path, uint32_t len);
uint32_t wasi_fd_pwrite(uint32_t fd, uint32_t vectors, uint32_t count, uint64_t offset,
                        uint32_t ret);
uint32_t wasi_fd_read(uint32_t fd, uint32_t vectors, uint32_t count, uint32_t ret);
uint32_t wasi_fd_readdir(uint32_t fd, uint32_t to, uint32_t len, uint64_t cookie, uint32_t ret);
uint32_t wasi_fd_renumber(uint32_t from, uint32_t to);
uint32_t wasi_fd_seek(uint32_t fd, uint64_t offset, uint32_t whence, uint32_t ret);
uint32_t wasi_fd_sync(uint32_t fd);
uint32_t wasi_fd_tell(uint32_t fd, uint32_t ret);
uint32_t wasi_fd_write(uint32_t fd, uint32_t vectors, uint32_t count, uint32_t ret);
uint32_t wasi_path_create_directory(uint32_t fd, uint32_t path, uint32_t len);
uint32_t wasi_path_filestat_get(uint32_t fd, uint32_t flags, uint32_t path, uint32_t len,
                                uint32_t ret);
uint32_t wasi_path_filestat_set_times(uint32_t fd, uint32_t lookup, uint32_t path, uint32_t len,
                                      uint64_t accessed, uint64_t modified, uint32_t flags);
uint32_t wasi_path_link(uint32_t old_fd, uint32_t flags, uint32_t old_path, uint32_t old_len,
                        uint32_t new_fd, uint32_t new_path, uint32_t new_len);
uint32_t wasi_path_open(uint32_t fd, uint32_t lookup, uint32_t path, uint32_t len, uint32_t flags,
                        uint64_t rights, uint64_t inheriting, uint32_t fd_flags, uint32_t ret);
uint32_t wasi_path_readlink(uint32_t fd, uint32_t path, uint32_t len, uint32_t to, uint32_t to_len,
                            uint32_t ret);
uint32_t wasi_path_remove_directory(uint32_t fd, uint32_t path, uint32_t len);
uint32_t wasi_path_rename(uint32_t old_fd, uint32_t old_path, uint32_t old_len, uint32_t new_fd,
                          uint32_t new_path, uint32_t new_len);
uint32_t wasi_path_symlink(uint32_t old_path, uint32_t old_len, uint32_t fd, uint32_t new_path,
                           uint32_t new_len);
uint32_t wasi_path_unlink_file(uint32_t fd, uint32_t path, uint32_t len);
uint32_t wasi_poll_oneoff(uint32_t from, uint32_t to, uint32_t count, uint32_t ret);
uint32_t wasi_proc_raise(uint32_t signal_number);
uint32_t wasi_random_get(uint32_t address, uint32_t len);
uint32_t wasi_sched_yield(void);
uint32_t wasi_sock_accept(uint32_t fd, uint32_t flags, uint32_t ret);
uint32_t wasi_sock_recv(uint32_t fd, uint32_t vectors, uint32_t count, uint32_t flags, uint32_t ret,
                        uint32_t ret_flags);
uint32_t wasi_sock_send(uint32_t fd, uint32_t vectors, uint32_t count, uint32_t flags,
                        uint32_t ret);
uint32_t wasi_sock_shutdown(uint32_t fd, uint32_t how);

#endif
