/* One experiment: a policy, sizes and a memory limit, on a scratch store in a process of its own.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_EXPERIMENT_H
#define TOOLS_MEM_EXPERIMENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"
#include "tools/bench/latency.h"
#include "tools/mem/policy.h"

enum { EXPERIMENT_SAMPLES_MAX = 1024 };

struct experiment {
    enum mem_policy policy;
    uint64_t file_bytes;   /* of a commit-log file */
    uint64_t record_bytes; /* of a body */
    uint64_t limit_bytes;  /* of memory; 0: none */
    uint64_t window_bytes; /* populated ahead of the writer at most */
    uint64_t total_bytes;  /* of bodies */
    uint64_t max_ms;       /* appending ends then, however much is left */
    const char *dir;       /* where the scratch store is made */
};

/* Appending, or reading it all again. */
struct experiment_part {
    double seconds;
    uint64_t bytes;                 /* of bodies */
    struct store_fault_mark faults; /* of the thread that does it */
    uint64_t peak_rss_bytes;        /* of the process up to its end */
};

struct experiment_sample {
    uint64_t ms; /* since the beginning */
    uint64_t rss_anon_bytes, rss_file_bytes;
};

enum experiment_end {
    EXPERIMENT_DONE,
    EXPERIMENT_KILLED,  /* for want of memory, most likely */
    EXPERIMENT_SKIPPED, /* it cannot be made here */
};

struct experiment_outcome {
    enum experiment_end end;
    char why[ERR_MSG_BYTES];                       /* skipped or killed */
    struct experiment_part append, read;           /* done only, and so on */
    struct store_path_faults paths[STORE_N_PATHS]; /* when all was appended */
    struct latency appends;
    struct experiment_sample samples[EXPERIMENT_SAMPLES_MAX]; /* also of what was killed */
    size_t n_samples;
};

/* Runs it and removes what it made. An error: it failed, for no reason that belongs to it. */
int experiment_run(const struct experiment *x, struct experiment_outcome *ret,
                   struct err *e) MUST_CHECK;

#endif
