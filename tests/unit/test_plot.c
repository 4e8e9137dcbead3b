/* Tests of tools/bench/plot.c and what it is made of. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/plot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/suite.h"
#include "tools/bench/gnuplot.h"

enum { MAX_PLOTS = 8 };

/* What was drawn. */
struct drawn {
    size_t n;
    char *titles[MAX_PLOTS], *scripts[MAX_PLOTS];
};

static int note_plot(void *arg, const struct plot *plot, struct err *e)
{
    struct drawn *d = arg;
    (void)e; /* nothing fails here */
    ck_assert_uint_lt(d->n, MAX_PLOTS);
    d->titles[d->n] = strdup(plot->title);
    d->scripts[d->n++] = strdup(plot->script);
    return 0;
}

static struct drawn draw(const char *json)
{
    struct drawn d = {0};
    struct results_file f;
    struct err e = {0};
    ck_assert_msg(results_file_parse(&f, "x.json", span_str(json), &e) == 0, "%s", e.msg);
    ck_assert_int_eq(plot_each(&f, note_plot, &d, &e), 0);
    results_file_fini(&f);
    return d;
}

static void drawn_fini(struct drawn *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->titles[i]);
        free(d->scripts[i]);
    }
}

static bool has(const struct drawn *d, size_t i, const char *text)
{
    return strstr(d->scripts[i], text) != NULL;
}

#define ROW(name, value) "{\"bench\":\"b\",\"case\":\"" name "\",\"unit\":\"u\",\"value\":" value

START_TEST(a_size_is_found_in_a_name)
{
    struct plot_size size;
    ck_assert(plot_find_size("append 16 KiB, hot", &size));
    ck_assert_str_eq(size.before, "append");
    ck_assert_str_eq(size.behind, "hot");
    ck_assert(size.bytes == 16384);
    ck_assert(plot_find_size("10 % of 1 KiB, splice CPU", &size));
    ck_assert_str_eq(size.before, "10 % of");
    ck_assert_str_eq(size.behind, "splice CPU");
    ck_assert(plot_find_size("128 B", &size));
    ck_assert_str_eq(size.before, "");
    ck_assert_str_eq(size.behind, "");
    ck_assert(!plot_find_size("publish, 64 in flight", &size));
    ck_assert(!plot_find_size("x1 KiB", &size));
    ck_assert(!plot_find_size("99999999999999999999 GiB", &size));
    ck_assert(!plot_find_size("", &size));
}
END_TEST

START_TEST(three_sizes_make_a_curve_and_two_do_not)
{
    struct drawn d = draw("{\"results\":[" ROW("a 1 KiB", "1") "}," ROW("a 2 KiB", "2") "}," ROW(
        "a 4 KiB", "3") "}," ROW("c 1 KiB", "4") "}," ROW("c 2 KiB", "5") "}]}");
    ck_assert_uint_eq(d.n, 1);
    ck_assert_str_eq(d.titles[0], "b: a by size, u");
    ck_assert(has(&d, 0, "\n1024 1\n2048 2\n4096 3\nEOD\n"));
    ck_assert(has(&d, 0, "set ylabel 'u'"));
    drawn_fini(&d);
}
END_TEST

START_TEST(a_limit_beside_each_value_is_drawn_too)
{
    struct drawn d = draw("{\"results\":[" ROW("a 1 KiB", "1") ",\"limit\":5}," ROW(
        "a 2 KiB", "2") ",\"limit\":6}," ROW("a 4 KiB", "3") ",\"limit\":7}]}");
    ck_assert_uint_eq(d.n, 1);
    ck_assert(has(&d, 0, "\n1024 1 5\n2048 2 6\n4096 3 7\nEOD\n"));
    ck_assert(has(&d, 0, "title 'limit'"));
    drawn_fini(&d);
}
END_TEST

START_TEST(ratios_are_bars_with_marks_at_their_bounds)
{
    struct drawn d = draw("{\"results\":[" ROW(
        "x", "1") ",\"limit\":2,\"ratio\":0.5,\"target\":"
                  "\"T\",\"bound\":0.75,\"bound_is\":\"ratio >=\",\"met\":false}," ROW(
                      "y", "1") ",\"limit\":4,\"ratio\":0.25}," ROW("z", "1") "}]}");
    ck_assert_uint_eq(d.n, 1);
    ck_assert(has(&d, 0, "set ytics ('x' 0, 'y' 1) noenhanced\n"));
    ck_assert(has(&d, 0, "$v2 << EOD\n0 0.5\nEOD\n"));
    ck_assert(has(&d, 0, "$bounds << EOD\n0 0.75\nEOD\n"));
    ck_assert(!has(&d, 0, "title 'target met'")); /* there is none */
    drawn_fini(&d);
}
END_TEST

