/* A mapping made ready to be copied to. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/copy_target.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/io.h"

enum { WINDOW_BYTES = 32 << 20, COPY_FILE_BYTES = 1 << 30 }; /* a window as the store's */

int copy_target_open(struct copy_target *t, const char *folder, struct err *e)
{
    char path[600];
    struct io *io = io_posix();
    (void)snprintf(path, sizeof path, "%s/copy", folder);
    *t = (struct copy_target){.folder = folder, .fd = io->open(io, path, O_RDWR | O_CREAT, 0600)};
    if (t->fd < 0)
        return err_sys(e, -t->fd, "make '%s'", path);
    int rc = io->unlink(io, path); /* it lives as long as it is open */
    if (rc == 0)
        rc = io->allocate(io, t->fd, 0, COPY_FILE_BYTES);
    if (rc == 0)
        rc = io->map(io, t->fd, COPY_FILE_BYTES, /* writable = */ true, &t->base);
    return rc < 0 ? err_sys(e, -rc, "prepare '%s'", path) : 0;
}

void copy_target_close(struct copy_target *t)
{
    struct io *io = io_posix();
    if (t->base)
        (void)io->unmap(io, t->base, COPY_FILE_BYTES);
    if (t->fd >= 0)
        (void)io->close(io, t->fd);
    t->base = NULL;
    t->fd = -1;
}

int copy_target_prepare(struct copy_target *t, struct err *e)
{
    if (t->ready == COPY_FILE_BYTES) {
        copy_target_close(t);
        int rc = copy_target_open(t, t->folder, e);
        if (rc < 0)
            return rc;
    }
    int rc = io_posix()->populate(io_posix(), t->base + t->ready, WINDOW_BYTES);
    if (rc < 0)
        return err_sys(e, -rc, "populate the mapping to copy to");
    t->ready += WINDOW_BYTES;
    return 0;
}
