/* What an open store is made of; seen by store.c, scan.c and page_faults.c only. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_INNER_H
#define STORE_STORE_INNER_H

#include "store/commit_log.h"
#include "store/consume_queues.h"
#include "store/dispatch.h"
#include "store/flush.h"
#include "store/group_commit.h"
#include "store/indexer.h"
#include "store/page_faults.h"
#include "store/reclaimer.h"
#include "store/retention.h"
#include "store/store.h"

struct store {
    /* set before start, then constant */
    struct io *io;
    char *root;
    int lock_fd; /* the lock file, held while open; -1: none */
    struct store_recovery report;
    struct reclaimer reclaimer;
    struct commit_log log;
    struct consume_queues queues;
    struct dispatcher dispatcher;
    struct indexer indexer;
    struct flusher flusher;
    struct group_commit commit;         /* sync flush only */
    struct retention retention;         /* if it is on */
    bool has_reclaimer, has_dispatcher; /* these were initialised */
    _Atomic uint64_t n_damaged;         /* relaxed: a count */
    struct page_faults faults[STORE_N_PATHS];
};

#endif
