/* `sluice mem`: the list of its commands, and its short form. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/command.h"
#include "tools/describe.h"

static const struct command commands[] = {
    {"show", "Tell what each file and the process cost", mem_show},
    {"map", "Draw which parts of files are in memory", mem_map},
    {"watch", "Show it again and again, with rates", mem_watch},
    {"run", "Try policies for the pages of a log", mem_run},
    {0},
};

/* Whether the word is that of a command, or asks about all of them. */
static bool is_own(const char *word)
{
    static const char *const own[] = {"--help", "-h", "--version", "-V"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(word, own[i]) == 0)
            return true;
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(word, c->name) == 0)
            return true;
    return false;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Without a command the words are those of `show`. */
static int show_in_short(int argc, char **argv)
{
    if (argc > 1 && argv[1][0] != '-' && !is_folder(argv[1])) {
        fprintf(stderr,
                "sluice mem: '%s' is neither a command nor a folder; 'sluice mem --help' lists the "
                "commands\n",
                argv[1]);
        return COMMAND_USAGE;
    }
    return mem_show(argc, argv);
}

int cmd_mem(int argc, char **argv)
{
    if (!describe_get() && (argc < 2 || !is_own(argv[1])))
        return show_in_short(argc, argv);
    return command_dispatch("sluice mem",
                            "Study what a broker or a store costs in memory.\n"
                            "`sluice mem [DIR]` is short for `sluice mem show [DIR]`.",
                            commands, argc, argv);
}
