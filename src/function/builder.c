/* SPDX-License-Identifier: Apache-2.0 */
/* sluice-builder: turns one WebAssembly module, read from standard input, into a shared object in
 * the cache folder. A program of its own, because it forks and confines itself: the broker has
 * threads and spawns it. It answers with one JSON object on standard output:
 *   {"ok":true,"path":…,"cached":…,"landlock":…,"milliseconds":…,"exports":{"add":"ii:i"}}
 *   {"ok":false,"reason":…,"message":…,"field":…}
 * and exits with 0 or 1.
 *
 * Hostile are the module's bytes, and for good measure everything that wasm2c and the C compiler
 * make of them: this process parses, under Landlock and seccomp; the children see a private folder
 * and the system's programs; their result is checked before it gets a name in the cache. */
#include "base/clock.h"
#include "base/encoding.h"
#include "base/fdio.h"
#include "base/memory.h"
#include "function/command.h"
#include "function/confine.h"
#include "function/module.h"
#include "function/object.h"
#include "linear_memory_text.h"
#include "module_abi_text.h"
#include "wasm2c_accessors_text.h"
#include "worker/module_abi.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <nettle/sha2.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

/* Raise it when the same module has to be compiled anew: other flags, another descriptor. */
#define BUILDER_REVISION "4"
#define SMALL_MODULE     (256u << 10) /* bytes: -O2 takes about twice the time of -O1 */
#define REPORT_EXPORTS   256
#define CACHE_FILES_MAX  200
#define TRANSLATED_HEAD  16384 /* bytes of wasm2c's output in which its accessors stand */

#if defined(__SANITIZE_ADDRESS__)
/* The leak check at the end wants ptrace, which a confined process has not. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

struct builder {
    const char *cache;    /* folder */
    const char *function; /* export that must be there; "": one of the usual; NULL: any */
    uint32_t memory_pages, cache_files;
    struct command_limits limits;
    char *wasm2c, *compiler; /* paths; NULL: not installed */
    bool landlock, cached;
    char key[SHA256_DIGEST_SIZE * 2 + 1];
    struct buf bytes;
    struct module *module;
    char *folder; /* the private one */
    char *result; /* path in the cache */
    const char *reason;
    struct error err;
};

static const char *const system_paths[] = {
    "/usr", "/lib", "/lib64", "/bin", "/etc/alternatives", "/etc/ld.so.cache", "/proc/self", NULL,
};

static int fail(struct builder *b, const char *reason, int code)
{
    b->reason = reason;
    return code;
}

/* ---- input ---- */

static int read_module(struct builder *b)
{
    size_t max = module_limits_default.bytes_max + 1; /* one more: too large is the check's news */
    for (;;) {
        char *at = buf_reserve(&b->bytes, 65536);
        if (at == NULL)
            return fail(b, "BuildFailed", error_set(&b->err, -ENOMEM, "out of memory"));
        ssize_t n = read(STDIN_FILENO, at, 65536);
        if (n == 0 || b->bytes.len >= max)
            return 0;
        if (n < 0 && errno != EINTR)
            return fail(b, "BuildFailed",
                        error_set(&b->err, -errno, "reading the module: %s", strerror(errno)));
        b->bytes.len += n > 0 ? (size_t)n : 0;
    }
}

static int check_export(struct builder *b, const char *name)
{
    const struct module_export *e;
    return module_find_function(b->module, name, &e, &b->err);
}

/* As the worker chooses when none is named. */
static int check_usual_exports(struct builder *b)
{
    if (check_export(b, "_start") == 0)
        return 0;
    b->err = (struct error)ERROR_INIT;
    return check_export(b, "handle");
}

static int check_module(struct builder *b)
{
    struct module_limits limits = module_limits_default;
    limits.memory_pages_max = b->memory_pages;
    int r = module_parse(buf_slice(&b->bytes), &limits, module_imports_given, &b->module, &b->err);
    if (r < 0) {
        if (b->err.field[0] == '\0')
            snprintf(b->err.field, sizeof(b->err.field), "spec.module");
        return fail(b, "ModuleRefused", r);
    }
    if (b->function != NULL)
        r = b->function[0] != '\0' ? check_export(b, b->function) : check_usual_exports(b);
    return r < 0 ? fail(b, "ExportMissing", r) : 0;
}

