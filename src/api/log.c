/* SPDX-License-Identifier: Apache-2.0 */
/* …/functions/X/log: handed to the function host on the loop thread. */
#include "api/api_internal.h"
#include "base/encoding.h"

#include <stdlib.h>

#define LOG_LINES_MAX 1000000

struct log_request {
    struct loop_message message;
    struct api *api;
    struct http_request *request;
    char *namespace_name, *name;
    unsigned tail_lines;
    bool follow;
};

static void log_request_free(struct log_request *l)
{
    free(l->namespace_name);
    free(l->name);
    free(l);
}

static void log_receive(struct loop_message *m)
{
    struct log_request *l = container_of(m, struct log_request, message);
    function_serve_log(l->api->functions, l->request, l->namespace_name, l->name, l->tail_lines,
                       l->follow);
    log_request_free(l);
}

void log_handle(struct http_request *request, void *ctx)
{
    struct log_request *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        answer_plain_status(request, 503, "out of memory");
        return;
    }
    *l = (struct log_request){.message = {.receive = log_receive}, .api = ctx, .request = request};
    l->namespace_name = slice_dup(http_request_param(request, "namespace"));
    l->name = slice_dup(http_request_param(request, "name"));
    struct slice follow = http_request_query_value(request, "follow");
    l->follow = slice_is(follow, "true") || slice_is(follow, "1");
    struct slice tail = http_request_query_value(request, "tailLines");
    uint64_t lines = 0;
    bool good = tail.ptr == NULL ||
                (encoding_parse_u64(tail, &lines) == 0 && lines > 0 && lines <= LOG_LINES_MAX);
    l->tail_lines = (unsigned)lines;
    if (good && l->namespace_name != NULL && l->name != NULL) {
        loop_post(l->api->loop, &l->message);
        return;
    }
    log_request_free(l);
    answer_plain_status(request, good ? 503 : 400,
                        good ? "out of memory" : "tailLines must be a number from 1 to 1000000");
}
