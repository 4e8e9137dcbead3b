/* `sluice bench rpc`: its sets of cases. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/sets.h"
#include "tools/command.h"

int bench_rpc(int argc, char **argv)
{
    static const struct bench_set *const sets[] = {&case_publish, &case_latency, NULL};
    return bench_main(
        "rpc",
        "Publishes 1 KiB messages, receives and acknowledges them, beside a gRPC server\n"
        "that answers the same requests with the same bytes and does nothing else.",
        sets, argc, argv);
}
