/* SPDX-License-Identifier: Apache-2.0 */
/* Digests, HMAC and key derivation for crypto.subtle, by nettle. */
#include "worker/web.h"

#include "base/memory.h"

#include <nettle/hkdf.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/nettle-meta.h>
#include <nettle/pbkdf2.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <string.h>

#define DIGEST_MAX   SHA512_DIGEST_SIZE
#define DERIVED_MAX  65536
#define PBKDF2_STEPS 10000000u /* iterations times blocks: a few seconds */

union hash_state {
    struct sha1_ctx sha1;
    struct sha256_ctx sha256;
    struct sha512_ctx sha512;
};

/* As struct hmac_*_ctx of nettle: outer, inner and current state. */
struct hmac_state {
    union hash_state outer, inner, state;
    const struct nettle_hash *hash;
};

/* The numbers that web_crypto.js knows. */
static const struct nettle_hash *const hashes[] = {&nettle_sha1, &nettle_sha256, &nettle_sha384,
                                                   &nettle_sha512};

static const struct nettle_hash *hash_argument(uint32_t argc, const engine_value *argv, uint32_t i)
{
    uint32_t number = web_number_argument(argc, argv, i, COUNT_OF(hashes));
    return number < COUNT_OF(hashes) ? hashes[number] : NULL;
}

static engine_value bad_arguments(void)
{
    return engine_throw("no such hash, or no bytes");
}

static engine_value give(const void *bytes, size_t len)
{
    return engine_pass(engine_bytes(slice_of(bytes, len)));
}

/* digest(hash, bytes) */
static engine_value host_digest(uint32_t argc, const engine_value *argv)
{
    const struct nettle_hash *hash = hash_argument(argc, argv, 0);
    web_local in = web_scratch(0);
    if (hash == NULL || !web_bytes_argument(argc, argv, 1, in))
        return bad_arguments();
    union hash_state state;
    uint8_t digest[DIGEST_MAX];
    hash->init(&state);
    hash->update(&state, in->len, (const uint8_t *)in->ptr);
    hash->digest(&state, hash->digest_size, digest);
    return give(digest, hash->digest_size);
}

static void hmac_start(struct hmac_state *h, const struct nettle_hash *hash, struct slice key)
{
    h->hash = hash;
    hmac_set_key(&h->outer, &h->inner, &h->state, hash, key.len, (const uint8_t *)key.ptr);
}

static void hmac_add(void *ctx, size_t len, const uint8_t *bytes)
{
    struct hmac_state *h = ctx;
    hmac_update(&h->state, h->hash, len, bytes);
}

static void hmac_finish(void *ctx, size_t len, uint8_t *digest)
{
    struct hmac_state *h = ctx;
    hmac_digest(&h->outer, &h->inner, &h->state, h->hash, len, digest);
}

/* hmac(hash, key, bytes) */
static engine_value host_hmac(uint32_t argc, const engine_value *argv)
{
    const struct nettle_hash *hash = hash_argument(argc, argv, 0);
    web_local key = web_scratch(0);
    web_local in = web_scratch(1);
    if (hash == NULL || !web_bytes_argument(argc, argv, 1, key) ||
        !web_bytes_argument(argc, argv, 2, in))
        return bad_arguments();
    struct hmac_state h;
    uint8_t digest[DIGEST_MAX];
    hmac_start(&h, hash, buf_slice(key));
    hmac_add(&h, in->len, (const uint8_t *)in->ptr);
    hmac_finish(&h, hash->digest_size, digest);
    explicit_bzero(&h, sizeof(h));
    return give(digest, hash->digest_size);
}

/* sameBytes(a, b): how long it takes says nothing about where they differ. */
static engine_value host_same_bytes(uint32_t argc, const engine_value *argv)
{
    web_local a = web_scratch(0);
    web_local b = web_scratch(1);
    bool same = web_bytes_argument(argc, argv, 0, a) && web_bytes_argument(argc, argv, 1, b) &&
                a->len == b->len && (a->len == 0 || memeql_sec(a->ptr, b->ptr, a->len));
    return engine_boolean(same);
}

/* pbkdf2(hash, password, salt, iterations, length): undefined: more work than one call may do. */
static engine_value host_pbkdf2(uint32_t argc, const engine_value *argv)
{
    const struct nettle_hash *hash = hash_argument(argc, argv, 0);
    web_local password = web_scratch(0);
    web_local salt = web_scratch(1);
    web_local out = web_scratch(2);
    uint32_t steps = web_number_argument(argc, argv, 3, PBKDF2_STEPS + 1);
    uint32_t length = web_number_argument(argc, argv, 4, DERIVED_MAX + 1);
    if (hash == NULL || steps == 0 || !web_bytes_argument(argc, argv, 1, password) ||
        !web_bytes_argument(argc, argv, 2, salt))
        return bad_arguments();
    uint64_t blocks = (length + hash->digest_size - 1) / hash->digest_size;
    uint8_t *to = (uint8_t *)buf_reserve(out, length + 1);
    if (length > DERIVED_MAX || steps * blocks > PBKDF2_STEPS || to == NULL)
        return engine_undefined();
    struct hmac_state h;
    hmac_start(&h, hash, buf_slice(password));
    if (length > 0)
        pbkdf2(&h, hmac_add, hmac_finish, hash->digest_size, steps, salt->len,
               (const uint8_t *)salt->ptr, length, to);
    out->len = length;
    explicit_bzero(&h, sizeof(h));
    return web_give_bytes(out);
}

/* hkdf(hash, key, salt, info, length); length is at most 255 digests (RFC 5869 §2.3). */
static engine_value host_hkdf(uint32_t argc, const engine_value *argv)
{
    const struct nettle_hash *hash = hash_argument(argc, argv, 0);
    web_local key = web_scratch(0);
    web_local salt = web_scratch(1);
    web_local info = web_scratch(2);
    web_local out = web_scratch(3);
    uint32_t length = web_number_argument(argc, argv, 4, DERIVED_MAX);
    if (hash == NULL || !web_bytes_argument(argc, argv, 1, key) ||
        !web_bytes_argument(argc, argv, 2, salt) || !web_bytes_argument(argc, argv, 3, info))
        return bad_arguments();
    uint8_t *to = (uint8_t *)buf_reserve(out, length + 1);
    if (length > 255 * hash->digest_size || to == NULL)
        return engine_undefined();
    struct hmac_state h;
    uint8_t secret[DIGEST_MAX];
    hmac_start(&h, hash, buf_slice(salt));
    hkdf_extract(&h, hmac_add, hmac_finish, hash->digest_size, key->len, (const uint8_t *)key->ptr,
                 secret);
    hmac_start(&h, hash, slice_of(secret, hash->digest_size));
    hkdf_expand(&h, hmac_add, hmac_finish, hash->digest_size, info->len, (const uint8_t *)info->ptr,
                length, to);
    out->len = length;
    explicit_bzero(&h, sizeof(h));
    explicit_bzero(secret, sizeof(secret));
    return web_give_bytes(out);
}

const struct engine_function web_crypto_functions[] = {
    {"digest", host_digest}, {"hmac", host_hmac}, {"sameBytes", host_same_bytes},
    {"pbkdf2", host_pbkdf2}, {"hkdf", host_hkdf},
};
const size_t web_crypto_function_count = COUNT_OF(web_crypto_functions);
