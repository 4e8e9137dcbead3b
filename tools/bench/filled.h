/* A scratch store full of messages, to be read: warm, or with nothing of it in memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_FILLED_H
#define TOOLS_BENCH_FILLED_H

#include "store/store.h"
#include "tools/bench/scratch.h"

enum { FILLED_FILES_MAX = 1024 };

struct filled_options {
    const char *dir; /* where its folder is made */
    uint64_t n_messages;
    uint32_t body_bytes;
    const char *(*tag_of)(uint64_t i); /* the tag of the i-th message */
    struct store_options store;        /* of the store; its root is ours */
};

struct filled {
    char folder[SCRATCH_PATH_BYTES];
    struct store *store; /* NULL while it is closed */
    struct store_options options;
    uint64_t n_messages;
    uint64_t log_bytes; /* of all records */
};

/* Makes it, with all messages in queue 0 of one topic, and leaves it open. */
int filled_make(struct filled *f, const struct filled_options *opt, struct err *e) MUST_CHECK;
void filled_free(struct filled *f); /* zeroed or half made is fine */

struct span filled_topic(void);

/* Closes the store, drops its files from the page cache, opens it again. */
int filled_cool(struct filled *f, struct err *e) MUST_CHECK;

/* Closes the store and drops its files from the page cache. */
int filled_drop(struct filled *f, struct err *e) MUST_CHECK;

/* The files of a folder of the store ("commitlog"), in their order, each mapped with the kernel's
 * own idea of reading ahead. */
struct filled_map {
    uint8_t *bases[FILLED_FILES_MAX];
    uint64_t lens[FILLED_FILES_MAX];
    size_t n;
};

int filled_map(const struct filled *f, const char *folder, struct filled_map *ret,
               struct err *e) MUST_CHECK;
void filled_unmap(struct filled_map *m);

/* Reads the log, which is closed, as far as it has records, with read() of large pieces, each of
 * which is valid during the call. */
typedef void (*filled_piece_fn)(void *arg, const uint8_t *piece, uint64_t len);
int filled_read_log(const struct filled *f, filled_piece_fn fn, void *arg,
                    struct err *e) MUST_CHECK;

/* Adds the bytes up, eight at a time: the least that reading them can be. */
uint64_t filled_sum(const uint8_t *at, uint64_t len);

/* What one pass over the queue came to. */
struct filled_pass {
    uint64_t n_entries;
    uint64_t n_hits;
    uint64_t hit_bytes;
    uint64_t sum;
};

/* Scans the queue from its beginning, and reads each record that matches. */
int filled_scan(const struct filled *f, const struct store_match *match, struct filled_pass *ret,
                struct err *e) MUST_CHECK;

#endif
