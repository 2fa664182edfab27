/* SPDX-License-Identifier: Apache-2.0 */
#include "observe/histogram.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

const uint64_t histogram_time_bounds[HISTOGRAM_BOUNDS] = {
    100 * US, 250 * US,  500 * US,  1 * MS,    2 * MS,    2500 * US, 5 * MS,     10 * MS,
    20 * MS,  25 * MS,   50 * MS,   75 * MS,   100 * MS,  200 * MS,  250 * MS,   500 * MS,
    750 * MS, 1000 * MS, 2000 * MS, 2500 * MS, 5000 * MS, 7500 * MS, 10000 * MS,
};

/* By the number of the highest bit, from 2^FIRST_BIT on: the first cell whose bound is not below
 * 2^bit. From there on it is at most three further. */
#define FIRST_BIT 16
static const uint8_t first_cell[] = {
    0,  1,  2,  3,  4,  5,  6, /* 2^16 = 66 us … 2^22 = 4.2 ms */
    7,  8,  10, 11, 13, 15,    /* 2^23 = 8.4 ms … 2^28 = 268 ms */
    16, 18, 19, 20, 22,        /* 2^29 = 537 ms … 2^33 = 8.6 s */
};
#define LAST_BIT (FIRST_BIT + (unsigned)sizeof(first_cell) - 1)

static unsigned highest_bit(uint64_t n)
{
    return 63 - (unsigned)__builtin_clzll(n | 1);
}

unsigned histogram_time_cell(uint64_t ns)
{
    unsigned bit = highest_bit(ns);
    if (bit < FIRST_BIT)
        return 0;
    if (bit > LAST_BIT)
        return HISTOGRAM_CELLS - 1;
    unsigned cell = first_cell[bit - FIRST_BIT];
    while (cell < HISTOGRAM_BOUNDS && ns > histogram_time_bounds[cell])
        cell++;
    return cell;
}

unsigned histogram_count_cell(uint64_t n)
{
    unsigned cell = n <= 1 ? 0 : highest_bit(n - 1) + 1;
    return cell < HISTOGRAM_CELLS - 1 ? cell : HISTOGRAM_CELLS - 1;
}

static void add(struct histogram *h, unsigned cell, uint64_t n)
{
    atomic_fetch_add_explicit(&h->cells[cell], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum, n, memory_order_relaxed);
}

void histogram_observe_time(struct histogram *h, uint64_t ns)
{
    add(h, histogram_time_cell(ns), ns);
}

void histogram_observe_count(struct histogram *h, uint64_t n)
{
    add(h, histogram_count_cell(n), n);
}

static void add_own(atomic_uint_fast64_t *to, uint64_t n)
{
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void histogram_observe_own_time(struct histogram *h, uint64_t ns)
{
    add_own(&h->cells[histogram_time_cell(ns)], 1);
    add_own(&h->sum, ns);
}

void histogram_add(struct histogram_sums *sums, const struct histogram *h)
{
    for (unsigned i = 0; i < HISTOGRAM_CELLS; i++)
        sums->cells[i] += atomic_load_explicit(&h->cells[i], memory_order_relaxed);
    sums->sum += atomic_load_explicit(&h->sum, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram_sums *sums)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < HISTOGRAM_CELLS; i++)
        n += sums->cells[i];
    return n;
}

/* ---- what is shown ---- */

#define SCALE(name, list, each)                                                                    \
    const struct histogram_scale name = {list, sizeof(list) / sizeof((list)[0]), each}

static const struct histogram_bucket own[] = {
    {"0.0001", 0}, {"0.00025", 1}, {"0.0005", 2}, {"0.001", 3}, {"0.0025", 5}, {"0.005", 6},
    {"0.01", 7},   {"0.025", 9},   {"0.05", 10},  {"0.1", 12},  {"0.25", 14},  {"0.5", 15},
    {"1.0", 17},   {"2.5", 19},    {"5.0", 20},   {"10.0", 22},
};
SCALE(histogram_seconds, own, 1e9);

static const struct histogram_bucket knative[] = {
    {"0.005", 6}, {"0.01", 7},  {"0.025", 9}, {"0.05", 10}, {"0.075", 11},
    {"0.1", 12},  {"0.25", 14}, {"0.5", 15},  {"0.75", 16}, {"1.0", 17},
    {"2.5", 19},  {"5.0", 20},  {"7.5", 21},  {"10.0", 22},
};
SCALE(histogram_knative_seconds, knative, 1e9);

static const struct histogram_bucket knative_before[] = {
    {"1.0", 3},     {"2.0", 4},     {"5.0", 6},      {"10.0", 7},   {"20.0", 8},
    {"50.0", 10},   {"100.0", 12},  {"200.0", 13},   {"500.0", 15}, {"1000.0", 17},
    {"2000.0", 18}, {"5000.0", 20}, {"10000.0", 22},
};
SCALE(histogram_knative_milliseconds, knative_before, 1e6);

static const struct histogram_bucket powers[] = {
    {"1.0", 0},  {"2.0", 1},   {"4.0", 2},   {"8.0", 3},   {"16.0", 4},    {"32.0", 5},
    {"64.0", 6}, {"128.0", 7}, {"256.0", 8}, {"512.0", 9}, {"1024.0", 10},
};
SCALE(histogram_powers, powers, 1);
