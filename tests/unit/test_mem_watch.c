/* Tests of tools/mem/rates.c, spark.c and watch_view.c: rates, bars and what is shown of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/suite.h"
#include "tools/mem/watch_view.h"

static struct mem_snapshot before, after;

static void set_up(void)
{
    before = (struct mem_snapshot){
        .is_broker = true,
        .process = {.minor_faults = 1000, .major_faults = 10},
        .faults = {{"append", 100, 1, 1, 1}, {"read", 50, 5, 1, 1}},
        .n_faults = 2,
        .n_appended = 100,
        .appended_bytes = 1000,
    };
    after = before;
    after.process.minor_faults = 1100;
    after.process.major_faults = 16;
    after.process.rss_file_bytes = 3 << 20;
    after.faults[0].minor = 140;
    after.faults[1].major = 9;
    after.appended_bytes = 5000;
}

/* What was written to a stream. */
static char *text;
static size_t text_len;

static FILE *open_text(void)
{
    free(text);
    FILE *out = open_memstream(&text, &text_len);
    ck_assert_ptr_nonnull(out);
    return out;
}

static void tear_down(void)
{
    free(text);
    text = NULL;
}

static struct watch_moment moment(void)
{
    return (struct watch_moment){.now = &after, .rates = mem_rates_between(&before, &after, 2)};
}

START_TEST(rates_are_by_the_second_and_by_path)
{
    struct mem_rates r = mem_rates_between(&before, &after, 2);
    ck_assert_double_eq(r.total.minor, 50);
    ck_assert_double_eq(r.total.major, 3);
    ck_assert_double_eq(r.paths[0].minor, 20);
    ck_assert_double_eq(r.paths[1].major, 2);
    ck_assert_double_eq(r.other.minor, 30);
    ck_assert_double_eq(r.other.major, 1);
    ck_assert_double_eq(r.appended_bytes, 2000);
}
END_TEST

START_TEST(a_count_that_fell_rose_by_nothing)
{
    struct mem_rates r = mem_rates_between(&after, &before, 2);
    ck_assert_double_eq(r.total.minor, 0);
    ck_assert_double_eq(r.paths[0].minor, 0);
    ck_assert_double_eq(r.other.minor, 0);
}
END_TEST

START_TEST(bars_are_as_high_as_the_highest_allows)
{
    struct spark s = {0};
    static const double values[] = {0, 1, 4, 7};
    for (size_t i = 0; i < 4; i++)
        spark_add(&s, values[i]);
    FILE *out = open_text();
    spark_draw(&s, MAP_ASCII, out);
    (void)fclose(out);
    ck_assert_str_eq(text, "_.=#");
}
END_TEST

START_TEST(of_many_values_the_last_are_drawn)
{
    struct spark s = {0};
    for (size_t i = 0; i < SPARK_MAX; i++)
        spark_add(&s, 0);
    spark_add(&s, 1);
    FILE *out = open_text();
    spark_draw(&s, MAP_UTF8, out);
    (void)fclose(out);
    ck_assert_uint_eq(text_len, SPARK_MAX * strlen("█"));
    ck_assert_str_eq(text + text_len - strlen("▁█"), "▁█");
}
END_TEST

/* How many words a line has. */
static size_t n_words(const char *line)
{
    size_t n = 0;
    for (; *line; line++)
        n += *line != ' ' && *line != '\n' && (line[1] == ' ' || line[1] == '\n');
    return n;
}

START_TEST(a_line_has_a_figure_for_each_column)
{
    struct watch_moment m = moment();
    for (int is_broker = 0; is_broker < 2; is_broker++) {
        after.is_broker = is_broker;
        FILE *out = open_text();
        watch_view_head(&after, out);
        (void)fclose(out);
        size_t n_columns = n_words(text);
        out = open_text();
        watch_view_line(&m, out);
        (void)fclose(out);
        ck_assert_uint_eq(n_words(text), n_columns);
    }
    ck_assert_ptr_nonnull(strstr(text, " 3.0M "));
    ck_assert_ptr_nonnull(strstr(text, "        50         3       20        2        0\n"));
}
END_TEST

START_TEST(a_screen_begins_at_the_top_and_clears_what_is_below)
{
    struct watch_moment m = moment();
    struct watch_history h = {0};
    watch_history_add(&h, &m);
    FILE *out = open_text();
    watch_view_screen(&m, &h, "the title", out);
    (void)fclose(out);
    ck_assert_int_eq(strncmp(text, "\033[Hthe title", strlen("\033[Hthe title")), 0);
    ck_assert_str_eq(text + text_len - strlen("\033[J"), "\033[J");
    for (const char *end = strchr(text, '\n'); end; end = strchr(end + 1, '\n'))
        ck_assert_int_eq(strncmp(end - strlen("\033[K"), "\033[K", strlen("\033[K")), 0);
}
END_TEST

START_TEST(json_has_rates_of_a_broker_and_none_of_a_store)
{
    struct watch_moment m = moment();
    double minor = 0;
    json_t *object = watch_view_json(&m);
    ck_assert_int_eq(
        json_unpack(object, "{s:{s:{s:f}}}", "faultsPerSecond", "append", "minor", &minor), 0);
    ck_assert_double_eq(minor, 20);
    json_decref(object);
    after.is_broker = false;
    object = watch_view_json(&m);
    ck_assert_ptr_null(json_object_get(object, "faultsPerSecond"));
    ck_assert_ptr_nonnull(json_object_get(object, "residentBytes"));
    json_decref(object);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mem_watch");
    TCase *tc = tcase_create("watch");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, rates_are_by_the_second_and_by_path);
    tcase_add_test(tc, a_count_that_fell_rose_by_nothing);
    tcase_add_test(tc, bars_are_as_high_as_the_highest_allows);
    tcase_add_test(tc, of_many_values_the_last_are_drawn);
    tcase_add_test(tc, a_line_has_a_figure_for_each_column);
    tcase_add_test(tc, a_screen_begins_at_the_top_and_clears_what_is_below);
    tcase_add_test(tc, json_has_rates_of_a_broker_and_none_of_a_store);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
