/* SPDX-License-Identifier: Apache-2.0 */
/* CompressionStream and DecompressionStream, by zlib: the whole of a stream at once. */
#include "worker/web.h"

#include "base/memory.h"

#include <zlib.h>

#define CHUNK        65536
#define INFLATED_MAX (64u * 1024 * 1024) /* what a few bytes may grow to */

/* The numbers that web_stream.js knows: deflateInit2's windowBits. */
static const int windows[] = {15 + 16, 15, -15}; /* gzip, deflate, deflate-raw */

/* Runs step() until it says that the stream ends. 0, or another status of zlib. */
static int pump(z_stream *z, int (*step)(z_stream *z, int flush), struct buf *out)
{
    int status = Z_OK;
    while (status == Z_OK) {
        Bytef *to = (Bytef *)buf_reserve(out, CHUNK);
        if (to == NULL || out->len > INFLATED_MAX)
            return Z_MEM_ERROR;
        z->next_out = to;
        z->avail_out = CHUNK;
        status = step(z, Z_FINISH);
        out->len += CHUNK - z->avail_out;
        if (status == Z_BUF_ERROR && z->avail_out == 0)
            status = Z_OK; /* there is more to come */
    }
    return status == Z_STREAM_END ? Z_OK : status;
}

static z_stream stream_over(struct buf *in)
{
    return (z_stream){.next_in = (Bytef *)in->ptr, .avail_in = (uInt)in->len};
}

/* deflate(format, bytes) */
static engine_value host_deflate(uint32_t argc, const engine_value *argv)
{
    web_local in = web_scratch(0);
    web_local out = web_scratch(1);
    uint32_t format = web_number_argument(argc, argv, 0, COUNT_OF(windows));
    if (format == COUNT_OF(windows) || !web_bytes_argument(argc, argv, 1, in))
        return engine_throw("no such format, or no bytes");
    z_stream z = stream_over(in);
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, windows[format], 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return engine_throw("there is no memory to compress");
    int status = pump(&z, deflate, out);
    deflateEnd(&z);
    return status == Z_OK ? web_give_bytes(out) : engine_throw("there is no memory to compress");
}

/* inflate(format, bytes): undefined: they are not of that format, or end too early or too late. */
static engine_value host_inflate(uint32_t argc, const engine_value *argv)
{
    web_local in = web_scratch(0);
    web_local out = web_scratch(1);
    uint32_t format = web_number_argument(argc, argv, 0, COUNT_OF(windows));
    if (format == COUNT_OF(windows) || !web_bytes_argument(argc, argv, 1, in))
        return engine_throw("no such format, or no bytes");
    z_stream z = stream_over(in);
    if (inflateInit2(&z, windows[format]) != Z_OK)
        return engine_throw("there is no memory to decompress");
    int status = pump(&z, inflate, out);
    bool whole = status == Z_OK && z.avail_in == 0;
    inflateEnd(&z);
    if (status == Z_MEM_ERROR)
        return engine_throw("decompressed, the bytes are more than 64 MiB");
    return whole ? web_give_bytes(out) : engine_undefined();
}

const struct engine_function web_deflate_functions[] = {
    {"deflate", host_deflate},
    {"inflate", host_inflate},
};
const size_t web_deflate_function_count = COUNT_OF(web_deflate_functions);
