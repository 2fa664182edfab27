/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for sluice-worker and sluice-runner: speaks worker/protocol.h and runner/protocol.h,
 * and does what words in the function's index.js tell it (fail, crash-at-start, slow-start) and
 * what the request's path asks for (/crash, /hang, /log, /slow, /kill-zygote). Every other path is
 * answered with the code, the method, the path and the body. */
#include "base/buf.h"
#include "base/memory.h"
#include "runner/protocol.h"
#include "worker/protocol.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct started {
    uint64_t number;
    pid_t pid;
};
static struct started children[256];
static size_t child_count;
static pid_t zygote;

static void say(int report, const char *line)
{
    (void)!write(report, line, strlen(line));
}

static volatile sig_atomic_t ending;

static void on_terminate(int signal_number)
{
    ending = 1;
}

/* One request's head and body; false at the end of the connection. */
static bool read_request(int fd, struct buf *in, size_t *ret_head)
{
    for (;;) {
        char *end = in->len > 0 ? strstr(in->ptr, "\r\n\r\n") : NULL;
        if (end != NULL) {
            char *length = strcasestr(in->ptr, "\ncontent-length:");
            size_t body = length != NULL && length < end ? strtoul(length + 16, NULL, 10) : 0;
            *ret_head = (size_t)(end + 4 - in->ptr);
            if (in->len >= *ret_head + body)
                return true;
        }
        char *at = buf_reserve(in, 65536);
        ssize_t n = at != NULL ? read(fd, at, 65535) : -1;
        if (n <= 0)
            return false;
        in->len += (size_t)n;
        in->ptr[in->len] = '\0';
    }
}

static void act(const char *path, int report)
{
    if (strncmp(path, "/crash", 6) == 0) {
        kill(getppid(), SIGABRT); /* the worker; this process goes with it */
        pause();
    }
    if (strncmp(path, "/kill-zygote", 12) == 0)
        kill(zygote, SIGKILL);
    while (strncmp(path, "/hang", 5) == 0)
        pause();
    if (strncmp(path, "/slow", 5) == 0)
        usleep(200000);
    if (strncmp(path, "/log", 4) == 0)
        say(report, "{\"report\":\"log\",\"time\":1792312740123456789,\"level\":\"info\",\"event\":"
                    "\"e 1\",\"text\":\"first\\nsecond \\u0007\"}\n");
}

static void serve_connection(int fd, const char *code, int report)
{
    struct buf in = BUF_INIT, out = BUF_INIT, body = BUF_INIT;
    size_t head;
    while (!ending && read_request(fd, &in, &head)) {
        char method[16] = "", path[512] = "";
        (void)sscanf(in.ptr, "%15s %511s", method, path);
        act(path, report);
        buf_reset(&body);
        buf_printf(&body, "%s|%s %s|", code, method, path);
        if (strstr(in.ptr, "X-Passed") != NULL || strstr(in.ptr, "x-passed") != NULL)
            buf_add_text(&body, "passed|");
        if (strcasestr(in.ptr, "x-hop") != NULL || strcasestr(in.ptr, "\nupgrade:") != NULL)
            buf_add_text(&body, "HOP|");
        buf_add(&body, in.ptr + head, in.len - head);
        buf_reset(&out);
        buf_printf(&out,
                   "HTTP/1.1 %d OK\r\nContent-Length: %zu\r\nX-Pid: %d\r\nKeep-Alive: x\r\n\r\n",
                   strncmp(path, "/teapot", 7) == 0 ? 418 : 200, body.len, (int)getpid());
        buf_add_slice(&out, buf_slice(&body));
        (void)!write(fd, out.ptr, out.len);
        buf_reset(&in);
    }
    close(fd);
    buf_done(&in);
    buf_done(&out);
    buf_done(&body);
}

static char *read_code(int bundle)
{
    json_t *root = json_loadfd(bundle, 0, NULL);
    const char *name = json_string_value(json_object_get(root, "main"));
    const char *text = json_string_value(
        json_object_get(json_object_get(root, "files"), name != NULL ? name : ""));
    char *copy = strdup(text != NULL ? text : "wasm");
    json_decref(root);
    return copy;
}

