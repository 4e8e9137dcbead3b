/* A control group that limits the memory of those in it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_MEMORY_GROUP_H
#define TOOLS_MEM_MEMORY_GROUP_H

#include <stdint.h>

#include "base/err.h"

enum { MEMORY_GROUP_PATH_BYTES = 512 };

struct memory_group {
    char folder[MEMORY_GROUP_PATH_BYTES]; /* empty: none */
};

/* Makes one below this process's own, of cgroup v2 or v1. `root` is put before /proc and
 * /sys/fs/cgroup; "" is the machine's own. ERR_UNSUPPORTED: it may not be made here, and why. */
int memory_group_make(struct memory_group *ret, const char *root, uint64_t limit_bytes,
                      struct err *e) MUST_CHECK;

/* Moves the calling process into it. */
int memory_group_join(const struct memory_group *g, struct err *e) MUST_CHECK;

/* Once nobody is in it; none is fine. */
void memory_group_remove(struct memory_group *g);

#endif
