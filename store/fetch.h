/* Has the records of a scan's hits read from disk together, before they are looked at. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_FETCH_H
#define STORE_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include "store/commit_log.h"
#include "store/store.h"

/* `entries` are the hits among `n_looked_at` entries of a queue, in its order; they need not be
 * true. Does nothing for what is in memory or was appended lately, and nothing when most of the log
 * between the hits is wanted. Only speed hangs on it: errors are left to who reads.
 * Thread: any. Locks: takes LOCK_FILES, briefly. */
void fetch_hits(struct commit_log *log, const struct store_queue_entry *entries, size_t n,
                uint64_t n_looked_at);

#endif
