/* Tests of the filter as the store and the broker see it: code first, text second. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/filter.h"

#include "tests/lib/suite.h"

static struct filter *compile(const char *expr)
{
    struct filter *f = NULL;
    struct err e;
    ck_assert_int_eq(filter_compile_tags(&f, span_str(expr), &e), 0);
    return f;
}

/* Both steps, in the order of a scan. */
static bool matches(const struct filter *f, const char *tag)
{
    const struct span text = span_str(tag);
    return filter_match_code(f, filter_tag_code(text)) && filter_match_tag(f, text);
}

START_TEST(a_message_passes_when_its_tag_is_named)
{
    struct filter *f = compile("TagA || TagC");
    ck_assert(!filter_is_all(f));
    ck_assert(matches(f, "TagA") && matches(f, "TagC"));
    ck_assert(!matches(f, "TagB") && !matches(f, ""));
    filter_free(f);
}
END_TEST

START_TEST(a_filter_compiled_again_is_the_new_one_alone)
{
    static char large[32 << 10];
    struct filter *f = compile("TagA || TagB || TagC");
    struct err e;
    ck_assert_int_eq(filter_recompile_tags(f, span_str("TagC"), &e), 0);
    ck_assert(matches(f, "TagC") && !matches(f, "TagA") && !filter_is_all(f));
    ck_assert_int_eq(filter_recompile_tags(f, span_str("*"), &e), 0);
    ck_assert(filter_is_all(f));
    ck_assert_int_eq(filter_recompile_tags(f, span_str(" || "), &e), ERR_INVAL);
    memset(large, 'x', sizeof large - 1);
    ck_assert_int_eq(filter_recompile_tags(f, span_str(large), &e), 0);
    ck_assert(matches(f, large) && !matches(f, "TagC"));
    filter_trim(f);
    ck_assert_int_eq(filter_recompile_tags(f, span_str("TagA"), &e), 0);
    ck_assert(matches(f, "TagA") && !matches(f, large));
    filter_free(f);
}
END_TEST

START_TEST(a_hash_collision_passes_the_code_and_fails_the_text)
{
    struct filter *f = compile("Aa");
    ck_assert_int_eq(filter_tag_code(span_str("Aa")), filter_tag_code(span_str("BB")));
    ck_assert(filter_match_code(f, filter_tag_code(span_str("BB"))));
    ck_assert(!filter_match_tag(f, span_str("BB")));
    ck_assert(matches(f, "Aa"));
    filter_free(f);
}
END_TEST

START_TEST(only_the_low_32_bits_of_a_code_are_compared)
{
    struct filter *f = compile("Aa");
    const int64_t code = filter_tag_code(span_str("Aa"));
    ck_assert(filter_match_code(f, code | INT64_C(0x1234567800000000)));
    ck_assert(!filter_match_code(f, code + 1));
    filter_free(f);
}
END_TEST

START_TEST(the_codes_of_a_filter_ascend_and_a_star_has_none)
{
    size_t n;
    struct filter *f = compile("TagC || TagA || polygenelubricants");
    const int32_t *codes = filter_codes(f, &n);
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(codes[0], INT32_MIN);
    ck_assert_int_eq(codes[1], filter_tag_code(span_str("TagA")));
    ck_assert_int_eq(codes[2], filter_tag_code(span_str("TagC")));
    filter_free(f);
    f = compile("*");
    ck_assert_ptr_null(filter_codes(f, &n));
    filter_free(f);
}
END_TEST

START_TEST(a_negative_hash_is_sign_extended)
{
    const struct span tag = span_str("polygenelubricants"); /* its hash is INT32_MIN */
    ck_assert_int_eq(filter_tag_code(tag), INT32_MIN);
    struct filter *f = compile("polygenelubricants");
    ck_assert(matches(f, "polygenelubricants"));
    ck_assert(filter_match_code(f, (int64_t)(uint32_t)INT32_MIN));
    filter_free(f);
}
END_TEST

START_TEST(a_star_passes_messages_with_and_without_a_tag)
{
    struct filter *f = compile("*");
    ck_assert(filter_is_all(f));
    ck_assert(matches(f, "") && matches(f, "x") && matches(f, "*"));
    ck_assert_int_eq(filter_tag_code((struct span){0}), 0);
    filter_free(f);
}
END_TEST

START_TEST(an_expression_without_a_tag_is_an_error_and_leaves_no_filter)
{
    struct filter *f = NULL;
    struct err e;
    ck_assert_int_eq(filter_compile_tags(&f, span_str(" || "), &e), ERR_INVAL);
    ck_assert_ptr_null(f);
    ck_assert_ptr_nonnull(strstr(e.msg, "names no tag"));
    filter_free(f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("filter");
    TCase *tc = tcase_create("tags");
    tcase_add_test(tc, a_message_passes_when_its_tag_is_named);
    tcase_add_test(tc, a_filter_compiled_again_is_the_new_one_alone);
    tcase_add_test(tc, a_hash_collision_passes_the_code_and_fails_the_text);
    tcase_add_test(tc, only_the_low_32_bits_of_a_code_are_compared);
    tcase_add_test(tc, the_codes_of_a_filter_ascend_and_a_star_has_none);
    tcase_add_test(tc, a_negative_hash_is_sign_extended);
    tcase_add_test(tc, a_star_passes_messages_with_and_without_a_tag);
    tcase_add_test(tc, an_expression_without_a_tag_is_an_error_and_leaves_no_filter);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