START_TEST(series_of_one_plot_are_lines_in_it)
{
    struct drawn d =
        draw("{\"series\":["
             "{\"name\":\"RSS: lazy\",\"x_unit\":\"s\",\"y_unit\":\"MiB\","
             "\"points\":[[0,1],[1,2]]},"
             "{\"name\":\"stalls: lazy\",\"x_unit\":\"us\",\"y_unit\":\"n\","
             "\"points\":[[1,9],[100000,1]]},"
             "{\"name\":\"RSS: window\",\"x_unit\":\"s\",\"y_unit\":\"MiB\","
             "\"points\":[[0,3]]},"
             "{\"name\":\"none\",\"x_unit\":\"s\",\"y_unit\":\"MiB\",\"points\":[]}]}");
    ck_assert_uint_eq(d.n, 3);
    ck_assert_str_eq(d.titles[0], "RSS: MiB over s");
    ck_assert(has(&d, 0, "title 'lazy'") && has(&d, 0, "title 'window'"));
    ck_assert(!has(&d, 0, "set logscale"));
    ck_assert(has(&d, 1, "set logscale x 10"));
    ck_assert(has(&d, 2, "NaN")); /* nothing, but a plot */
    drawn_fini(&d);
}
END_TEST

START_TEST(what_is_below_one_is_written_in_decimal)
{
    struct drawn d = draw("{\"series\":["
                          "{\"name\":\"a\",\"x_unit\":\"us\",\"y_unit\":\"n\","
                          "\"points\":[[1,9],[100000,1]]},"
                          "{\"name\":\"b: c\",\"x_unit\":\"us\",\"y_unit\":\"n\","
                          "\"points\":[[0.1,9],[100000,1]]}]}");
    ck_assert_uint_eq(d.n, 2);
    ck_assert(has(&d, 0, "set format x '%.0s%c'\n")); /* 100k */
    ck_assert(has(&d, 1, "set format x '%.12g'\n"));  /* 0.1, which the other has as 100m */
    drawn_fini(&d);
}
END_TEST

/* Outside of quotes there is nothing of the file; within, no quote ends early. */
START_TEST(a_foreign_text_stays_within_its_quotes)
{
    struct drawn d = draw("{\"results\":[" ROW("x'; system(\\\"id\\\") # `id`\\n!id 5 %",
                                               "1") ",\"limit\":2,\"ratio\":0.5}]}");
    ck_assert_uint_eq(d.n, 1);
    ck_assert(has(&d, 0, "set ytics ('x''; system(\"id\") #  id  !id 5 %%' 0) noenhanced\n"));
    ck_assert(!has(&d, 0, "`") && !has(&d, 0, "\n!"));
    drawn_fini(&d);
}
END_TEST

START_TEST(a_program_that_is_not_there_is_named)
{
    char *svg = NULL;
    struct err e;
    ck_assert_int_eq(gnuplot_run("no-such-plotter", "plot 1\n", &svg, &e), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(e.msg, "'no-such-plotter'"));
    ck_assert_ptr_nonnull(strstr(e.msg, "gnuplot-nox"));
}
END_TEST

START_TEST(what_the_program_complains_about_is_told)
{
    char *svg = NULL;
    struct err e;
    ck_assert_int_eq(gnuplot_run("cat", "plot 1\n", &svg, &e), ERR_FAILED); /* it knows no -d */
    ck_assert_ptr_nonnull(strstr(e.msg, "cat"));
    ck_assert_ptr_null(svg);
}
END_TEST

START_TEST(the_output_of_the_program_comes_back_however_long_the_script)
{
    enum { LEN = 1 << 20 }; /* more than a pipe takes */
    char *svg = NULL, *script = malloc(LEN + 1);
    struct err e;
    ck_assert_ptr_nonnull(script);
    memset(script, '#', LEN);
    script[LEN] = '\0';
    ck_assert_int_eq(gnuplot_run("echo", script, &svg, &e), 0); /* which reads none of it */
    ck_assert_str_eq(svg, "-d\n");
    free(svg);
    free(script);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plot");
    TCase *tc = tcase_create("plot");
    tcase_add_test(tc, a_size_is_found_in_a_name);
    tcase_add_test(tc, three_sizes_make_a_curve_and_two_do_not);
    tcase_add_test(tc, a_limit_beside_each_value_is_drawn_too);
    tcase_add_test(tc, ratios_are_bars_with_marks_at_their_bounds);
    tcase_add_test(tc, series_of_one_plot_are_lines_in_it);
    tcase_add_test(tc, what_is_below_one_is_written_in_decimal);
    tcase_add_test(tc, a_foreign_text_stays_within_its_quotes);
    tcase_add_test(tc, a_program_that_is_not_there_is_named);
    tcase_add_test(tc, what_the_program_complains_about_is_told);
    tcase_add_test(tc, the_output_of_the_program_comes_back_however_long_the_script);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
