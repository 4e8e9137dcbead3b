/* A mapping made ready to be copied to: what a store appends to, without the store. Its file is
 * allocated, and each window populated before it is used. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_COPY_TARGET_H
#define TOOLS_BENCH_COPY_TARGET_H

#include <stdint.h>

#include "base/err.h"

struct copy_target {
    const char *folder; /* outlives it */
    int fd;
    uint8_t *base;
    uint64_t ready; /* bytes populated */
    uint64_t used;  /* bytes written: the user's */
};

int copy_target_open(struct copy_target *t, const char *folder, struct err *e) MUST_CHECK;
void copy_target_close(struct copy_target *t); /* failed to open is fine */

/* Populates one more window behind `ready`, in the next file when this one is full. */
int copy_target_prepare(struct copy_target *t, struct err *e) MUST_CHECK;

#endif
