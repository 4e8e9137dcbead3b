/* The last values of a figure as a line of small bars. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/spark.h"

enum { N_BARS = 8 };

static const char *const bars[][N_BARS] = {
    [MAP_ASCII] = {"_", ".", ":", "-", "=", "+", "*", "#"},
    [MAP_UTF8] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
};

void spark_add(struct spark *s, double value)
{
    s->values[s->n++ % SPARK_MAX] = value;
}

static double highest(const struct spark *s, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = s->values[i] > most ? s->values[i] : most;
    return most;
}

void spark_draw(const struct spark *s, enum map_charset charset, FILE *out)
{
    size_t n = s->n < SPARK_MAX ? s->n : SPARK_MAX;
    double most = highest(s, n);
    for (size_t i = s->n - n; i < s->n; i++) {
        double value = s->values[i % SPARK_MAX];
        size_t bar = most > 0 && value > 0 ? (size_t)(value / most * (N_BARS - 1) + 0.5) : 0;
        fputs(bars[charset][bar], out);
    }
}
