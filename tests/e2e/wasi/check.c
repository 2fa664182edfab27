/* SPDX-License-Identifier: Apache-2.0 */
/* What WASI preview 1 promises to a command, as far as there are no files: each group is run by its
 * name, which is the second argument, and says what did not hold on its standard output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wasi/api.h>

static int bad;

static void check(int line, const char *text, int good)
{
    if (!good) {
        printf("line %d: %s\n", line, text);
        bad++;
    }
}
#define CHECK(condition) check(__LINE__, #condition, (condition))
#define FAILS(call, expected)                                                                      \
    do {                                                                                           \
        __wasi_errno_t status = (call);                                                            \
        if (status != (expected))                                                                  \
            printf("line %d: %s gave %d, not %d\n", __LINE__, #call, status, (expected)), bad++;   \
    } while (0)

#define NOWHERE ((uint8_t *)0xfffffff0)

static void arguments(int argc, char **argv)
{
    __wasi_size_t count, bytes;
    FAILS(__wasi_args_sizes_get(&count, &bytes), 0);
    CHECK(count == 4 && argc == 4);
    CHECK(bytes == strlen(argv[0]) + strlen(argv[1]) + strlen(argv[2]) + strlen(argv[3]) + 4);
    CHECK(strcmp(argv[0], "check") == 0 && strcmp(argv[2], "two words") == 0);
    CHECK(strcmp(argv[3], "") == 0 && argv[4] == NULL);
    FAILS(__wasi_args_sizes_get((void *)NOWHERE, &bytes), __WASI_ERRNO_FAULT);
    FAILS(__wasi_args_get((uint8_t **)NOWHERE, (uint8_t *)argv[0]), __WASI_ERRNO_FAULT);
}

static void environment(int argc, char **argv)
{
    static const struct {
        const char *name, *value;
    } rows[] = {{"LEVEL", "debug"},
                {"CE_ID", "7"},
                {"CE_TYPE", "test.type"},
                {"CE_SPECVERSION", "1.0"},
                {"CE_SOURCE", "/test"},
                {"CE_TAG", "of the function"},
                {"REQUEST_METHOD", "POST"},
                {"PATH_INFO", "/a%20b"},
                {"QUERY_STRING", "x=1&y"},
                {"CONTENT_TYPE", "application/cloudevents+json"},
                {"SERVER_PROTOCOL", "HTTP/1.1"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *value = getenv(rows[i].name);
        if (value == NULL || strcmp(value, rows[i].value) != 0)
            printf("%s is %s\n", rows[i].name, value != NULL ? value : "not there"), bad++;
    }
    CHECK(getenv("HTTP_HOST") != NULL);
    CHECK(getenv("HTTP_AUTHORIZATION") == NULL);
    CHECK(getenv("PATH") == NULL && getenv("HOME") == NULL);
    FAILS(__wasi_environ_get((uint8_t **)NOWHERE, NOWHERE), __WASI_ERRNO_FAULT);
}

static void input(int argc, char **argv)
{
    char text[4096];
    __wasi_iovec_t parts[2] = {{(uint8_t *)text, 3}, {(uint8_t *)text + 3, sizeof(text) - 3}};
    __wasi_size_t n = 0;
    FAILS(__wasi_fd_read(0, parts, 2, &n), 0);
    CHECK(n > 20 && memcmp(text, "{\"specversion\":\"1.0\"", 20) == 0);
    CHECK(n == (size_t)atoi(getenv("CONTENT_LENGTH")) && text[n - 1] == '\n');
    FAILS(__wasi_fd_read(0, parts, 2, &n), 0);
    CHECK(n == 0);
    FAILS(__wasi_fd_read(1, parts, 2, &n), __WASI_ERRNO_BADF);
    FAILS(__wasi_fd_read(0, (void *)NOWHERE, 2, &n), __WASI_ERRNO_FAULT);
    FAILS(__wasi_fd_read(0, parts, 100000, &n), __WASI_ERRNO_INVAL);
    FAILS(__wasi_fd_read(0, parts, 1, (void *)NOWHERE), __WASI_ERRNO_FAULT);
    parts[0].buf_len = 0xffffffff;
    FAILS(__wasi_fd_read(0, parts, 1, &n), __WASI_ERRNO_FAULT);
}

static void output(int argc, char **argv)
{
    __wasi_ciovec_t parts[2] = {{(uint8_t *)"to", 2}, {(uint8_t *)"gether\n", 7}};
    __wasi_size_t n = 0;
    FAILS(__wasi_fd_write(1, parts, 2, &n), 0);
    CHECK(n == 9);
    FAILS(__wasi_fd_write(1, parts, 0, &n), 0);
    CHECK(n == 0);
    FAILS(__wasi_fd_write(2, parts, 1, &n), 0);
    FAILS(__wasi_fd_write(0, parts, 1, &n), __WASI_ERRNO_BADF);
    FAILS(__wasi_fd_write(7, parts, 1, &n), __WASI_ERRNO_BADF);
    parts[1].buf = NOWHERE;
    parts[1].buf_len = 17;
    FAILS(__wasi_fd_write(2, parts, 2, &n), __WASI_ERRNO_FAULT);
}

static void descriptors(int argc, char **argv)
{
    __wasi_fdstat_t s;
    __wasi_filestat_t f;
    __wasi_prestat_t p;
    __wasi_filesize_t at;
    __wasi_size_t n;
    uint8_t byte;
    __wasi_iovec_t part = {&byte, 1};
    for (__wasi_fd_t fd = 0; fd < 3; fd++) {
        FAILS(__wasi_fd_fdstat_get(fd, &s), 0);
        CHECK((s.fs_rights_base & __WASI_RIGHTS_FD_WRITE) == (fd > 0 ? __WASI_RIGHTS_FD_WRITE : 0));
        CHECK(s.fs_flags == 0 && s.fs_filetype == __WASI_FILETYPE_UNKNOWN);
        FAILS(__wasi_fd_filestat_get(fd, &f), 0);
        FAILS(__wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &at), __WASI_ERRNO_SPIPE);
        FAILS(__wasi_fd_tell(fd, &at), __WASI_ERRNO_SPIPE);
        FAILS(__wasi_fd_pread(fd, &part, 1, 0, &n), __WASI_ERRNO_SPIPE);
        FAILS(__wasi_fd_pwrite(fd, (void *)&part, 1, 0, &n), __WASI_ERRNO_SPIPE);
        FAILS(__wasi_fd_readdir(fd, &byte, 1, 0, &n), __WASI_ERRNO_NOTDIR);
        FAILS(__wasi_fd_sync(fd), __WASI_ERRNO_INVAL);
        FAILS(__wasi_fd_filestat_set_size(fd, 0), __WASI_ERRNO_INVAL);
        FAILS(__wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_NONBLOCK), 0);
        FAILS(__wasi_fd_fdstat_get(fd, &s), 0);
        CHECK(s.fs_flags == __WASI_FDFLAGS_NONBLOCK);
    }
    for (__wasi_fd_t fd = 3; fd < 6; fd++) {
        FAILS(__wasi_fd_prestat_get(fd, &p), __WASI_ERRNO_BADF);
        FAILS(__wasi_fd_fdstat_get(fd, &s), __WASI_ERRNO_BADF);
        FAILS(__wasi_fd_close(fd), __WASI_ERRNO_BADF);
        FAILS(__wasi_fd_advise(fd, 0, 0, 0), __WASI_ERRNO_BADF);
    }
    FAILS(__wasi_fd_fdstat_get(0, (void *)NOWHERE), __WASI_ERRNO_FAULT);
    FAILS(__wasi_fd_fdstat_set_rights(2, __WASI_RIGHTS_FD_READ, 0), __WASI_ERRNO_NOTCAPABLE);
    FAILS(__wasi_fd_fdstat_set_rights(2, 0, 0), 0);
    FAILS(__wasi_fd_write(2, (void *)&part, 1, &n), __WASI_ERRNO_NOTCAPABLE);
    FAILS(__wasi_fd_renumber(1, 9), __WASI_ERRNO_BADF);
    FAILS(__wasi_fd_renumber(1, 2), 0);
    FAILS(__wasi_fd_close(1), __WASI_ERRNO_BADF);
    __wasi_ciovec_t last = {(uint8_t *)"by two\n", 7};
    FAILS(__wasi_fd_write(2, &last, 1, &n), 0);
    FAILS(__wasi_fd_renumber(2, 0), 0);
    FAILS(__wasi_fd_write(0, &last, 1, &n), 0);
    fflush(stdout); /* nowhere any more */
    if (bad > 0)
        exit(100);
}

