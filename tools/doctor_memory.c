/* Checks of the kernel and of how it manages memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/doctor.h"

/* ---- the kernel ---- */

static bool is_before(const struct host *h, unsigned major, unsigned minor)
{
    return h->kernel.major < major || (h->kernel.major == major && h->kernel.minor < minor);
}

static struct doctor_check check_release(const struct host *h)
{
    struct doctor_check c = doctor_check("kernel", "release", "%s", h->kernel.release);
    if (h->kernel.major == 0)
        c.state = DOCTOR_UNKNOWN;
    if (is_before(h, 5, 14)) {
        doctor_say(&c, DOCTOR_FOUND,
                   "Before 5.14 there is no MADV_POPULATE_WRITE: pages cannot be made ready ahead "
                   "of the writer, and a store with asynchronous flush cannot append.");
        doctor_advise(&c, "run Linux 5.14 or newer, or set flushDiskType=SYNC_FLUSH");
    } else if (is_before(h, 6, 5)) {
        doctor_say(&c, DOCTOR_NOTE,
                   "Before 6.5 there is no cachestat: 'sluice mem' asks with mincore, which is "
                   "slower and does not tell what is dirty. Serving is not touched by it.");
    } else {
        doctor_say(&c, DOCTOR_FINE,
                   "It has MADV_POPULATE_WRITE (5.14), which makes pages ready ahead of the "
                   "writer, and cachestat (6.5), by which 'sluice mem' counts dirty pages.");
    }
    return c;
}

static struct doctor_check check_clock(const struct host *h)
{
    static const char *const fast[] = {"tsc", "kvm-clock", "arch_sys_counter",
                                       "hyperv_clocksource_tsc_page"};
    struct doctor_check c = doctor_check("kernel", "clock source", "%s", h->kernel.clock);
    if (!h->kernel.clock[0]) {
        c = doctor_check_number("kernel", "clock source", HOST_UNKNOWN);
        doctor_say(&c, DOCTOR_UNKNOWN, "Every request reads the clock.");
        return c;
    }
    for (size_t i = 0; i < sizeof fast / sizeof fast[0]; i++) {
        if (strcmp(h->kernel.clock, fast[i]) == 0) {
            doctor_say(&c, DOCTOR_FINE,
                       "Every request reads the clock, with this one without a "
                       "system call.");
            return c;
        }
    }
    doctor_say(&c, DOCTOR_FOUND,
               "Every request reads the clock. With this one each reading is a system call, "
               "and with hpet or acpi_pm one that takes a microsecond.");
    doctor_advise(&c, "use tsc, or kvm-clock in a guest, if the machine has it: "
                      "clocksource= on the kernel's command line");
    return c;
}

void doctor_kernel(const struct host *h, const struct doctor_store *s, doctor_fn fn, void *arg)
{
    (void)s; /* the same for every store */
    const struct doctor_check checks[] = {check_release(h), check_clock(h)};
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        fn(arg, &checks[i]);
}

/* ---- mappings ---- */

enum {
    OWN_MAPS = 1000,       /* of a broker without a store: libraries, heaps, stacks */
    QUEUES_MAPPED = 16384, /* at a time: docs/memory.md */
};

static struct doctor_check check_maps(const struct host *h, const struct doctor_store *s)
{
    struct doctor_check c = doctor_check_number("memory", "vm.max_map_count", h->vm.max_map_count);
    uint64_t n_files = s->n_log_files + s->n_queue_files + s->n_index_files;
    uint64_t n_queues = s->n_queue_files < QUEUES_MAPPED ? s->n_queue_files : QUEUES_MAPPED;
    uint64_t n = s->n_log_files + n_queues + s->n_index_files + OWN_MAPS;
    bool is_tight = h->vm.max_map_count < n + n / 4;
    char now[64] = "";
    if (h->process.pid && h->process.n_maps < HOST_NO_LIMIT)
        (void)snprintf(now, sizeof now, " The broker has %" PRIu64 " now.", h->process.n_maps);
    doctor_say(&c, is_tight ? DOCTOR_FOUND : DOCTOR_FINE,
               "Each file of a store is a mapping while it is in use, of consume queues those of "
               "16,384 at a time: this store has %" PRIu64 " files (%" PRIu64
               " of the log, %" PRIu64 " of queues, %" PRIu64
               " of the index).%s At the limit nothing can be mapped: "
               "appends stop at the end of a file, and queues cannot be read.",
               n_files, s->n_log_files, s->n_queue_files, s->n_index_files, now);
    if (is_tight)
        doctor_advise(&c, "sysctl -w vm.max_map_count=%" PRIu64,
                      n_files > 100000 ? 4 * n : 1048576);
    return c;
}

