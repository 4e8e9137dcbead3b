/* Asks every command for its options instead of running it: one table drives parsing, --help and
 * completion. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_DESCRIBE_H
#define TOOLS_DESCRIBE_H

struct command;
struct options;

/* While one is set, command_dispatch tells its table and goes on to each command in it, and
 * options_parse tells the options and returns COMMAND_OK, so that the command ends. */
struct describe {
    void (*on_commands)(void *arg, const char *program, const struct command *table);
    void (*on_options)(void *arg, const struct options *o);
    void *arg;
};

/* NULL ends it. Thread: the only one. */
void describe_set(const struct describe *d);

/* The one that is set, or NULL. */
const struct describe *describe_get(void);

#endif
