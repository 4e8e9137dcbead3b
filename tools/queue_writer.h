/* Writes the files of one consume queue, entry by entry. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_QUEUE_WRITER_H
#define TOOLS_QUEUE_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"
#include "tools/queue_files.h"

enum { QUEUE_WRITER_ENTRIES = 64 };

/* Zeroed but for the first fields it has no entries. */
struct queue_writer {
    struct io *io;
    const char *folder; /* of the queue; made when the first entry comes */
    uint64_t file_bytes;
    bool is_batch;

    bool is_begun;
    uint64_t begin; /* number of the first entry */
    uint64_t next;  /* of the next one */
    struct queue_entry last;
    size_t n_buf; /* entries before `next` that are not written yet */
    uint8_t buf[QUEUE_WRITER_ENTRIES * QUEUE_ENTRY_BYTES_MAX];
};

/* The first entry is number `n`; what the first file has before it becomes pre-blank. */
int queue_writer_begin(struct queue_writer *w, uint64_t n, struct err *e) MUST_CHECK;

/* The next entry. */
int queue_writer_add(struct queue_writer *w, const struct queue_entry *entry,
                     struct err *e) MUST_CHECK;

/* Takes back the entries from number `n` on: the queue goes on there. `n` is not below begin. */
int queue_writer_cut(struct queue_writer *w, uint64_t n, struct err *e) MUST_CHECK;

int queue_writer_flush(struct queue_writer *w, struct err *e) MUST_CHECK;

#endif
