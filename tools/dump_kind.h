/* Tells what a path is: a store, or which part of one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_DUMP_KIND_H
#define TOOLS_DUMP_KIND_H

#include <stdbool.h>

#include "base/err.h"
#include "base/io.h"

enum dump_kind {
    DUMP_STORE,  /* a folder with commitlog/ */
    DUMP_LOG,    /* a commit-log file or a folder of them */
    DUMP_QUEUE,  /* a consume-queue file */
    DUMP_QUEUES, /* a folder of consume queues, at any depth */
    DUMP_INDEX,  /* a key-index file or a folder of them */
    DUMP_CHECKPOINT,
    DUMP_TIMER_LOG, /* a file of the timer log or the folder of them */
    DUMP_TIMER_WHEEL,
    DUMP_TIMER_PROGRESS, /* config/timercheck */
    DUMP_CONFIG,         /* a JSON file */
    DUMP_CONFIGS,        /* a folder of them */
};

#define DUMP_TIMER_CHECK "timercheck"

/* Whether a name is that of a JSON file of a store; without its folder. */
bool dump_is_config(const char *name);

/* Looks at the name and at the first bytes. ERR_NOTFOUND; ERR_UNSUPPORTED: none of these. */
int dump_detect(const char *path, struct io *io, enum dump_kind *ret, struct err *e) MUST_CHECK;

#endif
