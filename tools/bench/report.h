/* The report of a benchmark: results as a table and as JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_REPORT_H
#define TOOLS_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

/* One figure beside the limit measured in the same run. Strings outlive the report. */
struct bench_result {
    const char *bench; /* "store" */
    char name[64];     /* the case: "append 1 KiB" */
    const char *unit;  /* "MiB/s" */
    double value;
    double spread;      /* half of highest - lowest of the runs, over the value */
    double limit;       /* the yardstick's value in the same unit; 0: none */
    const char *target; /* "S1"; NULL: none */
    double bound;       /* of value / limit, to meet the target */
    bool is_most;       /* met at or below the bound, not at or above */
    bool is_absolute;   /* the bound is of the value itself */
    double cores;       /* used by the load, or by the store; and by the server */
    double server_cores;
    double disk;          /* share of the time that the disk was busy */
    const char *bound_by; /* what was used up; NULL: unknown */
    const char *of;       /* the case without its figure; results of one follow each other */
    const char *figure;   /* NULL: the only one or the first */
};

struct bench_report;

/* ERR_NOMEM. */
int bench_report_new(struct bench_report **ret_report, struct err *e) MUST_CHECK;
void bench_report_free(struct bench_report *report); /* NULL is fine */

/* Copies the result (not its strings). */
int bench_report_add(struct bench_report *report, const struct bench_result *r,
                     struct err *e) MUST_CHECK;

struct bench_point {
    double x, y;
};

/* Points of a plot. */
struct bench_series {
    char name[96];
    const char *x_unit, *y_unit; /* outlive the report */
    const struct bench_point *points;
    size_t n;
};

/* Copies the series and its points, for the JSON only. */
int bench_report_add_series(struct bench_report *report, const struct bench_series *s,
                            struct err *e) MUST_CHECK;

/* The machine and every result, for reading. */
void bench_report_print(const struct bench_report *report, FILE *out);

/* The same with a line for each case: its figures side by side, the first with its ratio. All cases
 * have the same figures. */
void bench_report_print_wide(const struct bench_report *report, FILE *out);

/* {"machine": {...}, "results": [{"bench", "case", "value", "unit", "spread", "limit", "ratio",
 * "target", "bound", "met", "cores", "server_cores", "disk", "bound_by", "bound_is"}], "series":
 * [{"name", "x_unit", "y_unit", "points": [[x, y], ...]}]}; what a result does not have is null. Of
 * a series' name "a: b", a is the plot that `bench report` makes of it and b the line in it. */
int bench_report_write(const struct bench_report *report, const char *path,
                       struct err *e) MUST_CHECK;

/* Whether a report can be written to `path`: asked before the hours whose results go there. What is
 * there stays as it is. */
int bench_report_check_path(const char *path, struct err *e) MUST_CHECK;

/* The middle value; the lower one of an even number. Sorts `values`; n > 0. */
double bench_median(double *values, size_t n);

#endif