/* ---- dirty pages ---- */

/* The mark in bytes; the kernel takes a share of the memory that is available. */
static uint64_t mark_of(const struct host *h, uint64_t bytes, uint64_t ratio)
{
    if (bytes > 0 && bytes < HOST_NO_LIMIT)
        return bytes;
    if (ratio > 100 || h->vm.available_bytes >= HOST_NO_LIMIT)
        return HOST_UNKNOWN;
    return h->vm.available_bytes / 100 * ratio;
}

/* The setting as it is made, and what it comes to now. */
static struct doctor_check check_mark(const char *name, uint64_t bytes, uint64_t ratio,
                                      uint64_t mark)
{
    char text[DOCTOR_BYTES_TEXT];
    if (mark == HOST_UNKNOWN)
        return doctor_check_number("memory", name, HOST_UNKNOWN);
    if (bytes > 0 && bytes < HOST_NO_LIMIT)
        return doctor_check("memory", name, "%s", doctor_bytes(bytes, text));
    return doctor_check("memory", name, "%" PRIu64 " %%, now %s", ratio, doctor_bytes(mark, text));
}

static struct doctor_check check_background(const struct host *h)
{
    uint64_t mark = mark_of(h, h->vm.background_bytes, h->vm.background_ratio);
    struct doctor_check c = check_mark(h->vm.background_bytes ? "vm.dirty_background_bytes"
                                                              : "vm.dirty_background_ratio",
                                       h->vm.background_bytes, h->vm.background_ratio, mark);
    char dirty[DOCTOR_BYTES_TEXT];
    uint64_t dirty_bytes = doctor_need(h).dirty_bytes;
    bool is_low = mark < dirty_bytes;
    doctor_say(&c, is_low ? DOCTOR_FOUND : DOCTOR_FINE,
               "From here on the kernel writes dirty pages by itself. A store under load has up to "
               "%s of them on purpose (flushBytes and populateWindow); below that the kernel "
               "writes pages that are ready but empty, and the store the same ones again.",
               doctor_bytes(dirty_bytes, dirty));
    if (is_low)
        doctor_advise(&c,
                      "sysctl -w vm.dirty_background_bytes=%" PRIu64 ", or lower flushBytes and "
                      "populateWindow",
                      2 * dirty_bytes);
    return c;
}

static struct doctor_check check_dirty(const struct host *h)
{
    uint64_t mark = mark_of(h, h->vm.dirty_bytes, h->vm.dirty_ratio);
    struct doctor_check c = check_mark(h->vm.dirty_bytes ? "vm.dirty_bytes" : "vm.dirty_ratio",
                                       h->vm.dirty_bytes, h->vm.dirty_ratio, mark);
    char stall[DOCTOR_BYTES_TEXT];
    uint64_t stall_bytes = doctor_need(h).stall_bytes;
    bool is_low = mark < stall_bytes;
    doctor_say(&c, is_low ? DOCTOR_FOUND : DOCTOR_FINE,
               "From here on the kernel puts every thread that dirties a page to sleep. A store's "
               "senders wait for the disk at %s (eight times flushBytes, and populateWindow); "
               "below that the kernel stops the thread that makes pages ready, and "
               "appends with it.",
               doctor_bytes(stall_bytes, stall));
    if (is_low)
        doctor_advise(&c, "sysctl -w vm.dirty_bytes=%" PRIu64 ", or lower flushBytes",
                      2 * stall_bytes);
    return c;
}

/* ---- what the kernel takes back ---- */

static struct doctor_check check_swappiness(const struct host *h)
{
    struct doctor_check c = doctor_check_number("memory", "vm.swappiness", h->vm.swappiness);
    char text[DOCTOR_BYTES_TEXT];
    if (h->vm.swap_bytes == 0) {
        doctor_say(&c, DOCTOR_FINE, "There is no swap, so it has no effect.");
        return c;
    }
    if (h->vm.swap_bytes >= HOST_NO_LIMIT || h->vm.swappiness >= HOST_NO_LIMIT)
        c.state = DOCTOR_UNKNOWN;
    bool is_high = h->vm.swappiness > 10;
    doctor_say(&c, is_high ? DOCTOR_FOUND : DOCTOR_FINE,
               "A store fills the page cache with its log, and at a high value the kernel makes "
               "room for it by swapping out leases, requests and tables, of which every request "
               "needs some. There is %s of swap.",
               doctor_bytes(h->vm.swap_bytes, text));
    if (is_high)
        doctor_advise(&c, "sysctl -w vm.swappiness=1");
    return c;
}