/* ---- the cache ---- */

static void add_identity(struct sha256_ctx *hash, const char *path)
{
    struct stat info = {0};
    if (path != NULL)
        (void)stat(path, &info);
    char text[160];
    int len = snprintf(text, sizeof(text), "%lld %lld.%ld;", (long long)info.st_size,
                       (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    sha256_update(hash, (size_t)len, (const uint8_t *)text);
}

/* Module bytes, descriptor, accessors, and the programs' size and time stand for what would come
 * out. */
static int make_key(struct builder *b)
{
    struct sha256_ctx hash;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&hash);
    sha256_update(&hash, sizeof(BUILDER_REVISION), (const uint8_t *)BUILDER_REVISION);
    sha256_update(&hash, sizeof(module_abi_text), (const uint8_t *)module_abi_text);
    sha256_update(&hash, sizeof(linear_memory_text), (const uint8_t *)linear_memory_text);
    add_identity(&hash, b->wasm2c);
    add_identity(&hash, b->compiler);
    sha256_update(&hash, b->bytes.len, (const uint8_t *)b->bytes.ptr);
    sha256_digest(&hash, sizeof(digest), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(b->key + 2 * i, 3, "%02x", digest[i]);
    if (asprintf(&b->result, "%s/%s.so", b->cache, b->key) < 0) {
        b->result = NULL;
        return fail(b, "BuildFailed", error_set(&b->err, -ENOMEM, "out of memory"));
    }
    b->cached = access(b->result, R_OK) == 0;
    if (b->cached)
        (void)utimensat(AT_FDCWD, b->result, NULL, 0); /* newest, for what trims the cache */
    return 0;
}

/* ---- translation ---- */

static int write_part(struct builder *b, const char *name, struct slice text)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", b->folder, name);
    autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : fdio_write_all(fd, text.ptr, text.len);
    if (r < 0)
        return fail(b, "BuildFailed",
                    error_set(&b->err, r, "cannot write %s: %s", path, strerror(-r)));
    return 0;
}

static int write_parts(struct builder *b)
{
    autobuf rewritten = BUF_INIT;
    autobuf descriptor = BUF_INIT;
    module_rewrite(b->module, &rewritten);
    module_describe(b->module, "module.h", &descriptor);
    if (!buf_ok(&rewritten) || !buf_ok(&descriptor))
        return fail(b, "BuildFailed", error_set(&b->err, -ENOMEM, "out of memory"));
    int r = write_part(b, "module.wasm", buf_slice(&rewritten));
    if (r == 0)
        r = write_part(b, "descriptor.c", buf_slice(&descriptor));
    if (r == 0)
        r = write_part(b, "module_abi.h", slice_text(module_abi_text));
    if (r == 0)
        r = write_part(b, "linear_memory.h", slice_text(linear_memory_text));
    return r;
}

static const char *reason_of(int code)
{
    return code == -ETIME || code == -ENOMEM ? "BuildLimit" : "BuildFailed";
}

static int run(struct builder *b, const char *name, const char *const *argv)
{
    const struct command c = {
        .argv = argv,
        .name = name,
        .folder = b->folder,
        .readable = system_paths,
        .limits = b->limits,
    };
    int r = command_run(&c, &b->err);
    return r < 0 ? fail(b, reason_of(r), r) : 0;
}

static int translate(struct builder *b)
{
    const char *const argv[] = {b->wasm2c, "module.wasm", "--no-debug-names", "-n",
                                "m",       "-o",          "module.c",         NULL};
    return run(b, "wasm2c", argv);
}

/* Puts linear_memory.h in the place of wasm2c's own accessors, which stand in the part of its
 * output that no module has a say in; blanks keep the length, so that the rest stays where it is.
 */
static int replace_accessors(struct builder *b)
{
    static const char include[] = "#include \"linear_memory.h\"\n";
    char path[4096], head[TRANSLATED_HEAD];
    char blanks[sizeof(wasm2c_accessors_text) - 1];
    snprintf(path, sizeof(path), "%s/module.c", b->folder);
    autoclose int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    ssize_t len = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);
    const char *at =
        len < 0 ? NULL : memmem(head, (size_t)len, wasm2c_accessors_text, sizeof(blanks));
    if (at == NULL)
        return fail(b, "BuildFailed",
                    error_set(&b->err, -ENOTSUP,
                              "wasm2c does not write what is expected of it: install version "
                              "1.0.32 of the package wabt"));
    memset(blanks, ' ', sizeof(blanks));
    memcpy(blanks, include, sizeof(include) - 1);
    blanks[sizeof(blanks) - 1] = '\n';
    if (pwrite(fd, blanks, sizeof(blanks), at - head) != (ssize_t)sizeof(blanks))
        return fail(b, "BuildFailed",
                    error_set(&b->err, -EIO, "cannot write %s: %s", path, strerror(errno)));
    return 0;
}

