/* The small JSON files under config/: written aside, synced and renamed, with the version before
 * kept as .bak; read in RocketMQ's dialect too (rocketmq-store 12.1). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_STATE_H
#define BROKER_STATE_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"
#include "base/io.h"

enum { STATE_FILE_MAX = 64 * 1024 * 1024 };

/* Parses one JSON object; integer keys may be unquoted. ERR_CORRUPT says where. `text` is followed
 * by a NUL. The caller drops the reference. */
int state_parse(const char *text, size_t len, json_t **ret_root, struct err *e) MUST_CHECK;

/* Reads `folder`/`name`, or `name`.bak when that is absent, empty or damaged (warned of).
 * ERR_NOTFOUND: there is neither. ERR_CORRUPT: neither can be read. */
int state_read(struct io *io, const char *folder, const char *name, json_t **ret_root,
               struct err *e) MUST_CHECK;

/* Replaces `folder`/`name` (the folder is made): a crash at any instant leaves the old or the new.
 */
int state_write(struct io *io, const char *folder, const char *name, const json_t *root,
                struct err *e) MUST_CHECK;

/* Notes a change in the member "dataVersion": counter + 1, timestamp. */
int state_bump_version(json_t *root, uint64_t now_ms, struct err *e) MUST_CHECK;

#endif
