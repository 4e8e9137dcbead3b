/* The log that transfers are taken from: one commit-log file of a filled store, whose store is
 * closed, mapped and all in memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_TRANSFER_LOG_H
#define TOOLS_BENCH_TRANSFER_LOG_H

#include "tools/bench/filled.h"
#include "tools/bench/transfer_plan.h"

struct transfer_log {
    struct filled filled;
    struct filled_map map;
    int file;
    uint32_t body_bytes; /* of its messages; 0: there are none */
    uint64_t log_bytes;  /* as far as there are messages */
    struct transfer_record *records;
    size_t n_records;
};

/* Fills a store with messages of `body_bytes`, at most `bytes` of them and one file full. Each has
 * one of TRANSFER_TAGS tags, in no order. */
int transfer_log_make(struct transfer_log *l, const char *dir, uint32_t body_bytes, uint64_t bytes,
                      struct err *e) MUST_CHECK;
void transfer_log_free(struct transfer_log *l); /* zeroed or half made is fine */

/* Reads what is not in memory, also into the page tables. ERR_FAILED: it does not stay there. */
int transfer_log_warm(struct transfer_log *l, struct err *e) MUST_CHECK;

#endif
