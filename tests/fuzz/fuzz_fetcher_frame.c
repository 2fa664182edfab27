/* SPDX-License-Identifier: Apache-2.0 */
#include "fetcher/protocol.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int take_entry(void *ctx, struct slice entry)
{
    must(entry.len <= 300);
    return 0;
}

/* Both ends read with the same functions; which frames a peer may send, they check themselves. */
static void read_payload(const struct fetcher_frame *f)
{
    static struct fetcher_request request;
    static struct fetcher_response response;
    struct fetcher_failure failure;
    (void)fetcher_read_allow(f->payload, take_entry, NULL);
    (void)fetcher_read_failure(f->payload, &failure);
    if (fetcher_read_response(f->payload, &response) == 0)
        must(response.header_count <= FETCHER_HEADERS_MAX);
    if (fetcher_read_request(f->payload, &request) < 0)
        return;
    /* What was read is written as it came. */
    autobuf again = BUF_INIT;
    fetcher_write_request(&again, f->id, &request);
    must(buf_ok(&again) && again.len == FETCHER_FRAME_HEAD + f->payload.len &&
         memcmp(again.ptr + FETCHER_FRAME_HEAD, f->payload.ptr, f->payload.len) == 0);
}

/* The first byte says how the rest is cut; however it is, the frames are those of one piece. */
static unsigned count_frames(const uint8_t *bytes, size_t len, size_t step)
{
    struct fetcher_reader r = {0};
    struct fetcher_frame f;
    unsigned count = 0;
    int status = 0;
    for (size_t at = 0; at < len && status == 0; at += step) {
        size_t part = at + step > len ? len - at : step;
        for (size_t done = 0; done < part && status == 0;) {
            size_t size = 0;
            char *room = fetcher_reader_room(&r, &size);
            must(room != NULL);
            if (size > part - done)
                size = part - done;
            memcpy(room, bytes + at + done, size);
            fetcher_reader_add(&r, size);
            done += size;
            while ((status = fetcher_reader_next(&r, &f)) == 1) {
                read_payload(&f);
                count++;
            }
        }
    }
    fetcher_reader_done(&r);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 2)
        return 0;
    size_t step = bytes[0] + 1u;
    must(count_frames(bytes + 1, len - 1, step) == count_frames(bytes + 1, len - 1, len));
    return 0;
}
