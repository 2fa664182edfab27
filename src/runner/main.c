/* SPDX-License-Identifier: Apache-2.0 */
/* sluice-runner: runs functions that are programs of their own (python, node, exec, and whatever
 * else stands in the runtimes' directory). protocol.h says how it is called. */
#include "base/encoding.h"
#include "base/log.h"
#include "base/memory.h"
#include "runner/protocol.h"
#include "runner/runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: sluice-runner serve --bundle FILE [--runtimes DIR]\n"
    "                           [--listen HOST:PORT|unix:PATH|fd:N] [--report fd:N]\n"
    "                           [--folder FOLDER] [--uid N] [--confine full|partial|none]\n"
    "       sluice-runner prepare --runtime FOLDER --folder FOLDER [--bundle FILE] [--uid N]\n"
    "                             [--confine full|partial|none]\n"
    "       sluice-runner worker --runtime FOLDER --folder FOLDER [--uid N]\n"
    "                            [--confine full|partial|none]   (started by sluice)\n"
    "       sluice-runner version\n"
    "\n"
    "serve answers HTTP with the function of a bundle. Without --listen it listens on port $PORT\n"
    "of all addresses, or on 127.0.0.1:8080 when that is not set.\n";

struct arguments {
    const char *runtime, *runtimes, *folder, *bundle, *listen, *report, *uid, *confine;
};

static bool parse_arguments(int argc, char **argv, struct arguments *a)
{
    const struct {
        const char *name;
        const char **to;
    } options[] = {
        {"--runtime", &a->runtime}, {"--runtimes", &a->runtimes}, {"--folder", &a->folder},
        {"--bundle", &a->bundle},   {"--listen", &a->listen},     {"--uid", &a->uid},
        {"--confine", &a->confine}, {"--report", &a->report},
    };
    for (int i = 2; i < argc; i += 2) {
        const char **to = NULL;
        for (size_t j = 0; j < COUNT_OF(options); j++)
            if (strcmp(argv[i], options[j].name) == 0)
                to = options[j].to;
        if (to == NULL || i + 1 >= argc)
            return false;
        *to = argv[i + 1];
    }
    return true;
}

static bool read_confinement(const char *text, enum confinement otherwise, enum confinement *ret)
{
    static const char *const names[] = {
        [CONFINEMENT_FULL] = "full",
        [CONFINEMENT_PARTIAL] = "partial",
        [CONFINEMENT_NONE] = "none",
    };
    _Static_assert(COUNT_OF(names) == CONFINEMENT_COUNT, "a name for each");
    if (text == NULL)
        text = getenv("SLUICE_CONFINE");
    *ret = otherwise;
    if (text == NULL || *text == '\0')
        return true;
    for (unsigned i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        *ret = (enum confinement)i;
        return true;
    }
    return false;
}

/* Who is not root can be nobody else, whatever is asked for. */
static bool read_uid(const char *text, uid_t *ret)
{
    uint64_t value;
    *ret = (uid_t)-1;
    if (text == NULL)
        return true;
    if (encoding_parse_u64(slice_text(text), &value) < 0 || value == 0 || value > 0x7fffffff)
        return false;
    if (geteuid() == 0)
        *ret = (uid_t)value;
    return true;
}

static const struct {
    const char *name;
    int (*run)(const struct runner_options *o);
    enum confinement confinement;
    bool needs_runtime, needs_bundle, needs_user;
} modes[] = {
    {"worker", mode_worker, CONFINEMENT_FULL, true, false, true},
    {"prepare", mode_prepare, CONFINEMENT_FULL, true, false, true},
    {"serve", mode_serve, CONFINEMENT_PARTIAL, false, true, false},
};

static int fail(const char *message)
{
    if (message != NULL)
        log_error("%s", message);
    else
        fputs(usage, stderr);
    return RUNNER_EXIT_FAILED;
}

static int run_mode(size_t mode, int argc, char **argv)
{
    struct arguments a = {0};
    struct runner_options o = {0};
    char folder[4096];
    if (!parse_arguments(argc, argv, &a) || (modes[mode].needs_bundle && a.bundle == NULL) ||
        (modes[mode].needs_runtime && (a.runtime == NULL || a.folder == NULL)))
        return fail(NULL);
    if (!read_confinement(a.confine, modes[mode].confinement, &o.confinement))
        return fail("--confine (or SLUICE_CONFINE) must be full, partial or none");
    if (!read_uid(a.uid, &o.uid))
        return fail("--uid must be a number from 1 to 2147483647");
    if (modes[mode].needs_user && geteuid() == 0 && o.uid == (uid_t)-1)
        return fail("--uid is needed: functions do not run as root");
    /* Relative to where it is now, and it will be elsewhere. */
    if (a.folder != NULL && a.folder[0] != '/') {
        char here[2048];
        if (getcwd(here, sizeof(here)) == NULL)
            return fail("the working folder has no name");
        snprintf(folder, sizeof(folder), "%s/%s", here, a.folder);
        a.folder = folder;
    }
    o.runtime = a.runtime;
    o.runtimes = a.runtimes;
    o.folder = a.folder;
    o.bundle = a.bundle;
    o.listen = a.listen;
    o.report = a.report;
    return modes[mode].run(&o);
}

static int run(int argc, char **argv)
{
    for (size_t i = 0; argc >= 2 && i < COUNT_OF(modes); i++)
        if (strcmp(argv[1], modes[i].name) == 0)
            return run_mode(i, argc, argv);
    if (argc == 2 && strcmp(argv[1], "exec") == 0)
        return mode_exec();
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        puts("sluice-runner " SLUICE_VERSION);
        return EXIT_SUCCESS;
    }
    bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
    fputs(usage, help ? stdout : stderr);
    return help ? EXIT_SUCCESS : RUNNER_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    log_setup("runner", LOG_LEVEL_INFO, false);
    int status = run(argc, argv);
    /* No exit handlers: what they may want to do, as a leak checker does, a confined process
     * cannot. */
    fflush(NULL);
    _exit(status);
}
