/* One file of the key index as its writer has it: mapped, with blocks under what is written. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_INDEX_WRITER_H
#define STORE_INDEX_WRITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"
#include "store/store.h"

/* Which file, and of what shape. */
struct index_spec {
    struct io *io;
    const char *folder;
    uint64_t name; /* yyyyMMddHHmmssSSS as a number */
    uint32_t n_slots, n_items;
};

/* One thread owns it. */
struct index_writer {
    struct io *io;
    char *path;
    uint64_t name;
    uint32_t n_slots, n_items;
    uint64_t bytes;
    uint8_t *base;
    struct store_index_header head; /* as in the mapping */
    uint64_t allocated;             /* bytes from the start that have blocks */
    /* atomic: stored by the handler of read faults (release), loaded by the owner (acquire) -- I4
     */
    _Atomic bool is_bad;
};

/* Reads a file's header with pread. ERR_CORRUPT: wrong length, a header that cannot be, or more
 * items than fit. */
int index_writer_peek(const struct index_spec *spec, struct store_index_header *ret,
                      struct err *e) MUST_CHECK;

/* Makes a file without items; its header starts as where the one before ended, like RocketMQ's
 * (`before` may be NULL). What was there is lost. On failure nothing is left. */
int index_writer_create(struct index_writer **ret_file, const struct index_spec *spec,
                        const struct store_index_header *before, struct err *e) MUST_CHECK;

/* Maps one that is there. ERR_CORRUPT as for index_writer_peek. */
int index_writer_open(struct index_writer **ret_file, const struct index_spec *spec,
                      struct err *e) MUST_CHECK;

void index_writer_close(struct index_writer *f); /* NULL is fine; syncs nothing */

/* Places left for items. */
static inline uint32_t index_writer_room(const struct index_writer *f)
{
    return f->head.n_next < f->n_items ? f->n_items - f->head.n_next : 0;
}

/* Adds an item; there is room. ERR_NOSPACE. ERR_IO: the file was cut or cannot be read. */
int index_writer_put(struct index_writer *f, uint32_t hash, uint64_t log_off, uint64_t store_ms,
                     struct err *e) MUST_CHECK;

/* Believes nothing but the items themselves: keeps those from the first on that follow one another
 * and point below `below_log_off`, and builds the slots of them again. Those of the last record go
 * too, since some may be missing, but for the first `n_whole` - 1 items of the file. */
int index_writer_settle(struct index_writer *f, uint64_t below_log_off, uint64_t n_whole,
                        struct err *e) MUST_CHECK;

/* Makes all that was written durable. */
int index_writer_sync(struct index_writer *f, struct err *e) MUST_CHECK;

/* Gives the page-table entries back: the contents stay in the page cache. */
void index_writer_relax(struct index_writer *f);

#endif
