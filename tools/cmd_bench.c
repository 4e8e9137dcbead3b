/* `sluice bench`: the list of benchmarks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/command.h"

static const struct command benches[] = {
    {"store", "Append to a store beside memcpy and CRC-32", bench_store},
    {"rpc", "Publish and receive beside a gRPC server that does nothing", bench_rpc},
    {0},
};

int cmd_bench(int argc, char **argv)
{
    return command_dispatch("sluice bench",
                            "Run one benchmark; each measures its own yardstick in the same run.",
                            benches, argc, argv);
}
