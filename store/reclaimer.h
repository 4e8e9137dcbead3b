/* The background thread that unmaps: files dropped from their lists, once nobody has them pinned,
 * and the coldest commit-log files while more is mapped than the budget allows. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RECLAIMER_H
#define STORE_RECLAIMER_H

#include <stdatomic.h>
#include <stdint.h>

#include "store/mapped_files.h"
#include "store/worker.h"

struct reclaimer {
    struct worker worker;
    /* set before start, then constant */
    struct mapped_files *log;
    uint64_t budget_bytes;           /* 0: no limit */
    const _Atomic uint64_t *flushed; /* only files below it may be unmapped */
    struct lock lock;                /* LOCK_LEAF */
    /* guarded by lock */
    struct mapped_file *dead; /* dropped from their lists; owned */
    /* atomic: counted by the reclaimer, read for statistics (relaxed: a count) */
    _Atomic uint64_t n_unmapped;
};

void reclaimer_init(struct reclaimer *r, struct mapped_files *log, uint64_t budget_bytes,
                    const _Atomic uint64_t *flushed);

/* Takes over a file that is in no list any more. Thread: any. */
void reclaimer_bury(struct reclaimer *r, struct mapped_file *f);

/* Frees what can be freed, unmaps what is cold; the worker's step (`arg` is the reclaimer). */
int reclaimer_step(void *arg);

uint64_t reclaimer_n_pins(struct reclaimer *r); /* held on buried files */

/* After the worker was stopped and the last pin dropped. */
void reclaimer_fini(struct reclaimer *r);

#endif
