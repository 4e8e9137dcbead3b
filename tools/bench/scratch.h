/* The scratch folder of a benchmark. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_SCRATCH_H
#define TOOLS_BENCH_SCRATCH_H

#include "base/err.h"

enum { SCRATCH_PATH_BYTES = 512 };

/* Makes a new folder in `base` and writes its path; `ret_folder` is untouched on failure. */
int scratch_make(char ret_folder[SCRATCH_PATH_BYTES], const char *base, struct err *e) MUST_CHECK;

/* Removes the folder with everything in it; an empty path is fine. */
void scratch_remove(const char *folder);

#endif
