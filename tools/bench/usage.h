/* What a stretch of time cost the machine: processor time of each side, disk, page faults. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_USAGE_H
#define TOOLS_BENCH_USAGE_H

#include <stdint.h>
#include <sys/types.h>

/* Read once before and once after; the difference is the cost. What the kernel does not tell is 0.
 */
struct usage {
    uint64_t wall_ns;
    uint64_t self_ns;   /* processor time of this process, all threads */
    uint64_t server_ns; /* of the servers' processes */
    uint64_t busy_ns;   /* of all processors; what the host took away counts as busy */
    uint64_t disk_ns;   /* time in which the disk had something to do */
    uint64_t read_bytes, written_bytes;  /* by the disk, whoever asked */
    uint64_t minor_faults, major_faults; /* of this process */
    uint64_t n_switches; /* of this process from one thread to another, waiting or made to */
};

enum { USAGE_SERVERS_MAX = 4 };

/* The servers' list ends with a 0 or is full. `disk` is the device of the measured folder (st_dev).
 */
void usage_read(struct usage *ret, const pid_t servers[USAGE_SERVERS_MAX], dev_t disk);

/* What the processes hold in memory now, in bytes (VmRSS). */
uint64_t usage_rss(const pid_t servers[USAGE_SERVERS_MAX]);

struct usage usage_between(const struct usage *begin, const struct usage *end);

/* What was used up: "cpu" (all processors), "disk", "one core" (this process or the server had one
 * to itself), or "waiting" (none of these). */
const char *usage_bound(const struct usage *spent, unsigned n_cpus);

/* Cores in use: processor time over wall time. */
double usage_cores(uint64_t cpu_ns, const struct usage *spent);

#endif
