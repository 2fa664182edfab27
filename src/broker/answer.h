/* SPDX-License-Identifier: Apache-2.0 */
/* What the answer to a delivery means. Loop thread. */
#ifndef SLUICE_BROKER_ANSWER_H
#define SLUICE_BROKER_ANSWER_H

#include "broker/delivery.h"

/* An http_call_done_fn whose ctx is the delivery: concludes it. */
http_call_done_fn answer_received;

#endif
