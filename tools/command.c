/* Finds a command by its word and prints the list of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/command.h"

#include <stdio.h>
#include <string.h>

#include "tools/describe.h"

static int print_help(const char *program, const char *summary, const struct command *table)
{
    printf("Usage: %s COMMAND [options]\n\n%s\n\nCommands:\n", program, summary);
    for (; table->name; table++)
        printf("  %-10s %s\n", table->name, table->summary);
    printf("\nOptions:\n"
           "  -h, --help     print this and end\n"
           "  -V, --version  print the version and end\n"
           "\n`%s COMMAND --help` tells the options of one command.\n",
           program);
    return COMMAND_OK;
}

static int print_version(void)
{
    puts("sluice " SLUICE_VERSION);
    return COMMAND_OK;
}

/* Tells the table, and has each command tell its own. */
static int describe_all(const struct describe *d, const char *program, const struct command *table)
{
    d->on_commands(d->arg, program, table);
    for (const struct command *c = table; c->name; c++) {
        char name[] = "";
        char *argv[] = {name, NULL};
        (void)c->run(1, argv); /* it only tells */
    }
    return COMMAND_OK;
}

int command_dispatch(const char *program, const char *summary, const struct command *table,
                     int argc, char **argv)
{
    const struct describe *d = describe_get();
    if (d)
        return describe_all(d, program, table);
    if (argc < 2) {
        fprintf(stderr, "%s: a command is missing; '%s --help' lists them\n", program, program);
        return COMMAND_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return print_help(program, summary, table);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return print_version();
    for (const struct command *c = table; c->name; c++)
        if (strcmp(word, c->name) == 0)
            return c->run(argc - 1, argv + 1);
    fprintf(stderr, "%s: unknown command '%s'; '%s --help' lists them\n", program, word, program);
    return COMMAND_USAGE;
}

int command_failed(const char *program, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", program, e->msg);
    return COMMAND_FAILED;
}
