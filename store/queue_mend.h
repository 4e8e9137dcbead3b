/* Consume-queue entries that are damaged: the record that one stood for is found, and recovery
 * writes it again. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_QUEUE_MEND_H
#define STORE_QUEUE_MEND_H

#include "store/commit_log.h"
#include "store/consume_queue.h"

/* Looks between the records of the entries around number `queue_off` for the one with that number.
 * True: `ret` and a pin on its file, the caller's. Its body is not checked. Slow: a walk over a
 * part of the log. Thread: any. Locks: as a scan. */
bool queue_mend_find(struct commit_log *log, struct consume_queue *q, uint64_t queue_off,
                     struct store_record *ret, struct mapped_file **ret_file);

/* Whether a record is number `queue_off` of this queue. */
bool queue_mend_is_of(const struct consume_queue *q, const struct store_record *rec,
                      uint64_t queue_off);

/* Whether the record of an entry is there, whole. Thread: recovery. */
bool queue_mend_is_whole(struct commit_log *log, const struct store_queue_entry *entry);

/* Whether the last entry that points at a record has a whole one of this queue. Thread: recovery.
 */
bool queue_mend_has_last(struct commit_log *log, const struct consume_queue *q);

/* Decides about a whole record whose number has another entry in its queue. The entry is written
 * anew (`ret_mended`) when it does not point at its own record, or out of order. ERR_CORRUPT: it
 * keeps the number, so that of `rec` is damaged; a record of an earlier life of the topic is passed
 * over without a word. Thread: recovery. */
int queue_mend_taken(struct commit_log *log, struct consume_queue *q,
                     const struct store_record *rec, bool *ret_mended, struct err *e) MUST_CHECK;

#endif
