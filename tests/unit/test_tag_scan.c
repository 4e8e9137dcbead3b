/* Tag codes are found where they are, however many are asked for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tag_scan.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "store/format.h"
#include "tests/lib/suite.h"

enum { N_ENTRIES = 500, N_CODES_MAX = 9 };

static uint8_t entries[N_ENTRIES * STORE_QUEUE_ENTRY_BYTES];

/* Entry i has the code 7 * i - 1000, sign-extended as RocketMQ stores it. */
static void fill(void)
{
    memset(entries, 0xff, sizeof entries);
    for (int64_t i = 0; i < N_ENTRIES; i++)
        be64_put(entries + i * STORE_QUEUE_ENTRY_BYTES + FORMAT_ENTRY_AT_TAG_CODE,
                 (uint64_t)(7 * i - 1000));
}

static int32_t code_of(int i)
{
    return 7 * i - 1000;
}

START_TEST(each_code_of_a_set_is_found_and_nothing_else)
{
    const int at[N_CODES_MAX] = {0, 1, 77, 78, 200, 201, 300, 498, 499};
    int32_t codes[N_CODES_MAX];
    fill();
    for (size_t i = 0; i < N_CODES_MAX; i++)
        codes[i] = code_of(at[i]);
    for (size_t n = 1; n <= N_CODES_MAX; n++) {
        uint64_t from = 0;
        for (size_t i = 0; i < n; i++) {
            ck_assert_uint_eq(tag_scan_next(entries, from, N_ENTRIES, codes, n), (uint64_t)at[i]);
            from = (uint64_t)at[i] + 1;
        }
        ck_assert_uint_eq(tag_scan_next(entries, from, N_ENTRIES, codes, n), N_ENTRIES);
    }
}
END_TEST

START_TEST(nothing_is_found_behind_the_end_or_for_no_code)
{
    const int32_t codes[] = {code_of(10)};
    fill();
    ck_assert_uint_eq(tag_scan_next(entries, 0, 10, codes, 1), 10);
    ck_assert_uint_eq(tag_scan_next(entries, 0, 11, codes, 1), 10);
    ck_assert_uint_eq(tag_scan_next(entries, 5, 5, codes, 1), 5);
    ck_assert_uint_eq(tag_scan_next(entries, 0, N_ENTRIES, codes, 0), N_ENTRIES);
}
END_TEST

START_TEST(the_upper_half_of_a_stored_code_does_not_count)
{
    const int32_t codes[] = {5};
    fill();
    be64_put(entries + 3 * STORE_QUEUE_ENTRY_BYTES + FORMAT_ENTRY_AT_TAG_CODE,
             UINT64_C(0x1234567800000005));
    ck_assert_uint_eq(tag_scan_next(entries, 0, N_ENTRIES, codes, 1), 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tag_scan");
    TCase *tc = tcase_create("tag_scan");
    tcase_add_test(tc, each_code_of_a_set_is_found_and_nothing_else);
    tcase_add_test(tc, nothing_is_found_behind_the_end_or_for_no_code);
    tcase_add_test(tc, the_upper_half_of_a_stored_code_does_not_count);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
