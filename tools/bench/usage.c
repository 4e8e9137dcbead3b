/* What a stretch of time cost, as /proc tells it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)
#define SECTOR_BYTES 512
#define NS_PER_MS UINT64_C(1000000)

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;
    return clock_gettime(clock, &t) < 0 ? 0 : (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void read_processors(struct usage *u)
{
    uint64_t user, nice, system, idle, io_wait, irq, soft_irq, steal;
    FILE *f = fopen("/proc/stat", "re");
    if (!f)
        return;
    if (fscanf(f,
               "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64 " %" SCNu64,
               &user, &nice, &system, &idle, &io_wait, &irq, &soft_irq, &steal) == 8)
        u->busy_ns = (user + nice + system + irq + soft_irq + steal) *
                     (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
    (void)fclose(f);
}

static void read_disk(struct usage *u, dev_t disk)
{
    char path[64];
    uint64_t n_read, n_written, unused, busy_ms;
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/stat", major(disk), minor(disk));
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (fscanf(f,
               "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &unused, &unused, &n_read, &unused, &unused, &unused, &n_written, &unused, &unused,
               &busy_ms) == 10) {
        u->read_bytes = n_read * SECTOR_BYTES;
        u->written_bytes = n_written * SECTOR_BYTES;
        u->disk_ns = busy_ms * NS_PER_MS;
    }
    (void)fclose(f);
}

void usage_read(struct usage *ret, const pid_t servers[USAGE_SERVERS_MAX], dev_t disk)
{
    struct rusage self;
    clockid_t clock;
    *ret = (struct usage){.wall_ns = read_clock(CLOCK_MONOTONIC),
                          .self_ns = read_clock(CLOCK_PROCESS_CPUTIME_ID)};
    for (size_t i = 0; i < USAGE_SERVERS_MAX && servers[i] > 0; i++)
        if (clock_getcpuclockid(servers[i], &clock) == 0)
            ret->server_ns += read_clock(clock);
    if (getrusage(RUSAGE_SELF, &self) == 0) {
        ret->minor_faults = (uint64_t)self.ru_minflt;
        ret->major_faults = (uint64_t)self.ru_majflt;
        ret->n_switches = (uint64_t)(self.ru_nvcsw + self.ru_nivcsw);
    }
    read_processors(ret);
    read_disk(ret, disk);
}

uint64_t usage_rss(const pid_t servers[USAGE_SERVERS_MAX])
{
    uint64_t n_pages = 0;
    for (size_t i = 0; i < USAGE_SERVERS_MAX && servers[i] > 0; i++) {
        char path[64];
        uint64_t size, resident;
        (void)snprintf(path, sizeof path, "/proc/%ld/statm", (long)servers[i]);
        FILE *f = fopen(path, "re");
        if (!f)
            continue;
        if (fscanf(f, "%" SCNu64 " %" SCNu64, &size, &resident) == 2)
            n_pages += resident;
        (void)fclose(f);
    }
    return n_pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A process that ended meanwhile has used less than before. */
static uint64_t grown(uint64_t from, uint64_t to)
{
    return to > from ? to - from : 0;
}

struct usage usage_between(const struct usage *begin, const struct usage *end)
{
    return (struct usage){
        .wall_ns = grown(begin->wall_ns, end->wall_ns),
        .self_ns = grown(begin->self_ns, end->self_ns),
        .server_ns = grown(begin->server_ns, end->server_ns),
        .busy_ns = grown(begin->busy_ns, end->busy_ns),
        .disk_ns = grown(begin->disk_ns, end->disk_ns),
        .read_bytes = grown(begin->read_bytes, end->read_bytes),
        .written_bytes = grown(begin->written_bytes, end->written_bytes),
        .minor_faults = grown(begin->minor_faults, end->minor_faults),
        .major_faults = grown(begin->major_faults, end->major_faults),
        .n_switches = grown(begin->n_switches, end->n_switches),
    };
}

double usage_cores(uint64_t cpu_ns, const struct usage *spent)
{
    return spent->wall_ns > 0 ? (double)cpu_ns / (double)spent->wall_ns : 0;
}

const char *usage_bound(const struct usage *spent, unsigned n_cpus)
{
    static const double full = 0.9;
    if (usage_cores(spent->busy_ns, spent) >= full * n_cpus)
        return "cpu";
    if (usage_cores(spent->disk_ns, spent) >= full)
        return "disk";
    if (usage_cores(spent->self_ns, spent) >= full || usage_cores(spent->server_ns, spent) >= full)
        return "one core";
    return "waiting";
}
