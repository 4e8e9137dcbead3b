/* The last values of a figure as a line of small bars. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_SPARK_H
#define TOOLS_MEM_SPARK_H

#include <stddef.h>
#include <stdio.h>

#include "tools/mem/map_text.h"

enum { SPARK_MAX = 60 };

/* Zeroed it is empty. */
struct spark {
    double values[SPARK_MAX]; /* a ring */
    size_t n;                 /* so many were ever added */
};

void spark_add(struct spark *s, double value);

/* Bars as high as the value beside the highest there is; nothing at all is the lowest. */
void spark_draw(const struct spark *s, enum map_charset charset, FILE *out);

#endif
