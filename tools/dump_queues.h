/* Asks the consume queues of a store, from outside, about records of its log. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_DUMP_QUEUES_H
#define TOOLS_DUMP_QUEUES_H

#include "base/err.h"
#include "base/io.h"
#include "store/store.h"
#include "tools/dump_record.h"

struct dump_queues;

/* `root` is the folder of a store. */
int dump_queues_open(struct dump_queues **ret_queues, const char *root, struct io *io,
                     struct err *e) MUST_CHECK;

void dump_queues_close(struct dump_queues *q); /* NULL is fine */

/* Looks for the entry of a record, in consumequeue/ and for queues of batches in
 * batchconsumequeue/. A queue or entry that is not there means that the record was not dispatched.
 */
int dump_queues_find(struct dump_queues *q, const struct store_record *rec, struct dump_place *ret,
                     struct err *e) MUST_CHECK;

/* Prints the entries of one consume-queue file, at most `*limit` of them, which it takes off;
 * `*ret_n_bad` counts entries that are none between ones that are. */
int dump_queue_file(const char *path, bool json, uint64_t *limit, uint64_t *ret_n_bad,
                    struct io *io, struct err *e) MUST_CHECK;

/* Whether a name is that of a file of a log or queue: 20 digits; `*ret_start` is what it says. */
bool dump_parse_name(const char *name, uint64_t *ret_start);

#endif
