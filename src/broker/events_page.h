/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_BROKER_EVENTS_PAGE_H
#define SLUICE_BROKER_EVENTS_PAGE_H

#include "broker/broker_internal.h"

/* GET /-/events with limit, continue or id: a page, as JSON. HTTP thread. */
void events_page_serve(struct http_request *request, struct broker_core *core);
/* {"position":…,"time":…,"namespace":…,"broker":…,"dataBytes":…,"event":{…}}; loop thread. */
void events_write(const struct broker_core *b, uint32_t broker, uint64_t position, uint64_t time_ns,
                  const struct event *event, struct buf *out);

#endif
