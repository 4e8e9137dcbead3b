/* Looks a hash up in the files of a key index, newest first, from outside: by pread, so that a
 * look-up costs a page for each item it follows and no more. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_INDEX_SEARCH_H
#define STORE_INDEX_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"

struct index_search {
    struct io *io;
    const char *folder;
    uint32_t n_slots;
    uint32_t hash;
    uint64_t begin_ms, end_ms; /* store times, both inclusive; items know whole seconds */
    uint64_t below_log_off;    /* only records below it */
    uint64_t max_items;        /* looked at */
};

enum index_search_end {
    INDEX_SEARCH_ALL,     /* there is no more */
    INDEX_SEARCH_STOPPED, /* the function said so */
    INDEX_SEARCH_LIMIT,   /* max_items were looked at */
};

/* A record that may have the key: its hash agrees, and its time as far as the index knows. Each
 * comes once, in falling order. 0: go on; 1: stop; an error ends the search. */
typedef int (*index_take_fn)(void *arg, uint64_t log_off, struct err *e);

/* Files that are no index files are passed over, and what is damaged in one only shortens what is
 * found. Thread: any; the files may be written meanwhile. */
int index_search(const struct index_search *s, index_take_fn take, void *arg,
                 enum index_search_end *ret_end, struct err *e) MUST_CHECK;

#endif
