/* Which of the log's oldest files may go, and their going. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RETENTION_H
#define STORE_RETENTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/commit_log.h"
#include "store/consume_queues.h"
#include "store/worker.h"

/* ---- the rules ---- */

enum retention_verdict {
    RETENTION_KEEP,
    RETENTION_EXPIRED, /* old enough, and the hour or the space says so */
    RETENTION_FORCED,  /* for want of space, whatever its age */
};

/* What is looked at. */
struct retention_look {
    uint64_t now_ms, changed_ms; /* of the wall clock; when the file changed last */
    unsigned hour;               /* 0..23, local */
    unsigned used_percent;       /* of the file system, rounded up */
};

/* What becomes of the oldest file. Pure. */
enum retention_verdict retention_judge(const struct store_retention *rules,
                                       const struct retention_look *look);

/* ---- their going ---- */

struct retention {
    struct worker worker;
    /* set before start, then constant */
    struct store_retention rules;
    struct io *io;
    struct commit_log *log;
    struct consume_queues *queues;
    const _Atomic uint64_t *checkpoint; /* of the flusher: what lies below is on disk (I1) */
    struct worker *indexer;             /* woken to remove the keys of what went */
    void (*on_expired)(void *arg, const struct store_expired *x); /* may be NULL */
    void *expired_arg;
    /* atomic: counted by the worker, read for statistics (relaxed: a count) */
    _Atomic uint64_t n_expired;
};

void retention_init(struct retention *r, const struct store_options *opt, struct io *io,
                    struct commit_log *log, struct consume_queues *queues);

/* The worker's step (`arg` is the retention): removes what may go of the log's files, up to ten,
 * and what pointed at it. The beginnings of the queues move first, so that nobody looks for what is
 * gone. */
int retention_step(void *arg);

void retention_fini(struct retention *r); /* after the worker was stopped; zeroed memory is fine */

#endif
