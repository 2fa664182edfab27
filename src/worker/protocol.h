/* SPDX-License-Identifier: Apache-2.0 */
/* Between the broker's function host and the zygote, and between the host and each worker.
 *
 * The zygote is `sluice-worker zygote` with a SOCK_SEQPACKET socket as descriptor 3. One datagram
 * is one struct worker_message, host byte order (same machine, same build), descriptors travel with
 * it (SCM_RIGHTS). The zygote ends when the socket closes, and every worker with it.
 *
 * START carries 3 or 4 descriptors: the bundle (a sealed memfd with JSON, below), the listening
 * Unix socket that the worker serves, the write end of its report pipe, and for wasm the compiled
 * module (a shared object; see module_abi.h).
 *
 * Bundle:
 * {"namespace","name","uid","generation","runtime":"js"|"wasm","isolation":"event"|"instance",
 *   "limits":{"memoryBytes","timeoutMs","requestBytes","responseBytes","logBytes","fetchBytes",
 *     "concurrency","queueLength","loopDelayMs"},
 *   "network":{"allow":["host:port"]},
 *   "env":{"NAME":"value"},"files":{"index.js":"text"},"main":"index.js",
 *   "wasm":{"module":"add.wasm","function":"add","arguments":"JavaScript expression or
 * function","response":"…","result":"text"},"command":["program","argument"]}
 *
 * Report pipe: one JSON object a line, at most WORKER_REPORT_MAX bytes, written with one write:
 *   {"report":"ready"}                                             serving from now on
 *   {"report":"draining"}                                          taking no more connections; only
 * of one that runs without a host
 *   {"report":"failed","message":…,"file":…,"line":…,"column":…}   could not load (syntax error,
 * throwing init…); the worker exits with status 2
 *   {"report":"log","time":ns,"level":"info"|"warn"|"error"|"debug","event":id or "","text":…} one
 * line that the function printed
 *   {"report":"limit","limit":"time"|"memory"|"output"|"trap","event":id or "","message":…}   a
 * call that was ended by a limit or a trap
 */
#ifndef SLUICE_WORKER_PROTOCOL_H
#define SLUICE_WORKER_PROTOCOL_H

#include <stdint.h>

#define WORKER_ZYGOTE_FD       3
#define WORKER_DESCRIPTORS_MAX 4
#define WORKER_REPORT_MAX      4096 /* PIPE_BUF: lines of several writers never mix */

enum worker_message_type {
    WORKER_MESSAGE_START = 1, /* host → zygote */
    WORKER_MESSAGE_KILL,      /* host → zygote: value is the signal */
    WORKER_MESSAGE_READY,     /* zygote → host: initialised; once */
    WORKER_MESSAGE_STARTED, /* zygote → host: value is the pid, or a negative errno when it could
                               not fork */
    WORKER_MESSAGE_EXITED,  /* zygote → host: value is the wait status */
    WORKER_MESSAGE_TYPE_COUNT,
};

struct worker_message {
    uint32_t type;
    int32_t value;
    uint64_t worker; /* number chosen by the host */
};

#endif
