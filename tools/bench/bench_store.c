/* `sluice bench store`: its sets of cases. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/sets.h"
#include "tools/command.h"

int bench_store(int argc, char **argv)
{
    static const struct bench_set *const sets[] = {&case_append, &case_durable, &case_dump,
                                                   &case_memory, &case_open,    &case_pace,
                                                   &case_read,   &case_recover, NULL};
    return bench_main(
        "store",
        "Appends to scratch stores and reads them, beside memcpy and CRC-32 of the same bytes\n"
        "into a prepared mapping, and plain reads of the same files; with sync flush, beside\n"
        "pwrite and fdatasync of the same groups; counts what is in a log; opens them after a\n"
        "kill, and large ones after a clean stop.",
        sets, argc, argv);
}
