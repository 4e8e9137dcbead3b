/* `sluice bench filter`: its set of cases. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/sets.h"
#include "tools/command.h"

int bench_filter(int argc, char **argv)
{
    static const struct bench_set *const sets[] = {&case_filter, NULL};
    return bench_main(
        "filter",
        "Scans a queue with filters that match from nothing to all, in memory and from\n"
        "disk, beside a bare pass over its entries and plain reads of its files.",
        sets, argc, argv);
}
