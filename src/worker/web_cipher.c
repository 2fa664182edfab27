/* SPDX-License-Identifier: Apache-2.0 */
/* AES for crypto.subtle, by nettle: GCM, CBC and CTR. */
#include "worker/web.h"

#include "base/memory.h"

#include <nettle/aes.h>
#include <nettle/cbc.h>
#include <nettle/gcm.h>
#include <nettle/memops.h>
#include <nettle/nettle-meta.h>
#include <string.h>

#define BLOCK AES_BLOCK_SIZE

/* The numbers that web_crypto.js knows. */
enum mode { MODE_GCM, MODE_CBC, MODE_CTR, MODE_COUNT };

struct cipher {
    const struct nettle_cipher *kind;
    union {
        struct aes128_ctx aes128;
        struct aes192_ctx aes192;
        struct aes256_ctx aes256;
    } key;
};

/* What web_crypto.js passes: run(mode, encrypts, key, iv, bytes, more, number). */
struct work {
    bool encrypts;
    struct cipher cipher;
    const struct buf *iv, *in, *more; /* more: GCM's additional data */
    uint32_t number;                  /* GCM: bytes of the tag; CTR: bits of the counter */
    struct buf *out;
};

static bool set_key(struct cipher *c, struct slice key, bool decrypts)
{
    static const struct nettle_cipher *const kinds[] = {&nettle_aes128, &nettle_aes192,
                                                        &nettle_aes256};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (kinds[i]->key_size == key.len) {
            c->kind = kinds[i];
            (decrypts ? c->kind->set_decrypt_key
                      : c->kind->set_encrypt_key)(&c->key, (const uint8_t *)key.ptr);
            return true;
        }
    return false;
}

static const uint8_t *bytes(const struct buf *b)
{
    return (const uint8_t *)b->ptr;
}

/* Each returns whether there is a result; there is none for what was tampered with. */

static bool run_gcm(struct work *w)
{
    size_t tag_len = w->number, len = w->in->len;
    if (tag_len > GCM_DIGEST_SIZE || (!w->encrypts && len < tag_len))
        return false;
    if (!w->encrypts)
        len -= tag_len;
    uint8_t *to = (uint8_t *)buf_reserve(w->out, len + GCM_DIGEST_SIZE);
    if (to == NULL)
        return false;
    struct gcm_key key;
    struct gcm_ctx ctx;
    nettle_cipher_func *encrypt = w->cipher.kind->encrypt;
    gcm_set_key(&key, &w->cipher.key, encrypt);
    gcm_set_iv(&ctx, &key, w->iv->len, bytes(w->iv));
    gcm_update(&ctx, &key, w->more->len, bytes(w->more));
    uint8_t tag[GCM_DIGEST_SIZE];
    (w->encrypts ? gcm_encrypt : gcm_decrypt)(&ctx, &key, &w->cipher.key, encrypt, len, to,
                                              bytes(w->in));
    gcm_digest(&ctx, &key, &w->cipher.key, encrypt, sizeof(tag), tag);
    explicit_bzero(&key, sizeof(key));
    w->out->len = len;
    if (!w->encrypts)
        return memeql_sec(tag, bytes(w->in) + len, tag_len) != 0;
    buf_add(w->out, tag, tag_len);
    return true;
}

/* RFC 5652 §6.3 */
static bool strip_padding(struct buf *out)
{
    unsigned padding = out->len > 0 ? (uint8_t)out->ptr[out->len - 1] : 0;
    if (padding == 0 || padding > BLOCK || padding > out->len)
        return false;
    for (size_t i = out->len - padding; i < out->len; i++)
        if ((uint8_t)out->ptr[i] != padding)
            return false;
    out->len -= padding;
    return true;
}

