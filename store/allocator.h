/* The background thread that keeps room in front of the writer: the next commit-log file, made when
 * the current one fills, and a window of populated pages. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ALLOCATOR_H
#define STORE_ALLOCATOR_H

#include <stdatomic.h>
#include <stdint.h>

#include "store/mapped_files.h"
#include "store/worker.h"

struct allocator {
    struct worker worker;
    /* set before start, then constant */
    struct mapped_files *log;
    const _Atomic uint64_t *published; /* where the writer is */
    uint64_t window_bytes;             /* populated ahead under load */
    uint64_t idle_window_bytes;        /* populated ahead otherwise; at least one record */
    /* allocator only (the opener before it starts) */
    struct mapped_file *current; /* the file whose window is kept; pinned */
    struct mapped_file *next;    /* made, not yet current; pinned */
    uint64_t seen_off;           /* published at the step before */
    uint64_t seen_ns;            /* when */
    uint64_t bytes_per_s;        /* fill rate, smoothed */
    unsigned n_idle_steps;
    /* atomic: stored by the allocator (release), taken by the appender (acquire) -- I7 */
    _Atomic(struct mapped_file *) ready; /* with a pin that goes over to the taker */
    _Atomic bool is_wanted;              /* an appender waits: set by it, cleared by the step */
    /* atomic, seq_cst on both sides: an appender publishes and then loads it, the allocator stores
     * it and then loads published; with less, both could miss that the writer is there */
    _Atomic uint64_t nudge_off; /* a writer at or behind it wakes the allocator */
    _Atomic bool is_stopped;    /* nobody will make room any more */
    struct lock lock;           /* LOCK_LEAF */
    pthread_cond_t cond;
    struct err failure; /* guarded by lock: the last failure's story */
    /* atomic: stored under lock (release), loaded by appenders before they try (acquire) */
    _Atomic uint64_t n_turns;    /* steps that made room, or tried to */
    _Atomic uint64_t n_failures; /* of these, failed */
};

void allocator_init(struct allocator *a, struct mapped_files *log,
                    const _Atomic uint64_t *published, uint64_t window_bytes,
                    uint64_t idle_window_bytes);

/* Before the start: `first` is the file appended to, whole and mapped for writing; its first window
 * behind `off` is populated here. The caller keeps its own pin. */
int allocator_begin(struct allocator *a, struct mapped_file *first, uint64_t off,
                    struct err *e) MUST_CHECK;

/* The file made ready, with its pin, or NULL. Thread: any, holding LOCK_APPEND. Does no I/O (I7).
 */
struct mapped_file *allocator_take(struct allocator *a);

/* Wakes the allocator when the writer has come near the end of what is ready. `published` was
 * stored with seq_cst. Thread: any; not under LOCK_APPEND. */
void allocator_nudge(struct allocator *a, uint64_t published);

/* What allocator_wait compares with: read it before trying. */
struct allocator_turn {
    uint64_t n_turns, n_failures;
};

struct allocator_turn allocator_turn(struct allocator *a);

/* Waits until room was made since `seen`; an error when making it failed meanwhile. */
int allocator_wait(struct allocator *a, struct allocator_turn seen, struct err *e) MUST_CHECK;

/* The worker's step (`arg` is the allocator). */
int allocator_step(void *arg);

/* Ends the thread, wakes who waits (they get ERR_CLOSED), and removes a file nobody used. */
int allocator_stop(struct allocator *a, struct err *e) MUST_CHECK;

void allocator_fini(struct allocator *a); /* after stop */

#endif
