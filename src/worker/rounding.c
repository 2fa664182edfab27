/* SPDX-License-Identifier: Apache-2.0 */
/* All that compiled modules and the engine call of the maths library: with these in the program,
 * images do not carry its 900 kB. Nobody looks at errno or at the processor's exception flags
 * afterwards, and the rounding mode is the one that each process begins with. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define INTEGRAL 0x1p52 /* doubles from here on have no fraction */

/* Values without a fraction, infinities and those that are no number. */
static bool is_whole(double x)
{
    return !(__builtin_fabs(x) < INTEGRAL);
}

double fabs(double x)
{
    return __builtin_fabs(x);
}

double trunc(double x)
{
    return is_whole(x) ? x : __builtin_copysign((double)(int64_t)x, x);
}

double floor(double x)
{
    double towards_zero = trunc(x);
    return towards_zero > x ? towards_zero - 1 : towards_zero;
}

/* What lies between -1 and 0 becomes a zero with its sign. */
double ceil(double x)
{
    double towards_zero = trunc(x);
    return towards_zero < x ? towards_zero + 1 : towards_zero;
}

/* The sum has no place for a fraction, so adding rounds as the processor does: to even. */
double nearbyint(double x)
{
    if (is_whole(x))
        return x;
    double sum = __builtin_fabs(x) + INTEGRAL;
    return __builtin_copysign(sum - INTEGRAL, x);
}

double rint(double x)
{
    return nearbyint(x);
}

/* Compiled without errno for errors, this is one instruction. */
double sqrt(double x)
{
    return __builtin_sqrt(x);
}

/* Every float is a double, and so is what it is rounded to. */
float fabsf(float x)
{
    return __builtin_fabsf(x);
}

float truncf(float x)
{
    return (float)trunc(x);
}

float floorf(float x)
{
    return (float)floor(x);
}

float ceilf(float x)
{
    return (float)ceil(x);
}

float nearbyintf(float x)
{
    return (float)nearbyint(x);
}

float rintf(float x)
{
    return (float)nearbyint(x);
}

float sqrtf(float x)
{
    return __builtin_sqrtf(x);
}
