/* What experiments came to: a row of a table each, and results and series for a report. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_RUN_REPORT_H
#define TOOLS_MEM_RUN_REPORT_H

#include <stdio.h>

#include "tools/bench/report.h"
#include "tools/mem/experiment.h"

enum run_figure {
    RUN_APPEND_RATE,
    RUN_APPEND_MINOR, /* of the appending thread, by the GiB, as all faults */
    RUN_APPEND_MAJOR,
    RUN_AHEAD, /* while populating and opening, of both kinds */
    RUN_DISPATCH,
    RUN_P50,
    RUN_P99,
    RUN_P999,
    RUN_WORST,
    RUN_STALLS, /* appends over a millisecond, by the GiB */
    RUN_RSS,    /* the most while appending */
    RUN_READ_RATE,
    RUN_READ_MINOR,
    RUN_READ_MAJOR,
    RUN_READ_RSS, /* the most at all */
    RUN_N_FIGURES,
};

/* Of an experiment that was done. */
void run_figures(const struct experiment_outcome *o, double ret[RUN_N_FIGURES]);

void run_report_head(FILE *out);

/* The figures, or why there are none. */
void run_report_row(const struct experiment *x, const struct experiment_outcome *o,
                    const double figures[RUN_N_FIGURES], FILE *out);

/* The figures as results, the resident bytes over time and the latencies of appends as series. */
int run_report_add(struct bench_report *report, const struct experiment *x,
                   const struct experiment_outcome *o, const double figures[RUN_N_FIGURES],
                   struct err *e) MUST_CHECK;

#endif