/* -nostartfiles: no start-up objects, hence nothing that runs at load time, which object_check
 * insists on. The flags behind -w keep wasm2c's arithmetic what the specification wants, and let
 * memory begin at address 0 (see linear_memory.h). */
static int compile(struct builder *b)
{
    bool small = b->bytes.len <= SMALL_MODULE;
    const char *const argv[] = {b->compiler,
                                small ? "-O2" : "-O1",
                                "-std=gnu11",
                                "-w",
                                "-fno-optimize-sibling-calls",
                                "-frounding-math",
                                "-fsignaling-nans",
                                "-fno-delete-null-pointer-checks",
                                "-fPIC",
                                "-fvisibility=hidden",
                                "-fstack-clash-protection",
                                "-fno-lto",
                                "-shared",
                                "-nostartfiles",
                                "-I.",
                                "-I/usr/share/wabt/wasm2c",
                                "-Wl,-z,now,-z,relro,-z,noexecstack,-Bsymbolic",
                                "-Wl,--hash-style=sysv,--as-needed,--no-undefined-version",
                                "-Wl,--build-id=none",
                                "-o",
                                "module.so",
                                "module.c",
                                "descriptor.c",
                                NULL};
    return run(b, "the C compiler", argv);
}

static int check_result(struct builder *b, const char *path)
{
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode) || info.st_size == 0)
        return fail(b, "BuildFailed",
                    error_set(&b->err, -ENOEXEC, "the C compiler left no shared object"));
    size_t len = (size_t)info.st_size;
    void *bytes = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return fail(b, "BuildFailed", error_set(&b->err, -errno, "%s: %s", path, strerror(errno)));
    int r = object_check(slice_of(bytes, len), &b->err);
    munmap(bytes, len);
    if (r == 0 && (fchmod(fd, 0600) < 0 || fsync(fd) < 0))
        r = error_set(&b->err, -errno, "%s: %s", path, strerror(errno));
    return r < 0 ? fail(b, "BuildFailed", r) : 0;
}

