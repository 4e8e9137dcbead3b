/* Medians, and the report of a benchmark. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

START_TEST(the_median_is_the_middle_or_the_lower_middle)
{
    double odd[] = {5, 1, 3};
    double even[] = {4, 1, 3, 2};
    double one[] = {7};
    ck_assert(bench_median(odd, 3) == 3);
    ck_assert(bench_median(even, 4) == 2);
    ck_assert(bench_median(one, 1) == 7);
}
END_TEST

static json_t *write_and_read(const struct bench_result *results, size_t n)
{
    struct err e;
    struct bench_report *report;
    char *folder = tmpdir_make();
    char *path = tmpdir_path(folder, "report.json");
    ck_assert_int_eq(bench_report_new(&report, &e), 0);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(bench_report_add(report, &results[i], &e), 0);
    ck_assert_int_eq(bench_report_write(report, path, &e), 0);
    bench_report_free(report);
    json_t *root = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(root);
    free(path);
    tmpdir_remove(folder);
    return root;
}

static const json_t *field(const json_t *root, size_t i, const char *name)
{
    return json_object_get(json_array_get(json_object_get(root, "results"), i), name);
}

START_TEST(a_ratio_at_its_target_is_met_and_one_below_is_not)
{
    const struct bench_result results[] = {
        {"store", "append", "msg/s", 60, .limit = 100, .target = "S1", .bound = 0.6},
        {"store", "append", "msg/s", 59, .limit = 100, .target = "S1", .bound = 0.6},
    };
    json_t *root = write_and_read(results, 2);
    ck_assert(json_real_value(field(root, 0, "ratio")) == 0.6);
    ck_assert(json_is_true(field(root, 0, "met")));
    ck_assert(json_is_false(field(root, 1, "met")));
    ck_assert_str_eq(json_string_value(field(root, 0, "case")), "append");
    ck_assert(json_is_string(json_object_get(json_object_get(root, "machine"), "cpu")));
    json_decref(root);
}
END_TEST

START_TEST(a_bound_that_is_the_most_is_met_from_below)
{
    const struct bench_result results[] = {
        {"store", "p99", "us", 20, .limit = 10, .target = "S2", .bound = 2, .is_most = true},
        {"store", "p99", "us", 21, .limit = 10, .target = "S2", .bound = 2, .is_most = true},
        {"rpc", "p99", "ms", 6, .target = "R5", .bound = 5, .is_most = true, .is_absolute = true},
    };
    json_t *root = write_and_read(results, 3);
    ck_assert_str_eq(json_string_value(field(root, 0, "target")), "S2");
    ck_assert(json_is_true(field(root, 0, "met")));
    ck_assert(json_is_false(field(root, 1, "met")));
    ck_assert(json_is_false(field(root, 2, "met")));
    json_decref(root);
}
END_TEST

START_TEST(what_a_result_does_not_have_is_null)
{
    const struct bench_result results[] = {
        {"rpc", "no limit", "msg/s", 1, .target = "R1", .bound = 0.6},
        {"rpc", "no target", "msg/s", 1, .limit = 2},
    };
    json_t *root = write_and_read(results, 2);
    ck_assert(json_is_null(field(root, 0, "ratio")));
    ck_assert(json_is_null(field(root, 0, "limit")));
    ck_assert(json_is_null(field(root, 0, "met")));
    ck_assert(json_real_value(field(root, 1, "ratio")) == 0.5);
    ck_assert(json_is_null(field(root, 1, "target")));
    ck_assert(json_is_null(field(root, 1, "met")));
    json_decref(root);
}
END_TEST

START_TEST(a_series_keeps_its_points_in_order)
{
    static const struct bench_point points[] = {{0, 1.5}, {0.25, 1}};
    const struct bench_series series = {
        .name = "of a plot", .x_unit = "s", .y_unit = "MiB", .points = points, .n = 2};
    const char *name;
    double x, y;
    struct err e;
    struct bench_report *report;
    char *folder = tmpdir_make();
    char *path = tmpdir_path(folder, "report.json");
    ck_assert_int_eq(bench_report_new(&report, &e), 0);
    ck_assert_int_eq(bench_report_add_series(report, &series, &e), 0);
    ck_assert_int_eq(bench_report_write(report, path, &e), 0);
    bench_report_free(report);
    json_t *root = json_load_file(path, 0, NULL);
    ck_assert_int_eq(json_unpack(root, "{s:[{s:s, s:[[f, f], [f, f]]}]}", "series", "name", &name,
                                 "points", &x, &y, &x, &y),
                     0);
    ck_assert_str_eq(name, "of a plot");
    ck_assert(x == 0.25 && y == 1);
    json_decref(root);
    free(path);
    tmpdir_remove(folder);
}
END_TEST

START_TEST(a_report_that_cannot_be_written_says_where)
{
    struct err e;
    struct bench_report *report;
    ck_assert_int_eq(bench_report_new(&report, &e), 0);
    ck_assert_int_eq(bench_report_write(report, "/nowhere/report.json", &e), ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, "/nowhere/report.json"));
    bench_report_free(report);
}
END_TEST

START_TEST(where_a_report_cannot_be_written_is_known_before)
{
    struct err e;
    ck_assert_int_eq(bench_report_check_path("/nowhere/report.json", &e), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(e.msg, "/nowhere/report.json"));
    ck_assert_int_lt(bench_report_check_path("/tmp", &e), 0);
}
END_TEST

START_TEST(looking_whether_a_report_can_be_written_leaves_what_is_there)
{
    struct err e;
    char *folder = tmpdir_make();
    char *path = tmpdir_path(folder, "report.json");
    ck_assert_int_eq(bench_report_check_path(path, &e), 0);
    ck_assert_int_lt(access(path, F_OK), 0);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs("old", f), 0);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(bench_report_check_path(path, &e), 0);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 3);
    free(path);
    tmpdir_remove(folder);
}
END_TEST

/* The printed table, without the line about the machine and the blank one. */
static char *print_wide(const struct bench_result *results, size_t n)
{
    struct err e;
    struct bench_report *report;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    ck_assert_int_eq(bench_report_new(&report, &e), 0);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(bench_report_add(report, &results[i], &e), 0);
    bench_report_print_wide(report, out);
    bench_report_free(report);
    (void)fclose(out);
    char *table = strdup(strstr(text, "\n\n") + 2);
    free(text);
    return table;
}

