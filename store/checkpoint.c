/* Reads and writes the checkpoint. It is a hint that is always true: what it names was durable
 * before it was written (I1). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/format.h"
#include "store/record.h"

static int name_it(const char *root, char **ret_path, struct err *e)
{
    if (asprintf(ret_path, "%s/" FORMAT_FILE_CHECKPOINT, root) < 0)
        return err_set(e, ERR_NOMEM, "name the checkpoint of '%s'", root);
    return 0;
}

int checkpoint_read(const char *root, struct io *io, struct store_checkpoint *ret, struct err *e)
{
    char *path;
    int rc = name_it(root, &path, e);
    if (rc < 0)
        return rc;
    uint8_t *buf = NULL;
    size_t len = 0;
    struct err why;
    struct store_checkpoint cp = {0};
    rc = io_read_file(io, path, 1 << 20, &buf, &len, e);
    free(path);
    if (rc == ERR_NOTFOUND)
        rc = 0;
    else if (rc == 0 && store_checkpoint_decode(span_of(buf, len), &cp, &why) < 0)
        cp = (struct store_checkpoint){0};
    free(buf);
    if (rc == 0)
        *ret = cp;
    return rc;
}

/* Gives a new file its length: one that knows nothing. */
static int fill_new(int fd, struct io *io, struct err *e)
{
    uint64_t bytes;
    const struct store_checkpoint nothing = {0};
    int rc = io->size(io, fd, &bytes);
    if (rc < 0)
        return err_sys(e, -rc, "stat the checkpoint");
    return bytes > 0 ? 0 : checkpoint_write(fd, io, &nothing, e);
}

int checkpoint_open(const char *root, struct io *io, int *ret_fd, struct err *e)
{
    char *path;
    int rc = name_it(root, &path, e);
    if (rc < 0)
        return rc;
    int fd = io->open(io, path, O_RDWR | O_CREAT, 0644);
    if (fd < 0)
        rc = err_sys(e, -fd, "open '%s'", path);
    else if (fill_new(fd, io, e) < 0)
        rc = err_wrap(e, "make '%s'", path);
    free(path);
    if (rc == 0) {
        rc = io->sync_dir(io, root);
        rc = rc < 0 ? err_sys(e, -rc, "sync folder '%s'", root) : 0;
    }
    if (rc < 0) {
        if (fd >= 0)
            (void)io->close(io, fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int checkpoint_write(int fd, struct io *io, const struct store_checkpoint *cp, struct err *e)
{
    uint8_t bytes[STORE_CHECKPOINT_BYTES];
    record_checkpoint_encode(bytes, cp);
    for (size_t done = 0; done < sizeof bytes;) {
        int64_t n = io->pwrite(io, fd, bytes + done, sizeof bytes - done, done);
        if (n <= 0)
            return n < 0 ? err_sys(e, (int)-n, "write the checkpoint")
                         : err_set(e, ERR_IO, "write the checkpoint: nothing was taken");
        done += (size_t)n;
    }
    int rc = io->sync_fd(io, fd);
    return rc < 0 ? err_sys(e, -rc, "sync the checkpoint") : 0;
}

bool checkpoint_has_count(const struct store_checkpoint *cp)
{
    return cp->n_queues > 0 && cp->count_off == (uint64_t)cp->queue_off &&
           cp->confirm_off == cp->queue_off && cp->log_ms == cp->queue_ms;
}
