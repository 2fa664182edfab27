/* SPDX-License-Identifier: Apache-2.0 */
/* sluice-fetcher: does the HTTP requests of one worker, which has no network itself. */
#include "fetcher/fetcher.h"

#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK_SIZE (512u << 10)

static int fail(const char *message)
{
    log_error("sluice-fetcher: %s", message);
    return EXIT_FAILURE;
}

static bool is_stream_socket(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

/* Look-ups of names have threads, whose stacks count as memory that is used. */
static void make_stacks_small(void)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return;
    if (pthread_attr_setstacksize(&attributes, STACK_SIZE) == 0)
        pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

static int run(void)
{
    struct error err = ERROR_INIT;
    make_stacks_small();
    const char *trusted = confine_trusted(&err);
    if (err.code != 0)
        return fail(err.message);
    struct loop *loop = loop_new();
    struct session *session = loop != NULL ? session_new(loop, FETCHER_FD, trusted) : NULL;
    if (session == NULL)
        return fail("no memory or no descriptors");
    if (session_read_allow(session, &err) < 0 || confine_self(session_allow(session), &err) < 0)
        return fail(err.message);
    if (session_serve(session) < 0)
        return fail("the worker does not keep to the protocol");
    loop_run(loop);
    /* Look-ups may still run in their threads: the process just ends. */
    _exit(EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
    if (argc > 1 || !is_stream_socket(FETCHER_FD)) {
        fputs("sluice-fetcher is started by sluice-worker, with a socket as descriptor 3; it does "
              "the\nHTTP requests of a function whose spec.network.allow is not empty.\n",
              stderr);
        return EXIT_FAILURE;
    }
    fcntl(FETCHER_FD, F_SETFD, FD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return run();
}
