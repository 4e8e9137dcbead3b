/* The files of a commit log as a walk from outside finds them: their names, places and lengths. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_WALK_FILES_H
#define STORE_WALK_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct walk_file {
    char *path;
    uint64_t start; /* log_off of its first byte */
};

struct walk_files {
    char *dir; /* folder of the files; NULL for a lone file */
    struct walk_file *files;
    size_t n;
    uint64_t file_bytes; /* length a file should have; 0: not known yet */
};

/* Lists the files of `path`: a store root or the folder of its log. An empty log of a root is fine.
 * ERR_UNSUPPORTED: a folder without any. */
int walk_files_list(struct walk_files *f, const char *path, struct err *e) MUST_CHECK;

/* A lone file; true in `*ret_has_name` when its name tells its place, which is 0 otherwise. */
int walk_files_lone(struct walk_files *f, const char *path, bool *ret_has_name,
                    struct err *e) MUST_CHECK;

/* Settles the length of the files, when it is not known, by their distances and the length of the
 * first. */
void walk_files_settle(struct walk_files *f, uint64_t first_bytes);

/* The writer may have made the file behind the last one since they were listed. */
int walk_files_add_rolled(struct walk_files *f, struct err *e) MUST_CHECK;

/* The file that holds `log_off`: the last one that begins at or before it, else the first. */
size_t walk_files_find(const struct walk_files *f, uint64_t log_off);

void walk_files_drop_first(struct walk_files *f); /* it is gone since they were listed */

void walk_files_fini(struct walk_files *f);

#endif