/* The shared object that was not used for longest; *ret_count is how many there are. */
static char *find_oldest(const char *cache, unsigned *ret_count)
{
    char *oldest = NULL;
    struct timespec time = {0};
    DIR *folder = opendir(cache);
    *ret_count = 0;
    for (struct dirent *e; folder != NULL && (e = readdir(folder)) != NULL;) {
        struct stat info;
        if (!slice_ends(slice_text(e->d_name), ".so") ||
            fstatat(dirfd(folder), e->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        ++*ret_count;
        if (oldest != NULL &&
            (info.st_mtim.tv_sec > time.tv_sec ||
             (info.st_mtim.tv_sec == time.tv_sec && info.st_mtim.tv_nsec >= time.tv_nsec)))
            continue;
        free(oldest);
        oldest = strdup(e->d_name);
        time = info.st_mtim;
    }
    if (folder != NULL)
        closedir(folder);
    return oldest;
}

/* Workers hold what they run open: a file that goes here is missed by nobody before a restart, and
 * built again then. */
static void trim_cache(const struct builder *b)
{
    for (;;) {
        unsigned count;
        autofree char *oldest = find_oldest(b->cache, &count);
        autofree char *path = NULL;
        if (count <= b->cache_files || oldest == NULL)
            return;
        if (asprintf(&path, "%s/%s", b->cache, oldest) < 0) {
            path = NULL;
            return;
        }
        if (unlink(path) < 0)
            return;
    }
}

static int keep_result(struct builder *b)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/module.so", b->folder);
    int r = check_result(b, path);
    if (r == 0 && rename(path, b->result) < 0)
        r = fail(b, "BuildFailed",
                 error_set(&b->err, -errno, "cannot put %s into the cache: %s", b->result,
                           strerror(errno)));
    return r;
}

static int need_programs(struct builder *b)
{
    if (b->wasm2c == NULL)
        return fail(b, "CompilerMissing",
                    error_set(&b->err, -ENOENT,
                              "wasm2c is not installed, and this module is not in the cache: "
                              "install the package wabt"));
    if (b->compiler == NULL)
        return fail(b, "CompilerMissing",
                    error_set(&b->err, -ENOENT,
                              "no C compiler is installed, and this module is not in the cache: "
                              "install the package gcc or clang"));
    return 0;
}

static int make_folder(struct builder *b)
{
    if (asprintf(&b->folder, "%s/tmp.XXXXXX", b->cache) < 0)
        b->folder = NULL;
    if (b->folder == NULL || mkdtemp(b->folder) == NULL) {
        int r =
            error_set(&b->err, -errno, "no working folder in %s: %s", b->cache, strerror(errno));
        free(STEAL(b->folder));
        return fail(b, "BuildFailed", r);
    }
    return 0;
}

static int build(struct builder *b)
{
    int r = need_programs(b);
    if (r == 0)
        r = make_folder(b);
    if (r == 0)
        r = write_parts(b);
    if (r == 0)
        r = translate(b);
    if (r == 0)
        r = replace_accessors(b);
    if (r == 0)
        r = compile(b);
    if (r == 0)
        r = keep_result(b);
    if (b->folder != NULL)
        (void)fdio_remove_tree(b->folder);
    if (r == 0)
        trim_cache(b);
    return r;
}

/* ---- confinement and report ---- */

/* The broker does not want the result any more, or is gone. The working folder is swept later. */
static void on_terminate(int signal_number)
{
    command_abort(); /* kill() and nothing else. NOLINT(bugprone-signal-handler) */
    _exit(1);
}

static int prepare(struct builder *b)
{
    static const char *const translators[] = {"wasm2c", NULL};
    static const char *const compilers[] = {"cc", "gcc", "clang", NULL};
    (void)command_find(translators, &b->wasm2c);
    (void)command_find(compilers, &b->compiler);
    (void)signal(SIGTERM, on_terminate);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    const struct confine_rules rules = {
        .readable = system_paths,
        .writable = b->cache,
        .supervisor = true,
    };
    int r = confine_self(&rules, &b->landlock, &b->err);
    return r < 0 ? fail(b, "BuildFailed", r) : 0;
}

static json_t *report_exports(const struct module *m)
{
    json_t *all = json_object();
    for (uint32_t i = 0; i < m->export_count && json_object_size(all) < REPORT_EXPORTS; i++) {
        const struct module_export *e = &m->exports[i];
        autobuf signature = BUF_INIT;
        if (!module_callable(m, e) || !module_signature(m, e->index, &signature))
            continue;
        autofree char *name = slice_dup(e->name);
        if (name != NULL && buf_ok(&signature))
            json_object_set_new(all, name, json_string(signature.ptr));
    }
    return all;
}

static json_t *report(struct builder *b, int r, uint64_t started)
{
    if (r < 0)
        return json_pack("{s:b,s:s,s:s,s:s}", "ok", 0, "reason", b->reason, "message",
                         b->err.message, "field", b->err.field);
    return json_pack("{s:b,s:s,s:s,s:b,s:b,s:I,s:o}", "ok", 1, "path", b->result, "key", b->key,
                     "cached", b->cached, "landlock", b->landlock, "milliseconds",
                     (json_int_t)((clock_monotonic() - started) / CLOCK_MILLISECOND), "exports",
                     report_exports(b->module));
}

static int print_report(json_t *answer)
{
    char *text = answer != NULL ? json_dumps(answer, JSON_COMPACT) : NULL;
    int r = text == NULL ? -ENOMEM : fdio_write_all(STDOUT_FILENO, text, strlen(text));
    if (r == 0)
        r = fdio_write_all(STDOUT_FILENO, "\n", 1);
    free(text);
    json_decref(answer);
    return r;
}

static int usage(void)
{
    fprintf(stderr, "usage: sluice-builder --cache DIR [--function NAME] [--memory-pages N]\n"
                    "                      [--cpu-seconds N] [--memory-mib N] [--cache-files N]\n"
                    "                      <module.wasm\n");
    return 2;
}

static int read_number(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t value;
    if (encoding_parse_u64(slice_text(text), &value) < 0 || value == 0 || value > max)
        return -EINVAL;
    *ret = value;
    return 0;
}

static int read_options(struct builder *b, int argc, char **argv)
{
    static const struct option options[] = {
        {"cache", required_argument, NULL, 'c'},
        {"function", required_argument, NULL, 'f'},
        {"memory-pages", required_argument, NULL, 'p'},
        {"cpu-seconds", required_argument, NULL, 's'},
        {"memory-mib", required_argument, NULL, 'm'},
        {"cache-files", required_argument, NULL, 'n'},
        {0},
    };
    uint64_t n = 0;
    int r = 0;
    for (int c; r == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'c')
            b->cache = optarg;
        else if (c == 'f')
            b->function = optarg;
        else if (c == 'p' && (r = read_number(optarg, MODULE_PAGE, &n)) == 0)
            b->memory_pages = (uint32_t)n;
        else if (c == 's' && (r = read_number(optarg, 3600, &n)) == 0)
            b->limits = (struct command_limits){n, n * 10, b->limits.memory_bytes};
        else if (c == 'm' && (r = read_number(optarg, 1u << 20, &n)) == 0)
            b->limits.memory_bytes = n << 20;
        else if (c == 'n' && (r = read_number(optarg, 1u << 20, &n)) == 0)
            b->cache_files = (uint32_t)n;
        else if (r == 0)
            r = -EINVAL;
    }
    return r < 0 || b->cache == NULL || optind != argc ? -EINVAL : 0;
}

int main(int argc, char **argv)
{
    uint64_t started = clock_monotonic();
    struct builder b = {
        .memory_pages = module_limits_default.memory_pages_max,
        .cache_files = CACHE_FILES_MAX,
        .limits = {.cpu_seconds = 300, .wall_seconds = 800, .memory_bytes = UINT64_C(4) << 30},
        .reason = "BuildFailed",
        .err = ERROR_INIT,
    };
    if (read_options(&b, argc, argv) < 0)
        return usage();
    int r = prepare(&b);
    if (r == 0)
        r = read_module(&b);
    if (r == 0)
        r = check_module(&b);
    if (r == 0)
        r = make_key(&b);
    if (r == 0 && !b.cached)
        r = build(&b);
    int printed = print_report(report(&b, r, started));
    module_free(b.module);
    buf_done(&b.bytes);
    free(b.wasm2c);
    free(b.compiler);
    free(b.folder);
    free(b.result);
    /* No exit handlers: what they may want to do, as a leak checker does, a confined process
     * cannot. */
    fflush(NULL);
    _exit(r < 0 || printed < 0 ? 1 : 0);
}
