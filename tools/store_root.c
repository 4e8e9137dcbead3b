/* Looks at the folder of a store and at its lock. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/store_root.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int store_root_check(const char *root, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/commitlog", root);
    if (n < 0 || (size_t)n >= sizeof path || stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(e, ERR_UNSUPPORTED, "'%s' is no store: it has no folder 'commitlog'", root);
    return 0;
}

bool store_root_is_live(const char *root)
{
    char path[PATH_MAX];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int n = snprintf(path, sizeof path, "%s/lock", root);
    int fd = n > 0 && (size_t)n < sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    bool is_it = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    if (fd >= 0)
        (void)close(fd); /* read only: nothing to lose */
    return is_it;
}
