/* Parses a command's options with getopt_long and prints its help from the same table. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/options.h"

#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools/command.h"
#include "tools/describe.h"

/* getopt values: a spec's place in the table behind every character. */
enum { MAX_SPECS = 32, VALUE_SPEC = 256, VALUE_HELP = 1024, VALUE_VERSION };

int options_refuse(const struct options *o, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "%s: ", o->program);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return COMMAND_USAGE;
}

/* ---- values ---- */

/* Leading digits of `text`; `*ret_rest` is what follows. */
static int read_digits(const char *text, uint64_t *ret, const char **ret_rest)
{
    uint64_t n = 0;
    const char *p = text;
    for (; isdigit((unsigned char)*p); p++)
        if (__builtin_mul_overflow(n, 10u, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            return -1;
    if (p == text)
        return -1;
    *ret = n;
    *ret_rest = p;
    return 0;
}

static bool in_range(uint64_t n, uint64_t min, uint64_t max)
{
    return n >= min && (max == 0 || n <= max);
}

int options_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct err *e)
{
    uint64_t n;
    const char *rest;
    if (read_digits(text, &n, &rest) == 0 && *rest == '\0' && in_range(n, min, max)) {
        *ret = n;
        return 0;
    }
    if (max == 0)
        return err_set(e, ERR_INVAL, "'%s' is not a number from %" PRIu64, text, min);
    return err_set(e, ERR_INVAL, "'%s' is not a number from %" PRIu64 " to %" PRIu64, text, min,
                   max);
}

static int shift_of_unit(const char *unit)
{
    static const char units[] = "KMGT";
    if (*unit == '\0')
        return 0;
    const char *at = strchr(units, toupper((unsigned char)*unit));
    return at && unit[1] == '\0' ? 10 * (int)(at - units + 1) : -1;
}

int options_size(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct err *e)
{
    uint64_t n;
    const char *rest;
    if (read_digits(text, &n, &rest) == 0) {
        int shift = shift_of_unit(rest);
        if (shift >= 0 && n <= UINT64_MAX >> shift && in_range(n << shift, min, max)) {
            *ret = n << shift;
            return 0;
        }
    }
    if (max == 0)
        return err_set(e, ERR_INVAL, "'%s' is not a size from %" PRIu64 " bytes, such as 64K or 2G",
                       text, min);
    return err_set(e, ERR_INVAL, "'%s' is not a size from %" PRIu64 " to %" PRIu64 " bytes", text,
                   min, max);
}

static uint64_t ms_of_unit(const char *unit)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(unit, units[i].unit) == 0)
            return units[i].ms;
    return 0;
}

int options_duration(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *ret_ms,
                     struct err *e)
{
    uint64_t n;
    const char *rest;
    if (read_digits(text, &n, &rest) == 0) {
        uint64_t unit = ms_of_unit(rest);
        if (unit && !__builtin_mul_overflow(n, unit, &n) && in_range(n, min_ms, max_ms)) {
            *ret_ms = n;
            return 0;
        }
    }
    if (max_ms == 0)
        return err_set(e, ERR_INVAL,
                       "'%s' is not a duration from %" PRIu64 "ms, such as 500ms, 20s or 2m", text,
                       min_ms);
    return err_set(e, ERR_INVAL,
                   "'%s' is not a duration from %" PRIu64 "ms to %" PRIu64
                   "ms, such as 500ms, 20s or 2m",
                   text, min_ms, max_ms);
}

static int read_choice(const struct option_spec *spec, const char *text, struct err *e)
{
    char list[160] = "";
    size_t len = 0;
    for (const char *const *c = spec->choices; *c; c++) {
        if (strcasecmp(*c, text) == 0) {
            *(const char **)spec->ret = *c;
            return 0;
        }
        int n = snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "", *c);
        if (n > 0 && (size_t)n < sizeof list - len)
            len += (size_t)n;
    }
    return err_set(e, ERR_INVAL, "'%s' is none of %s", text, list);
}

