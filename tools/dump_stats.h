/* What a log holds, topic by topic: `dump --stats`. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_DUMP_STATS_H
#define TOOLS_DUMP_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct dump_stats;

/* Of the places that are no message. */
struct dump_stats_rest {
    uint64_t n_damaged, damaged_bytes;
    uint64_t filler_bytes;
};

/* ERR_NOMEM. */
int dump_stats_new(struct dump_stats **ret_s, struct err *e) MUST_CHECK;
void dump_stats_free(struct dump_stats *s); /* NULL is fine */

/* Counts one record. Memory grows with topics and, up to a thousand of each topic, with tags. */
int dump_stats_add(struct dump_stats *s, const struct store_walk_item *item,
                   struct err *e) MUST_CHECK;

/* A paragraph for each topic by name, and one of all. */
void dump_stats_print(const struct dump_stats *s, const struct dump_stats_rest *rest);

/* The same as one JSON object a line; the last has no topic. */
int dump_stats_json(const struct dump_stats *s, const struct dump_stats_rest *rest,
                    struct err *e) MUST_CHECK;

#endif
