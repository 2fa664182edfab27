/* SPDX-License-Identifier: Apache-2.0 */
/* Log-linear histogram: each power of two is cut into 2^HISTOGRAM_SUB_BITS equal buckets. */
#include "load.h"

#define SUB_COUNT (1ull << HISTOGRAM_SUB_BITS)

static size_t bucket_of(uint64_t value)
{
    if (value < SUB_COUNT)
        return (size_t)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return (size_t)(((uint64_t)shift << HISTOGRAM_SUB_BITS) + (value >> shift));
}

static uint64_t bucket_middle(size_t bucket)
{
    if (bucket < 2 * SUB_COUNT)
        return bucket;
    unsigned shift = (unsigned)(bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t low = ((bucket & (SUB_COUNT - 1)) + SUB_COUNT) << shift;
    return low + (1ull << shift) / 2;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
    h->buckets[bucket_of(value)]++;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    to->count += from->count;
    to->sum += from->sum;
    if (from->max > to->max)
        to->max = from->max;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
}

uint64_t histogram_quantile(const struct histogram *h, double quantile)
{
    uint64_t wanted = (uint64_t)(quantile * (double)h->count);
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > wanted)
            return bucket_middle(i) < h->max ? bucket_middle(i) : h->max;
    }
    return h->max;
}

void histogram_print_us(const struct histogram *h, FILE *out)
{
    double mean = h->count == 0 ? 0 : (double)h->sum / (double)h->count;
    fprintf(out, "{\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}", mean / 1e3,
            (double)histogram_quantile(h, 0.50) / 1e3, (double)histogram_quantile(h, 0.90) / 1e3,
            (double)histogram_quantile(h, 0.99) / 1e3, (double)h->max / 1e3);
}
