/* Whole-file helpers over the seam: read all, replace atomically, make folders. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_all(struct io *io, int fd, const char *path, uint8_t *buf, size_t len,
                    struct err *e)
{
    for (size_t done = 0; done < len;) {
        int64_t n = io->pread(io, fd, buf + done, len - done, done);
        if (n < 0)
            return err_sys(e, (int)-n, "read '%s'", path);
        if (n == 0)
            return err_set(e, ERR_IO, "read '%s': it shrank while being read", path);
        done += (size_t)n;
    }
    return 0;
}

int io_read_file(struct io *io, const char *path, size_t max_bytes, uint8_t **ret_buf,
                 size_t *ret_len, struct err *e)
{
    int fd = io->open(io, path, O_RDONLY, 0);
    if (fd < 0)
        return err_sys(e, -fd, "open '%s'", path);
    uint8_t *buf = NULL;
    uint64_t len = 0;
    int rc = io->size(io, fd, &len);
    if (rc < 0) {
        rc = err_sys(e, -rc, "stat '%s'", path);
        goto fail;
    }
    if (len > max_bytes) {
        rc = err_set(e, ERR_TOOBIG, "read '%s': it has %llu bytes, the limit is %zu", path,
                     (unsigned long long)len, max_bytes);
        goto fail;
    }
    buf = malloc(len + 1);
    if (!buf) {
        rc = err_set(e, ERR_NOMEM, "read '%s': no memory for %llu bytes", path,
                     (unsigned long long)len);
        goto fail;
    }
    rc = read_all(io, fd, path, buf, len, e);
    if (rc < 0)
        goto fail;
    buf[len] = '\0';
    (void)io->close(io, fd); /* read only: nothing to lose */
    *ret_buf = buf;
    *ret_len = len;
    return 0;
fail:
    free(buf);
    (void)io->close(io, fd);
    return rc;
}

void io_read_text(struct io *io, const char *path, char *ret, size_t size)
{
    size_t len = 0;
    int fd = io->open(io, path, O_RDONLY, 0);
    while (fd >= 0 && len < size - 1) {
        int64_t n = io->pread(io, fd, ret + len, size - 1 - len, len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    if (fd >= 0)
        (void)io->close(io, fd); /* read only: nothing to lose */
    ret[len] = '\0';
}

static int write_all(struct io *io, int fd, const char *path, const uint8_t *buf, size_t len,
                     struct err *e)
{
    for (size_t done = 0; done < len;) {
        int64_t n = io->pwrite(io, fd, buf + done, len - done, done);
        if (n < 0)
            return err_sys(e, (int)-n, "write '%s'", path);
        if (n == 0)
            return err_set(e, ERR_IO, "write '%s': nothing was taken", path);
        done += (size_t)n;
    }
    return 0;
}

/* Writes and syncs a whole file; a half-written one is removed, since it may fill a full disk. */
static int write_new(struct io *io, const char *path, const uint8_t *buf, size_t len, struct err *e)
{
    int fd = io->open(io, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return err_sys(e, -fd, "create '%s'", path);
    int rc = write_all(io, fd, path, buf, len, e);
    if (rc == 0) {
        rc = io->sync_fd(io, fd);
        if (rc < 0)
            rc = err_sys(e, -rc, "sync '%s'", path);
    }
    (void)io->close(io, fd); /* already synced, or already failed */
    if (rc < 0)
        (void)io->unlink(io, path); /* the first failure is the one to tell */
    return rc;
}

static void folder_of(const char *path, char *ret_folder, size_t size)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        (void)snprintf(ret_folder, size, ".");
    else
        (void)snprintf(ret_folder, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* Copies rather than renames: `path` is there at every instant. */
static int copy_file(struct io *io, const char *path, const char *to, struct err *e)
{
    uint8_t *buf = NULL;
    size_t len = 0;
    int rc = io_read_file(io, path, SIZE_MAX - 1, &buf, &len, e);
    if (rc == ERR_NOTFOUND)
        return 0;
    if (rc < 0)
        return rc;
    rc = write_new(io, to, buf, len, e);
    free(buf);
    return rc;
}

int io_replace_file(struct io *io, const char *path, const void *buf, size_t len, bool keep_bak,
                    struct err *e)
{
    char tmp[PATH_MAX], bak[PATH_MAX], folder[PATH_MAX];
    if (snprintf(tmp, sizeof tmp, "%s.tmp", path) >= (int)sizeof tmp)
        return err_set(e, ERR_INVAL, "replace '%.80s...': the path is too long", path);
    (void)snprintf(bak, sizeof bak, "%s.bak", path); /* as long as tmp, which fit */
    folder_of(path, folder, sizeof folder);
    int rc = write_new(io, tmp, buf, len, e);
    if (rc < 0)
        return rc;
    if (keep_bak) {
        rc = copy_file(io, path, bak, e);
        if (rc < 0)
            goto fail;
    }
    rc = io->rename(io, tmp, path);
    if (rc < 0) {
        rc = err_sys(e, -rc, "rename '%s' to '%s'", tmp, path);
        goto fail;
    }
    rc = io->sync_dir(io, folder);
    if (rc < 0)
        return err_sys(e, -rc, "sync folder '%s'", folder);
    return 0;
fail:
    (void)io->unlink(io, tmp); /* the first failure is the one to tell */
    return rc;
}

/* One folder, and its name made durable. */
static int make_dir(struct io *io, const char *path, struct err *e)
{
    char parent[PATH_MAX];
    int rc = io->mkdir(io, path, 0755);
    if (rc == -EEXIST)
        return 0;
    if (rc < 0)
        return err_sys(e, -rc, "make folder '%s'", path);
    folder_of(path, parent, sizeof parent);
    rc = io->sync_dir(io, parent);
    if (rc < 0)
        return err_sys(e, -rc, "sync folder '%s'", parent);
    return 0;
}

int io_make_dirs(struct io *io, const char *path, struct err *e)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return err_set(e, ERR_INVAL, "make folder '%.80s': bad path length", path);
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        char saved = part[i];
        part[i] = '\0';
        int rc = make_dir(io, part, e);
        if (rc < 0)
            return rc;
        part[i] = saved;
    }
    return 0;
}
