/* The commands of the one binary `sluice`, and how a word on the command line finds its function.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include "base/err.h"

/* What a command's function returns, and so the program. */
enum {
    COMMAND_OK = 0,
    COMMAND_FAILED = 1,
    COMMAND_USAGE = 2,
    COMMAND_FOUND = 3, /* all was done, and something was found: damage, or what to change */
};

struct command {
    const char *name;    /* the word on the command line; NULL ends a table */
    const char *summary; /* one line of --help */
    /* argv[0] is the command's own word. */
    int (*run)(int argc, char **argv);
};

/* Runs the command that argv[1] names. `program` is what is already said ("sluice topic"),
 * `summary` one sentence about it. --help and --version answer on stdout; an unknown word is one
 * line on stderr and COMMAND_USAGE. */
int command_dispatch(const char *program, const char *summary, const struct command *table,
                     int argc, char **argv);

/* One line on stderr: what failed. Returns COMMAND_FAILED. */
int command_failed(const char *program, const struct err *e);

/* Of `sluice` itself. */
extern const struct command sluice_commands[];

int cmd_bench(int argc, char **argv);
int cmd_completion(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_group(int argc, char **argv);
int cmd_mem(int argc, char **argv);
int cmd_message(int argc, char **argv);
int cmd_pub(int argc, char **argv);
int cmd_salvage(int argc, char **argv);
int cmd_sub(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_topic(int argc, char **argv);
int cmd_verify(int argc, char **argv);

/* Of `sluice bench`. */
int bench_filter(int argc, char **argv);
int bench_peers(int argc, char **argv);
int bench_report(int argc, char **argv);
int bench_rpc(int argc, char **argv);
int bench_store(int argc, char **argv);
int bench_transfer(int argc, char **argv);

/* Of `sluice mem`. */
int mem_map(int argc, char **argv);
int mem_run(int argc, char **argv);
int mem_show(int argc, char **argv);
int mem_watch(int argc, char **argv);

#endif
