/* Tests of Java's String.hashCode over UTF-8. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jhash.h"

#include "tests/lib/suite.h"

static int32_t hash_of(const char *text)
{
    return jhash(span_str(text));
}

/* The hash of `n` UTF-16 units, written the obvious way. */
static int32_t hash_of_units(const uint16_t *units, size_t n)
{
    uint32_t h = 0;
    for (size_t i = 0; i < n; i++)
        h = 31 * h + units[i];
    return (int32_t)h;
}

START_TEST(known_tags_have_the_hashes_rocketmq_stores)
{
    ck_assert_int_eq(hash_of("TagA"), 2598919);
    ck_assert_int_eq(hash_of("TopicTest#key1"), -1655984460);
    ck_assert_int_eq(hash_of("polygenelubricants"), INT32_MIN);
}
END_TEST

START_TEST(empty_text_hashes_to_zero)
{
    ck_assert_int_eq(hash_of(""), 0);
    ck_assert_int_eq(jhash((struct span){0}), 0);
}
END_TEST

START_TEST(a_text_can_be_hashed_piece_by_piece)
{
    int32_t h = jhash_more(hash_of("TopicTest"), span_str("#"));
    ck_assert_int_eq(jhash_more(h, span_str("key1")), hash_of("TopicTest#key1"));
}
END_TEST

START_TEST(two_texts_may_share_one_hash)
{
    ck_assert_int_eq(hash_of("Aa"), hash_of("BB"));
}
END_TEST

START_TEST(wide_characters_count_as_utf16_units)
{
    const uint16_t euro[] = {0x20ac, 'x'};
    ck_assert_int_eq(hash_of("\xe2\x82\xac"
                             "x"),
                     hash_of_units(euro, 2));
    const uint16_t grin[] = {0xd83d, 0xde00};
    ck_assert_int_eq(hash_of("\xf0\x9f\x98\x80"), hash_of_units(grin, 2));
    const uint16_t last[] = {0xdbff, 0xdfff};
    ck_assert_int_eq(hash_of("\xf4\x8f\xbf\xbf"), hash_of_units(last, 2));
}
END_TEST

START_TEST(a_wide_character_counts_the_same_behind_any_number_of_others)
{
    for (size_t n = 0; n < 12; n++) {
        char text[32] = "abcdefghijkl";
        uint16_t units[32];
        for (size_t i = 0; i < n; i++)
            units[i] = (uint16_t)text[i];
        memcpy(text + n,
               "\xe2\x82\xac"
               "xyzzy",
               9);
        const uint16_t tail[] = {0x20ac, 'x', 'y', 'z', 'z', 'y'};
        memcpy(units + n, tail, sizeof tail);
        ck_assert_int_eq(hash_of(text), hash_of_units(units, n + 6));
    }
}
END_TEST

/* Bytes, and how many U+FFFD Java's decoder makes of them. */
static const struct {
    const char *bytes;
    size_t n_replaced;
} malformed[] = {
    {"\x80", 1},             /* a tail without a lead */
    {"\xc0\xaf", 2},         /* an overlong slash */
    {"\xc3", 1},             /* cut after the lead */
    {"\xe4\xb8", 1},         /* cut after two of three */
    {"\xe0\x80\x80", 3},     /* overlong: the second byte cannot follow */
    {"\xed\xa0\x80", 1},     /* a surrogate */
    {"\xf0\x9f\x98", 1},     /* cut after three of four */
    {"\xf0\x80\x80\x80", 4}, /* overlong */
    {"\xf4\x90\x80\x80", 4}, /* past the last code point */
    {"\xf8\x88\x80", 3},     /* no such lead */
};

START_TEST(malformed_bytes_count_as_the_replacement_character)
{
    const uint16_t replaced[] = {0xfffd, 0xfffd, 0xfffd, 0xfffd};
    size_t n = malformed[_i].n_replaced;
    ck_assert_int_eq(hash_of(malformed[_i].bytes), hash_of_units(replaced, n));
}
END_TEST

START_TEST(text_after_a_malformed_sequence_is_decoded)
{
    const uint16_t units[] = {0xfffd, 'A', 0xfffd, 'B'};
    ck_assert_int_eq(hash_of("\xe4\xb8"
                             "A\xf0\x9f"
                             "B"),
                     hash_of_units(units, 4));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jhash");
    TCase *tc = tcase_create("jhash");
    tcase_add_test(tc, known_tags_have_the_hashes_rocketmq_stores);
    tcase_add_test(tc, empty_text_hashes_to_zero);
    tcase_add_test(tc, a_text_can_be_hashed_piece_by_piece);
    tcase_add_test(tc, two_texts_may_share_one_hash);
    tcase_add_test(tc, wide_characters_count_as_utf16_units);
    tcase_add_test(tc, a_wide_character_counts_the_same_behind_any_number_of_others);
    tcase_add_loop_test(tc, malformed_bytes_count_as_the_replacement_character, 0,
                        (int)(sizeof malformed / sizeof malformed[0]));
    tcase_add_test(tc, text_after_a_malformed_sequence_is_decoded);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
