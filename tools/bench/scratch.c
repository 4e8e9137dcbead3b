/* The scratch folder of a benchmark. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/scratch.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int scratch_make(char ret_folder[SCRATCH_PATH_BYTES], const char *base, struct err *e)
{
    char folder[SCRATCH_PATH_BYTES];
    if (snprintf(folder, sizeof folder, "%s/sluice-bench.XXXXXX", base) >= (int)sizeof folder)
        return err_set(e, ERR_INVAL, "make a scratch folder: the path '%.80s...' is too long",
                       base);
    if (!mkdtemp(folder))
        return err_sys(e, errno, "make a scratch folder in '%s'", base);
    memcpy(ret_folder, folder, sizeof folder);
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void scratch_remove(const char *folder)
{
    enum { MAX_OPEN_FOLDERS = 8 };
    if (folder[0]) /* what cannot be removed is left: the figures stand */
        (void)nftw(folder, remove_entry, MAX_OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}
