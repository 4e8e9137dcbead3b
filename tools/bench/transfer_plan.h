/* What a transfer sends: slices of one file, in the order in which they are asked for. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_TRANSFER_PLAN_H
#define TOOLS_BENCH_TRANSFER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    TRANSFER_TAGS = 100,              /* a record in a hundred has one of them */
    TRANSFER_BATCH_MAX = 64,          /* slices handed over together, */
    TRANSFER_BATCH_BYTES = 256 << 10, /* and what ends a batch before */
};

struct transfer_slice {
    uint64_t off; /* in the file */
    uint32_t len;
    bool is_first; /* of a pass over the file */
};

/* A body in the log, and which tag its record has. */
struct transfer_record {
    uint64_t off;
    uint32_t len;
    uint32_t tag; /* below TRANSFER_TAGS */
};

/* Slices to be sent one after the other, and then again. */
struct transfer_plan {
    struct transfer_slice *slices;
    size_t n;
    size_t at; /* the next one */
};

/* All of a file, cut into pieces; the last may be shorter. ERR_NOMEM. */
int transfer_plan_whole(struct transfer_plan *ret, uint64_t file_bytes, uint32_t piece_bytes,
                        struct err *e) MUST_CHECK;

/* The bodies of the records, which come in the file's order, in as many passes over the file as it
 * takes when each wants `n_tags` tags of its own: 1 is one record in a hundred, scattered, and a
 * hundred passes; TRANSFER_TAGS is one pass that wants them all. ERR_NOMEM. */
int transfer_plan_tags(struct transfer_plan *ret, const struct transfer_record *records, size_t n,
                       uint32_t n_tags, struct err *e) MUST_CHECK;

void transfer_plan_free(struct transfer_plan *p); /* a zeroed one is fine */

/* The next slices that are handed over together, all of one pass. */
const struct transfer_slice *transfer_plan_next(struct transfer_plan *p, size_t *ret_n);

#endif
