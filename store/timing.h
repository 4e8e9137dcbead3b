/* Durations, counted by any thread without a lock or a system call. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_TIMING_H
#define STORE_TIMING_H

#include <stdatomic.h>

#include "store/store.h"

/* All zero is empty. */
struct timing {
    /* atomic, relaxed: counts; nothing is read through them */
    _Atomic uint64_t counts[STORE_TIMING_BUCKETS];
};

/* Thread: any. */
void timing_add(struct timing *t, uint64_t ns);

/* Counts that are added to meanwhile may be in or not. Thread: any. */
void timing_read(const struct timing *t, struct store_timing *ret);

#endif
