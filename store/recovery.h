/* Recovery: what to believe of log and queues when a store is opened. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RECOVERY_H
#define STORE_RECOVERY_H

#include "store/commit_log.h"
#include "store/consume_queues.h"

struct recovered {
    uint64_t tail;              /* end of the last whole record: appending goes on here */
    uint64_t last_ms;           /* its store time */
    uint64_t synced;            /* below it the log is on disk */
    struct store_checkpoint cp; /* what the file says now */
};

/* What recovery begins with. */
struct recovery_start {
    const struct store_checkpoint *cp;
    int checkpoint_fd;                                              /* the caller's */
    void (*on_progress)(void *arg, const struct store_progress *p); /* may be NULL */
    void *progress_arg;
};

/* Loads the queues, walks the log from where it is not known to be good, queues again what is
 * missing, cuts what points behind the end. `log` is loaded, nothing runs. `report->was_clean` says
 * how to begin; the rest of it is filled in. Before entries below the checkpoint are written again
 * that is taken back to where the walk begins; they are on disk with the next one. */
int recovery_run(struct commit_log *log, struct consume_queues *queues,
                 const struct recovery_start *start, struct store_recovery *report,
                 struct recovered *ret, struct err *e) MUST_CHECK;

/* The first whole record in `bytes`, of which byte 0 is at `log_off`: its own position, lengths and
 * body CRC agree. True with its place in `*ret_at`; the dispatcher asks too. */
bool recovery_find_record(struct span bytes, uint64_t log_off, uint64_t *ret_at);

#endif
