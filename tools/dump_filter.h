/* Which records and entries `dump` shows. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_DUMP_FILTER_H
#define TOOLS_DUMP_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* Ranges are from their first value to before the second. */
struct dump_range {
    uint64_t from, to;
};

#define DUMP_ANY UINT64_MAX

/* dump_filter_init makes one that lets everything pass. */
struct dump_filter {
    const char *topic; /* NULL: any; so the texts below */
    const char *tag, *key, *unique_key;
    uint64_t queue_id; /* DUMP_ANY: any */
    struct dump_range log, queue, store_ms;
};

void dump_filter_init(struct dump_filter *f);

bool dump_filter_record(const struct dump_filter *f, const struct store_record *rec);

/* Of a queue entry only its number, its record's position, and the code of its tag are known. */
bool dump_filter_entry(const struct dump_filter *f, uint64_t queue_off,
                       const struct store_queue_entry *entry);

/* Whether a range is anything but all. */
bool dump_filter_has_range(const struct dump_range *range);

/* Whether everything passes. */
bool dump_filter_is_open(const struct dump_filter *f);

/* The position in the log to start at: no record of the range lies in an earlier file, judged by
 * the positions and, when they grow from file to file, the store times of their first records. */
int dump_filter_start(const struct dump_filter *f, struct store_walk *walk, uint64_t *ret_log_off,
                      struct err *e) MUST_CHECK;

/* Whether no later record of the log can pass. */
bool dump_filter_is_past(const struct dump_filter *f, const struct store_walk_item *item);

#endif
