/* A script for gnuplot while it is being written. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_PLOT_SKETCH_H
#define TOOLS_BENCH_PLOT_SKETCH_H

#include <stdio.h>

#include "tools/bench/plot.h"

enum {
    SKETCH_HEIGHT = 400,
    SKETCH_LINES = 12, /* in one plot, at most */
};

struct sketch {
    /* set by the caller */
    plot_fn fn; /* where the plot goes */
    void *arg;
    /* between begin and end */
    FILE *out;
    char title[PLOT_TEXT_BYTES * 2]; /* for the caller to fill in */
    /* its own */
    char *script;
    size_t len;
};

/* Settings that all plots share. ERR_NOMEM. */
int sketch_begin(struct sketch *s, int height, struct err *e) MUST_CHECK;

/* Hands the plot over; what `fn` returned, or ERR_NOMEM. */
int sketch_end(struct sketch *s, struct err *e) MUST_CHECK;

/* "set WHAT 'text'" */
void sketch_set_text(struct sketch *s, const char *what, const char *text);

/* Plots the data block $dK: `how` is "using" and "with"; the first one begins the list. */
void sketch_line(struct sketch *s, unsigned k, const char *title, const char *how);

/* Another line of that block, in the same colour, behind all others. */
void sketch_more_line(struct sketch *s, unsigned k, const char *title, const char *how);

/* Of the values above 0; both 0 when there is none. */
struct sketch_extent {
    double low, high;
    bool has_others; /* zero, or below */
};

void sketch_extend(struct sketch_extent *x, double value);

/* Whether all are above 0 and the highest is `spread` times the lowest. */
bool sketch_wants_log(const struct sketch_extent *x, double spread);

/* The axis of the values: logarithmic when they are so far apart, else from 0 on. */
void sketch_set_y(struct sketch *s, const struct sketch_extent *y, double spread);

/* ---- a kind of plots ---- */

/* Of a file's rows with sizes in their names. */
int plot_curves(struct sketch *s, const struct results_file *f, struct err *e) MUST_CHECK;

#endif
