/* Tests of tools/bench/page.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/page.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/suite.h"

static int draw_box(void *arg, const char *script, char **ret_svg, struct err *e)
{
    (void)arg;
    (void)script;
    (void)e;
    *ret_svg = strdup("<?xml version=\"1.0\"?>\n<svg><rect/></svg>\n");
    return 0;
}

static int draw_nothing(void *arg, const char *script, char **ret_svg, struct err *e)
{
    (void)arg;
    (void)script;
    (void)ret_svg;
    return err_set(e, ERR_FAILED, "draw: no ink");
}

static int write_page(const char *json, page_draw_fn draw, char **ret_page, struct err *e)
{
    struct results_file f;
    size_t len;
    *ret_page = NULL;
    ck_assert_msg(results_file_parse(&f, "a<b>.json", span_str(json), e) == 0, "%s", e->msg);
    FILE *out = open_memstream(ret_page, &len);
    ck_assert_ptr_nonnull(out);
    const struct page page = {.title = "T & t", .files = &f, .n_files = 1, .draw = draw};
    int rc = page_write(&page, out, e);
    ck_assert_int_eq(fclose(out), 0);
    results_file_fini(&f);
    return rc;
}

static size_t count(const char *page, const char *text)
{
    size_t n = 0;
    for (const char *at = strstr(page, text); at; at = strstr(at + 1, text))
        n++;
    return n;
}

#define ROW "{\"bench\":\"b\",\"case\":\"c\",\"unit\":\"u\",\"value\":1234567,"

START_TEST(a_page_has_its_table_its_plot_and_its_targets)
{
    char *page;
    struct err e = {0};
    ck_assert_int_eq(write_page("{\"machine\":{\"cpu\":\"K6\",\"cpus\":2},\"results\":[" ROW
                                "\"limit\":2,\"ratio\":0.5,\"target\":\"S1\",\"bound\":0.6,"
                                "\"bound_is\":\"ratio >=\",\"met\":false}]}",
                                draw_box, &page, &e),
                     0);
    ck_assert_uint_eq(count(page, "<svg>"), 1);
    ck_assert_uint_eq(count(page, "<?xml"), 0);
    ck_assert_uint_eq(count(page, "<table>"), 2); /* of targets, and of the file */
    ck_assert_uint_eq(count(page, "0 met"), 1);
    ck_assert_uint_eq(count(page, "1 missed"), 1);
    ck_assert_uint_eq(count(page, "S1: ratio &ge; 0.6"), 2);
    ck_assert_uint_eq(count(page, "1,234,567<span class=u> u</span>"), 2);
    ck_assert_uint_eq(count(page, "<dt>CPU</dt><dd>K6</dd>"), 1);
    free(page);
}
END_TEST

START_TEST(columns_without_a_figure_are_left_out)
{
    char *page;
    struct err e = {0};
    ck_assert_int_eq(write_page("{\"results\":[" ROW "\"limit\":null}]}", draw_box, &page, &e), 0);
    ck_assert_uint_eq(count(page, ">limit<"), 0);
    ck_assert_uint_eq(count(page, ">target<"), 0);
    ck_assert_uint_eq(count(page, "<table>"), 1);
    free(page);
}
END_TEST

START_TEST(foreign_texts_are_no_markup)
{
    char *page;
    struct err e = {0};
    ck_assert_int_eq(
        write_page("{\"machine\":{\"<i>\":\"<script>\"},\"results\":[{\"bench\":\"<b>\",\"case\":"
                   "\"<img src=x>\",\"unit\":\"<u>\",\"value\":1,\"target\":\"\\\"'>\","
                   "\"bound_by\":\"<s>\",\"met\":true,\"bound\":1}]}",
                   draw_box, &page, &e),
        0);
    static const char *const never[] = {"<i>", "<script", "<b>", "<img", "<u>", "<s>", "\"'>"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        ck_assert_msg(count(page, never[i]) == 0, "%s", never[i]);
    ck_assert_uint_eq(count(page, "&lt;img src=x&gt;"), 2);
    ck_assert_uint_eq(count(page, "a&lt;b&gt;.json"), 3);
    ck_assert_uint_ge(count(page, "default-src 'none'"), 1);
    free(page);
}
END_TEST

START_TEST(a_plot_that_cannot_be_drawn_names_its_file)
{
    char *page;
    struct err e = {0};
    ck_assert_int_eq(write_page("{\"series\":[{\"name\":\"n\",\"x_unit\":\"s\",\"y_unit\":\"B\","
                                "\"points\":[[1,2]]}]}",
                                draw_nothing, &page, &e),
                     ERR_FAILED);
    ck_assert_str_eq(e.msg, "draw 'a<b>.json': draw: no ink");
    free(page);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("page");
    TCase *tc = tcase_create("page");
    tcase_add_test(tc, a_page_has_its_table_its_plot_and_its_targets);
    tcase_add_test(tc, columns_without_a_figure_are_left_out);
    tcase_add_test(tc, foreign_texts_are_no_markup);
    tcase_add_test(tc, a_plot_that_cannot_be_drawn_names_its_file);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
