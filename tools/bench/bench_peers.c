/* `sluice bench peers`: its set of cases. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/sets.h"
#include "tools/command.h"

int bench_peers(int argc, char **argv)
{
    static const struct bench_set *const sets[] = {&case_peer, NULL};
    return bench_main_peer(
        "peers",
        "Gives a broker of its own and another one, which --endpoint names and which speaks the\n"
        "same protocol, the same load; the other one stands in the column of the limit.",
        sets, argc, argv);
}
