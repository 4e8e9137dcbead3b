/* Tests of log lines: shape, level, length, control characters. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/suite.h"

static int real_stderr;
static FILE *caught;

static void setup(void)
{
    caught = tmpfile();
    ck_assert_ptr_nonnull(caught);
    real_stderr = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fileno(caught), STDERR_FILENO), 0);
    log_set_level(LOG_INFO);
}

static void teardown(void)
{
    (void)dup2(real_stderr, STDERR_FILENO);
    (void)close(real_stderr);
    (void)fclose(caught);
}

/* What was written to stderr so far, NUL-terminated. */
static size_t read_caught(char *buf, size_t size)
{
    ssize_t n = pread(fileno(caught), buf, size - 1, 0);
    ck_assert_int_ge(n, 0);
    buf[n] = '\0';
    return (size_t)n;
}

START_TEST(a_line_has_time_level_and_text)
{
    char line[200];
    log_warn("disk is %d %% full", 91);
    size_t n = read_caught(line, sizeof line);
    ck_assert_str_eq(line + strlen("2026-01-02T03:04:05.678Z"), " WARN disk is 91 % full\n");
    ck_assert_int_eq(line[10], 'T');
    ck_assert_int_eq(line[19], '.');
    ck_assert_int_eq(line[23], 'Z');
    ck_assert_uint_eq(n, strlen(line));
}
END_TEST

START_TEST(lines_below_the_level_are_dropped)
{
    char lines[300];
    log_debug("one");
    log_info("two");
    log_set_level(LOG_ERROR);
    log_warn("three");
    log_error("four");
    (void)read_caught(lines, sizeof lines);
    ck_assert_ptr_null(strstr(lines, "one"));
    ck_assert_ptr_nonnull(strstr(lines, "INFO two\n"));
    ck_assert_ptr_null(strstr(lines, "three"));
    ck_assert_ptr_nonnull(strstr(lines, "ERROR four\n"));
}
END_TEST

START_TEST(foreign_text_cannot_forge_a_line)
{
    char line[200];
    log_info("topic '%s'", "a\nERROR forged\x1b[2J\x7f");
    (void)read_caught(line, sizeof line);
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
    ck_assert_ptr_nonnull(strstr(line, "'a?ERROR forged?[2J?'"));
}
END_TEST

START_TEST(a_long_line_is_cut_and_still_ends)
{
    char text[3000], line[4000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    log_info("%s", text);
    size_t n = read_caught(line, sizeof line);
    ck_assert_uint_le(n, 1000);
    ck_assert_uint_gt(n, 900);
    ck_assert_int_eq(line[n - 1], '\n');
    ck_assert_int_eq(line[n - 2], 'x');
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = tcase_create("log");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_line_has_time_level_and_text);
    tcase_add_test(tc, lines_below_the_level_are_dropped);
    tcase_add_test(tc, foreign_text_cannot_forge_a_line);
    tcase_add_test(tc, a_long_line_is_cut_and_still_ends);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
