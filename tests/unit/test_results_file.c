/* Tests of tools/bench/results_file.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/results_file.h"

#include <math.h>
#include <string.h>

#include "tests/lib/suite.h"

#define RESULT "{\"bench\":\"store\",\"case\":\"append\",\"value\":7,\"unit\":\"MiB/s\""

static struct results_file parse(const char *text)
{
    struct results_file f;
    struct err e = {0};
    ck_assert_msg(results_file_parse(&f, "x.json", span_str(text), &e) == 0, "%s", e.msg);
    return f;
}

START_TEST(a_result_has_what_it_says_and_nothing_else)
{
    struct results_file f =
        parse("{\"machine\":{\"cpu\":\"x\"},\"results\":[" RESULT ",\"limit\":null,\"met\":false,"
              "\"target\":\"S1\",\"bound\":0.5,\"bound_is\":\"value <=\"}]}");
    ck_assert_uint_eq(f.n_rows, 1);
    ck_assert_str_eq(f.rows[0].bench, "store");
    ck_assert_str_eq(f.rows[0].name, "append");
    ck_assert(f.rows[0].value == 7);
    ck_assert(isnan(f.rows[0].limit));
    ck_assert(isnan(f.rows[0].cores));
    ck_assert_ptr_null(f.rows[0].bound_by);
    ck_assert_int_eq(f.rows[0].verdict, RESULTS_MISSED);
    ck_assert_int_eq(f.rows[0].bound_kind, RESULTS_VALUE_AT_MOST);
    ck_assert_ptr_nonnull(f.machine);
    results_file_fini(&f);
}
END_TEST

START_TEST(series_have_their_points)
{
    struct results_file f =
        parse("{\"series\":[{\"name\":\"RSS: lazy\",\"x_unit\":\"s\","
              "\"y_unit\":\"MiB\",\"points\":[[0,1],[1.5,2]]},"
              "{\"name\":\"n\",\"x_unit\":\"s\",\"y_unit\":\"B\",\"points\":[]}]}");
    ck_assert_uint_eq(f.n_rows, 0);
    ck_assert_uint_eq(f.n_series, 2);
    ck_assert_uint_eq(f.series[0].n_points, 2);
    ck_assert(f.series[0].points[1][0] == 1.5 && f.series[0].points[1][1] == 2);
    ck_assert_uint_eq(f.series[1].n_points, 0);
    results_file_fini(&f);
}
END_TEST

static const struct {
    const char *text, *why;
} bad[] = {
    {"", "line 1"},
    {"{", "line 1"},
    {"[]", "neither"},
    {"{}", "neither"},
    {"{\"results\":{}}", "'results' is no list"},
    {"{\"results\":[1]}", "result 1: it is no object"},
    {"{\"results\":[" RESULT "}," RESULT ",\"limit\":\"2\"}]}", "result 2: 'limit' is no number"},
    {"{\"results\":[" RESULT ",\"limit\":1e101}]}", "'limit' is too large"},
    {"{\"results\":[{\"bench\":\"b\",\"case\":\"c\",\"unit\":\"u\"}]}", "'value' is missing"},
    {"{\"results\":[{\"bench\":\"b\",\"case\":\"c\",\"value\":1}]}", "'unit' is missing"},
    {"{\"results\":[{\"bench\":[],\"case\":\"c\"}]}", "'bench' is no text"},
    {"{\"results\":[{\"bench\":\"a\\u0000b\",\"case\":\"c\"}]}", "line 1"},
    {"{\"series\":[{\"name\":\"n\",\"x_unit\":\"s\",\"y_unit\":\"B\"}]}", "'points' is no list"},
    {"{\"series\":[{\"name\":\"n\",\"x_unit\":\"s\",\"y_unit\":\"B\",\"points\":[[1]]}]}",
     "series 1: a point is no pair"},
    {"{\"series\":[{\"name\":\"n\",\"x_unit\":\"s\",\"y_unit\":\"B\",\"points\":[[1,\"2\"]]}]}",
     "a point is no pair"},
};

START_TEST(what_is_wrong_is_named)
{
    struct results_file f;
    struct err e;
    ck_assert_int_lt(results_file_parse(&f, "x.json", span_str(bad[_i].text), &e), 0);
    ck_assert_msg(strstr(e.msg, bad[_i].why), "%s", e.msg);
    ck_assert_int_eq(strncmp(e.msg, "'x.json': ", 10), 0);
}
END_TEST

START_TEST(a_text_that_is_too_long_is_refused)
{
    char text[600], name[300];
    struct results_file f;
    struct err e;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    (void)snprintf(text, sizeof text, "{\"results\":[{\"bench\":\"%s\"}]}", name);
    ck_assert_int_eq(results_file_parse(&f, "x.json", span_str(text), &e), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(e.msg, "'bench' has over"));
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
    struct results_file f;
    struct err e;
    ck_assert_int_eq(results_file_read(&f, "/nowhere", "x.json", &e), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(e.msg, "/nowhere/x.json"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("results_file");
    TCase *tc = tcase_create("results_file");
    tcase_add_test(tc, a_result_has_what_it_says_and_nothing_else);
    tcase_add_test(tc, series_have_their_points);
    tcase_add_loop_test(tc, what_is_wrong_is_named, 0, (int)(sizeof bad / sizeof bad[0]));
    tcase_add_test(tc, a_text_that_is_too_long_is_refused);
    tcase_add_test(tc, a_file_that_is_not_there_is_named);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
