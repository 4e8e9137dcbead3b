/* The topics that were deleted, in member "sluiceDeleted" of topics.json: their messages stay in
 * the log until they expire, and must not come back when queues are built again from it. A name
 * that is made again keeps its mark, with the place in the log where its new life begins. Marks go
 * once the log begins behind all that they are of. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_TOPIC_DELETED_H
#define BROKER_TOPIC_DELETED_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"
#include "store/store.h"

/* What `config_folder`/topics.json says was deleted, for store_open. Freed with topic_deleted_free.
 * ERR_CORRUPT as topic_table_open; ERR_NOMEM. */
int topic_deleted_read(const char *config_folder, struct io *io, struct store_deleted **ret_deleted,
                       size_t *ret_n, struct err *e) MUST_CHECK;
void topic_deleted_free(struct store_deleted *deleted, size_t n); /* NULL is fine */

/* Whether the name has a mark in the document `root` of topics.json. */
bool topic_deleted_has(const json_t *root, const char *name);

/* Marks the name; `below_log_off` UINT64_MAX: it does not live again yet. `*ret_before` is the mark
 * it had, for topic_deleted_undo. ERR_NOMEM: nothing changed. */
int topic_deleted_mark(json_t *root, const char *name, uint64_t below_log_off, json_t **ret_before,
                       struct err *e) MUST_CHECK;

/* Brings the marks in line with a log from `log_begin` to `log_end`, to which nobody appends yet:
 * those go of which it holds nothing, and none is of more than it holds. True: a mark was behind
 * the log's end, so the file is to be written before the first append, which that mark would leave
 * out. What else has changed may wait for the next change. */
bool topic_deleted_settle(json_t *root, uint64_t log_begin, uint64_t log_end) MUST_CHECK;

/* Puts the mark back that was there before (taken over; NULL: none). */
void topic_deleted_undo(json_t *root, const char *name, json_t *before);

#endif
