/* SPDX-License-Identifier: Apache-2.0 */
/* The paths that the worker answers by itself: health and metrics. All others are the function's.
 */
#include "worker/metrics.h"
#include "worker/program.h"

static void send_metrics(struct http_request *request)
{
    static struct buf text;
    buf_reset(&text);
    metrics_write(&text);
    struct http_response response = {
        .status = 200, .content_type = METRICS_CONTENT_TYPE, .body = buf_slice(&text)};
    if (buf_ok(&text))
        http_respond(request, &response);
    else
        http_respond_errorf(request, 503, "no memory for the metrics");
}

static void send_health(struct http_request *request)
{
    struct http_response response = {
        .status = 200, .content_type = "text/plain; charset=utf-8", .body = SLICE("OK")};
    http_respond(request, &response);
}

enum settings_page page_of(const struct http_request *request)
{
    struct slice path = http_request_path(request);
    enum http_method method = http_request_method(request);
    if (path.len <= 1 || (method != HTTP_GET && method != HTTP_HEAD))
        return SETTINGS_PAGE_COUNT;
    return settings_page(path);
}

void page_handle(struct http_request *request, void *ctx)
{
    enum settings_page page = page_of(request);
    if (page == SETTINGS_PAGE_COUNT || settings.pages[page].is_own)
        call_handle(request, ctx);
    else if (page == SETTINGS_METRICS)
        send_metrics(request);
    else if (page == SETTINGS_LIVENESS || !admission_refuse_full(request))
        send_health(request);
}
