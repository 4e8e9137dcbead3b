/* `sluice bench transfer`: its set of cases. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/sets.h"
#include "tools/command.h"

int bench_transfer(int argc, char **argv)
{
    static const struct bench_set *const sets[] = {&case_transfer, NULL};
    return bench_main_wide(
        "transfer",
        "Sends a log that is in memory, whole or by tags, over loopback in eleven ways, from read\n"
        "and send to sendfile and gRPC, and counts what each costs, beside read and send.",
        sets, argc, argv);
}
