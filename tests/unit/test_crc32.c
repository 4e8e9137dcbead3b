/* Tests of CRC-32 and of the 31 bits of it that are stored. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32.h"

#include "tests/lib/suite.h"

START_TEST(the_check_value_of_the_polynomial_holds)
{
    uint32_t crc = crc32_add(0, "123456789", 9);
    ck_assert_uint_eq(crc, 0xcbf43926);
    ck_assert_uint_eq(crc32_stored(crc), 1274296614);
}
END_TEST

START_TEST(a_known_body_has_the_stored_checksum)
{
    ck_assert_uint_eq(crc32_stored(crc32_add(0, "Hello", 5)), 2010220930);
}
END_TEST

START_TEST(nothing_has_checksum_zero)
{
    ck_assert_uint_eq(crc32_add(0, "", 0), 0);
}
END_TEST

START_TEST(pieces_add_up_to_the_whole)
{
    char text[300];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    uint32_t whole = crc32_add(0, text, sizeof text);
    for (size_t cut = 0; cut <= sizeof text; cut++) {
        uint32_t crc = crc32_add(0, text, cut);
        ck_assert_uint_eq(crc32_add(crc, text + cut, sizeof text - cut), whole);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("crc32");
    TCase *tc = tcase_create("crc32");
    tcase_add_test(tc, the_check_value_of_the_polynomial_holds);
    tcase_add_test(tc, a_known_body_has_the_stored_checksum);
    tcase_add_test(tc, nothing_has_checksum_zero);
    tcase_add_test(tc, pieces_add_up_to_the_whole);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
