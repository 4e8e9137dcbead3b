/* What the consume queues say of a record. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_DUMP_PLACE_H
#define TOOLS_DUMP_PLACE_H

#include "base/err.h"
#include "store/store.h"
#include "tools/dump_record.h"
#include "tools/queue_files.h"

/* Looks for the entry of a record. */
int dump_place_find(struct queue_files *q, const struct store_record *rec, struct dump_place *ret,
                    struct err *e) MUST_CHECK;

#endif
