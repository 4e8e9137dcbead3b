/* A commit log, queues, dispatcher, flusher and committer without threads: tests drive the steps.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_LOG_FIXTURE_H
#define TESTS_LIB_LOG_FIXTURE_H

#include "store/commit_log.h"
#include "store/consume_queues.h"
#include "store/dispatch.h"
#include "store/flush.h"
#include "store/group_commit.h"
#include "store/reclaimer.h"
#include "tests/lib/fault.h"

enum {
    LOG_FILE_BYTES = 64 * 1024,
    LOG_FLUSH_BYTES = 4 << 20, /* the interval is 0: every step is due */
    LOG_PENDING_BYTES = 32 * 1024,
    LOG_RECORD_OVERHEAD = 91 + 1, /* V1, IPv4 hosts, a topic of one byte */
};

struct log_fixture {
    char *root, *folder;
    struct fault fault;
    struct reclaimer reclaimer;
    struct commit_log log;
    struct consume_queues queues;
    struct dispatcher dispatcher;
    struct flusher flusher;
    struct group_commit commit; /* written only */
    struct queue_seq seq;       /* of topic T, queue 0 */
};

void log_fixture_init(struct log_fixture *f);         /* mapped */
void log_fixture_init_written(struct log_fixture *f); /* the engine of sync flush */
void log_fixture_fini(struct log_fixture *f);

/* Appends a body of zeros to queue 0 of topic T. */
int log_fixture_try(struct log_fixture *f, size_t body_len, int32_t sys_flag,
                    struct store_appended *ret, struct err *e);

/* The same; fails the test on error. */
struct store_appended log_fixture_append(struct log_fixture *f, size_t body_len);

/* What the allocator's threads would do: the window, and a file when one is due. */
void log_fixture_make_room(struct log_fixture *f);

#endif
