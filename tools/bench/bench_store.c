/* `sluice bench store`: its sets of cases. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/sets.h"
#include "tools/command.h"

int bench_store(int argc, char **argv)
{
    static const struct bench_set *const sets[] = {&case_append, NULL};
    return bench_main(
        "store",
        "Appends to a scratch store, beside memcpy and CRC-32 of the same bytes into a\n"
        "prepared mapping.",
        sets, argc, argv);
}
