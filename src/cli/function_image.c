/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/function_image.h"

#include "base/fdio.h"
#include "base/memory.h"
#include "cli/place.h"
#include "cli/subprocess.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define PROGRAM_MAX    (64u << 20)
#define WORKER_PATH    "usr/bin/sluice-worker"
#define FETCHER_PATH   "usr/bin/sluice-fetcher"
#define BUNDLE_PATH    "function/bundle.json"
#define MODULE_PATH    "function/module.so"
#define AUTHORITIES    "/etc/ssl/certs/ca-certificates.crt"
#define PORT           "8080"
#define USER_AND_GROUP "65532:65532" /* what images without a root call nonroot */

/* ---- programs and libraries ---- */

static int add_file(struct tree *tree, const char *from, const char *to, unsigned mode, bool strip,
                    struct error *err)
{
    autobuf bytes = BUF_INIT;
    if (tree_has(tree, to))
        return 0;
    int r = fdio_read_file(from, PROGRAM_MAX, &bytes);
    if (r == 0 && strip)
        r = elf_strip(&bytes);
    if (r == 0)
        r = tree_add(tree, to, mode, buf_slice(&bytes));
    return r < 0 ? error_set(err, r, "cannot put %s into the image: %s", from, strerror(-r)) : 0;
}

/* A line of the loader's list: "\tNAME => PATH (0x…)" or "\tPATH (0x…)"; others are the kernel's.
 */
static int add_library(struct tree *tree, struct slice line, struct error *err)
{
    autofree char *text = slice_dup(line);
    if (text == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    char *arrow = strstr(text, "=> "),
         *path = arrow != NULL ? arrow + 3 : text + strspn(text, "\t ");
    if (strncmp(path, "not found", 9) == 0)
        return error_set(err, -ENOENT, "a library is missing:%s", text);
    path[strcspn(path, " ")] = '\0';
    return path[0] == '/' ? add_file(tree, path, path + 1, 0755, true, err) : 0;
}

/* All that the loader would load for it; the loader itself says what. */
static int add_libraries(struct tree *tree, const char *loader, const char *program,
                         struct error *err)
{
    const char *const argv[] = {loader, "--list", program, NULL};
    autobuf list = BUF_INIT;
    int code = 0;
    int r = subprocess_run(&(struct subprocess){.argv = argv}, &list, NULL, &code, err);
    if (r == 0 && code != 0)
        r = error_set(err, -ENOEXEC, "%s cannot list the libraries of %s", loader, program);
    struct slice left = buf_slice(&list);
    while (r == 0 && left.len > 0) {
        const char *end = memchr(left.ptr, '\n', left.len);
        size_t len = end != NULL ? (size_t)(end - left.ptr) : left.len;
        r = add_library(tree, slice_of(left.ptr, len), err);
        left = slice_of(left.ptr + len + (end != NULL), left.len - len - (end != NULL));
    }
    return r;
}

static int find_loader(const char *program, char ret[256], struct error *err)
{
    autobuf bytes = BUF_INIT;
    ret[0] = '\0';
    int r = fdio_read_file(program, PROGRAM_MAX, &bytes);
    if (r == 0)
        r = elf_interpreter(buf_slice(&bytes), ret);
    if (r == 0 && ret[0] == '\0')
        return 0; /* linked statically */
    return r < 0 ? error_set(err, r, "%s cannot be read as a program: %s", program, strerror(-r))
                 : 0;
}

static int add_program(struct tree *tree, const char *program, const char *to, struct error *err)
{
    char loader[256];
    int r = find_loader(program, loader, err);
    if (r == 0)
        r = add_file(tree, program, to, 0755, true, err);
    if (r == 0 && loader[0] != '\0')
        r = add_file(tree, loader, loader + 1, 0755, true, err);
    if (r == 0 && loader[0] != '\0')
        r = add_libraries(tree, loader, program, err);
    return r;
}

/* ---- fetch ---- */

/* The library that sluice-fetcher loads when the first https request comes: with the C library. */
static int add_curl(struct tree *tree, const char *loader, struct error *err)
{
    static const char *const folders[] = {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
                                          "/usr/lib64", "/usr/lib"};
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", folders[i], SLUICE_CURL_FILE);
        if (access(path, R_OK) < 0)
            continue;
        int r = add_file(tree, path, path + 1, 0755, true, err);
        return r < 0 ? r : add_libraries(tree, loader, path, err);
    }
    return error_set(err, -ENOENT,
                     "the function fetches, which takes " SLUICE_CURL_FILE ": install libcurl");
}

