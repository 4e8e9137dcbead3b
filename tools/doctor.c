/* Puts checks together and into words. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/doctor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory_share.h"
#include "store/store.h"

const char *doctor_bytes(uint64_t bytes, char ret[DOCTOR_BYTES_TEXT])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double n = (double)bytes;
    for (; n >= 1024; n /= 1024)
        unit++;
    (void)snprintf(ret, DOCTOR_BYTES_TEXT, unit > 0 && n < 100 ? "%.1f %s" : "%.0f %s", n,
                   units[unit]);
    return ret;
}

/* The least of what base/memory_limit.c goes by; without any, more than all of them. */
static uint64_t memory_limit_of(const struct host *h)
{
    uint64_t bytes = h->vm.available_bytes;
    bytes = h->cgroup.memory_bytes < bytes ? h->cgroup.memory_bytes : bytes;
    return h->cgroup.memory_high_bytes < bytes ? h->cgroup.memory_high_bytes : bytes;
}

struct doctor_need doctor_need(const struct host *h)
{
    uint64_t resident_bytes = memory_share_resident(memory_limit_of(h));
    uint64_t populated_bytes = memory_share_populated(resident_bytes);
    uint64_t flush_bytes = memory_share_flush(resident_bytes);
    uint64_t stall_bytes = STORE_BEHIND_MAX * flush_bytes + populated_bytes;
    return (struct doctor_need){.dirty_bytes = flush_bytes + populated_bytes,
                                .stall_bytes = stall_bytes,
                                .total_bytes = stall_bytes + DOCTOR_REQUEST_BYTES};
}

struct doctor_check doctor_check(const char *group, const char *name, const char *fmt, ...)
{
    struct doctor_check c = {.group = group, .name = name};
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(c.value, sizeof c.value, fmt, ap);
    va_end(ap);
    return c;
}

static struct doctor_check without_number(const char *group, const char *name, uint64_t n)
{
    struct doctor_check c =
        doctor_check(group, name, "%s", n == HOST_UNKNOWN ? "unknown" : "no limit");
    if (n == HOST_UNKNOWN)
        c.state = DOCTOR_UNKNOWN;
    return c;
}

struct doctor_check doctor_check_number(const char *group, const char *name, uint64_t n)
{
    return n >= HOST_NO_LIMIT ? without_number(group, name, n)
                              : doctor_check(group, name, "%" PRIu64, n);
}

struct doctor_check doctor_check_bytes(const char *group, const char *name, uint64_t bytes)
{
    char text[DOCTOR_BYTES_TEXT];
    return bytes >= HOST_NO_LIMIT ? without_number(group, name, bytes)
                                  : doctor_check(group, name, "%s", doctor_bytes(bytes, text));
}

void doctor_say(struct doctor_check *c, enum doctor_state state, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(c->why, sizeof c->why, fmt, ap);
    va_end(ap);
    if (c->state != DOCTOR_UNKNOWN)
        c->state = state;
}

void doctor_advise(struct doctor_check *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(c->remedy, sizeof c->remedy, fmt, ap);
    va_end(ap);
}

void doctor_examine(const struct host *h, const struct doctor_store *s, doctor_fn fn, void *arg)
{
    doctor_kernel(h, s, fn, arg);
    doctor_memory(h, s, fn, arg);
    doctor_disk(h, s, fn, arg);
    doctor_limits(h, s, fn, arg);
}
