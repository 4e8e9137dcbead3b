/* The program `sluice`: publish, subscribe, administer, dump, measure. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "base/standard_fds.h"
#include "tools/command.h"

const struct command sluice_commands[] = {
    {"bench", "Measure the store and the broker beside what the machine can do", cmd_bench},
    {"completion", "Print what completes commands and options in a shell", cmd_completion},
    {"doctor", "Tell what of this machine matters to a store, and why", cmd_doctor},
    {"dump", "Show what is in the files of a store", cmd_dump},
    {"group", "Make, list, show and delete consumer groups", cmd_group},
    {"mem", "Study what a broker or a store costs in memory", cmd_mem},
    {"message", "Find messages by key or id", cmd_message},
    {"pub", "Publish messages", cmd_pub},
    {"salvage", "Write the good messages of a damaged store into a new one", cmd_salvage},
    {"sub", "Print and acknowledge messages", cmd_sub},
    {"top", "Watch what a running broker does", cmd_top},
    {"topic", "Make, list, show and delete topics", cmd_topic},
    {"verify", "Compare the log of a store with its queues and its index", cmd_verify},
    {0},
};

/* What was printed must have arrived: a full disk behind a redirection is a failure. */
static int flush_output(int rc)
{
    struct err e;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return rc;
    (void)err_sys(&e, errno, "write to stdout");
    return rc == COMMAND_OK ? command_failed("sluice", &e) : rc;
}

int main(int argc, char **argv)
{
    standard_fds_reserve();
    int rc = command_dispatch("sluice", "Publish to, subscribe to, administer and inspect Sluice.",
                              sluice_commands, argc, argv);
    return flush_output(rc);
}
