/* Writes queued records to the files of the log, from where their pieces lie, and syncs them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_LOG_WRITER_H
#define STORE_LOG_WRITER_H

#include <sys/uio.h>

#include "store/mapped_files.h"
#include "store/outgoing.h"

enum { LOG_WRITER_PIECES = 1024 }; /* IOV_MAX */

struct log_writer {
    /* set before start, then constant */
    struct mapped_files *files;
    /* owner only */
    int fd;         /* of the file written to; -1: none */
    uint64_t start; /* where that file begins */
    uint64_t off;   /* where the gathered pieces go */
    int n_pieces;   /* gathered */
    struct iovec pieces[LOG_WRITER_PIECES];
};

void log_writer_init(struct log_writer *w, struct mapped_files *files);
void log_writer_fini(struct log_writer *w);

/* Writes the records from `first` up to, not including, `end`, and syncs them. They lie one behind
 * the other in one file; a filler of the first is written to the file before, and synced, first.
 * After a failure nobody knows what the disk has. */
int log_writer_commit(struct log_writer *w, const struct outgoing *first,
                      const struct outgoing *end, struct err *e) MUST_CHECK;

/* Makes the files that hold [from, to) durable, whoever wrote to them. */
int log_writer_sync(struct log_writer *w, uint64_t from, uint64_t to, struct err *e) MUST_CHECK;

#endif