static int read_value(const struct option_spec *spec, const char *text, struct err *e)
{
    switch (spec->kind) {
    case OPTION_FLAG:
        *(bool *)spec->ret = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)spec->ret = text;
        return 0;
    case OPTION_NUMBER:
        return options_number(text, spec->min, spec->max, spec->ret, e);
    case OPTION_SIZE:
        return options_size(text, spec->min, spec->max, spec->ret, e);
    case OPTION_DURATION:
        return options_duration(text, spec->min, spec->max, spec->ret, e);
    case OPTION_CHOICE:
        return read_choice(spec, text, e);
    }
    return err_set(e, ERR_INVAL, "'%s' has no kind", spec->name);
}

/* ---- help ---- */

enum { HELP_COLUMN = 28 };

static void print_option(char letter, const char *name, const char *value, const char *help)
{
    char left[64];
    int n = letter ? snprintf(left, sizeof left, "  -%c, --%s", letter, name)
                   : snprintf(left, sizeof left, "      --%s", name);
    if (value && n > 0 && (size_t)n < sizeof left)
        (void)snprintf(left + n, sizeof left - (size_t)n, " %s", value);
    if (strlen(left) + 2 > HELP_COLUMN)
        printf("%s\n%*s%s", left, HELP_COLUMN, "", help);
    else
        printf("%-*s%s", HELP_COLUMN, left, help);
}

static int print_help(const struct options *o)
{
    printf("Usage: %s%s%s [options]\n\n%s\n\nOptions:\n", o->program, *o->operands ? " " : "",
           o->operands, o->summary);
    for (const struct option_spec *s = o->specs; s->name; s++) {
        print_option(s->letter, s->name, s->value, s->help);
        if (s->fallback)
            printf(" (default: %s)", s->fallback);
        putchar('\n');
    }
    print_option('h', "help", NULL, "print this and end\n");
    print_option('V', "version", NULL, "print the version and end\n");
    return COMMAND_OK;
}

/* ---- parsing ---- */

struct getopt_table {
    struct option longs[MAX_SPECS + 3];
    char shorts[2 * MAX_SPECS + 8];
    int n_specs;
};

static void build_table(const struct options *o, struct getopt_table *t)
{
    char *s = t->shorts;
    *s++ = ':'; /* a missing value is told apart from an unknown option */
    int n = 0;
    for (; o->specs[n].name && n < MAX_SPECS; n++) {
        const struct option_spec *spec = &o->specs[n];
        int has_value = spec->kind == OPTION_FLAG ? no_argument : required_argument;
        t->longs[n] = (struct option){spec->name, has_value, /* flag = */ NULL, VALUE_SPEC + n};
        if (spec->letter) {
            *s++ = spec->letter;
            if (has_value == required_argument)
                *s++ = ':';
        }
    }
    t->n_specs = n;
    t->longs[n] = (struct option){"help", no_argument, /* flag = */ NULL, VALUE_HELP};
    t->longs[n + 1] = (struct option){"version", no_argument, /* flag = */ NULL, VALUE_VERSION};
    t->longs[n + 2] = (struct option){0};
    memcpy(s, "hV", sizeof "hV");
}

/* The spec behind a value of getopt, or NULL. */
static const struct option_spec *find_spec(const struct options *o, const struct getopt_table *t,
                                           int value)
{
    if (value >= VALUE_SPEC && value < VALUE_SPEC + t->n_specs)
        return &o->specs[value - VALUE_SPEC];
    for (int i = 0; i < t->n_specs; i++)
        if (o->specs[i].letter && o->specs[i].letter == value)
            return &o->specs[i];
    return NULL;
}

static int refuse_unknown(const struct options *o, const struct getopt_table *t, const char *word)
{
    if (optopt >= VALUE_SPEC) {
        const struct option_spec *spec = find_spec(o, t, optopt);
        return options_refuse(o, "option '--%s' takes no value", spec ? spec->name : "help");
    }
    if (optopt != 0)
        return options_refuse(o, "unknown option '-%c'", optopt);
    return options_refuse(o, "unknown option '%.*s'", (int)strcspn(word, "="), word);
}

