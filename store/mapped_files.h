/* The ordered, gapless files of one log or queue: find by position, add, drop, unmap the cold. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_MAPPED_FILES_H
#define STORE_MAPPED_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "store/mapped_file.h"

struct reclaimer;

struct mapped_files {
    /* set before shared, then constant */
    struct io *io;
    char *folder;
    uint64_t file_bytes;
    enum mapped_access access;       /* how files are mapped on demand */
    enum io_advice advice;           /* given for each mapping; init sets IO_NORMAL */
    struct reclaimer *reclaimer;     /* takes what is dropped */
    const _Atomic uint64_t *written; /* see struct mapped_file; init sets NULL */
    struct lock lock;                /* LOCK_FILES */
    /* guarded by lock */
    struct mapped_file **files;
    size_t n;
    size_t capacity;
    uint64_t tick;   /* counts pins, to tell the coldest file */
    bool first_goes; /* the first file is being removed: nobody finds it any more */
};

/* `folder` is copied. Zeroed memory is fine for fini. */
int mapped_files_init(struct mapped_files *mf, struct io *io, const char *folder,
                      uint64_t file_bytes, enum mapped_access access, struct reclaimer *reclaimer,
                      struct err *e) MUST_CHECK;

/* Unmaps and frees all; the files stay on disk. No pin may be left. */
void mapped_files_fini(struct mapped_files *mf);

/* Lists the folder (absent: no files). An empty last file is removed; a last file that is too short
 * is extended when the list is mapped for reading (a log). ERR_CORRUPT, naming the file: another
 * length, a name that is not a position, a gap. */
int mapped_files_load(struct mapped_files *mf, struct err *e) MUST_CHECK;

/* Undoes a load that failed half-way: nobody has used it. */
void mapped_files_forget(struct mapped_files *mf);

/* Takes over `f`, which starts where the last one ends. On failure it is still the caller's. */
int mapped_files_add(struct mapped_files *mf, struct mapped_file *f, struct err *e) MUST_CHECK;

/* The file that holds position `off`, mapped and pinned. ERR_NOTFOUND: no file there. */
int mapped_files_pin(struct mapped_files *mf, uint64_t off, struct mapped_file **ret_file,
                     struct err *e) MUST_CHECK;

/* First position, and one past the end of the last file; both 0 when there are none. */
void mapped_files_bounds(struct mapped_files *mf, uint64_t *ret_start, uint64_t *ret_end);

/* Drops every file that starts at or behind `off`: removed from disk at once, unmapped and freed by
 * the reclaimer after the last unpin (I3). */
int mapped_files_drop_from(struct mapped_files *mf, uint64_t off, struct err *e) MUST_CHECK;

/* Drops the first file in the same way when it ends at or below `below` and is not the last one;
 * whether it did. Nobody finds it from before it is removed from disk. An error: it is still there.
 * Thread: one at a time that drops. */
int mapped_files_drop_first(struct mapped_files *mf, uint64_t below, bool *ret_dropped,
                            struct err *e) MUST_CHECK;

/* Unmaps the file unused for longest that nobody has pinned and that ends at or below `below`;
 * false when there is none. `keep_bytes`: only while more than that is mapped. */
bool mapped_files_unmap_coldest(struct mapped_files *mf, uint64_t below, uint64_t keep_bytes);

/* Drops the page-table entries of everything mapped that lies below `below`. Thread: the one that
 * unmaps. */
void mapped_files_relax(struct mapped_files *mf, uint64_t below);

/* Unmaps every file that nobody has pinned; whether none is left. Thread: the one that unmaps. */
bool mapped_files_unmap_all(struct mapped_files *mf);

/* Pins on the file that starts at `start`; 0 when there is none. */
uint64_t mapped_files_pins_at(struct mapped_files *mf, uint64_t start);

struct mapped_files_usage {
    uint64_t n_files, n_mapped, mapped_bytes, n_pins, n_bad;
};

void mapped_files_usage(struct mapped_files *mf, struct mapped_files_usage *ret);

#endif
