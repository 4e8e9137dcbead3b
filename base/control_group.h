/* The control groups of a process, as folders: what a group is allowed is bounded by what those
 * above it are. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CONTROL_GROUP_H
#define BASE_CONTROL_GROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"

/* What the kernel tells of a process's groups and of where they are mounted. */
struct control_groups {
    struct io *io;
    const char *root;
    char *mounts; /* mountinfo of this process; owned */
    char *groups; /* owned; empty: there are none */
};

/* Reads it under `root` in place of "/" ("" for the machine itself); `pid` 0 means this process.
 * `io` and `root` outlive it. What cannot be read is empty. ERR_NOMEM only. */
int control_groups_read(struct control_groups *ret, struct io *io, const char *root, uint64_t pid,
                        struct err *e) MUST_CHECK;
void control_groups_fini(struct control_groups *c); /* zeroed is fine */

/* A group, or one above it. */
struct control_group {
    char folder[3 * PATH_MAX]; /* with the root in front */
    size_t top_len;            /* of the folder that is mounted: nothing above it can be seen */
};

/* The group of a controller of v1, or that of v2 with NULL. In a container that is told another's
 * paths it is the topmost that can be seen. False: there is none, or it lies outside. */
bool control_group_find(const struct control_groups *c, const char *controller,
                        struct control_group *ret);

/* Goes to the group above; false: this is the topmost that can be seen. */
bool control_group_up(struct control_group *g);

/* The number in one of its files: see host_number. */
uint64_t control_group_number(const struct control_groups *c, const struct control_group *g,
                              const char *file);

#endif
