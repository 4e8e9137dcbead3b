/* The two background threads that keep room in front of the writer: one populates a window of
 * pages, the other makes the next commit-log file when the current one fills. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ALLOCATOR_H
#define STORE_ALLOCATOR_H

#include <stdatomic.h>
#include <stdint.h>

#include "store/mapped_files.h"
#include "store/worker.h"

struct allocator {
    struct worker window; /* populates; its step decides when a file is due */
    struct worker maker;  /* makes files: the disk may take long, and the window must not wait */
    /* set before start, then constant */
    struct mapped_files *log;
    const _Atomic uint64_t *published; /* where the writer is */
    uint64_t window_bytes;             /* populated ahead at most; 0: nothing is, see init */
    uint64_t idle_window_bytes;        /* populated ahead at least; no less than one record */
    /* window only (the opener before it starts) */
    struct mapped_file *current; /* the file written to; pinned */
    struct mapped_file *next;    /* made, not yet written to; pinned */
    uint64_t seen_off;           /* published when the rate was measured */
    uint64_t seen_ns;            /* when */
    uint64_t idle_since_ns;      /* nothing was appended since; 0: something was */
    /* atomic: stored by the maker (release), taken by the appender (acquire) -- I7 */
    _Atomic(struct mapped_file *) ready; /* with a pin that goes over to the taker */
    /* atomic: stored by the maker (release), taken by the window (acquire) */
    _Atomic(struct mapped_file *) made; /* the same file, with the pin that becomes next's */
    /* atomic, seq_cst with worker_wake: the step that a wake makes due sees it */
    _Atomic uint64_t due_off; /* a file that starts there is to be made; ALLOCATOR_NOT_DUE: none.
                               * Set by the window, cleared by the maker */
    _Atomic bool is_wanted;   /* an appender waits: set by it, cleared by the window */
    /* atomic, seq_cst on both sides: an appender publishes and then loads it, the window stores it
     * and then loads published; with less, both could miss that the writer is there */
    _Atomic uint64_t nudge_off;   /* a writer at or behind it wakes the window */
    _Atomic uint64_t bytes_per_s; /* fill rate: rises at once, falls slowly. Stored by the window,
                                   * relaxed: it orders nothing */
    _Atomic bool is_stopped;      /* nobody will make room any more */
    struct lock lock;             /* LOCK_LEAF */
    pthread_cond_t cond;
    /* guarded by lock */
    struct err failure; /* the last failure's story */
    bool is_helped;     /* an appender is populating too */
    /* atomic: stored under lock (release), loaded by appenders before they try (acquire) */
    _Atomic uint64_t n_turns;    /* steps that made room, or tried to */
    _Atomic uint64_t n_failures; /* of these, failed */
};

#define ALLOCATOR_NOT_DUE UINT64_MAX

/* With windows of 0 bytes files are mapped read only, for a writer that does not write through the
 * mapping: their pages come with what is written, so all of a file counts as populated. */
void allocator_init(struct allocator *a, struct mapped_files *log,
                    const _Atomic uint64_t *published, uint64_t window_bytes,
                    uint64_t idle_window_bytes);

/* Before start: `first` is the file appended to, whole and mapped for writing; its first window
 * behind `off` is populated here. The caller keeps its own pin. */
int allocator_begin(struct allocator *a, struct mapped_file *first, uint64_t off,
                    struct err *e) MUST_CHECK;

int allocator_start(struct allocator *a, struct err *e) MUST_CHECK; /* stop after a failure too */

/* The file made ready, with its pin, or NULL. Thread: any, holding LOCK_APPEND. Does no I/O (I7).
 */
struct mapped_file *allocator_take(struct allocator *a);

/* What is populated of the file made ready; 0: there is none. Thread: any, holding LOCK_APPEND. */
uint64_t allocator_ready_bytes(struct allocator *a);

/* Wakes the window when the writer has come near the end of what is ready. `published` was
 * stored with seq_cst. Thread: any; not under LOCK_APPEND. */
void allocator_nudge(struct allocator *a, uint64_t published);

/* Bytes appended in a second, as last measured. Thread: any. */
uint64_t allocator_rate(const struct allocator *a);

/* Populates a piece of `f` for an appender that found it too short; false when that is not for it
 * to do and it is to wait. `f` is pinned. Thread: any; not under LOCK_APPEND (I7). */
bool allocator_help(struct allocator *a, struct mapped_file *f, struct err *e);

/* What allocator_wait compares with: read it before trying. */
struct allocator_turn {
    uint64_t n_turns, n_failures;
};

struct allocator_turn allocator_turn(struct allocator *a);

/* Lets who waits look again, since what they wait for may not come. Thread: any; holding LOCK_LEAF:
 * no. */
void allocator_rouse(struct allocator *a);

/* Waits until room was made since `seen`; an error when making it failed meanwhile. */
int allocator_wait(struct allocator *a, struct allocator_turn seen, struct err *e) MUST_CHECK;

/* The steps of the two workers (`arg` is the allocator). */
int allocator_window_step(void *arg);
int allocator_maker_step(void *arg);

/* Ends the threads, wakes who waits (they get ERR_CLOSED), and removes a file nobody used. */
int allocator_stop(struct allocator *a, struct err *e) MUST_CHECK;

void allocator_fini(struct allocator *a); /* after stop */

#endif
