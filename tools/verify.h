/* What the parts of `verify` share: the store, what was counted, what was found. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_VERIFY_H
#define TOOLS_VERIFY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"
#include "store/store.h"
#include "tools/progress.h"
#include "tools/queue_files.h"

/* What was counted of one queue while the log was walked; by queue_folder.number. */
struct verify_queue {
    struct queue_folder *folder;
    uint64_t n_matched; /* entries that a record agreed with */
    uint64_t n_missing; /* records of a queue that is not there */
};

/* A place of the log that is known to hold no message: a cover of lost ones, or a filler. */
struct verify_range {
    uint64_t begin, end;
};

struct verify_index; /* verify_index.c */

struct verify {
    const char *root;
    struct io *io;
    bool json;
    uint64_t file_bytes;
    bool is_live;   /* another process has the store open */
    json_t *topics; /* of config/topics.json; NULL: unknown */
    struct queue_files *files;
    struct store_walk *walk; /* the log in order */
    struct store_walk *look; /* single places of it */
    struct verify_index *index;
    struct verify_queue *queues;
    unsigned n_queues;
    struct verify_range *ranges; /* in order */
    size_t n_ranges;
    uint64_t waited_ms; /* for the dispatcher of a running broker, so far */
    struct progress progress;

    uint64_t log_begin, log_end; /* of the records */
    uint64_t n_records, record_bytes;
    uint64_t n_places, place_bytes; /* damaged */
    uint64_t n_bad_bodies;
    uint64_t n_deleted;    /* records of topics that were deleted */
    uint64_t n_superseded; /* records whose entry belongs to a later one: the topic was made anew */
    uint64_t n_folders, n_entries, n_expired, n_pre_blank, n_repeated;
    uint64_t n_covers, cover_bytes; /* of messages that were lost before */
    uint64_t n_index_files, n_items, n_lost_items;
    uint64_t n_findings;
};

/* Where a finding is; what is not known is left out. */
struct verify_at {
    bool has_log_off, has_queue, has_queue_off;
    uint64_t log_off;
    struct span topic;
    int32_t queue_id;
    uint64_t queue_off;
    const char *file; /* NULL: none */
};

struct verify_at verify_at_record(const struct store_record *rec);

/* Counts and prints one finding. `kind` is a word of the manual. */
void verify_finding(struct verify *v, const char *kind, const struct verify_at *at, const char *fmt,
                    ...) PRINTF_LIKE(4, 5);

/* verify_log.c: walks the log and asks queues and index about each record. */
int verify_log(struct verify *v, struct err *e) MUST_CHECK;

/* Whether a position is in such a range. */
bool verify_is_lost(const struct verify *v, uint64_t log_off);

/* verify_queues.c: goes through the entries of every queue. */
int verify_queues(struct verify *v, struct err *e) MUST_CHECK;

/* verify_index.c. Without an index all of these do nothing. */
int verify_index_open(struct verify *v, struct err *e) MUST_CHECK;
void verify_index_add(struct verify *v, const struct store_record *rec);
int verify_index_check(struct verify *v, struct err *e) MUST_CHECK;
void verify_index_close(struct verify *v);

#endif
