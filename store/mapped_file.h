/* One mapped file: its bytes, how far they are allocated and populated, and who keeps it mapped. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_MAPPED_FILE_H
#define STORE_MAPPED_FILE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"
#include "store/parts.h"
#include "store/store.h"

enum { MAPPED_PAGE_BYTES = 4096 };

enum mapped_access { MAPPED_READ, MAPPED_WRITE };

struct store_pin {
    /* atomic: added to under LOCK_FILES or by the holder of a pin (relaxed: it orders nothing),
     * taken from by any thread (release), compared with 0 under LOCK_FILES (acquire) -- I3 */
    _Atomic uint32_t n;
};

struct mapped_file {
    struct store_pin pin; /* first: a pin is a pointer to it */
    /* set before shared, then constant */
    struct io *io;
    char *path;
    uint64_t start;     /* position of its first byte in the log or queue */
    uint64_t bytes;     /* length */
    struct parts *in;   /* where its parts are listed */
    struct part *parts; /* owned; NULL: they are not listed */
    /* of a log: what lies before it is not written any more; NULL: whoever writes can wait */
    const _Atomic uint64_t *written;
    /* guarded by LOCK_FILES of the list it is in; does not change while pinned (I3) */
    uint8_t *base; /* NULL: not mapped */
    enum mapped_access access;
    uint64_t last_use;             /* tick of the list when it was last pinned */
    struct mapped_file *next_dead; /* guarded by the reclaimer's lock */
    /* atomic: stored by the one that makes room (release), loaded by writers (acquire) -- I1 */
    _Atomic uint64_t allocated; /* bytes from the start that have blocks */
    _Atomic uint64_t populated; /* bytes from the start that are present and writable */
    /* guarded by the allocator's lock: of a file that several populate */
    uint64_t claimed;              /* somebody has or is about to populate what lies below */
    uint64_t ahead_from, ahead_to; /* populated behind what is not yet; equal: nothing */
    /* atomic: stored by the handler of read faults (release), loaded by anybody (acquire) -- I4 */
    _Atomic bool is_bad;
};

/* A file that is there, not mapped yet; takes its length as it should be. */
int mapped_file_new(struct mapped_file **ret_file, struct io *io, const char *folder,
                    uint64_t start, uint64_t bytes, struct err *e) MUST_CHECK;

/* Makes `folder`/<start> with `bytes` of length of which the first `allocate_bytes` have blocks,
 * and maps it for writing. What was there is lost. On failure nothing is left behind. */
int mapped_file_create(struct mapped_file **ret_file, struct io *io, const char *folder,
                       uint64_t start, uint64_t bytes, uint64_t allocate_bytes,
                       struct err *e) MUST_CHECK;

/* Unmaps and frees; NULL is fine. No pin may be left. */
void mapped_file_free(struct mapped_file *f);

/* Maps it if it is not, or not for writing when that is asked. Locks: caller holds LOCK_FILES or is
 * the only one to know the file; nobody may hold a pin when a mapping is exchanged. */
int mapped_file_map(struct mapped_file *f, enum mapped_access access, struct err *e) MUST_CHECK;

/* From here on the mapping cannot be written through. Locks: as mapped_file_map; no pins. */
int mapped_file_protect(struct mapped_file *f, struct err *e) MUST_CHECK;

void mapped_file_unmap(struct mapped_file *f); /* Locks: as mapped_file_map; no pins */

/* Gives the first `upto` bytes blocks, so that writing there cannot meet a full disk (I4). Extends
 * the file to at least that. */
int mapped_file_allocate(struct mapped_file *f, uint64_t upto, struct err *e) MUST_CHECK;

/* Makes the bytes up to `upto` present and writable. Thread: one at a time; f is mapped for
 * writing. */
int mapped_file_populate(struct mapped_file *f, uint64_t upto, struct err *e) MUST_CHECK;

/* The same for [from, to), whose start is a page's; the mark stays where it is. Thread: any. */
int mapped_file_fill(struct mapped_file *f, uint64_t from, uint64_t to, struct err *e) MUST_CHECK;

/* Makes [from, to) durable, rounded out to whole pages. Thread: any, with a pin. */
int mapped_file_sync(const struct mapped_file *f, uint64_t from, uint64_t to,
                     struct err *e) MUST_CHECK;

static inline void mapped_file_pin(struct mapped_file *f)
{
    atomic_fetch_add_explicit(&f->pin.n, 1, memory_order_relaxed); /* see struct store_pin */
}

static inline void mapped_file_unpin(struct mapped_file *f)
{
    if (f)
        store_unpin(&f->pin);
}

/* `n` pins at once, each to be dropped by itself or with others; the caller has one already. */
static inline void mapped_file_pin_more(struct mapped_file *f, uint32_t n)
{
    atomic_fetch_add_explicit(&f->pin.n, n, memory_order_relaxed); /* see struct store_pin */
}

static inline void mapped_file_unpin_some(struct mapped_file *f, uint32_t n)
{
    uint32_t before = atomic_fetch_sub_explicit(&f->pin.n, n, memory_order_release);
    assert(before >= n); /* I3; it pairs as store_unpin's does */
    (void)before;        /* looked at in debug builds only */
}

/* Locks: LOCK_FILES, or nobody else can reach the file: then 0 stays 0. */
static inline bool mapped_file_is_pinned(struct mapped_file *f)
{
    return atomic_load_explicit(&f->pin.n, memory_order_acquire) != 0;
}

#endif
