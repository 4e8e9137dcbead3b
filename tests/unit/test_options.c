/* Options of commands: values, defaults, mistakes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/options.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/suite.h"
#include "tools/command.h"

static const char *const colours[] = {"RED", "BLUE", NULL};

/* Values of the options below. */
static struct {
    bool all;
    const char *name;
    uint64_t count, bytes, wait_ms;
    const char *colour;
} opt;

static const struct option_spec specs[] = {
    {.name = "all", .letter = 'a', .kind = OPTION_FLAG, .ret = &opt.all, .help = "all"},
    {.name = "name", .kind = OPTION_TEXT, .ret = &opt.name, .value = "N", .help = "a name"},
    {.name = "count",
     .letter = 'n',
     .kind = OPTION_NUMBER,
     .ret = &opt.count,
     .value = "N",
     .fallback = "3",
     .help = "how many",
     .min = 1,
     .max = 100},
    {.name = "bytes",
     .kind = OPTION_SIZE,
     .ret = &opt.bytes,
     .value = "B",
     .fallback = "1K",
     .help = "size",
     .max = 1 << 20},
    {.name = "wait",
     .kind = OPTION_DURATION,
     .ret = &opt.wait_ms,
     .value = "T",
     .fallback = "20s",
     .help = "time",
     .min = 1},
    {.name = "colour",
     .kind = OPTION_CHOICE,
     .ret = &opt.colour,
     .value = "C",
     .fallback = "red",
     .help = "paint",
     .choices = colours},
    {0},
};

static const struct options options = {
    .program = "sluice paint",
    .operands = "WALL",
    .summary = "Paints.",
    .specs = specs,
    .min_operands = 1,
    .max_operands = 1,
};

