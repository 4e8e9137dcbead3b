/* Parts of mappings, in the order in which they were last used: what is resident is given back by
 * parts much smaller than a file. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_PARTS_H
#define STORE_PARTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/lock.h"
#include "store/worker.h"

struct mapped_file;

enum {
    PART_BYTES = 2 << 20,        /* what one table of page-table entries maps */
    PARTS_KEEP_BYTES = 16 << 20, /* behind a log's tail: where those are who read it as it grows */
};

struct part {
    struct mapped_file *file; /* constant */
    /* atomic, relaxed: stored under the lock, compared by who is about to use the part: with an old
     * value it is moved once too often, or once too late */
    _Atomic uint64_t used; /* the list's tick when it came to the front; 0: it is not in the list */
    /* guarded by the list's lock */
    struct part *newer, *older;
    bool was_cold; /* not in the page cache when it came into the list */
};

/* The list of all files of a store. */
struct parts {
    /* set before shared, then constant */
    struct worker *worker; /* woken when many have come; NULL: nothing is listed */
    struct lock lock;      /* LOCK_LEAF */
    /* guarded by lock */
    struct part *newest, *oldest;
    /* atomic, relaxed: stored under the lock, read for what struct part says and as a count */
    _Atomic uint64_t tick, n;
    _Atomic uint64_t wake_n; /* stored by the reclaimer: wake it when as many are listed */
};

void parts_init(struct parts *p);
void parts_fini(struct parts *p);

/* Begins to list. Before any file is begun. */
void parts_watch(struct parts *p, struct worker *worker);

/* Makes the file's parts, none of them listed; nothing when nothing is listed here. Before the file
 * is shared. */
int parts_begin(struct parts *p, struct mapped_file *f, struct err *e) MUST_CHECK;

/* Lists the parts of [from, upto) as just used: they are about to be read. The file is pinned.
 * Thread: any. Locks: takes LOCK_LEAF. */
void parts_use(struct mapped_file *f, uint64_t from, uint64_t upto);

/* The same of pages that were just written or made. */
void parts_fill(struct mapped_file *f, uint64_t from, uint64_t upto);

/* Takes those that lie whole in [from, upto) out of the list. */
void parts_drop(struct mapped_file *f, uint64_t from, uint64_t upto);

/* Takes out the one used longest ago; NULL: there is none. Thread: the one that unmaps files, so
 * its file stays mapped. */
struct part *parts_take_oldest(struct parts *p, bool *ret_was_cold);

/* Puts one back that was taken and is still needed, as the newest. */
void parts_put_back(struct parts *p, struct part *part);

#endif
