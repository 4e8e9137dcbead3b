/* The seam with a fault in it: the n-th call of the chosen kinds fails. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_FAULT_H
#define TESTS_LIB_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/io.h"

enum fault_kind {
    FAULT_OPEN = 1 << 0,
    FAULT_CLOSE = 1 << 1,
    FAULT_SIZE = 1 << 2, /* size, changed and next_data */
    FAULT_TRUNCATE = 1 << 3,
    FAULT_ALLOCATE = 1 << 4,
    FAULT_READ = 1 << 5,
    FAULT_WRITE = 1 << 6, /* pwrite and pwritev */
    FAULT_MAP = 1 << 7,
    FAULT_UNMAP = 1 << 8,
    FAULT_POPULATE = 1 << 9,
    FAULT_ADVISE = 1 << 10, /* advise, forget, is_resident, rss */
    FAULT_SYNC = 1 << 11,   /* sync_map, sync_fd and sync_dir */
    FAULT_RENAME = 1 << 12,
    FAULT_UNLINK = 1 << 13, /* unlink and rmdir */
    FAULT_MKDIR = 1 << 14,
    FAULT_LOCK = 1 << 15,
    FAULT_FREE_SPACE = 1 << 16,
    FAULT_ALL = (1 << 17) - 1,
};

enum fault_span {
    FAULT_ONCE,     /* one call fails, later ones work again */
    FAULT_FROM_NOW, /* that call and all later ones of its kinds fail */
};

/* As errno_value: the process is killed at that call, before it is carried out. */
enum { FAULT_KILL = -1 };

/* Pass `&f->io` where an io is wanted; any thread may call it. close and unmap are carried out even
 * when they are made to fail, so that nothing leaks. The clocks never fail. */
struct fault {
    struct io io; /* first, so that the seam's pointer is ours */
    struct io *inner;
    /* set by arming, while no other thread calls the seam */
    unsigned kinds;
    int errno_value;
    enum fault_span span;
    /* atomic, relaxed: counts that order nothing else */
    _Atomic uint64_t n_calls; /* of the armed kinds, since armed; of all kinds when not armed */
    _Atomic uint64_t fail_at; /* 0: not armed */
    atomic_bool has_fired;
};

/* Wraps `inner`; nothing fails until armed. Nothing needs to be undone. */
void fault_init(struct fault *f, struct io *inner);

/* From now on the n-th call (1: the next) of any of `kinds` fails with `errno_value`. With
 * errno_value 0 the call succeeds by half: reads and writes return a short count. */
void fault_arm(struct fault *f, unsigned kinds, uint64_t n, int errno_value, enum fault_span span);

void fault_disarm(struct fault *f);

/* Whether a call has failed since armed: the end of a sweep over n is the first run that says no.
 */
bool fault_fired(const struct fault *f);

/* How many calls of the armed kinds were made since armed. */
uint64_t fault_calls(const struct fault *f);

#endif
