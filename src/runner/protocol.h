/* SPDX-License-Identifier: Apache-2.0 */
/* How sluice-runner is called, and what it answers.
 *
 * sluice-runner worker --runtime FOLDER --folder FUNCTION_FOLDER [--uid N] [--confine HOW]
 *   Serves one function; for the broker. Descriptors:
 *     3  the bundle: JSON as in worker/protocol.h (sealed memfd or file, read from offset 0)
 *     4  a listening stream socket (Unix or TCP); the runtime's program accepts on it
 *     5  the report pipe: the lines of worker/protocol.h (ready, failed, log, limit), each written
 *        with one write of at most WORKER_REPORT_MAX bytes; may be non-blocking
 *   FUNCTION_FOLDER has been filled by `prepare`. Several workers may share it.
 *   SIGTERM (or SIGINT) ends it: the program gets SIGTERM, RUNNER_GRACE_MS to finish, then SIGKILL;
 *   everything that the function started ends with it, also when the runner itself is killed, and
 *   when the thread that started the runner ends (PDEATHSIG).
 *   Exit status: 0 it was told to end; 1 the program ended by itself; 2 it could not start
 *   ("failed" was reported); 3 a limit ended it ("limit" was reported).
 *
 * sluice-runner prepare --runtime FOLDER --folder FUNCTION_FOLDER [--bundle FILE] [--uid N]
 *                       [--confine HOW]
 *   Writes the bundle's files to FUNCTION_FOLDER/code and runs the runtime's `prepare` steps, which
 *   install into FUNCTION_FOLDER/packages. Without --bundle the bundle is read from descriptor 3.
 *   FUNCTION_FOLDER is made when it is missing; what is in it is thrown away first. On standard
 *   output, one JSON object a line:
 *     {"progress":{"step":1,"steps":2,"text":"Collecting requests"}}     any number of these
 *     {"ok":true,"milliseconds":1234,"steps":2}                          or, last:
 *     {"ok":false,"reason":"PrepareFailed"|"PrepareLimit"|"CodeRefused"|"RuntimeBroken",
 *      "message":…,"field":…}
 *   Exit status 0 or 1. SIGTERM ends it with all that it started.
 *
 * sluice-runner serve --bundle FILE [--runtimes DIR] [--listen HOST:PORT|unix:PATH|fd:N]
 *                     [--report fd:N] [--folder F] [--uid N] [--confine HOW]
 *   Both, by itself: for `sluice function run` and for images. The bundle's "runtime" names the
 *   runtime. Without --listen: port $PORT of all addresses, or 127.0.0.1:8080. Without --folder: a
 *   temporary one, removed at the end. Prints what the function prints, progress of prepare on
 *   standard error, and "listening on ADDRESS" on standard output when it is ready. With --report
 *   the descriptor gets the lines of worker/protocol.h instead. Exit status as
 *   `worker`'s.
 *
 * --uid N       the function's own user (and group) id, 1 or more. Needed when started by root; not
 *               root: its own id is kept, whatever N is.
 * --confine full|partial|none
 *               full: does not start unless namespaces (files, processes, network), system call
 *               filter and, as root, an own user id are there. partial: what is not to be had is
 *               left out and told in a log line (level warn). none: resource limits only, for
 *               containers that confine already. Default: SLUICE_CONFINE, else full (worker,
 *               prepare) or partial (serve).
 *
 * Besides the fields in worker/protocol.h the bundle has
 *   "limits": {…,"concurrency":16}      calls at once that the program should take
 *   "network": {"allow":["host:port","*.suffix:port","[v6]:port"]}
 */
#ifndef SLUICE_RUNNER_PROTOCOL_H
#define SLUICE_RUNNER_PROTOCOL_H

#define RUNNER_BUNDLE_FD   3
#define RUNNER_LISTENER_FD 4
#define RUNNER_REPORT_FD   5

#define RUNNER_GRACE_MS 4000

#define RUNNER_EXIT_ENDED   0
#define RUNNER_EXIT_PROGRAM 1
#define RUNNER_EXIT_FAILED  2
#define RUNNER_EXIT_LIMIT   3

/* User ids for functions, from a range that neither Debian, nor systemd, nor the subordinate ids of
 * users (/etc/subuid) give to anybody. */
#define RUNNER_UID_FIRST 2000000000u
#define RUNNER_UID_COUNT 100000u

#endif
