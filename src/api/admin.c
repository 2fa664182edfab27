/* SPDX-License-Identifier: Apache-2.0 */
/* Who shows the admin token (Authorization: Bearer, RFC 6750 §2.1). Of the token only a hash is
 * kept, and hashes are compared in a time that says nothing about them. */
#include "api/api_internal.h"
#include "base/fdio.h"
#include "base/memory.h"

#include <errno.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>

#define TOKEN_LEAST 16
#define TOKEN_MOST  4096

static void hash_token(struct slice token, uint8_t digest[SHA256_DIGEST_SIZE])
{
    struct sha256_ctx hash;
    sha256_init(&hash);
    sha256_update(&hash, token.len, (const uint8_t *)token.ptr);
    sha256_digest(&hash, SHA256_DIGEST_SIZE, digest);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    while (text.len > 0 && is_space(text.ptr[0]))
        text = slice_of(text.ptr + 1, text.len - 1);
    return text;
}

int admin_token_load(struct admin_token *t, const char *path, struct error *err)
{
    autobuf text = BUF_INIT;
    int r = fdio_read_file(path, TOKEN_MOST, &text);
    if (r < 0)
        return error_set(err, r, "the admin token cannot be read from %s: %s", path, strerror(-r));
    struct slice token = trim(buf_slice(&text));
    if (token.len < TOKEN_LEAST)
        return error_set(err, -EINVAL,
                         "the admin token in %s is too short: at least %d characters, as from "
                         "openssl rand -hex 32",
                         path, TOKEN_LEAST);
    hash_token(token, t->digest);
    t->given = true;
    explicit_bzero(text.ptr, text.len);
    return 0;
}

bool admin_token_shown(const struct admin_token *t, const struct http_request *request)
{
    static const char scheme[] = "Bearer ";
    struct slice header = http_request_header(request, "Authorization");
    size_t len = sizeof(scheme) - 1;
    if (!t->given || header.len <= len || strncasecmp(header.ptr, scheme, len) != 0)
        return false;
    uint8_t digest[SHA256_DIGEST_SIZE];
    hash_token(trim(slice_of(header.ptr + len, header.len - len)), digest);
    return memeql_sec(digest, t->digest, sizeof(digest)) != 0;
}
