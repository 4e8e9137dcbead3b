/* `sluice mem`: the list of its commands, and its short form. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <string.h>

#include "tools/command.h"
#include "tools/describe.h"

static const struct command commands[] = {
    {"show", "Tell what each file and the process cost", mem_show},
    {"map", "Draw which parts of files are in memory", mem_map},
    {"watch", "Show it again and again, with rates", mem_watch},
    {"run", "Try policies for the pages of a log", mem_run},
    {0},
};

/* Whether the words are those of a command or of the list: else they are those of `show`. */
static bool is_plain(int argc, char **argv)
{
    static const char *const own[] = {"--help", "-h", "--version", "-V"};
    if (argc < 2)
        return true;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(argv[1], own[i]) == 0)
            return false;
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(argv[1], c->name) == 0)
            return false;
    return true;
}

int cmd_mem(int argc, char **argv)
{
    if (!describe_get() && is_plain(argc, argv))
        return mem_show(argc, argv);
    return command_dispatch("sluice mem",
                            "Study what a broker or a store costs in memory.\n"
                            "`sluice mem [DIR]` is short for `sluice mem show [DIR]`.",
                            commands, argc, argv);
}
