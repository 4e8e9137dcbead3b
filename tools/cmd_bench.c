/* `sluice bench`: the list of benchmarks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tools/bench/drain.h"
#include "tools/bench/rpc_servers.h"
#include "tools/command.h"

static const struct command benches[] = {
    {"store", "Append to a store and read it, beside what the machine can do", bench_store},
    {"filter", "Scan a queue with filters, beside a bare pass over its entries", bench_filter},
    {"rpc", "Publish and receive, beside a gRPC server that does nothing", bench_rpc},
    {"transfer", "Send a log in eleven ways, from read and send to sendfile and gRPC",
     bench_transfer},
    {"peers", "Publish and receive, beside another broker", bench_peers},
    {"report", "Make a page of what benchmarks and experiments wrote", bench_report},
    {0},
};

int cmd_bench(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], BENCH_NULL_WORD) == 0) /* none of a user's */
        return bench_null_main();
    if (argc == 4 && strcmp(argv[1], DRAIN_WORD) == 0)
        return drain_main(argv + 2);
    return command_dispatch("sluice bench",
                            "Run one benchmark; each measures its own yardstick in the same run.",
                            benches, argc, argv);
}
