/* Copies what a store has beside its log, queues and checkpoint. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/quiet_file.h"
#include "tools/salvage.h"

enum { COPY_BYTES = 1 << 20, DEPTH_MAX = 8 };

/* What is made anew or belongs to a running broker. */
static bool is_left_out(const char *name)
{
    static const char *const names[] = {"commitlog",  "consumequeue", "batchconsumequeue",
                                        "checkpoint", "abort",        "lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Zeros stay holes. */
static bool is_zero(const uint8_t *bytes, size_t n)
{
    return n == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0);
}

static int copy_bytes(struct salvage *s, struct quiet_file *from, int to, struct err *e)
{
    static uint8_t buf[COPY_BYTES];
    int failed = s->io->truncate(s->io, to, from->bytes);
    for (uint64_t off = 0; failed >= 0 && off < from->bytes;) {
        size_t n = 0;
        int rc = quiet_read(from, off, buf, sizeof buf, &n, e);
        if (rc < 0)
            return rc;
        if (n == 0)
            break;
        for (size_t done = 0; failed >= 0 && done < n && !is_zero(buf, n);) {
            int64_t put = s->io->pwrite(s->io, to, buf + done, n - done, off + done);
            failed = put < 0 ? (int)put : 0;
            done += put > 0 ? (size_t)put : 0;
        }
        off += n;
    }
    if (failed >= 0)
        failed = s->io->sync_fd(s->io, to);
    return failed < 0 ? err_sys(e, -failed, "write a copy") : 0;
}

static int copy_file(struct salvage *s, const char *from, const char *to, struct err *e)
{
    struct quiet_file f;
    int rc = quiet_open(&f, s->io, from, e);
    if (rc < 0)
        return rc;
    int fd = s->io->open(s->io, to, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (fd < 0) {
        quiet_close(&f);
        return err_sys(e, -fd, "make '%s'", to);
    }
    rc = copy_bytes(s, &f, fd, e);
    (void)s->io->close(s->io, fd); /* it was synced */
    quiet_close(&f);
    s->n_copied++;
    return rc < 0 ? err_wrap(e, "copy '%s'", from) : 0;
}

static int copy_folder(struct salvage *s, const char *name, int depth, struct err *e);

/* `name` is below both roots. */
static int copy_entry(struct salvage *s, const char *name, int depth, struct err *e)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct stat st;
    int n = snprintf(from, sizeof from, "%s/%s", s->from, name);
    int m = snprintf(to, sizeof to, "%s/%s", s->to, name);
    if (n < 0 || m < 0 || (size_t)n >= sizeof from || (size_t)m >= sizeof to)
        return err_set(e, ERR_TOOBIG, "path of '%s' is too long", name);
    if (lstat(from, &st) < 0)
        return err_sys(e, errno, "look at '%s'", from);
    if (S_ISREG(st.st_mode))
        return copy_file(s, from, to, e);
    if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
        return 0; /* no store has it */
    int rc = io_make_dirs(s->io, to, e);
    return rc < 0 ? rc : copy_folder(s, name, depth + 1, e);
}

static int copy_folder(struct salvage *s, const char *name, int depth, struct err *e)
{
    char path[PATH_MAX];
    struct dirent **names;
    (void)snprintf(path, sizeof path, "%s/%s", s->from, name);
    int n = scandir(path, &names, NULL, alphasort), rc = 0;
    if (n < 0)
        return err_sys(e, errno, "open folder '%s'", path);
    for (int i = 0; i < n; i++) {
        const char *child = names[i]->d_name;
        char full[PATH_MAX];
        int len = snprintf(full, sizeof full, "%s%s%s", name, *name ? "/" : "", child);
        bool is_dot = strcmp(child, ".") == 0 || strcmp(child, "..") == 0;
        if (rc == 0 && !is_dot && !(depth == 0 && is_left_out(child)) && len > 0 &&
            (size_t)len < sizeof full)
            rc = copy_entry(s, full, depth, e);
        free(names[i]);
    }
    free(names);
    return rc;
}

int salvage_copy_rest(struct salvage *s, struct err *e)
{
    return copy_folder(s, "", 0, e);
}