static bool fetches(const struct project *p)
{
    return json_array_size(resource_at(p->object, "spec.network.allow")) > 0;
}

static int add_fetcher(struct tree *tree, struct error *err)
{
    autofree char *fetcher = place_program("sluice-fetcher");
    char loader[256];
    if (fetcher == NULL)
        return error_set(err, -ENOENT, "the sluice-fetcher program is not beside sluice");
    int r = find_loader(fetcher, loader, err);
    if (r == 0)
        r = add_program(tree, fetcher, FETCHER_PATH, err);
    if (r == 0)
        r = add_curl(tree, loader, err);
    return r < 0 ? r : add_file(tree, AUTHORITIES, AUTHORITIES + 1, 0644, false, err);
}

/* ---- the layers ---- */

static int add_system(struct tree *tree)
{
    static const char users[] = "root:x:0:0:root:/:/sbin/nologin\n"
                                "nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
                                "nobody:x:65534:65534:nobody:/:/sbin/nologin\n";
    static const char groups[] = "root:x:0:\nnonroot:x:65532:\nnogroup:x:65534:\n";
    static const char names[] = "hosts: files dns\n";
    int r = tree_add(tree, "etc/passwd", 0644, slice_of(users, sizeof(users) - 1));
    if (r == 0)
        r = tree_add(tree, "etc/group", 0644, slice_of(groups, sizeof(groups) - 1));
    if (r == 0)
        r = tree_add(tree, "etc/nsswitch.conf", 0644, slice_of(names, sizeof(names) - 1));
    return r < 0 ? r : tree_add_folder(tree, "tmp", 01777);
}

int function_image_server(const struct project *p, const struct instance_code *code,
                          struct tree *tree, struct error *err)
{
    autofree char *worker = place_program("sluice-worker");
    char loader[256];
    if (worker == NULL)
        return error_set(err, -ENOENT, "the sluice-worker program is not beside sluice");
    int r = add_system(tree);
    if (r < 0)
        return error_set(err, r, "cannot make the image: %s", strerror(-r));
    r = find_loader(worker, loader, err);
    if (r == 0)
        r = add_program(tree, worker, WORKER_PATH, err);
    if (r == 0 && code->module != NULL)
        r = add_libraries(tree, loader, code->module, err);
    return r == 0 && fetches(p) ? add_fetcher(tree, err) : r;
}

int function_image_code(const struct instance_code *code, struct tree *tree, struct error *err)
{
    int r = tree_add(tree, BUNDLE_PATH, 0644, slice_text(code->bundle));
    if (r < 0)
        return error_set(err, r, "cannot make the image: %s", strerror(-r));
    return code->module != NULL ? add_file(tree, code->module, MODULE_PATH, 0644, true, err) : 0;
}

const char *function_image_architecture(void)
{
    static const struct {
        const char *machine, *architecture;
    } names[] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}};
    static struct utsname system;
    (void)uname(&system);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(system.machine, names[i].machine) == 0)
            return names[i].architecture;
    }
    return system.machine;
}

json_t *function_image_config(const struct project *p, const struct instance_code *code)
{
    json_t *words = json_pack("[ssssss]", "/" WORKER_PATH, "serve", "--bundle", "/" BUNDLE_PATH,
                              "--environment", "own");
    if (code->module != NULL) {
        json_array_append_new(words, json_string("--module"));
        json_array_append_new(words, json_string("/" MODULE_PATH));
    }
    return json_pack("{s:s, s:[ss], s:o, s:{s:{}}, s:s, s:s, s:{s:s, s:s, s:s}}", "User",
                     USER_AND_GROUP, "Env", "PATH=/usr/bin", "PORT=" PORT, "Entrypoint", words,
                     "ExposedPorts", PORT "/tcp", "WorkingDir", "/", "StopSignal", "SIGTERM",
                     "Labels", "org.opencontainers.image.title", p->name, "dev.sluice.runtime",
                     p->runtime, "dev.sluice.version", SLUICE_VERSION);
}
