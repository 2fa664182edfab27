/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's rounding against the C library's own, which this program does not link. */
#include "unit.h"

#include "base/memory.h"

#include <dlfcn.h>
#include <math.h>
#include <string.h>

#define RANDOM_COUNT 400000

static struct {
    const char *name;
    double (*ours)(double x);
    const char *name_float;
    float (*ours_float)(float x);
    double (*theirs)(double x);
    float (*theirs_float)(float x);
} functions[] = {
    {"ceil", ceil, "ceilf", ceilf, NULL, NULL},
    {"fabs", fabs, "fabsf", fabsf, NULL, NULL},
    {"floor", floor, "floorf", floorf, NULL, NULL},
    {"nearbyint", nearbyint, "nearbyintf", nearbyintf, NULL, NULL},
    {"rint", rint, "rintf", rintf, NULL, NULL},
    {"sqrt", sqrt, "sqrtf", sqrtf, NULL, NULL},
    {"trunc", trunc, "truncf", truncf, NULL, NULL},
};

static int load_theirs(void **state)
{
    void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
    assert_non_null(library);
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        functions[i].theirs = dlsym(library, functions[i].name);
        functions[i].theirs_float = dlsym(library, functions[i].name_float);
        assert_non_null(functions[i].theirs);
        assert_true(functions[i].theirs != functions[i].ours);
        assert_true(functions[i].theirs_float != functions[i].ours_float);
    }
    return 0;
}

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

/* The same bits, so that zeros have their signs; of what is no number any will do. */
static void expect_same(const char *name, double x, double ours, double theirs)
{
    if (bits_of(ours) != bits_of(theirs) && !(isnan(ours) && isnan(theirs)))
        fail_msg("%s(%a) is %a, not %a", name, x, ours, theirs);
}

static void compare(double x)
{
    float narrow = (float)x;
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        expect_same(functions[i].name, x, functions[i].ours(x), functions[i].theirs(x));
        expect_same(functions[i].name_float, narrow, functions[i].ours_float(narrow),
                    functions[i].theirs_float(narrow));
    }
}

/* So many values further from zero. */
static double beside(double x, int steps)
{
    uint64_t bits = bits_of(x) + (uint64_t)steps;
    memcpy(&x, &bits, sizeof(bits));
    return x;
}

static void test_edges(void **state)
{
    static const double edges[] = {
        0.0,    0.25,     0.5,         0.75,      1.0,       1.5,    2.5,
        3.5,    0x1p-149, 0x1p-126,    0x1p-1022, 0x1p-1074, 0x1p22, 0x1p22 + 0.5,
        0x1p23, 0x1p24,   0x1p51 + .5, 0x1p52,    0x1p53,    0x1p62, 0x1p63,
        0x1p64, 0x1p127,  0x1p1023,    INFINITY,  NAN};
    for (size_t i = 0; i < COUNT_OF(edges); i++) {
        for (int steps = edges[i] > 0 ? -1 : 0; steps <= 1; steps++) {
            compare(beside(edges[i], steps));
            compare(-beside(edges[i], steps));
        }
    }
}

/* All exponents come up, and those where rounding does something more often. */
static void test_many(void **state)
{
    uint64_t bits = 88172645463325252;
    for (unsigned i = 0; i < RANDOM_COUNT; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double any;
        memcpy(&any, &bits, sizeof(any));
        compare(any);
        compare((double)(int64_t)bits * 0x1p-40);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_edges), cmocka_unit_test(test_many)};
    return cmocka_run_group_tests(tests, load_theirs, NULL);
}
