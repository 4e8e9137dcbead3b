/* Finds control groups where they are mounted, of both versions. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/control_group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/host_text.h"

enum {
    MOUNTS_BYTES = 1 << 20, /* of a machine full of containers */
    GROUPS_BYTES = 64 * 1024,
    NUMBER_BYTES = 64,
};

int control_groups_read(struct control_groups *ret, struct io *io, const char *root, uint64_t pid,
                        struct err *e)
{
    char path[PATH_MAX], who[24] = "self";
    struct control_groups c = {
        .io = io, .root = root, .mounts = malloc(MOUNTS_BYTES), .groups = malloc(GROUPS_BYTES)};
    if (!c.mounts || !c.groups) {
        control_groups_fini(&c);
        return err_set(e, ERR_NOMEM, "look at control groups");
    }
    if (pid)
        (void)snprintf(who, sizeof who, "%" PRIu64, pid);
    (void)snprintf(path, sizeof path, "%s/proc/self/mountinfo", root);
    io_read_text(io, path, c.mounts, MOUNTS_BYTES);
    (void)snprintf(path, sizeof path, "%s/proc/%s/cgroup", root, who);
    io_read_text(io, path, c.groups, GROUPS_BYTES);
    *ret = c;
    return 0;
}

void control_groups_fini(struct control_groups *c)
{
    free(c->mounts);
    free(c->groups);
    c->mounts = c->groups = NULL;
}

/* The part of a group's path below what is mounted. */
static const char *below(const char *path, const char *mounted)
{
    size_t len = strlen(mounted);
    bool is_below = strncmp(path, mounted, len) == 0 && (path[len] == '/' || path[len] == '\0');
    return is_below ? path + len : path;
}

static bool is_there(const struct control_groups *c, const char *folder)
{
    struct timespec changed;
    return c->io->changed(c->io, folder, &changed) == 0;
}

bool control_group_find(const struct control_groups *c, const char *controller,
                        struct control_group *ret)
{
    struct host_mount mount;
    char path[PATH_MAX];
    if (!host_cgroup_path(c->groups, controller, path, sizeof path) || path[0] != '/' ||
        strstr(path, "/..") || !host_cgroup_mount(c->mounts, controller, &mount))
        return false;
    int n = snprintf(ret->folder, sizeof ret->folder, "%s%s%s", c->root, mount.point,
                     below(path, mount.root));
    if (n < 0 || (size_t)n >= sizeof ret->folder)
        return false;
    ret->top_len = strlen(c->root) + strlen(mount.point);
    size_t len = (size_t)n;
    while (len > ret->top_len && ret->folder[len - 1] == '/')
        len--;
    ret->folder[len] = '\0';
    if (!is_there(c, ret->folder))
        ret->folder[ret->top_len] = '\0';
    return true;
}

bool control_group_up(struct control_group *g)
{
    char *slash = strrchr(g->folder, '/');
    if (!slash || (size_t)(slash - g->folder) < g->top_len)
        return false;
    *slash = '\0';
    return true;
}

uint64_t control_group_number(const struct control_groups *c, const struct control_group *g,
                              const char *file)
{
    char path[sizeof g->folder + 64], text[NUMBER_BYTES];
    int n = snprintf(path, sizeof path, "%s/%s", g->folder, file);
    if (n < 0 || (size_t)n >= sizeof path)
        return HOST_UNKNOWN;
    io_read_text(c->io, path, text, sizeof text);
    return host_number(text);
}
