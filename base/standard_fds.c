/* Keeps the numbers of closed standard descriptors from the files of a store. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/standard_fds.h"

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

/* One that would be closed on exec did not come with the program: gRPC tries eventfd before main,
 * and leaves it there when its number is 0. */
static bool is_inherited(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    return flags >= 0 && !(flags & FD_CLOEXEC);
}

void standard_fds_reserve(void)
{
    /* the wrong way round: what is done there fails as before */
    static const int modes[] = {
        [STDIN_FILENO] = O_WRONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_RDONLY};
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (is_inherited(fd))
            continue;
        int null = open("/dev/null", modes[fd]);
        if (null < 0 || null == fd)
            continue; /* without it there is nothing to be done */
        (void)dup2(null, fd);
        (void)close(null);
    }
}