static int handle_option(const struct options *o, const struct getopt_table *t, int value,
                         char **argv)
{
    if (value == VALUE_HELP || value == 'h')
        return print_help(o);
    if (value == VALUE_VERSION || value == 'V') {
        puts("sluice " SLUICE_VERSION);
        return COMMAND_OK;
    }
    if (value == '?')
        return refuse_unknown(o, t, argv[optind - 1]);
    const struct option_spec *spec = find_spec(o, t, value == ':' ? optopt : value);
    if (value == ':')
        return options_refuse(o, "option '--%s' needs a value", spec->name);
    struct err e;
    if (read_value(spec, optarg, &e) < 0)
        return options_refuse(o, "option '--%s': %s", spec->name, e.msg);
    return OPTIONS_RUN;
}

static int apply_defaults(const struct options *o)
{
    struct err e;
    for (const struct option_spec *s = o->specs; s->name; s++)
        if (s->fallback && read_value(s, s->fallback, &e) < 0)
            return options_refuse(o, "default of option '--%s': %s", s->name, e.msg);
    return OPTIONS_RUN;
}

int options_parse(const struct options *o, int argc, char **argv, int *ret_first)
{
    const struct describe *d = describe_get();
    if (d) {
        d->on_options(d->arg, o);
        return COMMAND_OK;
    }
    struct getopt_table t = {0};
    build_table(o, &t);
    int rc = apply_defaults(o);
    optind = 0; /* a fresh scan, also after another command's */
    while (rc == OPTIONS_RUN) {
        int value = getopt_long(argc, argv, t.shorts, t.longs, /* longindex = */ NULL);
        if (value == -1)
            break;
        rc = handle_option(o, &t, value, argv);
    }
    if (rc != OPTIONS_RUN)
        return rc;
    int n_operands = argc - optind;
    if (n_operands < o->min_operands)
        return options_refuse(o, "%s is missing; see '%s --help'", o->operands, o->program);
    if (n_operands > o->max_operands)
        return options_refuse(o, "unexpected argument '%s'", argv[optind + o->max_operands]);
    struct err e;
    if (o->broker && options_broker_settle(o->broker, &e) < 0)
        return options_refuse(o, "%s", e.msg);
    *ret_first = optind;
    return OPTIONS_RUN;
}

/* ---- the broker ---- */

static bool is_host(const char *text, size_t len)
{
    if (len == 0)
        return false;
    if (text[0] == '[')
        return len > 2 && text[len - 1] == ']' &&
               strspn(text + 1, "0123456789abcdefABCDEF:.%") >= len - 2;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("-._", text[i]))
            return false;
    return true;
}

int options_endpoint(const char *text, struct err *e)
{
    const char *colon = strrchr(text, ':');
    struct err port_error;
    uint64_t port;
    if (!colon || !is_host(text, (size_t)(colon - text)))
        return err_set(e, ERR_INVAL, "'%s' is not HOST:PORT", text);
    if (options_number(colon + 1, 1, 65535, &port, &port_error) < 0)
        return err_set(e, ERR_INVAL, "'%s' is not HOST:PORT: the port %s", text, port_error.msg);
    return 0;
}

int options_broker_settle(struct options_broker *b, struct err *e)
{
    const char *from_env = getenv("SLUICE_ENDPOINT");
    const char *source = "option '--endpoint'";
    const char *endpoint = b->endpoint;
    if (!endpoint && from_env && *from_env) {
        endpoint = from_env;
        source = "environment variable SLUICE_ENDPOINT";
    }
    if (!endpoint)
        endpoint = OPTIONS_ENDPOINT;
    if (options_endpoint(endpoint, e) < 0)
        return err_wrap(e, "%s", source);
    b->endpoint = endpoint;
    return 0;
}
