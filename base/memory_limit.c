/* How much memory this process may take: a group is bounded by its own limit and by those of all
 * above it, in both versions of control groups. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory_limit.h"

#include <limits.h>
#include <stdio.h>

#include "base/host_text.h"

enum { MEMINFO_BYTES = 8192 }; /* more than it has up to what is looked for */

const char *memory_source_text(enum memory_source source)
{
    switch (source) {
    case MEMORY_CGROUP_V2:
        return "the control group's limit (v2)";
    case MEMORY_CGROUP_V1:
        return "the control group's limit (v1)";
    case MEMORY_AVAILABLE:
        break;
    }
    return "what the machine has available";
}

/* ---- groups ---- */

/* The least that a file of the group, or of one above it, says. */
static uint64_t least(const struct control_groups *c, const char *controller, const char *file)
{
    struct control_group g;
    uint64_t bytes = HOST_UNKNOWN; /* which is more than any other */
    if (!control_group_find(c, controller, &g))
        return bytes;
    do {
        uint64_t found = control_group_number(c, &g, file);
        bytes = found < bytes ? found : bytes;
    } while (control_group_up(&g));
    return bytes;
}

struct memory_group_limits memory_limit_of_groups(const struct control_groups *c)
{
    uint64_t v2_bytes = least(c, /* controller = */ NULL, "memory.max");
    uint64_t v1_bytes = least(c, "memory", "memory.limit_in_bytes");
    return (struct memory_group_limits){
        .max_bytes = v1_bytes < v2_bytes ? v1_bytes : v2_bytes,
        .max_source = v1_bytes < v2_bytes ? MEMORY_CGROUP_V1 : MEMORY_CGROUP_V2,
        .high_bytes = least(c, /* controller = */ NULL, "memory.high"),
    };
}

/* ---- all of it ---- */

static void lower(struct memory_limit *limit, uint64_t bytes, enum memory_source source)
{
    if (bytes < limit->bytes)
        *limit = (struct memory_limit){.bytes = bytes, .source = source};
}

int memory_limit_read(struct memory_limit *ret, struct io *io, const char *root, struct err *e)
{
    char path[PATH_MAX], text[MEMINFO_BYTES];
    struct control_groups groups;
    int rc = control_groups_read(&groups, io, root, /* pid = */ 0, e);
    if (rc < 0)
        return rc;
    struct memory_limit found = {.bytes = HOST_NO_LIMIT, .source = MEMORY_AVAILABLE};
    struct memory_group_limits limits = memory_limit_of_groups(&groups);
    control_groups_fini(&groups);
    (void)snprintf(path, sizeof path, "%s/proc/meminfo", root);
    io_read_text(io, path, text, sizeof text);
    lower(&found, host_meminfo(text, "MemAvailable"), MEMORY_AVAILABLE);
    lower(&found, limits.max_bytes, limits.max_source);
    lower(&found, limits.high_bytes, MEMORY_CGROUP_V2);
    if (found.bytes == HOST_NO_LIMIT)
        return err_set(e, ERR_UNSUPPORTED, "find how much memory there is: '%s/proc' does not tell",
                       root);
    *ret = found;
    return 0;
}
