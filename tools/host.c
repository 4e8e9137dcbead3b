/* Reads /proc, /sys and cgroups. A file that is not there leaves its field unknown. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/host.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/control_group.h"
#include "base/err.h"
#include "base/io.h"
#include "base/memory_limit.h"

enum { SMALL_BYTES = 4096 }; /* more than any file of one value has */

/* ---- reading ---- */

/* A file as text; empty when it cannot be read. */
static void read_text(char *ret, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void read_text(char *ret, size_t size, const char *fmt, ...)
{
    char path[2 * PATH_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(path, sizeof path, fmt, ap);
    va_end(ap);
    ret[0] = '\0';
    if (n > 0 && (size_t)n < sizeof path)
        io_read_text(io_posix(), path, ret, size);
}

static uint64_t read_number(const char *root, const char *name)
{
    char text[SMALL_BYTES];
    read_text(text, sizeof text, "%s/%s", root, name);
    return host_number(text);
}

static void read_choice(const char *root, const char *name, char *ret, size_t size)
{
    char text[SMALL_BYTES];
    read_text(text, sizeof text, "%s/%s", root, name);
    host_choice(text, ret, size);
}

/* ---- the kernel and its memory ---- */

static void read_kernel(struct host *h, const char *root)
{
    read_choice(root, "proc/sys/kernel/osrelease", h->kernel.release, sizeof h->kernel.release);
    if (!host_release(h->kernel.release, &h->kernel.major, &h->kernel.minor))
        h->kernel.major = h->kernel.minor = 0;
    read_choice(root, "sys/devices/system/clocksource/clocksource0/current_clocksource",
                h->kernel.clock, sizeof h->kernel.clock);
}

static void read_vm(struct host *h, const char *root)
{
    char text[SMALL_BYTES];
    h->vm.max_map_count = read_number(root, "proc/sys/vm/max_map_count");
    h->vm.dirty_ratio = read_number(root, "proc/sys/vm/dirty_ratio");
    h->vm.dirty_bytes = read_number(root, "proc/sys/vm/dirty_bytes");
    h->vm.background_ratio = read_number(root, "proc/sys/vm/dirty_background_ratio");
    h->vm.background_bytes = read_number(root, "proc/sys/vm/dirty_background_bytes");
    h->vm.swappiness = read_number(root, "proc/sys/vm/swappiness");
    h->vm.overcommit = read_number(root, "proc/sys/vm/overcommit_memory");
    h->vm.zone_reclaim = read_number(root, "proc/sys/vm/zone_reclaim_mode");
    read_choice(root, "sys/kernel/mm/transparent_hugepage/enabled", h->vm.thp, sizeof h->vm.thp);
    read_choice(root, "sys/kernel/mm/transparent_hugepage/defrag", h->vm.thp_defrag,
                sizeof h->vm.thp_defrag);
    read_text(text, sizeof text, "%s/proc/meminfo", root);
    h->vm.total_bytes = host_meminfo(text, "MemTotal");
    h->vm.available_bytes = host_meminfo(text, "MemAvailable");
    h->vm.swap_bytes = host_meminfo(text, "SwapTotal");
    h->vm.commit_limit_bytes = host_meminfo(text, "CommitLimit");
    h->vm.committed_bytes = host_meminfo(text, "Committed_AS");
}

/* ---- the disk ---- */

static void read_device(struct host *h, const char *root)
{
    char queue[PATH_MAX], name[2 * PATH_MAX];
    unsigned major = h->mount.major, minor = h->mount.minor;
    (void)snprintf(queue, sizeof queue, "sys/dev/block/%u:%u/queue", major, minor);
    (void)snprintf(name, sizeof name, "%s/%s", root, queue);
    if (access(name, F_OK) < 0) /* a partition's is its disk's */
        (void)snprintf(queue, sizeof queue, "sys/dev/block/%u:%u/../queue", major, minor);
    (void)snprintf(name, sizeof name, "%s/read_ahead_kb", queue);
    h->device.read_ahead_kib = read_number(root, name);
    (void)snprintf(name, sizeof name, "%s/rotational", queue);
    h->device.rotational = read_number(root, name);
    (void)snprintf(name, sizeof name, "%s/scheduler", queue);
    read_choice(root, name, h->device.scheduler, sizeof h->device.scheduler);
    (void)snprintf(name, sizeof name, "%s/write_cache", queue);
    char text[SMALL_BYTES];
    read_text(text, sizeof text, "%s/%s", root, name);
    text[strcspn(text, "\n")] = '\0';
    (void)snprintf(h->device.write_cache, sizeof h->device.write_cache, "%.23s", text);
}

/* ---- the process ---- */

/* "self", or the number. */
static void name_process(uint64_t pid, char ret[24])
{
    if (pid)
        (void)snprintf(ret, 24, "%" PRIu64, pid);
    else
        (void)snprintf(ret, 24, "self");
}

static uint64_t count_lines(const char *path)
{
    FILE *f = fopen(path, "re");
    uint64_t n = 0;
    if (!f)
        return HOST_UNKNOWN;
    for (int c = getc(f); c != EOF; c = getc(f))
        n += c == '\n';
    (void)fclose(f); /* read only: nothing to lose */
    return n;
}

static void read_process(struct host *h, const char *root, uint64_t pid)
{
    char text[SMALL_BYTES], path[PATH_MAX], who[24];
    name_process(pid, who);
    h->process.pid = pid;
    read_text(text, sizeof text, "%s/proc/%s/limits", root, who);
    h->process.nofile = host_limit(text, "Max open files");
    h->process.memlock_bytes = host_limit(text, "Max locked memory");
    h->process.as_bytes = host_limit(text, "Max address space");
    h->process.fsize_bytes = host_limit(text, "Max file size");
    (void)snprintf(path, sizeof path, "%s/proc/%s/maps", root, who);
    h->process.n_maps = count_lines(path);
}

static bool has_open(const char *root, const char *pid, const char *path)
{
    char folder[PATH_MAX], target[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s/proc/%s/fd", root, pid);
    DIR *dir = opendir(folder);
    bool is_it = false;
    if (!dir)
        return false;
    for (struct dirent *entry = readdir(dir); entry && !is_it; entry = readdir(dir)) {
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);
        if (n > 0) {
            target[n] = '\0';
            is_it = strcmp(target, path) == 0;
        }
    }
    (void)closedir(dir);
    return is_it;
}

uint64_t host_holder(const char *root, const char *path)
{
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s/proc", root);
    DIR *dir = opendir(folder);
    uint64_t pid = 0;
    if (!dir)
        return 0;
    for (struct dirent *entry = readdir(dir); entry && !pid; entry = readdir(dir))
        if (isdigit((unsigned char)entry->d_name[0]) && has_open(root, entry->d_name, path))
            pid = host_number(entry->d_name);
    (void)closedir(dir);
    return pid;
}

/* ---- cgroups ---- */

static void tighten(struct host *h, uint64_t quota_us, uint64_t period_us)
{
    if (quota_us == HOST_UNKNOWN)
        return;
    if (h->cgroup.quota_us >= HOST_NO_LIMIT ||
        (quota_us < HOST_NO_LIMIT &&
         (double)quota_us / (double)period_us <
             (double)h->cgroup.quota_us / (double)h->cgroup.period_us)) {
        h->cgroup.quota_us = quota_us;
        h->cgroup.period_us = period_us;
    }
}

static void read_throttled(struct host *h, const char *folder)
{
    char text[SMALL_BYTES];
    read_text(text, sizeof text, "%s/cpu.stat", folder);
    uint64_t n = host_stat(text, "nr_throttled");
    if (n < HOST_NO_LIMIT && (h->cgroup.n_throttled == HOST_UNKNOWN || n > h->cgroup.n_throttled))
        h->cgroup.n_throttled = n;
}

/* The first line of a file, if it has one and no other limit is known. */
static void read_io(struct host *h, const char *folder, const char *name)
{
    char text[SMALL_BYTES];
    read_text(text, sizeof text, "%s/%s", folder, name);
    text[strcspn(text, "\n")] = '\0';
    if (text[0] && !h->cgroup.io[0])
        (void)snprintf(h->cgroup.io, sizeof h->cgroup.io, "%.*s", (int)sizeof h->cgroup.io - 1,
                       text);
}

static void read_v2(struct host *h, const char *folder)
{
    char text[SMALL_BYTES];
    uint64_t quota_us, period_us;
    read_text(text, sizeof text, "%s/cpu.max", folder);
    host_cpu_max(text, &quota_us, &period_us);
    if (period_us > 0 && period_us < HOST_NO_LIMIT)
        tighten(h, quota_us, period_us);
    read_throttled(h, folder);
    read_io(h, folder, "io.max");
}

static void read_v1_cpu(struct host *h, const char *folder)
{
    uint64_t period_us = read_number(folder, "cpu.cfs_period_us");
    if (period_us > 0 && period_us < HOST_NO_LIMIT)
        tighten(h, read_number(folder, "cpu.cfs_quota_us"), period_us);
    read_throttled(h, folder);
}

static void read_v1_io(struct host *h, const char *folder)
{
    read_io(h, folder, "blkio.throttle.write_bps_device");
    read_io(h, folder, "blkio.throttle.write_iops_device");
    read_io(h, folder, "blkio.throttle.read_bps_device");
}

static void read_cgroups(struct host *h, const struct control_groups *groups)
{
    static const struct {
        const char *controller; /* NULL: v2 */
        void (*read)(struct host *h, const char *folder);
    } kinds[] = {{NULL, read_v2}, {"cpu", read_v1_cpu}, {"blkio", read_v1_io}};
    struct memory_group_limits memory = memory_limit_of_groups(groups);
    h->cgroup.memory_bytes = memory.max_bytes;
    h->cgroup.memory_high_bytes = memory.high_bytes;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct control_group g;
        if (!control_group_find(groups, kinds[i].controller, &g))
            continue;
        do
            kinds[i].read(h, g.folder);
        while (control_group_up(&g));
    }
}

/* ---- all of it ---- */

void host_read(struct host *ret, const char *root, const char *path, uint64_t pid)
{
    *ret = (struct host){
        .device = {.read_ahead_kib = HOST_UNKNOWN, .rotational = HOST_UNKNOWN},
        .cgroup = {.memory_bytes = HOST_UNKNOWN,
                   .memory_high_bytes = HOST_UNKNOWN,
                   .quota_us = HOST_UNKNOWN,
                   .n_throttled = HOST_UNKNOWN},
    };
    read_kernel(ret, root);
    read_vm(ret, root);
    read_process(ret, root, pid);
    struct control_groups groups;
    struct err e;
    if (control_groups_read(&groups, io_posix(), root, pid, &e)) /* the rest stays unknown */
        return;
    if (host_mount_of(groups.mounts, path, &ret->mount))
        read_device(ret, root);
    read_cgroups(ret, &groups);
    control_groups_fini(&groups);
}