/* Through the functions as they are imported, since the C library looks for a folder first. */
#define FROM_WASI(name)                                                                            \
    __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) int raw_##name
FROM_WASI(path_open)(int, int, const char *, int, int, long long, long long, int, int *);
FROM_WASI(path_create_directory)(int, const char *, int);
FROM_WASI(path_filestat_get)(int, int, const char *, int, void *);
FROM_WASI(path_rename)(int, const char *, int, int, const char *, int);
FROM_WASI(path_unlink_file)(int, const char *, int);
FROM_WASI(path_symlink)(const char *, int, int, const char *, int);
FROM_WASI(sock_shutdown)(int, int);
FROM_WASI(sock_accept)(int, int, int *);
FROM_WASI(proc_raise)(int);

static void nothing_else(int argc, char **argv)
{
    int fd;
    char stat[64];
    CHECK(fopen("/etc/passwd", "r") == NULL);
    CHECK(access(".", R_OK) != 0);
    FAILS(raw_path_open(0, 0, "etc", 3, 0, 0, 0, 0, &fd), __WASI_ERRNO_NOTDIR);
    FAILS(raw_path_open(3, 0, "etc", 3, 0, 0, 0, 0, &fd), __WASI_ERRNO_BADF);
    FAILS(raw_path_open(3, 0, (char *)NOWHERE, 99, 0, 0, 0, 0, &fd), __WASI_ERRNO_FAULT);
    FAILS(raw_path_create_directory(3, "a", 1), __WASI_ERRNO_BADF);
    FAILS(raw_path_filestat_get(-1, 0, "a", 1, stat), __WASI_ERRNO_BADF);
    FAILS(raw_path_rename(1, "a", 1, 1, "b", 1), __WASI_ERRNO_NOTDIR);
    FAILS(raw_path_unlink_file(3, "a", 1), __WASI_ERRNO_BADF);
    FAILS(raw_path_symlink("a", 1, 3, "b", 1), __WASI_ERRNO_BADF);
    FAILS(raw_sock_shutdown(1, 0), __WASI_ERRNO_NOTSOCK);
    FAILS(raw_sock_accept(5, 0, &fd), __WASI_ERRNO_BADF);
    FAILS(raw_proc_raise(6), __WASI_ERRNO_NOSYS);
}

