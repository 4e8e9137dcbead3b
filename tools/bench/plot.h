/* Which plots a file of results makes, each as a script for gnuplot. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_PLOT_H
#define TOOLS_BENCH_PLOT_H

#include <stdbool.h>

#include "tools/bench/results_file.h"

struct plot {
    const char *title, *script; /* valid during the call */
};

/* Non-zero stops. */
typedef int (*plot_fn)(void *arg, const struct plot *plot, struct err *e);

/* Calls `fn` for each plot of the file: values over a size that is in the names of cases, ratios to
 * their limits, and series. Returns what stopped it. ERR_NOMEM. */
int plot_each(const struct results_file *f, plot_fn fn, void *arg, struct err *e) MUST_CHECK;

/* ---- the parts, pure ---- */

enum { PLOT_TEXT_BYTES = 256 };

/* A case's name around the size in it: "append 16 KiB, hot" is "append", 16384, "hot". */
struct plot_size {
    char before[PLOT_TEXT_BYTES], behind[PLOT_TEXT_BYTES];
    double bytes;
};

/* False: there is no size in it. */
bool plot_find_size(const char *name, struct plot_size *ret);

#endif
