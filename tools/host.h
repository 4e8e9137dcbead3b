/* What of the machine matters to a store: read from /proc, /sys and cgroups, changing nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_HOST_H
#define TOOLS_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/host_text.h"

/* Numbers are HOST_UNKNOWN and texts empty where the kernel does not tell. */
struct host {
    struct {
        char release[64];
        unsigned major, minor; /* both 0: unknown */
        char clock[32];        /* the clock source */
    } kernel;
    struct {
        uint64_t max_map_count;
        uint64_t dirty_ratio, dirty_bytes;           /* one of them is 0 */
        uint64_t background_ratio, background_bytes; /* likewise */
        uint64_t swappiness, overcommit, zone_reclaim;
        uint64_t total_bytes, available_bytes, swap_bytes, commit_limit_bytes, committed_bytes;
        char thp[24], thp_defrag[24];
    } vm;
    struct host_mount mount; /* of the store; the kind is empty when it is not found */
    struct {
        uint64_t read_ahead_kib, rotational;
        char scheduler[24], write_cache[24];
    } device; /* of that mount */
    struct {
        uint64_t pid;    /* a broker's; 0: of this program, whose limits a broker may get */
        uint64_t n_maps; /* mappings it has */
        uint64_t nofile, memlock_bytes, as_bytes, fsize_bytes; /* soft limits */
    } process;
    struct {
        uint64_t memory_bytes, memory_high_bytes; /* the least on the way up; HOST_NO_LIMIT */
        uint64_t quota_us, period_us; /* of the tightest; a quota may be HOST_NO_LIMIT */
        uint64_t n_throttled;
        char io[128]; /* a limit of bytes or operations; empty: none */
    } cgroup;
};

/* Reads it all, under `root` in place of "/" ("" for the machine itself). `path` is what the mount
 * is looked for by, absolute and without links; `pid` 0 means this program. */
void host_read(struct host *ret, const char *root, const char *path, uint64_t pid);

/* The process that has the file open, or 0; what this user may not see is passed over. */
uint64_t host_holder(const char *root, const char *path);

#endif
