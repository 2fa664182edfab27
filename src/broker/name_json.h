/* SPDX-License-Identifier: Apache-2.0 */
/* Members of JSON answers that several routes have: names behind the log's numbers, times. Loop
 * thread. */
#ifndef SLUICE_BROKER_NAME_JSON_H
#define SLUICE_BROKER_NAME_JSON_H

#include "broker/broker_internal.h"
#include "http/server.h"

/* "namespace":…,"broker":…; null, and its number, of one that is deleted. */
void json_broker(struct buf *out, const struct broker_core *b, uint32_t number);
/* The same with "trigger". */
void json_trigger(struct buf *out, const struct broker_core *b, uint32_t number);
/* ,"member":"RFC 3339" */
void json_time(struct buf *out, const char *member, uint64_t time_ns);
/* 200 with the buffer's bytes, which it loses; 503 when it failed. */
void json_answer(struct http_request *request, struct buf *out);

#endif
