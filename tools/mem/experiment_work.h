/* The work of an experiment: append to a store, then read it all. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_EXPERIMENT_WORK_H
#define TOOLS_MEM_EXPERIMENT_WORK_H

#include <stdbool.h>

#include "tools/mem/experiment.h"

/* What the child tells the parent, in memory that both see; all zero before. */
struct experiment_told {
    bool has_ended; /* stored last */
    int code;       /* what the work came to: 0, or `failure` */
    struct err failure;
    struct experiment_part append, read;
    struct store_path_faults paths[STORE_N_PATHS];
    struct latency appends;
};

/* ERR_UNSUPPORTED: the policy may not be had here. */
int experiment_work(const struct experiment *x, const char *root, struct experiment_told *told,
                    struct err *e) MUST_CHECK;

#endif
