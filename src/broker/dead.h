/* SPDX-License-Identifier: Apache-2.0 */
/* What the routes of dead letters are served by, on HTTP threads. */
#ifndef SLUICE_BROKER_DEAD_H
#define SLUICE_BROKER_DEAD_H

#include "broker/row.h"
#include "broker/trigger.h"
#include "http/server.h"

#define DEAD_PATH "/-/dead/{namespace}/{trigger}/{position}"

/* ---- dead.c: GET /-/dead ---- */
http_handler_fn dead_serve;
/* One letter as JSON. Loop thread. */
void dead_write(struct broker_core *b, const struct trigger *t, const struct dead_row *row,
                struct buf *out);

/* ---- dead_sweep.c: POST /-/redrive and DELETE /-/dead, all that a query means ---- */
http_handler_fn dead_redrive_many, dead_delete_many;

/* ---- dead_one.c: /-/dead/{namespace}/{trigger}/{position} ---- */
http_handler_fn dead_get, dead_put, dead_delete, dead_redrive;

#endif
