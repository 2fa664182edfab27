/* SPDX-License-Identifier: Apache-2.0 */
/* The connection's side of an answer of unknown length. */
#ifndef SLUICE_HTTP_STREAM_H
#define SLUICE_HTTP_STREAM_H

#include "http/server.h"

enum stream_news { STREAM_IDLE, STREAM_BYTES, STREAM_OVER };
/* Moves bytes of the stream into out, framed as one chunk when chunked; STREAM_IDLE: there are
 * none, and whoever writes next wakes the connection. */
enum stream_news http_stream_take(struct http_stream *s, bool chunked, struct buf *out);
/* No more will be written; *ret_left: bytes that the peer has not taken. */
bool http_stream_ended(struct http_stream *s, size_t *ret_left);
/* Calls closed() and frees it. HTTP thread. */
void http_stream_release(struct http_stream *s);

#endif
