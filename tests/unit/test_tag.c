/* Tests of tag sets: what an expression names, small and large. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/tag.h"

#include <stdio.h>

#include "base/jhash.h"
#include "tests/lib/suite.h"

static struct tag_set set_of(const char *expr)
{
    struct tag_set set;
    struct err e;
    ck_assert_int_eq(tag_set_init(&set, span_str(expr), &e), 0);
    return set;
}

static bool has(const struct tag_set *set, const char *tag)
{
    const struct span text = span_str(tag);
    const bool by_text = tag_set_has_text(set, text);
    /* The code may say yes to more, never to less. */
    ck_assert(!by_text || tag_set_has_code(set, jhash(text)));
    return by_text;
}

/* Whether the expression names exactly the two tags. */
static bool names_two(const char *expr, const char *first, const char *second)
{
    struct tag_set set = set_of(expr);
    const bool ok = set.n == 2 && has(&set, first) && has(&set, second) && !has(&set, "other");
    tag_set_fini(&set);
    return ok;
}

START_TEST(tags_are_split_at_double_bars_and_trimmed)
{
    ck_assert(names_two("a||b", "a", "b"));
    ck_assert(names_two("  a \t||\n b ", "a", "b"));
    ck_assert(names_two("TagA || TagC", "TagA", "TagC"));
    ck_assert(names_two("a b || c", "a b", "c"));
}
END_TEST

START_TEST(empty_pieces_are_dropped)
{
    ck_assert(names_two("a||||b", "a", "b"));
    ck_assert(names_two("||a|| ||b||", "a", "b"));
}
END_TEST

START_TEST(a_single_bar_belongs_to_the_tag)
{
    ck_assert(names_two("a|x||b", "a|x", "b"));
    ck_assert(names_two("a|||b", "a", "|b"));
}
END_TEST

START_TEST(a_tag_named_twice_is_kept_once)
{
    ck_assert(names_two("a||b||a||b", "a", "b"));
}
END_TEST

START_TEST(a_star_or_nothing_is_everything)
{
    const char *const exprs[] = {"*", "", " * ", "  "};
    for (size_t i = 0; i < 4; i++) {
        struct tag_set set = set_of(exprs[i]);
        ck_assert(set.is_all);
        ck_assert(has(&set, "") && has(&set, "anything"));
        tag_set_fini(&set);
    }
}
END_TEST

START_TEST(a_star_among_others_is_a_tag)
{
    ck_assert(names_two("*||a", "*", "a"));
}
END_TEST

START_TEST(only_separators_are_refused)
{
    const char *const exprs[] = {"||", " || ", "||||", "|| ||"};
    for (size_t i = 0; i < 4; i++) {
        struct tag_set set = {.n = 77};
        struct err e;
        ck_assert_int_eq(tag_set_init(&set, span_str(exprs[i]), &e), ERR_INVAL);
        ck_assert_uint_eq(set.n, 77);
    }
}
END_TEST

START_TEST(an_expression_over_the_limit_is_refused)
{
    static char expr[TAG_EXPR_MAX_BYTES + 1];
    memset(expr, 'x', sizeof expr);
    struct tag_set set;
    struct err e;
    ck_assert_int_eq(tag_set_init(&set, span_of(expr, sizeof expr), &e), ERR_TOOBIG);
    ck_assert_int_eq(tag_set_init(&set, span_of(expr, sizeof expr - 1), &e), 0);
    tag_set_fini(&set);
}
END_TEST

START_TEST(text_is_compared_byte_for_byte)
{
    struct tag_set set = set_of("TagA||标签");
    ck_assert(has(&set, "TagA") && has(&set, "标签"));
    ck_assert(!has(&set, "taga") && !has(&set, "TagA ") && !has(&set, "Tag") && !has(&set, "标"));
    ck_assert(!has(&set, ""));
    tag_set_fini(&set);
}
END_TEST

START_TEST(the_expression_need_not_outlive_the_set)
{
    char expr[] = "a||b";
    struct tag_set set = set_of(expr);
    memset(expr, '#', sizeof expr - 1);
    ck_assert(has(&set, "a") && has(&set, "b"));
    tag_set_fini(&set);
}
END_TEST

START_TEST(a_large_set_finds_each_tag_and_no_other)
{
    static char expr[TAG_EXPR_MAX_BYTES];
    size_t len = 0;
    for (int i = 0; i < 3000; i++)
        len += (size_t)sprintf(expr + len, "Aa%d%s", i, i % 2 ? "||" : "||BBx||");
    struct tag_set set = set_of(expr);
    ck_assert_uint_eq(set.n, 3001);
    for (int i = 0; i < 3000; i++) {
        char tag[16], twin[16];
        sprintf(tag, "Aa%d", i);
        sprintf(twin, "BB%d", i);
        ck_assert_int_eq(jhash(span_str(tag)), jhash(span_str(twin)));
        ck_assert(has(&set, tag) && !has(&set, twin));
    }
    ck_assert(has(&set, "BBx") && !has(&set, "Aa3000") && !has(&set, "Aax"));
    ck_assert(!tag_set_has_code(&set, jhash(span_str("Aa3000"))));
    tag_set_fini(&set);
}
END_TEST

START_TEST(two_tags_of_one_code_live_in_one_set)
{
    struct tag_set set = set_of("Aa||BB||c1||c2||c3||c4||c5||c6||c7||c8");
    ck_assert_uint_eq(set.n, 10);
    ck_assert(has(&set, "Aa") && has(&set, "BB") && !has(&set, "AaBB"));
    tag_set_fini(&set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tag");
    TCase *tc = tcase_create("sets");
    tcase_add_test(tc, tags_are_split_at_double_bars_and_trimmed);
    tcase_add_test(tc, empty_pieces_are_dropped);
    tcase_add_test(tc, a_single_bar_belongs_to_the_tag);
    tcase_add_test(tc, a_tag_named_twice_is_kept_once);
    tcase_add_test(tc, a_star_or_nothing_is_everything);
    tcase_add_test(tc, a_star_among_others_is_a_tag);
    tcase_add_test(tc, only_separators_are_refused);
    tcase_add_test(tc, an_expression_over_the_limit_is_refused);
    tcase_add_test(tc, text_is_compared_byte_for_byte);
    tcase_add_test(tc, the_expression_need_not_outlive_the_set);
    tcase_add_test(tc, a_large_set_finds_each_tag_and_no_other);
    tcase_add_test(tc, two_tags_of_one_code_live_in_one_set);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
