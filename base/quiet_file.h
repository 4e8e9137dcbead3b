/* Reads files of others without changing what of them is in the page cache: what a read brings in
 * is dropped behind it, what was there before stays. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_QUIET_FILE_H
#define BASE_QUIET_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"

/* An open file. Zeroed with fd -1 it is a closed one. */
struct quiet_file {
    struct io *io;
    int fd;
    uint64_t bytes; /* its length when it was opened or last measured */
};

/* Opens for reading. ERR_NOTFOUND. The texts of later errors name no path: the caller wraps them.
 */
int quiet_open(struct quiet_file *ret_f, struct io *io, const char *path, struct err *e) MUST_CHECK;

void quiet_close(struct quiet_file *f); /* a closed one is fine */

/* Asks for the length anew. */
int quiet_measure(struct quiet_file *f, struct err *e) MUST_CHECK;

/* Reads `len` bytes at `off`, fewer only at the end of the file. Pages that were not in the page
 * cache before are dropped again, unless the kernel does not tell (the file is another user's). */
int quiet_read(struct quiet_file *f, uint64_t off, void *buf, size_t len, size_t *ret_n,
               struct err *e) MUST_CHECK;

/* A whole file of at most `max_bytes` in memory the caller frees; a NUL follows the last byte.
 * ERR_NOTFOUND when it is absent, ERR_TOOBIG over the limit; the texts name the path. */
int quiet_read_whole(struct io *io, const char *path, uint64_t max_bytes, uint8_t **ret_buf,
                     size_t *ret_len, struct err *e) MUST_CHECK;

#endif