/* Splits `line` at blanks and parses it; `ret_operand` (may be NULL) is the first operand. */
static int parse(const char *line, char **ret_operand)
{
    static char text[256];
    static char *argv[32];
    int argc = 0;
    int first = 0;
    memset(&opt, 0, sizeof opt);
    ck_assert_uint_lt(strlen(line), sizeof text);
    strcpy(text, line);
    for (char *word = strtok(text, " "); word && argc < 31; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    int rc = options_parse(&options, argc, argv, &first);
    if (rc == OPTIONS_RUN && ret_operand)
        *ret_operand = argv[first];
    return rc;
}

START_TEST(defaults_hold_when_nothing_is_said)
{
    char *wall;
    ck_assert_int_eq(parse("paint north", &wall), OPTIONS_RUN);
    ck_assert_str_eq(wall, "north");
    ck_assert(!opt.all);
    ck_assert_ptr_null(opt.name);
    ck_assert_uint_eq(opt.count, 3);
    ck_assert_uint_eq(opt.bytes, 1024);
    ck_assert_uint_eq(opt.wait_ms, 20000);
    ck_assert_str_eq(opt.colour, "RED");
}
END_TEST

START_TEST(options_may_stand_behind_the_operand)
{
    char *wall;
    ck_assert_int_eq(
        parse("paint north -a --count=7 --name x --bytes 1M --wait 2m --colour Blue", &wall),
        OPTIONS_RUN);
    ck_assert_str_eq(wall, "north");
    ck_assert(opt.all);
    ck_assert_str_eq(opt.name, "x");
    ck_assert_uint_eq(opt.count, 7);
    ck_assert_uint_eq(opt.bytes, 1 << 20);
    ck_assert_uint_eq(opt.wait_ms, 120000);
    ck_assert_str_eq(opt.colour, "BLUE");
}
END_TEST

START_TEST(an_operand_may_look_like_an_option_behind_two_dashes)
{
    char *wall;
    ck_assert_int_eq(parse("paint -- --count", &wall), OPTIONS_RUN);
    ck_assert_str_eq(wall, "--count");
}
END_TEST

static const char *const mistakes[] = {
    "paint",
    "paint north south",
    "paint north --nosuch",
    "paint north -z",
    "paint north --all=yes",
    "paint north --count",
    "paint north --count 0",
    "paint north --count 101",
    "paint north --count -1",
    "paint north --count 7x",
    "paint north --count 18446744073709551616",
    "paint north --bytes 2M",
    "paint north --bytes 1Q",
    "paint north --bytes 99999999999999T",
    "paint north --wait 20",
    "paint north --wait 0ms",
    "paint north --wait 1.5s",
    "paint north --wait 18446744073709551615h",
    "paint north --colour green",
};

START_TEST(a_mistake_is_a_usage_error)
{
    ck_assert_int_eq(parse(mistakes[_i], NULL), COMMAND_USAGE);
}
END_TEST

START_TEST(help_wins_over_a_missing_operand)
{
    ck_assert_int_eq(parse("paint --help", NULL), COMMAND_OK);
    ck_assert_int_eq(parse("paint -V", NULL), COMMAND_OK);
}
END_TEST

START_TEST(each_unit_of_a_duration_is_known)
{
    struct err e;
    uint64_t ms = 0;
    ck_assert_int_eq(options_duration("500ms", 0, 0, &ms, &e), 0);
    ck_assert_uint_eq(ms, 500);
    ck_assert_int_eq(options_duration("2h", 0, 0, &ms, &e), 0);
    ck_assert_uint_eq(ms, 7200000);
    ck_assert_int_eq(options_duration("2d", 0, 0, &ms, &e), ERR_INVAL);
    ck_assert_uint_eq(ms, 7200000);
}
END_TEST

static const char *const endpoints[] = {"localhost:1", "10.0.0.1:65535", "[::1]:8081",
                                        "a-b.c_d:80"};
static const char *const bad_endpoints[] = {"",        "localhost", ":80",       "a:0",
                                            "a:65536", "a:b",       "a b:80",    "::1",
                                            "[]:80",   "[x]:80",    "http://a:1"};

START_TEST(host_and_port_make_an_endpoint)
{
    struct err e;
    ck_assert_int_eq(options_endpoint(endpoints[_i], &e), 0);
}
END_TEST

START_TEST(anything_else_does_not)
{
    struct err e;
    ck_assert_int_eq(options_endpoint(bad_endpoints[_i], &e), ERR_INVAL);
}
END_TEST

START_TEST(the_option_wins_over_the_environment_and_that_over_the_default)
{
    struct err e;
    struct options_broker b = {0};
    unsetenv("SLUICE_ENDPOINT");
    ck_assert_int_eq(options_broker_settle(&b, &e), 0);
    ck_assert_str_eq(b.endpoint, "127.0.0.1:8081");
    setenv("SLUICE_ENDPOINT", "h:9", 1);
    b.endpoint = NULL;
    ck_assert_int_eq(options_broker_settle(&b, &e), 0);
    ck_assert_str_eq(b.endpoint, "h:9");
    b.endpoint = "g:7";
    ck_assert_int_eq(options_broker_settle(&b, &e), 0);
    ck_assert_str_eq(b.endpoint, "g:7");
}
END_TEST

START_TEST(a_bad_environment_is_named)
{
    struct err e;
    struct options_broker b = {0};
    setenv("SLUICE_ENDPOINT", "nowhere", 1);
    ck_assert_int_eq(options_broker_settle(&b, &e), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "SLUICE_ENDPOINT"));
}
END_TEST

#define N(array) ((int)(sizeof(array) / sizeof((array)[0])))

static Suite *make_suite(void)
{
    Suite *suite = suite_create("options");
    TCase *tc = tcase_create("options");
    tcase_add_test(tc, defaults_hold_when_nothing_is_said);
    tcase_add_test(tc, options_may_stand_behind_the_operand);
    tcase_add_test(tc, an_operand_may_look_like_an_option_behind_two_dashes);
    tcase_add_loop_test(tc, a_mistake_is_a_usage_error, 0, N(mistakes));
    tcase_add_test(tc, help_wins_over_a_missing_operand);
    tcase_add_test(tc, each_unit_of_a_duration_is_known);
    tcase_add_loop_test(tc, host_and_port_make_an_endpoint, 0, N(endpoints));
    tcase_add_loop_test(tc, anything_else_does_not, 0, N(bad_endpoints));
    tcase_add_test(tc, the_option_wins_over_the_environment_and_that_over_the_default);
    tcase_add_test(tc, a_bad_environment_is_named);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
