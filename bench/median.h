/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The median of a few figures.
 */
#ifndef BENCH_MEDIAN_H
#define BENCH_MEDIAN_H

#include <stdlib.h>

static int median_compare(const void *a, const void *b)
{
    const double *left = a;
    const double *right = b;

    return (*left > *right) - (*left < *right);
}

/* Sorts the values. count: odd. */
static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(values[0]), median_compare);
    return values[count / 2];
}

#endif
