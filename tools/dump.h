/* What the parts of `dump` share: the options, and what was found. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_DUMP_H
#define TOOLS_DUMP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/io.h"
#include "tools/dump_filter.h"

enum dump_format { DUMP_TEXT, DUMP_JSON, DUMP_HEX };

struct dump {
    const char *path;
    enum dump_format format;
    struct dump_filter filter;
    bool with_body; /* JSON only */
    bool stats;
    bool follow;
    uint64_t limit;       /* records or entries still to be shown */
    uint64_t file_bytes;  /* of the log; 0: taken from the files */
    uint64_t index_slots; /* of an index file; 0: taken from the file */
    struct io *io;
    uint64_t n_damaged; /* places passed over, and records whose body fails */
};

/* Counts one finding and prints it: between the text on stdout, beside JSON on stderr. */
void dump_finding(struct dump *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Whether there is more to be done: the limit is not reached, stdout takes it, and nobody ended a
 * dump that follows. */
bool dump_goes_on(const struct dump *d);

/* dump_log.c: a commit log; of a whole store (`has_queues`) with what the queues say. */
int dump_log(struct dump *d, bool has_queues, struct err *e) MUST_CHECK;

/* dump_queues.c: a file of a consume queue; a folder of them, at any depth. */
int dump_queue_file(struct dump *d, const char *path, struct err *e) MUST_CHECK;
int dump_queue_folder(struct dump *d, struct err *e) MUST_CHECK;

/* dump_small.c: the checkpoint; a JSON file; a folder of small files. */
int dump_checkpoint(struct dump *d, const char *path, struct err *e) MUST_CHECK;
int dump_config_file(struct dump *d, const char *path, struct err *e) MUST_CHECK;
int dump_config_folder(struct dump *d, struct err *e) MUST_CHECK;

/* dump_timer.c: the files of RocketMQ's timer. */
int dump_timer_log(struct dump *d, struct err *e) MUST_CHECK;
int dump_timer_wheel(struct dump *d, struct err *e) MUST_CHECK;
int dump_timer_check(struct dump *d, const char *path, struct err *e) MUST_CHECK;

/* dump_index.c: a file of the key index, or a folder of them. */
int dump_index(struct dump *d, struct err *e) MUST_CHECK;

#endif
