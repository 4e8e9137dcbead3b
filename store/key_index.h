/* The key index: which records have a key, in files of fixed size, oldest first. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_KEY_INDEX_H
#define STORE_KEY_INDEX_H

#include <stddef.h>

#include "store/index_writer.h"

/* Up to where the index is on disk. All 0: nothing is known. */
struct key_index_mark {
    uint64_t log_off; /* every record below it is in the index */
    uint64_t name;    /* of the file that was last then; 0: there was none */
    uint64_t n_next;  /* of that file, then */
    uint64_t end_ms;  /* store time of its last item's record */
};

struct key_index {
    /* set before start, then constant */
    struct io *io;
    char *folder;
    uint32_t n_slots, n_items;
    /* owner only: the opener, then the indexer */
    uint64_t *names; /* of the files that are believed; ascending */
    size_t n_names;
    size_t n_settled;            /* the first of them need no look at their items */
    struct key_index_mark mark;  /* what is durable */
    uint64_t first_off, tail;    /* of the log, when loaded */
    struct index_writer *active; /* the last file; NULL: none yet */
    bool has_items;
    uint64_t last_log_off; /* of the newest item; meaningless without items */
    uint64_t pending_off;  /* the record of which only the first keys went in */
    unsigned n_pending;    /* how many; 0: none is pending */
    unsigned n_unrelaxed;  /* items since the page-table entries were given back */
};

/* `root` is the store's; nothing is opened. 0 slots or items: RocketMQ's defaults. */
int key_index_init(struct key_index *ki, struct io *io, const char *root, uint32_t n_slots,
                   uint32_t n_items, struct err *e) MUST_CHECK;
void key_index_fini(struct key_index *ki); /* zeroed memory is fine */

/* What is known when the store opens. */
struct key_index_start {
    bool was_clean;
    struct key_index_mark mark;
    uint64_t index_ms;        /* of the checkpoint: RocketMQ's mark */
    uint64_t first_off, tail; /* of the log */
};

/* Lists the files and looks at their headers: quick, however many items there are. A file that
 * cannot be one, and every file behind it, is removed (I6): `*ret_n_dropped` counts them. */
int key_index_load(struct key_index *ki, const struct key_index_start *start, size_t *ret_n_dropped,
                   struct err *e) MUST_CHECK;

/* Looks at the items of one file that may not be whole. True in `*ret_more` when another call is
 * due. At the end `*ret_from` is where in the log indexing goes on. */
int key_index_settle(struct key_index *ki, bool *ret_more, uint64_t *ret_from,
                     struct err *e) MUST_CHECK;

/* Adds the keys of a record; one that was added before adds nothing. Settled. Before a file is left
 * for the next it is synced, and `mark` moves. ERR_NOSPACE: it may be tried again. */
int key_index_put(struct key_index *ki, const struct store_record *rec, struct err *e) MUST_CHECK;

/* Makes everything durable and moves `mark`: the log below `log_off` is in the index. */
int key_index_sync(struct key_index *ki, uint64_t log_off, struct err *e) MUST_CHECK;

/* The log begins at `first_off` now: removes the files that lie wholly before it, but for the last
 * one. What cannot be removed the next load tries again. */
void key_index_trim(struct key_index *ki, uint64_t first_off);

/* Gives the page-table entries back, so that what this process costs does not grow. */
void key_index_relax(struct key_index *ki);

/* The names of the files in a folder, ascending, for the caller to free; absent: none. */
int key_index_list(const char *folder, uint64_t **ret_names, size_t *ret_n,
                   struct err *e) MUST_CHECK;

#endif
