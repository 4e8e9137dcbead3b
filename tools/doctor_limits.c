/* Checks of the limits that a broker runs under: its own and its cgroup's. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "tools/doctor.h"

enum {
    NOFILE_WANTED = 4 * 8192, /* a quarter is the broker's own limit of connections */
};

/* ---- of the process ---- */

/* Whose limits they are. */
static const char *owner(const struct host *h)
{
    return h->process.pid ? "" : " (Of this shell; a broker started elsewhere has its own.)";
}

static struct doctor_check check_nofile(const struct host *h)
{
    struct doctor_check c = doctor_check_number("limits", "open files", h->process.nofile);
    uint64_t n = h->process.nofile < HOST_NO_LIMIT ? h->process.nofile / 4 : 8192;
    bool is_low = h->process.nofile < NOFILE_WANTED;
    doctor_say(&c, is_low ? DOCTOR_NOTE : DOCTOR_FINE,
               "Each connection is one, mapped files are none once they are mapped. The broker "
               "takes a quarter of them and at most 8192 connections unless maxConnections says "
               "otherwise: %" PRIu64 " here.%s",
               n < 8192 ? n : 8192, owner(h));
    if (h->process.nofile < 4096) {
        c.state = DOCTOR_FOUND;
        doctor_advise(&c, "LimitNOFILE=%d in the unit, or ulimit -n", NOFILE_WANTED);
    }
    return c;
}

static struct doctor_check check_memlock(const struct host *h)
{
    struct doctor_check c = doctor_check_bytes("limits", "locked memory", h->process.memlock_bytes);
    doctor_say(&c, DOCTOR_FINE, "No option of the broker locks memory, so it needs none.%s",
               owner(h));
    return c;
}

static struct doctor_check check_as(const struct host *h, const struct doctor_store *s)
{
    struct doctor_check c = doctor_check_bytes("limits", "address space", h->process.as_bytes);
    bool is_limited = h->process.as_bytes < HOST_NO_LIMIT;
    char text[DOCTOR_BYTES_TEXT];
    doctor_say(&c, is_limited ? DOCTOR_FOUND : DOCTOR_FINE,
               "The files of a store are mapped: %s so far. Mapped is not resident, and costs "
               "address space only.%s",
               doctor_bytes(s->total_bytes, text), owner(h));
    if (is_limited)
        doctor_advise(&c, "LimitAS=infinity in the unit, or ulimit -v unlimited; or set "
                          "mappedMemoryBudget");
    return c;
}

static struct doctor_check check_fsize(const struct host *h)
{
    struct doctor_check c = doctor_check_bytes("limits", "file size", h->process.fsize_bytes);
    bool is_limited = h->process.fsize_bytes < HOST_NO_LIMIT;
    doctor_say(&c, is_limited ? DOCTOR_FOUND : DOCTOR_FINE,
               "A file of the log is allocated whole, by default 1 GiB; the kernel ends a process "
               "that goes over this limit.%s",
               owner(h));
    if (is_limited)
        doctor_advise(&c, "LimitFSIZE=infinity in the unit, or ulimit -f unlimited");
    return c;
}

/* ---- of the cgroup ---- */

static struct doctor_check check_cgroup_memory(const struct host *h)
{
    struct doctor_check c = doctor_check_bytes("cgroup", "memory limit", h->cgroup.memory_bytes);
    bool is_limited = h->cgroup.memory_bytes < HOST_NO_LIMIT;
    char need[DOCTOR_BYTES_TEXT];
    uint64_t need_bytes = doctor_need(h).total_bytes;
    bool is_low = h->cgroup.memory_bytes < need_bytes;
    enum doctor_state state = is_low ? DOCTOR_FOUND : is_limited ? DOCTOR_NOTE : DOCTOR_FINE;
    doctor_say(
        &c, state,
        "The page cache of a store is charged to the broker's cgroup. At the limit each new "
        "page takes back an old one, and dirty ones are written first: dirty pages and "
        "requests may take %s together before that (eight times flushBytes and populateWindow, "
        "which follow a smaller limit unless they are set, and maxRequestMemory).",
        doctor_bytes(need_bytes, need));
    if (is_low)
        doctor_advise(&c, "raise the limit, or lower maxRequestMemory to what fits into it");
    return c;
}

static struct doctor_check check_cgroup_high(const struct host *h)
{
    struct doctor_check c =
        doctor_check_bytes("cgroup", "memory.high", h->cgroup.memory_high_bytes);
    bool is_set = h->cgroup.memory_high_bytes < HOST_NO_LIMIT;
    if (h->cgroup.memory_high_bytes == HOST_UNKNOWN)
        c = doctor_check("cgroup", "memory.high", "none");
    doctor_say(
        &c, is_set ? DOCTOR_NOTE : DOCTOR_FINE,
        "Above it the kernel makes every allocation wait. The log fills the page cache up to "
        "it, and appends are slowed for the sake of cached pages nobody needs.");
    if (is_set)
        doctor_advise(&c, "use memory.max alone");
    return c;
}

static struct doctor_check check_cpu(const struct host *h)
{
    uint64_t quota_us = h->cgroup.quota_us;
    bool is_limited = quota_us < HOST_NO_LIMIT;
    struct doctor_check c = is_limited
                                ? doctor_check("cgroup", "CPU quota", "%.2f CPUs",
                                               (double)quota_us / (double)h->cgroup.period_us)
                                : doctor_check_number("cgroup", "CPU quota", quota_us);
    bool was_throttled =
        is_limited && h->cgroup.n_throttled > 0 && h->cgroup.n_throttled < HOST_NO_LIMIT;
    char times[64] = "";
    if (was_throttled)
        (void)snprintf(times, sizeof times, " That happened %" PRIu64 " times.",
                       h->cgroup.n_throttled);
    doctor_say(&c,
               was_throttled ? DOCTOR_FOUND
               : is_limited  ? DOCTOR_NOTE
                             : DOCTOR_FINE,
               "A quota that is used up stops every thread until the period is over, by default "
               "up to 100 ms, also one in the middle of an append.%s",
               times);
    if (was_throttled)
        doctor_advise(&c, "take the quota off, and share by weight (CPUWeight=)");
    return c;
}

static struct doctor_check check_io(const struct host *h)
{
    struct doctor_check c =
        doctor_check("cgroup", "I/O limit", "%s", h->cgroup.io[0] ? h->cgroup.io : "none");
    doctor_say(&c, h->cgroup.io[0] ? DOCTOR_NOTE : DOCTOR_FINE,
               "A flush that is over the limit waits, and senders with it once eight times "
               "flushBytes are not on disk.");
    return c;
}

void doctor_limits(const struct host *h, const struct doctor_store *s, doctor_fn fn, void *arg)
{
    const struct doctor_check checks[] = {
        check_nofile(h),        check_memlock(h),     check_as(h, s), check_fsize(h),
        check_cgroup_memory(h), check_cgroup_high(h), check_cpu(h),   check_io(h),
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        fn(arg, &checks[i]);
}