static void clocks(int argc, char **argv)
{
    __wasi_timestamp_t a, b, unit;
    for (uint32_t id = 0; id < 4; id++) {
        FAILS(__wasi_clock_res_get(id, &unit), 0);
        CHECK(unit > 0);
        FAILS(__wasi_clock_time_get(id, 1, &a), 0);
        FAILS(__wasi_clock_time_get(id, 1, &b), 0);
        CHECK(b >= a);
    }
    FAILS(__wasi_clock_time_get(__WASI_CLOCKID_REALTIME, 1, &a), 0);
    CHECK(a / 1000000000 == (uint64_t)time(NULL) || a / 1000000000 + 1 == (uint64_t)time(NULL));
    FAILS(__wasi_clock_time_get(9, 1, &a), __WASI_ERRNO_INVAL);
    FAILS(__wasi_clock_res_get(9, &a), __WASI_ERRNO_INVAL);
    FAILS(__wasi_clock_time_get(0, 1, (void *)NOWHERE), __WASI_ERRNO_FAULT);
}

static void randomness(int argc, char **argv)
{
    uint8_t a[1000] = {0}, b[1000] = {0};
    FAILS(__wasi_random_get(a, sizeof(a)), 0);
    FAILS(__wasi_random_get(b, sizeof(b)), 0);
    CHECK(memcmp(a, b, sizeof(a)) != 0);
    int zeros = 0;
    for (size_t i = 0; i < sizeof(a); i++)
        zeros += a[i] == 0;
    CHECK(zeros < 50);
    FAILS(__wasi_random_get(NOWHERE, 17), __WASI_ERRNO_FAULT);
    FAILS(__wasi_random_get(NOWHERE, 0), __WASI_ERRNO_FAULT);
}

