/* SPDX-License-Identifier: Apache-2.0 */
/* What a function sends to the proxy in its network (runner/proxy.h). */
#include "runner/proxy.h"

#include "base/must.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct proxy_request request = {0};
    struct error err = {0};
    if (proxy_read(slice_of(bytes, len), &request, &err) != 1)
        return 0;
    must(request.length <= len && request.port > 0 && request.host[0] != '\0');
    must(strlen(request.host) <= ALLOW_HOST_MAX);
    if (!request.tunnel) {
        struct slice head = buf_slice(&request.head);
        must(slice_ends(head, "\r\n\r\n"));
        /* one head: a second one would be another request */
        must(memmem(head.ptr, head.len, "\r\n\r\n", 4) == head.ptr + head.len - 4);
        must(memchr(head.ptr, '\0', head.len) == NULL);
    }
    proxy_request_done(&request);
    return 0;
}
