/* The small JSON files under config/: written aside, synced and renamed, with the version before
 * kept as .bak; read in RocketMQ's dialect too (rocketmq-store 12.1). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_STATE_H
#define BROKER_STATE_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"
#include "base/io.h"

enum { STATE_FILE_MAX = 64 * 1024 * 1024, STATE_PATH_MAX = 4096 };

/* Parses one JSON object; integer keys may be unquoted. ERR_CORRUPT says where. The caller drops
 * the reference. */
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

/* A file whose member `member` maps names to objects. The document is kept as it was read, so
 * members that only RocketMQ knows survive a rewrite. Not locked. */
struct state_doc {
    struct io *io;
    char folder[STATE_PATH_MAX];
    const char *name;
    const char *member;
    json_t *root;
    json_t *table; /* in `root` */
};

/* Reads the file, or begins an empty document when there is none. ERR_CORRUPT as state_read, or the
 * member is no object. `name` and `member` are constants. */
int state_doc_open(struct state_doc *doc, struct io *io, const char *folder, const char *name,
                   const char *member, struct err *e) MUST_CHECK;

void state_doc_close(struct state_doc *doc); /* zeroed is fine */

/* Sets (`value` is taken over, in any case) or removes (`value` NULL) one name and writes the file.
 * On failure the document is as it was. */
int state_doc_change(struct state_doc *doc, const char *key, json_t *value,
                     struct err *e) MUST_CHECK;

/* Writes the document as it stands. */
int state_doc_write(struct state_doc *doc, struct err *e) MUST_CHECK;

#endif
