/* SPDX-License-Identifier: Apache-2.0 */
/* What the row cpu-wasm computes, the same source for WebAssembly and for the machine: hashing
 * (integers and rotations), a sieve (bytes, strides), matrices and an n-body problem (floating
 * point), sorting (branches, recursion), and a hash table with chains (dependent loads). Returns a
 * checksum, so that nothing can be left out and both can be compared. */
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default"), export_name("kernel")))
#ifndef __wasm__
#undef EXPORT
#define EXPORT
#endif

uint32_t kernel(uint32_t rounds);

static uint32_t state = 1;

static uint32_t next(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* ---- SHA-256's compression (FIPS 180-4 §6.2.2) ---- */

static uint32_t constants[64];

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static void compress(uint32_t h[8], const uint8_t block[64])
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(v, h, sizeof(v));
    for (int i = 0; i < 64; i++) {
        uint32_t e = v[4], a = v[0];
        uint32_t t1 = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                      ((e & v[5]) ^ (~e & v[6])) + constants[i] + w[i];
        uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof(v[0]));
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
}

static uint32_t hash(void)
{
    static uint8_t text[1 << 18];
    uint32_t h[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (int i = 0; i < 64; i++)
        constants[i] = next();
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i * 7 + state);
    for (size_t i = 0; i < sizeof(text); i += 64)
        compress(h, text + i);
    return h[0] ^ h[7];
}

/* ---- sieve ---- */

static uint32_t sieve(void)
{
    static uint8_t composite[1000000];
    uint32_t count = 0;
    memset(composite, 0, sizeof(composite));
    for (uint32_t i = 2; i < sizeof(composite); i++) {
        if (composite[i])
            continue;
        count++;
        for (uint64_t k = (uint64_t)i * i; k < sizeof(composite); k += i)
            composite[k] = 1;
    }
    return count;
}

/* ---- matrices ---- */

#define SIDE 128

static uint32_t matrices(void)
{
    static double a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];
    for (int i = 0; i < SIDE; i++)
        for (int k = 0; k < SIDE; k++) {
            a[i][k] = next() % 100;
            b[i][k] = next() % 100;
            c[i][k] = 0;
        }
    for (int i = 0; i < SIDE; i++)
        for (int k = 0; k < SIDE; k++)
            for (int j = 0; j < SIDE; j++)
                c[i][j] += a[i][k] * b[k][j];
    double sum = 0;
    for (int i = 0; i < SIDE; i++)
        sum += c[i][(i * 7) % SIDE];
    return (uint32_t)(uint64_t)sum;
}

/* ---- bodies ---- */

#define BODIES 5

static double root(double x)
{
    return __builtin_sqrt(x);
}

static uint32_t bodies(void)
{
    double place[BODIES][3], speed[BODIES][3] = {{0}}, mass[BODIES];
    for (int i = 0; i < BODIES; i++) {
        mass[i] = 1.0 / (1 + i);
        for (int k = 0; k < 3; k++)
            place[i][k] = (double)(next() % 1000) / 50;
    }
    for (int step = 0; step < 20000; step++) {
        for (int i = 0; i < BODIES; i++)
            for (int j = i + 1; j < BODIES; j++) {
                double d[3], square = 0.01;
                for (int k = 0; k < 3; k++) {
                    d[k] = place[i][k] - place[j][k];
                    square += d[k] * d[k];
                }
                double force = 0.001 / (square * root(square));
                for (int k = 0; k < 3; k++) {
                    speed[i][k] -= d[k] * mass[j] * force;
                    speed[j][k] += d[k] * mass[i] * force;
                }
            }
        for (int i = 0; i < BODIES; i++)
            for (int k = 0; k < 3; k++)
                place[i][k] += 0.001 * speed[i][k];
    }
    double sum = 0;
    for (int i = 0; i < BODIES; i++)
        sum += place[i][0] + place[i][1] + place[i][2];
    return (uint32_t)(int64_t)(sum * 1000);
}

/* ---- sorting ---- */

static void sort(uint32_t *list, int from, int to)
{
    while (from < to) {
        uint32_t pivot = list[(from + to) / 2];
        int i = from, j = to;
        while (i <= j) {
            while (list[i] < pivot)
                i++;
            while (list[j] > pivot)
                j--;
            if (i <= j) {
                uint32_t swapped = list[i];
                list[i++] = list[j];
                list[j--] = swapped;
            }
        }
        sort(list, from, j);
        from = i;
    }
}

static uint32_t sorting(void)
{
    static uint32_t list[200000];
    int count = sizeof(list) / sizeof(list[0]);
    for (int i = 0; i < count; i++)
        list[i] = next();
    sort(list, 0, count - 1);
    uint32_t sum = 0;
    for (int i = 0; i < count; i += 100)
        sum = sum * 31 + list[i];
    return sum;
}

/* ---- a table with chains ---- */

static uint32_t table(void)
{
    static struct entry {
        struct entry *next;
        uint32_t key, count;
    } entries[50000], *chains[16384];
    int used = 0;
    uint32_t found = 0;
    memset(chains, 0, sizeof(chains));
    for (int i = 0; i < 300000; i++) {
        uint32_t key = next() % 60000, slot = key * 2654435761u >> 18;
        struct entry *e = chains[slot];
        while (e != NULL && e->key != key)
            e = e->next;
        if (e != NULL) {
            found += ++e->count;
        } else if (used < 50000) {
            entries[used] = (struct entry){chains[slot], key, 1};
            chains[slot] = &entries[used++];
        }
    }
    return found;
}

EXPORT uint32_t kernel(uint32_t rounds)
{
    static uint32_t (*const parts[])(void) = {hash, sieve, matrices, bodies, sorting, table};
    uint32_t sum = 0;
    state = 1;
    for (uint32_t round = 0; round < rounds; round++)
        for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
            sum = sum * 31 + parts[i]();
    return sum;
}