static bool run_cbc(struct work *w)
{
    if (w->iv->len != BLOCK || (!w->encrypts && (w->in->len == 0 || w->in->len % BLOCK != 0)))
        return false;
    uint8_t iv[BLOCK];
    memcpy(iv, w->iv->ptr, BLOCK);
    buf_add_slice(w->out, buf_slice(w->in));
    if (w->encrypts) {
        unsigned padding = BLOCK - w->in->len % BLOCK;
        for (unsigned i = 0; i < padding; i++)
            buf_add_byte(w->out, (char)padding);
    }
    if (!buf_ok(w->out))
        return false;
    uint8_t *at = (uint8_t *)w->out->ptr;
    if (w->encrypts) {
        cbc_encrypt(&w->cipher.key, w->cipher.kind->encrypt, BLOCK, iv, w->out->len, at, at);
        return true;
    }
    autofree uint8_t *plain = malloc(w->out->len);
    if (plain == NULL)
        return false;
    cbc_decrypt(&w->cipher.key, w->cipher.kind->decrypt, BLOCK, iv, w->out->len, plain, at);
    memcpy(at, plain, w->out->len);
    explicit_bzero(plain, w->out->len);
    return strip_padding(w->out);
}

/* The low bits of the counter, as many as w->number says, go round. */
static void count_up(uint8_t counter[BLOCK], uint32_t bits)
{
    for (unsigned i = BLOCK; i-- > 0 && bits > 0; bits = bits > 8 ? bits - 8 : 0) {
        uint8_t mask = bits >= 8 ? 0xff : (uint8_t)((1u << bits) - 1);
        uint8_t next = (uint8_t)((counter[i] + 1) & mask);
        counter[i] = (uint8_t)((counter[i] & ~mask) | next);
        if (next != 0)
            return;
    }
}

static bool run_ctr(struct work *w)
{
    uint64_t blocks = (w->in->len + BLOCK - 1) / BLOCK;
    if (w->iv->len != BLOCK || w->number == 0 || w->number > 128 ||
        (w->number < 32 && blocks > 1ULL << w->number))
        return false;
    uint8_t counter[BLOCK], stream[BLOCK];
    memcpy(counter, w->iv->ptr, BLOCK);
    buf_add_slice(w->out, buf_slice(w->in));
    if (!buf_ok(w->out))
        return false;
    for (size_t i = 0; i < w->out->len; i++) {
        if (i % BLOCK == 0) {
            w->cipher.kind->encrypt(&w->cipher.key, BLOCK, stream, counter);
            count_up(counter, w->number);
        }
        w->out->ptr[i] = (char)(w->out->ptr[i] ^ stream[i % BLOCK]);
    }
    return true;
}

static bool (*const modes[MODE_COUNT])(struct work *w) = {
    [MODE_GCM] = run_gcm, [MODE_CBC] = run_cbc, [MODE_CTR] = run_ctr};

/* aes(mode, encrypts, key, iv, bytes, more, number): the bytes, or undefined. */
static engine_value host_aes(uint32_t argc, const engine_value *argv)
{
    web_local key = web_scratch(0);
    web_local iv = web_scratch(1);
    web_local in = web_scratch(2);
    web_local more = web_scratch(3);
    web_local out = web_scratch(4);
    uint32_t mode = web_number_argument(argc, argv, 0, MODE_COUNT);
    if (mode == MODE_COUNT || argc < 7 || !web_bytes_argument(argc, argv, 2, key) ||
        !web_bytes_argument(argc, argv, 3, iv) || !web_bytes_argument(argc, argv, 4, in) ||
        !web_bytes_argument(argc, argv, 5, more))
        return engine_throw("no such mode, or no bytes");
    struct work work = {.encrypts = engine_is_true(argv[1]),
                        .iv = iv,
                        .in = in,
                        .more = more,
                        .number = web_number_argument(argc, argv, 6, 129),
                        .out = out};
    bool decrypts = mode == MODE_CBC && !work.encrypts; /* the others only encrypt */
    bool done = set_key(&work.cipher, buf_slice(key), decrypts) && modes[mode](&work);
    explicit_bzero(&work, sizeof(work));
    return done ? web_give_bytes(out) : engine_undefined();
}

const struct engine_function web_cipher_functions[] = {{"aes", host_aes}};
const size_t web_cipher_function_count = COUNT_OF(web_cipher_functions);
