/* SPDX-License-Identifier: Apache-2.0 */
/* Where events can go besides plain URLs and brokers: the interface that the function side
 * implements. Loop thread only. */
#ifndef SLUICE_BROKER_SINK_H
#define SLUICE_BROKER_SINK_H

#include "base/error.h"
#include "http/client.h"

#include <stdbool.h>

enum sink_state {
    SINK_READY,
    SINK_WAITING, /* exists, cannot take events yet (being built, restarting): hold deliveries back,
                     they are kept */
    SINK_ABSENT,
};

struct sink_ops {
    /* err says why when the state is not READY. */
    enum sink_state (*state)(void *ctx, const char *namespace_name, const char *name,
                             struct error *err);
    /* Delivers one request; url and unix_socket of options are ignored, method, headers, body,
     * timeout and done hold. */
    int (*call)(void *ctx, const char *namespace_name, const char *name, const char *path,
                const struct http_call_options *options, struct http_call **ret_call);
};

#endif
