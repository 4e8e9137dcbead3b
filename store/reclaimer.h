/* The background thread that unmaps: files dropped from their lists, once nobody has them pinned,
 * and the coldest commit-log files while more is mapped than the budget allows. While more is
 * resident than its budget allows it drops the page-table entries of the coldest parts. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RECLAIMER_H
#define STORE_RECLAIMER_H

#include <stdatomic.h>
#include <stdint.h>

#include "store/mapped_files.h"
#include "store/worker.h"

struct queue_maps;

struct reclaimer {
    struct worker worker;
    /* set before start, then constant */
    struct mapped_files *log;
    uint64_t budget_bytes;           /* 0: no limit */
    const _Atomic uint64_t *flushed; /* only files below it may be unmapped */
    struct io *io;
    uint64_t resident_bytes; /* 0: no limit */
    struct queue_maps *maps; /* kept within their number; NULL: there are none */
    struct parts parts;      /* of all files of the store */
    const _Atomic uint64_t
        *dispatched;  /* of the log, read by nobody of ours below it; may be NULL */
    struct lock lock; /* LOCK_LEAF */
    /* guarded by lock */
    struct mapped_file *dead; /* dropped from their lists; owned */
    /* atomic: counted by the reclaimer, read for statistics (relaxed: a count) */
    _Atomic uint64_t n_unmapped, n_relaxed, n_forgotten;
    /* the reclaimer only */
    uint64_t relaxed_ns;  /* when all was dropped last */
    uint64_t dropped_off; /* behind the tail all is dropped below it */
    uint64_t tail_off;    /* of what is dispatched, when it moved last */
    uint64_t tail_ns;     /* and that time */
    bool is_resting;      /* that is some time ago */
    bool has_rested;      /* and what was in use then was dropped */
};

void reclaimer_init(struct reclaimer *r, struct mapped_files *log, uint64_t budget_bytes,
                    const _Atomic uint64_t *flushed);

/* Sets the budget for resident memory; 0: no limit. Before any file is added to a list. */
void reclaimer_bound(struct reclaimer *r, uint64_t resident_bytes, struct io *io);

/* Begins to drop the page-table entries behind the log's tail, from `from` on. Before start. */
void reclaimer_follow(struct reclaimer *r, const _Atomic uint64_t *dispatched, uint64_t from);

/* Takes over a file that is in no list any more. Thread: any. */
void reclaimer_bury(struct reclaimer *r, struct mapped_file *f);

/* Frees what can be freed, unmaps what is cold; the worker's step (`arg` is the reclaimer). */
int reclaimer_step(void *arg);

uint64_t reclaimer_n_pins(struct reclaimer *r);     /* held on buried files */
uint64_t reclaimer_n_log_pins(struct reclaimer *r); /* on those of the log */

/* After the worker was stopped and the last pin dropped. */
void reclaimer_fini(struct reclaimer *r);

#endif