static struct doctor_check check_overcommit(const struct host *h)
{
    struct doctor_check c = doctor_check_number("memory", "vm.overcommit_memory", h->vm.overcommit);
    char text[DOCTOR_BYTES_TEXT];
    if (h->vm.overcommit != 2) {
        doctor_say(&c, DOCTOR_FINE,
                   "Mappings of a store's files are never counted; heaps and stacks are not "
                   "refused ahead of their use either.");
        return c;
    }
    uint64_t left = h->vm.commit_limit_bytes > h->vm.committed_bytes
                        ? h->vm.commit_limit_bytes - h->vm.committed_bytes
                        : 0;
    bool is_low = left < DOCTOR_REQUEST_BYTES;
    doctor_say(&c, is_low ? DOCTOR_FOUND : DOCTOR_NOTE,
               "Heaps and stacks are refused once CommitLimit is reached (%s are left), used or "
               "not. Requests under way may take 512 MiB (maxRequestMemory). Mappings of a "
               "store's files are not counted.",
               doctor_bytes(left, text));
    if (is_low)
        doctor_advise(&c, "sysctl -w vm.overcommit_memory=0, or raise vm.overcommit_ratio");
    return c;
}

static struct doctor_check check_zone_reclaim(const struct host *h)
{
    struct doctor_check c =
        doctor_check_number("memory", "vm.zone_reclaim_mode", h->vm.zone_reclaim);
    bool is_on = h->vm.zone_reclaim != 0;
    doctor_say(&c, is_on ? DOCTOR_FOUND : DOCTOR_FINE,
               "Other than 0, a thread that needs a page first takes back cached pages of its own "
               "memory node instead of using a free one of another: appends stall, and the log "
               "drops out of the page cache while memory is free.");
    if (is_on)
        doctor_advise(&c, "sysctl -w vm.zone_reclaim_mode=0");
    return c;
}

static struct doctor_check check_thp(const struct host *h)
{
    struct doctor_check c = doctor_check("memory", "transparent huge pages", "%s, defrag %s",
                                         h->vm.thp, h->vm.thp_defrag);
    if (!h->vm.thp[0])
        c = doctor_check_number("memory", "transparent huge pages", HOST_UNKNOWN);
    bool is_always = strcmp(h->vm.thp, "always") == 0;
    bool waits = is_always && strcmp(h->vm.thp_defrag, "always") == 0;
    if (is_always)
        doctor_say(&c, waits ? DOCTOR_FOUND : DOCTOR_NOTE,
                   "Heaps and stacks grow by 2 MiB at a time, so that the broker is larger than "
                   "it needs to be%s. The files of a store on a disk are not touched by it.",
                   waits ? ", and with defrag=always a fault waits until memory is compacted" : "");
    else
        doctor_say(&c, DOCTOR_FINE,
                   "Heaps and stacks grow page by page, as the broker uses them. "
                   "The files of a store are not touched by it.");
    if (waits)
        doctor_advise(&c, "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled");
    return c;
}

static struct doctor_check check_memory(const struct host *h, const struct doctor_store *s)
{
    char available[DOCTOR_BYTES_TEXT], total[DOCTOR_BYTES_TEXT], resident[DOCTOR_BYTES_TEXT];
    struct doctor_check c = doctor_check("memory", "available", "%s of %s",
                                         doctor_bytes(h->vm.available_bytes, available),
                                         doctor_bytes(h->vm.total_bytes, total));
    if (h->vm.available_bytes >= HOST_NO_LIMIT || h->vm.total_bytes >= HOST_NO_LIMIT)
        c = doctor_check_number("memory", "available", HOST_UNKNOWN);
    char need[DOCTOR_BYTES_TEXT];
    uint64_t need_bytes = doctor_need(h).total_bytes;
    bool is_low = h->vm.available_bytes < need_bytes;
    doctor_say(&c, is_low ? DOCTOR_FOUND : DOCTOR_FINE,
               "The page cache of a store lives in it: %s of this one is there now. Its dirty "
               "pages and its requests may take %s together.",
               doctor_bytes(s->resident_bytes, resident), doctor_bytes(need_bytes, need));
    if (is_low)
        doctor_advise(&c, "lower maxRequestMemory, or add memory");
    return c;
}

void doctor_memory(const struct host *h, const struct doctor_store *s, doctor_fn fn, void *arg)
{
    const struct doctor_check checks[] = {
        check_memory(h, s),  check_maps(h, s),    check_background(h),   check_dirty(h),
        check_swappiness(h), check_overcommit(h), check_zone_reclaim(h), check_thp(h),
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        fn(arg, &checks[i]);
}
