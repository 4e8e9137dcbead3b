/* The topics that were deleted, in member "sluiceDeleted" of topics.json: their messages stay in
 * the log until they expire, and must not come back when queues are built again from it. A name
 * that is made again keeps its mark, with the place in the log where its new life begins. */
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

/* Puts the mark back that was there before (taken over; NULL: none). */
void topic_deleted_undo(json_t *root, const char *name, json_t *before);

#endif
