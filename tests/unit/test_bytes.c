/* Tests of spans, big-endian access and the bounds-checked reader. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "tests/lib/suite.h"

START_TEST(numbers_are_stored_most_significant_byte_first)
{
    uint8_t bytes[14];
    be16_put(bytes, 0x0102);
    be32_put(bytes + 2, 0x03040506);
    be64_put(bytes + 6, 0x0708090a0b0c0d0eu);
    for (size_t i = 0; i < sizeof bytes; i++)
        ck_assert_uint_eq(bytes[i], i + 1);
}
END_TEST

START_TEST(numbers_come_back_as_they_were_put)
{
    uint8_t bytes[9]; /* at an odd address: no alignment is assumed */
    be16_put(bytes + 1, 0xfedc);
    ck_assert_uint_eq(be16_get(bytes + 1), 0xfedc);
    be32_put(bytes + 1, 0xfedcba98u);
    ck_assert_uint_eq(be32_get(bytes + 1), 0xfedcba98u);
    be64_put(bytes + 1, UINT64_MAX - 1);
    ck_assert_uint_eq(be64_get(bytes + 1), UINT64_MAX - 1);
}
END_TEST

START_TEST(spans_are_equal_by_content)
{
    const char other[] = "TagA";
    ck_assert(span_equal(span_str("TagA"), span_of(other, 4)));
    ck_assert(!span_equal(span_str("TagA"), span_str("TagB")));
    ck_assert(!span_equal(span_str("Tag"), span_str("TagA")));
    ck_assert(span_equal((struct span){0}, span_str("")));
}
END_TEST

START_TEST(a_reader_steps_through_its_span)
{
    const uint8_t bytes[] = {1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 'x', 'y'};
    struct reader r = reader_of(span_of(bytes, sizeof bytes));
    ck_assert_uint_eq(reader_u8(&r), 1);
    ck_assert_uint_eq(reader_be16(&r), 2);
    ck_assert_uint_eq(reader_be32(&r), 3);
    ck_assert_uint_eq(reader_be64(&r), 4);
    ck_assert(span_equal(reader_take(&r, 2), span_str("xy")));
    ck_assert_uint_eq(r.left, 0);
    ck_assert(!r.bad);
}
END_TEST

START_TEST(reading_past_the_end_yields_zero_and_is_remembered)
{
    const uint8_t bytes[] = {0xff, 0xff, 0xff};
    struct reader r = reader_of(span_of(bytes, sizeof bytes));
    ck_assert_uint_eq(reader_be32(&r), 0);
    ck_assert(r.bad);
    ck_assert_uint_eq(reader_u8(&r), 0); /* would fit, but the cursor is lost */
    ck_assert_uint_eq(reader_take(&r, 1).len, 0);
}
END_TEST

START_TEST(a_huge_length_does_not_wrap_around)
{
    const uint8_t bytes[] = {1, 2, 3};
    struct reader r = reader_of(span_of(bytes, sizeof bytes));
    (void)reader_u8(&r);
    ck_assert_uint_eq(reader_take(&r, SIZE_MAX).len, 0);
    ck_assert(r.bad);
}
END_TEST

START_TEST(an_empty_span_can_be_read_zero_bytes_at_a_time)
{
    struct reader r = reader_of((struct span){0});
    ck_assert_uint_eq(reader_take(&r, 0).len, 0);
    ck_assert(!r.bad);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bytes");
    TCase *tc = tcase_create("bytes");
    tcase_add_test(tc, numbers_are_stored_most_significant_byte_first);
    tcase_add_test(tc, numbers_come_back_as_they_were_put);
    tcase_add_test(tc, spans_are_equal_by_content);
    tcase_add_test(tc, a_reader_steps_through_its_span);
    tcase_add_test(tc, reading_past_the_end_yields_zero_and_is_remembered);
    tcase_add_test(tc, a_huge_length_does_not_wrap_around);
    tcase_add_test(tc, an_empty_span_can_be_read_zero_bytes_at_a_time);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