static _Noreturn void worker(const int *fds, size_t count)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sigaction terminate = {.sa_handler = on_terminate}; /* no SA_RESTART: ends accept */
    sigaction(SIGTERM, &terminate, NULL);
    char *code = read_code(fds[0]);
    if (strstr(code, "crash-at-start") != NULL)
        abort();
    if (strstr(code, "fail") != NULL) {
        say(fds[2], "{\"report\":\"failed\",\"message\":\"SyntaxError: it fails\",\"file\":"
                    "\"index.js\",\"line\":3,\"column\":7}\n");
        _exit(2);
    }
    if (strstr(code, "slow-start") != NULL)
        usleep(200000);
    if (strstr(code, "never-ready") == NULL)
        say(fds[2], "{\"report\":\"ready\"}\n");
    say(fds[2], "no json at all\n");
    if (count == 4)
        say(fds[2], "{\"report\":\"log\",\"level\":\"info\",\"text\":\"has a module\"}\n");
    while (!ending) {
        struct pollfd waiting = {.fd = fds[1], .events = POLLIN};
        if (poll(&waiting, 1, -1) < 0)
            continue;
        int fd = accept(fds[1], NULL, NULL);
        if (fd < 0)
            continue;
        if (fork() == 0) { /* several connections at a time; dies with this one */
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve_connection(fd, code, fds[2]);
            _exit(0);
        }
        close(fd);
    }
    free(code);
    _exit(0);
}

static void start(int socket, const struct worker_message *m, const int *fds, size_t count)
{
    pid_t pid = fork();
    if (pid == 0)
        worker(fds, count);
    children[child_count++ % 256] = (struct started){m->worker, pid};
    struct worker_message answer = {
        .type = WORKER_MESSAGE_STARTED, .value = pid > 0 ? pid : -errno, .worker = m->worker};
    (void)!write(socket, &answer, sizeof(answer));
}

static void reap(int socket)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = 0; i < child_count && i < 256; i++)
            if (children[i].pid == pid) {
                struct worker_message gone = {
                    .type = WORKER_MESSAGE_EXITED, .value = status, .worker = children[i].number};
                (void)!write(socket, &gone, sizeof(gone));
            }
}

static bool obey(int socket)
{
    struct worker_message m;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * WORKER_DESCRIPTORS_MAX)];
    } control;
    struct iovec part = {&m, sizeof(m)};
    struct msghdr head = {.msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(socket, &head, 0);
    if (n <= 0)
        return false;
    int fds[WORKER_DESCRIPTORS_MAX];
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&head); c != NULL; c = CMSG_NXTHDR(&head, c)) {
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), count * sizeof(int));
    }
    if (m.type == WORKER_MESSAGE_START)
        start(socket, &m, fds, count);
    else
        for (size_t i = 0; i < child_count && i < 256; i++)
            if (children[i].number == m.worker)
                kill(children[i].pid, m.value);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    return true;
}

/* ---- sluice-runner ---- */

static const char *option(char **argv, const char *name)
{
    for (; *argv != NULL; argv++)
        if (strcmp(*argv, name) == 0)
            return argv[1];
    return "";
}

/* Words in the code: prepare-fails, slow-prepare. */
static int prepare(char **argv)
{
    autofree char *code = read_code(RUNNER_BUNDLE_FD);
    char path[512];
    const char *folder = option(argv, "--folder");
    printf("{\"progress\":{\"step\":1,\"steps\":1,\"text\":\"installing\"}}\n");
    fflush(stdout);
    snprintf(path, sizeof(path), "%s/code", folder);
    bool made = mkdir(folder, 0755) == 0 && mkdir(path, 0755) == 0;
    if (strstr(code, "slow-prepare") != NULL)
        usleep(300000);
    if (!made || strstr(code, "prepare-fails") != NULL) {
        puts("{\"ok\":false,\"reason\":\"PrepareFailed\",\"message\":\"no such package\"}");
        return 1;
    }
    puts("{\"ok\":true,\"milliseconds\":1,\"steps\":1}");
    return 0;
}

static int run(int argc, char **argv)
{
    static const int fds[] = {RUNNER_BUNDLE_FD, RUNNER_LISTENER_FD, RUNNER_REPORT_FD};
    char line[256];
    if (argc > 1 && strcmp(argv[1], "prepare") == 0)
        return prepare(argv);
    if (argc < 2 || strcmp(argv[1], "worker") != 0)
        return 2;
    snprintf(line, sizeof(line), "{\"report\":\"log\",\"level\":\"info\",\"text\":\"uid %s\"}\n",
             option(argv, "--uid"));
    say(RUNNER_REPORT_FD, line);
    worker(fds, 3);
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return run(argc, argv);
    if (argc != 2 || strcmp(argv[1], "zygote") != 0)
        return 2;
    zygote = getpid();
    const struct worker_message ready = {.type = WORKER_MESSAGE_READY};
    (void)!write(WORKER_ZYGOTE_FD, &ready, sizeof(ready));
    for (;;) {
        struct pollfd waiting = {.fd = WORKER_ZYGOTE_FD, .events = POLLIN};
        if (poll(&waiting, 1, 10) > 0 && !obey(WORKER_ZYGOTE_FD))
            return 0; /* PR_SET_PDEATHSIG ends the workers */
        reap(WORKER_ZYGOTE_FD);
    }
}
