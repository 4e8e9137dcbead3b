/* A scratch folder for one test, removed with everything in it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_TMPDIR_H
#define TESTS_LIB_TMPDIR_H

#include <sys/types.h>

/* Makes one under TMPDIR or /tmp; the caller passes the string to tmpdir_remove. Fails the test on
 * error. */
char *tmpdir_make(void);

/* Makes another with the same in it. */
char *tmpdir_copy(const char *path);

/* Removes the folder and frees its name. */
void tmpdir_remove(char *path);

/* `folder`/`name`, to be freed. */
char *tmpdir_path(const char *folder, const char *name);

/* Writes the file `folder`/`name` and makes the folders above it; what was in it is gone. Fails the
 * test on error. */
void tmpdir_put(const char *folder, const char *name, const char *text);

/* Makes a file of so many zero bytes in the folder itself. Fails the test on error. */
void tmpdir_put_zeros(const char *folder, const char *name, off_t bytes);

/* From now on they are made in memory, where the system has a file system for that: for tests that
 * sync thousands of times, and whose power cuts are a model. */
void tmpdir_use_memory(void);

#endif
