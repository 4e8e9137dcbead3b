/* What the parts of `salvage` share: the damaged store, the new one, and what was lost. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_SALVAGE_H
#define TOOLS_SALVAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"
#include "store/store.h"
#include "tools/progress.h"
#include "tools/queue_files.h"

struct salvage_log;    /* salvage_log.c */
struct salvage_queues; /* salvage_queues.c */

struct salvage {
    const char *from, *to; /* roots */
    struct io *io;
    bool json;
    uint64_t file_bytes;       /* of the commit log */
    uint64_t queue_file_bytes; /* 0: taken from the files */
    uint64_t batch_file_bytes;
    struct store_walk *walk;
    struct queue_files *files; /* of the damaged store */
    struct salvage_log *log;
    struct salvage_queues *queues;
    struct progress progress;

    uint64_t n_saved, saved_bytes;
    uint64_t n_lost_places, lost_bytes; /* of the log */
    uint64_t n_padded;                  /* records that grew over a small lost place */
    uint64_t n_unnumbered;              /* saved, but without an entry: their number cannot be */
    uint64_t n_queues, n_entries;
    uint64_t n_stand_ins;   /* entries in place of lost messages */
    uint64_t n_lost_queues; /* of which no message is left */
    uint64_t n_copied;      /* other files */
    uint64_t last_ms;       /* store time of the last record */
    uint64_t log_end;
};

/* Prints one thing that is lost: `log_off` and a text. */
void salvage_tell(struct salvage *s, uint64_t log_off, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ---- salvage_log.c: the new commit log ---- */

/* A record came to its place for good; its size may have grown. */
typedef int (*salvage_placed_fn)(struct salvage *s, const struct store_record *rec, struct err *e);

int salvage_log_open(struct salvage *s, salvage_placed_fn placed, struct err *e) MUST_CHECK;

/* The next good record; what lies between it and the one before is covered. */
int salvage_log_record(struct salvage *s, const struct store_record *rec, struct err *e) MUST_CHECK;

/* From here to the end of its file there is nothing. */
int salvage_log_end_file(struct salvage *s, uint64_t log_off, struct err *e) MUST_CHECK;

/* Ends the log; `is_torn` when something was lost behind its last record: then the next file is
 * begun, so that no position that was in use comes again. */
int salvage_log_finish(struct salvage *s, bool is_torn, struct err *e) MUST_CHECK;

void salvage_log_close(struct salvage *s);

/* ---- salvage_queues.c: the new consume queues ---- */

int salvage_queues_open(struct salvage *s, struct err *e) MUST_CHECK;
int salvage_queues_record(struct salvage *s, const struct store_record *rec,
                          struct err *e) MUST_CHECK;

/* Keeps the numbers of messages that were lost at the ends of queues; writes what is left. */
int salvage_queues_finish(struct salvage *s, struct err *e) MUST_CHECK;
void salvage_queues_close(struct salvage *s);

/* ---- salvage_copy.c ---- */

/* Copies everything that is not made anew: config, index, timer files. */
int salvage_copy_rest(struct salvage *s, struct err *e) MUST_CHECK;

#endif