static size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

START_TEST(a_wide_table_has_a_line_for_each_case)
{
    static const char one[] = "by hand", other[] = "by wheel";
    const struct bench_result results[] = {
        {"transfer", "by hand", "MiB/s", 50, .limit = 100, .of = one},
        {"transfer", "by hand calls", "1/GiB", 3, .of = one, .figure = "calls"},
        {"transfer", "by wheel", "MiB/s", 70, .of = other},
        {"transfer", "by wheel calls", "1/GiB", 4, .of = other, .figure = "calls"},
    };
    char *table = print_wide(results, 4);
    ck_assert_uint_eq(count_lines(table), 4); /* names, units, cases */
    const char *hand = strstr(table, "by hand "), *wheel = strstr(table, "by wheel ");
    ck_assert_ptr_nonnull(hand);
    ck_assert_ptr_nonnull(wheel);
    ck_assert(strstr(hand, "0.50") && strstr(hand, "0.50") < wheel);
    ck_assert(strstr(hand, "3.000") && strstr(hand, "3.000") < wheel);
    ck_assert(strstr(wheel, "70.0") && strstr(wheel, "4.000"));
    free(table);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("report");
    TCase *tc = tcase_create("report");
    tcase_add_test(tc, the_median_is_the_middle_or_the_lower_middle);
    tcase_add_test(tc, a_ratio_at_its_target_is_met_and_one_below_is_not);
    tcase_add_test(tc, a_bound_that_is_the_most_is_met_from_below);
    tcase_add_test(tc, what_a_result_does_not_have_is_null);
    tcase_add_test(tc, a_series_keeps_its_points_in_order);
    tcase_add_test(tc, a_report_that_cannot_be_written_says_where);
    tcase_add_test(tc, where_a_report_cannot_be_written_is_known_before);
    tcase_add_test(tc, looking_whether_a_report_can_be_written_leaves_what_is_there);
    tcase_add_test(tc, a_wide_table_has_a_line_for_each_case);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
