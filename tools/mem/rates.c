/* Page faults of snapshots. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/rates.h"

static uint64_t without(uint64_t all, uint64_t part)
{
    return all > part ? all - part : 0;
}

struct mem_faults mem_faults_other(const struct mem_snapshot *snapshot)
{
    struct mem_faults other = {.path = "other",
                               .minor = snapshot->process.minor_faults,
                               .major = snapshot->process.major_faults};
    for (size_t i = 0; i < snapshot->n_faults; i++) {
        other.minor = without(other.minor, snapshot->faults[i].minor);
        other.major = without(other.major, snapshot->faults[i].major);
    }
    return other;
}

static double rate(uint64_t before, uint64_t after, double seconds)
{
    return after > before && seconds > 0 ? (double)(after - before) / seconds : 0;
}

static struct mem_rate rate_of(const struct mem_faults *before, const struct mem_faults *after,
                               double seconds)
{
    return (struct mem_rate){.minor = rate(before->minor, after->minor, seconds),
                             .major = rate(before->major, after->major, seconds)};
}

struct mem_rates mem_rates_between(const struct mem_snapshot *before,
                                   const struct mem_snapshot *after, double seconds)
{
    struct mem_faults other_before = mem_faults_other(before);
    struct mem_faults other_after = mem_faults_other(after);
    struct mem_rates r = {
        .total = {.minor = rate(before->process.minor_faults, after->process.minor_faults, seconds),
                  .major =
                      rate(before->process.major_faults, after->process.major_faults, seconds)},
        .other = rate_of(&other_before, &other_after, seconds),
        .appended = rate(before->n_appended, after->n_appended, seconds),
        .appended_bytes = rate(before->appended_bytes, after->appended_bytes, seconds),
    };
    for (size_t i = 0; i < after->n_faults && i < before->n_faults; i++)
        r.paths[i] = rate_of(&before->faults[i], &after->faults[i], seconds);
    return r;
}
