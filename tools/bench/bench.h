/* What the benchmarks share: medians, the table, the JSON report. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_BENCH_H
#define TOOLS_BENCH_BENCH_H

#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

/* One figure beside the limit measured in the same run. Strings outlive the report. */
struct bench_result {
    const char *bench; /* "store" */
    const char *name;  /* the case: "append 1 KiB" */
    const char *unit;  /* "MiB/s" */
    double value;
    double limit;  /* the yardstick's value in the same unit; 0: none */
    double target; /* smallest ratio value/limit that meets the target; 0: none */
};

struct bench_report;

/* ERR_NOMEM. */
int bench_report_new(struct bench_report **ret_report, struct err *e) MUST_CHECK;
void bench_report_free(struct bench_report *report); /* NULL is fine */

/* Copies the result (not its strings). */
int bench_report_add(struct bench_report *report, const struct bench_result *r,
                     struct err *e) MUST_CHECK;

/* The machine and every result, for reading. */
void bench_report_print(const struct bench_report *report, FILE *out);

/* {"machine": {...}, "results": [{"bench", "case", "value", "unit", "limit", "ratio", "target",
 * "met"}]}; what a result does not have is null. */
int bench_report_write(const struct bench_report *report, const char *path,
                       struct err *e) MUST_CHECK;

/* The middle value; the lower one of an even number. Sorts `values`; n > 0. */
double bench_median(double *values, size_t n);

#endif
