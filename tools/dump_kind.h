/* Tells what a path is: a store, its log, a consume queue, the checkpoint. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_DUMP_KIND_H
#define TOOLS_DUMP_KIND_H

#include "base/err.h"
#include "base/io.h"

enum dump_kind {
    DUMP_STORE,  /* a folder with commitlog/ */
    DUMP_LOG,    /* a commit-log file or a folder of them */
    DUMP_QUEUE,  /* a consume-queue file */
    DUMP_QUEUES, /* a folder of consume queues, at any depth */
    DUMP_CHECKPOINT,
};

/* Looks at the name and at the first bytes. ERR_NOTFOUND; ERR_UNSUPPORTED: none of these. */
int dump_detect(const char *path, struct io *io, enum dump_kind *ret, struct err *e) MUST_CHECK;

#endif