static __wasi_subscription_t wake_after(uint64_t ns)
{
    __wasi_subscription_t s = {.userdata = 5};
    s.u.tag = __WASI_EVENTTYPE_CLOCK;
    s.u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    s.u.u.clock.timeout = ns;
    return s;
}

static void polling(int argc, char **argv)
{
    __wasi_timestamp_t before, after;
    __wasi_event_t events[3];
    __wasi_size_t n = 0;
    __wasi_subscription_t all[3] = {wake_after(30000000), {.userdata = 6}, {.userdata = 7}};
    FAILS(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &before), 0);
    FAILS(__wasi_poll_oneoff(all, events, 1, &n), 0);
    FAILS(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &after), 0);
    CHECK(n == 1 && events[0].userdata == 5 && events[0].error == 0);
    CHECK(after - before >= 30000000);
    all[0].u.u.clock.timeout = after; /* gone by already */
    all[0].u.u.clock.flags = __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME;
    FAILS(__wasi_poll_oneoff(all, events, 1, &n), 0);
    all[0] = wake_after(UINT64_MAX);
    all[1].u.tag = __WASI_EVENTTYPE_FD_READ;
    all[1].u.u.fd_read.file_descriptor = 0;
    all[2].u.tag = __WASI_EVENTTYPE_FD_WRITE;
    all[2].u.u.fd_write.file_descriptor = 8;
    FAILS(__wasi_poll_oneoff(all, events, 3, &n), 0);
    CHECK(n == 2 && events[0].userdata == 6 && events[0].error == 0);
    CHECK(events[0].type == __WASI_EVENTTYPE_FD_READ && events[0].fd_readwrite.nbytes > 20);
    CHECK(events[1].userdata == 7 && events[1].error == __WASI_ERRNO_BADF);
    FAILS(__wasi_poll_oneoff(all, events, 0, &n), __WASI_ERRNO_INVAL);
    FAILS(__wasi_poll_oneoff((void *)NOWHERE, events, 3, &n), __WASI_ERRNO_FAULT);
    FAILS(__wasi_poll_oneoff(all, (void *)NOWHERE, 1, &n), __WASI_ERRNO_FAULT);
    FAILS(__wasi_sched_yield(), 0);
}

static void fresh(int argc, char **argv)
{
    static int runs;
    volatile char *grown = malloc(3 << 20);
    CHECK(++runs == 1);
    CHECK(grown != NULL && grown[0] == 0 && grown[(3 << 20) - 1] == 0);
    for (int i = 0; grown != NULL && i < 3 << 20; i++)
        grown[i] = 7;
    setenv("LEFT", "behind", 1);
}

static const struct {
    const char *name;
    void (*run)(int argc, char **argv);
} groups[] = {
    {"arguments", arguments}, {"environment", environment}, {"input", input},
    {"output", output},       {"descriptors", descriptors}, {"nothing_else", nothing_else},
    {"clocks", clocks},       {"randomness", randomness},   {"polling", polling},
    {"fresh", fresh},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        if (argc > 1 && strcmp(argv[1], groups[i].name) == 0) {
            groups[i].run(argc, argv);
            if (bad == 0)
                printf("good\n");
            return 0;
        }
    printf("no such group\n");
    return 2;
}
