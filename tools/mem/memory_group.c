/* Control groups that limit memory.
 *
 * In v2 a group offers memory.max when its parent hands the memory controller down, which the
 * kernel refuses to a group with processes in it, but for the root: then there is nothing to be
 * had. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/memory_group.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/control_group.h"
#include "base/io.h"

enum { NUMBER_BYTES = 32 };

static int path_of(const char *folder, const char *file, char ret[PATH_MAX], struct err *e)
{
    int n = snprintf(ret, PATH_MAX, "%s/%s", folder, file);
    return n < 0 || n >= PATH_MAX ? err_set(e, ERR_TOOBIG, "path of '%.80s...' is too long", folder)
                                  : 0;
}

/* Writes a setting of a group; the folder's name and the file's together are its path. */
static int set(const char *folder, const char *file, const char *text, struct err *e)
{
    char path[PATH_MAX];
    int rc = path_of(folder, file, path, e);
    if (rc < 0)
        return rc;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int errno_value = errno;
    if (fd >= 0) {
        errno_value = write(fd, text, strlen(text)) < 0 ? errno : 0;
        (void)close(fd); /* the write is what counts */
    }
    return errno_value ? err_sys(e, errno_value, "write '%s' to '%s'", text, path) : 0;
}

/* Where no group is mounted there may be a folder all the same. */
static int check_group(const char *folder, struct err *e)
{
    char path[PATH_MAX];
    int rc = path_of(folder, "cgroup.procs", path, e);
    if (rc == 0 && access(path, W_OK) < 0)
        rc = err_sys(e, errno, "use control group '%s'", folder);
    return rc;
}

/* How a version names things. */
struct version {
    const char *controller; /* NULL: v2 */
    const char *limit;
};

static const struct version versions[] = {{NULL, "memory.max"},
                                          {"memory", "memory.limit_in_bytes"}};

static int make_in(const char *parent, const struct version *v, uint64_t limit_bytes,
                   struct memory_group *ret, struct err *e)
{
    char number[NUMBER_BYTES];
    struct memory_group g;
    struct io *io = io_posix();
    int len = snprintf(g.folder, sizeof g.folder, "%s/sluice-mem-%ld", parent, (long)getpid());
    if (len < 0 || (size_t)len >= sizeof g.folder)
        return err_set(e, ERR_TOOBIG, "path of '%.80s...' is too long", parent);
    if (!v->controller) {
        struct err ignored; /* it may be on already; the limit's file tells */
        (void)set(parent, "cgroup.subtree_control", "+memory", &ignored);
    }
    int rc = io->mkdir(io, g.folder, 0755);
    if (rc < 0)
        return err_sys(e, -rc, "make '%s'", g.folder);
    (void)snprintf(number, sizeof number, "%" PRIu64, limit_bytes);
    rc = set(g.folder, v->limit, number, e);
    if (rc < 0)
        memory_group_remove(&g);
    else
        *ret = g;
    return rc;
}

int memory_group_make(struct memory_group *ret, const char *root, uint64_t limit_bytes,
                      struct err *e)
{
    struct control_groups own;
    int rc = control_groups_read(&own, io_posix(), root, /* pid = */ 0, e);
    if (rc < 0)
        return rc;
    struct err why = {.msg = "this process is in no control group of the memory controller"};
    rc = ERR_NOTFOUND;
    for (size_t i = 0; rc < 0 && i < sizeof versions / sizeof versions[0]; i++) {
        struct control_group g;
        if (!control_group_find(&own, versions[i].controller, &g))
            continue;
        rc = check_group(g.folder, &why);
        if (rc == 0)
            rc = make_in(g.folder, &versions[i], limit_bytes, ret, &why);
    }
    control_groups_fini(&own);
    return rc < 0 ? err_set(e, ERR_UNSUPPORTED, "limit memory: %.200s", why.msg) : 0;
}

int memory_group_join(const struct memory_group *g, struct err *e)
{
    char number[NUMBER_BYTES];
    (void)snprintf(number, sizeof number, "%ld", (long)getpid());
    return set(g->folder, "cgroup.procs", number, e);
}

void memory_group_remove(struct memory_group *g)
{
    struct io *io = io_posix();
    if (g->folder[0])
        (void)io->rmdir(io, g->folder); /* what cannot be removed is empty and harmless */
    g->folder[0] = '\0';
}
