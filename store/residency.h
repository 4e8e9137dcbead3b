/* What files and the process cost in memory: cached, dirty, mapped, locked. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RESIDENCY_H
#define STORE_RESIDENCY_H

#include <stdint.h>

#include "base/err.h"
#include "base/io.h"
#include "store/store.h"

/* The older way of store_residency: maps the file to ask, and cannot tell what is dirty. */
int residency_by_mincore(int fd, uint64_t off, uint64_t len, struct store_residency *ret,
                         struct err *e) MUST_CHECK;

/* How many pins a file of the store has; `path` is relative to the root. */
typedef uint64_t (*residency_pins_fn)(void *arg, const char *path);

/* Calls `fn` for every regular file under `root`, in path order; stops when it returns non-zero,
 * returning that. With `pins` the store is this process's own: mapped and locked bytes come from
 * its memory map, pins from the function; else they are 0. A file that goes away meanwhile is left
 * out. Locks: none of its own. */
int residency_each_file(const char *root, residency_pins_fn pins, void *pins_arg, store_file_fn fn,
                        void *arg, struct io *io, struct err *e) MUST_CHECK;

/* The texts of /proc/self/status and /proc/self/stat; pure. ERR_UNSUPPORTED when a number that must
 * be there is not. Each fills in its own fields and leaves the others. */
int residency_parse_status(const char *text, struct store_memory *ret, struct err *e) MUST_CHECK;
int residency_parse_stat(const char *text, struct store_memory *ret, struct err *e) MUST_CHECK;

#endif
