/* How much memory this process may take: the limit of its control group, or what the machine has
 * to give. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MEMORY_LIMIT_H
#define BASE_MEMORY_LIMIT_H

#include <stdint.h>

#include "base/control_group.h"
#include "base/err.h"
#include "base/io.h"

enum memory_source { MEMORY_CGROUP_V2, MEMORY_CGROUP_V1, MEMORY_AVAILABLE };

struct memory_limit {
    uint64_t bytes;
    enum memory_source source; /* what set it: the lowest counts */
};

/* Reads /proc and control groups below `root`; "" is the machine's own. ERR_UNSUPPORTED: they do
 * not tell. */
int memory_limit_read(struct memory_limit *ret, struct io *io, const char *root,
                      struct err *e) MUST_CHECK;

/* For a log line: "the control group's limit", ... */
const char *memory_source_text(enum memory_source source);

/* What a process's groups allow: the least on the way up. HOST_UNKNOWN: no group says;
 * HOST_NO_LIMIT (base/host_text.h). */
struct memory_group_limits {
    uint64_t max_bytes;
    enum memory_source max_source; /* of the two versions */
    uint64_t high_bytes;           /* at which v2 slows its processes down */
};

struct memory_group_limits memory_limit_of_groups(const struct control_groups *c);

#endif
