/* `sluice completion`: makes the completion of bash and zsh from the tables of all commands.
 *
 * Both scripts work alike: the words so far tell the command ("sluice topic create"), then the word
 * before tells whether a value is due, and else the options and commands are offered. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tools/command.h"
#include "tools/describe.h"
#include "tools/options.h"

enum shell { SHELL_BASH, SHELL_ZSH };

/* What a pass over all commands prints. */
enum pass { PASS_COMMANDS, PASS_VALUES, PASS_WORDS };

struct completion {
    enum shell shell;
    enum pass pass;
};

/* ---- words ---- */

/* A text within single quotes; for zsh, colons separate a word from what is said of it. */
static void put_quoted(const char *text, enum shell shell)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else if (*text == ':' && shell == SHELL_ZSH)
            fputs("\\:", stdout);
        else
            putchar(*text);
    }
}

/* Whether a value or an operand is a path. */
static bool is_path(const char *name)
{
    return strstr(name, "DIR") || strstr(name, "FILE") || strstr(name, "PATH");
}

static void put_word(const struct completion *c, const char *dashes, const char *word,
                     const char *help)
{
    if (c->shell == SHELL_BASH) {
        printf(" %s%s", dashes, word);
        return;
    }
    printf(" '%s%s:", dashes, word);
    put_quoted(help, c->shell);
    putchar('\'');
}

static void begin_words(const struct completion *c, const char *program)
{
    printf("    '%s')\n        %s", program, c->shell == SHELL_BASH ? "offered='" : "offered=(");
}

static void end_words(const struct completion *c, bool has_files)
{
    put_word(c, "--", "help", "print the options and end");
    put_word(c, "--", "version", "print the version and end");
    puts(c->shell == SHELL_BASH ? "'" : ")");
    printf("        files=%s ;;\n", has_files ? "yes" : "");
}

/* ---- passes ---- */

static void on_commands(void *arg, const char *program, const struct command *table)
{
    const struct completion *c = arg;
    if (c->pass == PASS_COMMANDS)
        for (const struct command *cmd = table; cmd->name; cmd++)
            printf("        '%s %s') command=$found ;;\n", program, cmd->name);
    if (c->pass != PASS_WORDS)
        return;
    begin_words(c, program);
    for (const struct command *cmd = table; cmd->name; cmd++)
        put_word(c, "", cmd->name, cmd->summary);
    end_words(c, /* has_files = */ false);
}

/* The case of one option that takes a value: its choices, files, or nothing to offer. */
static void put_value(const struct completion *c, const char *program,
                      const struct option_spec *spec)
{
    printf("    '%s --%s'", program, spec->name);
    if (spec->letter)
        printf(" | '%s -%c'", program, spec->letter);
    fputs(")\n        value=yes", stdout);
    if (spec->choices) {
        fputs(c->shell == SHELL_BASH ? " offered='" : " offered=(", stdout);
        for (const char *const *choice = spec->choices; *choice; choice++)
            printf(" %s", *choice);
        putchar(c->shell == SHELL_BASH ? '\'' : ')');
    }
    printf(" files=%s ;;\n", is_path(spec->value) && !spec->choices ? "yes" : "");
}

static void on_options(void *arg, const struct options *o)
{
    const struct completion *c = arg;
    if (c->pass == PASS_VALUES)
        for (const struct option_spec *s = o->specs; s->name; s++)
            if (s->kind != OPTION_FLAG)
                put_value(c, o->program, s);
    if (c->pass != PASS_WORDS)
        return;
    begin_words(c, o->program);
    for (const struct option_spec *s = o->specs; s->name; s++)
        put_word(c, "--", s->name, s->help);
    end_words(c, is_path(o->operands));
}

static void run_pass(struct completion *c, enum pass pass)
{
    const struct describe d = {.on_commands = on_commands, .on_options = on_options, .arg = c};
    char name[] = "sluice";
    char *argv[] = {name, NULL};
    c->pass = pass;
    describe_set(&d);
    (void)command_dispatch("sluice", "", sluice_commands, 1, argv); /* it only tells */
    describe_set(NULL);
}

/* ---- the scripts ---- */

static void print_head(enum shell shell)
{
    if (shell == SHELL_BASH)
        puts("# Completion of sluice for bash, made by `sluice completion bash`.\n"
             "_sluice()\n"
             "{\n"
             "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
             "    local command=sluice found word offered= files= value=\n"
             "    COMPREPLY=()\n"
             "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
             "        found=\"$command $word\"\n"
             "        case $found in");
    else
        puts("#compdef sluice\n"
             "# Completion of sluice for zsh, made by `sluice completion zsh`.\n"
             "_sluice()\n"
             "{\n"
             "    local prev=$words[CURRENT-1]\n"
             "    local command=sluice word files= value= found\n"
             "    local -a offered\n"
             "    for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
             "        found=\"$command $word\"\n"
             "        case $found in");
}

static void print_middle(void)
{
    puts("        esac\n"
         "    done\n"
         "    case \"$command $prev\" in");
}

static void print_between(void)
{
    puts("    esac\n"
         "    [[ -n $value ]] || case $command in");
}

static void print_end(enum shell shell)
{
    if (shell == SHELL_BASH)
        puts("    esac\n"
             "    if [[ -n $offered ]]; then\n"
             "        mapfile -t COMPREPLY < <(compgen -W \"$offered\" -- \"$cur\")\n"
             "    fi\n"
             "    if [[ -n $files && $cur != -* ]]; then\n"
             "        compopt -o filenames 2>/dev/null\n"
             "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
             "    fi\n"
             "}\n"
             "complete -F _sluice sluice");
    else
        puts("    esac\n"
             "    if [[ -n $files && $PREFIX != -* ]]; then\n"
             "        _files\n"
             "    elif (( $#offered )); then\n"
             "        _describe 'sluice' offered\n"
             "    fi\n"
             "}\n"
             "_sluice \"$@\"");
}

static int print_script(enum shell shell)
{
    struct completion c = {.shell = shell};
    print_head(shell);
    run_pass(&c, PASS_COMMANDS);
    print_middle();
    run_pass(&c, PASS_VALUES);
    print_between();
    run_pass(&c, PASS_WORDS);
    print_end(shell);
    return COMMAND_OK;
}

static int run_shell(int argc, char **argv, enum shell shell, const char *program,
                     const char *summary)
{
    static const struct option_spec specs[] = {{0}};
    const struct options o = {
        .program = program, .operands = "", .summary = summary, .specs = specs};
    int first;
    int status = options_parse(&o, argc, argv, &first);
    return status == OPTIONS_RUN ? print_script(shell) : status;
}

static int run_bash(int argc, char **argv)
{
    return run_shell(argc, argv, SHELL_BASH, "sluice completion bash",
                     "Prints the completion of sluice for bash.");
}

static int run_zsh(int argc, char **argv)
{
    return run_shell(argc, argv, SHELL_ZSH, "sluice completion zsh",
                     "Prints the completion of sluice for zsh.");
}

static const struct command commands[] = {
    {"bash", "Print the completion for bash", run_bash},
    {"zsh", "Print the completion for zsh", run_zsh},
    {0},
};

int cmd_completion(int argc, char **argv)
{
    return command_dispatch("sluice completion", "Print what completes commands and options.",
                            commands, argc, argv);
}
