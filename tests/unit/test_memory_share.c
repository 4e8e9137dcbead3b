/* How a limit of memory is shared out: what holds between the shares, over all limits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory_share.h"

#include "tests/lib/suite.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* Rising. */
static const uint64_t limits[] = {
    0,
    1,
    MIB,
    64 * MIB,
    100000001,
    128 * MIB - 1,
    128 * MIB,
    256 * MIB,
    512 * MIB,
    GIB,
    GIB + 12345,
    8 * GIB,
    64 * GIB,
    1000003 * MIB,
    GIB *GIB,
    INT64_MAX,
    1 + (uint64_t)INT64_MAX,
    UINT64_MAX - 1,
    UINT64_MAX,
};
enum { N_LIMITS = sizeof limits / sizeof limits[0] };

/* What a page cache must find besides: of a limit that is large enough to be shared. */
START_TEST(half_is_left_to_the_page_cache)
{
    for (int i = 0; i < N_LIMITS; i++)
        if (limits[i] >= 128 * MIB)
            ck_assert_uint_eq(memory_share_resident(limits[i]), limits[i] / 2);
        else
            ck_assert_uint_eq(memory_share_resident(limits[i]), 64 * MIB);
}
END_TEST

START_TEST(writers_that_wait_for_the_disk_leave_half_of_the_page_cache)
{
    for (int i = 0; i < N_LIMITS; i++)
        if (limits[i] >= 128 * MIB)
            ck_assert_uint_le(8 * memory_share_flush(memory_share_resident(limits[i])),
                              limits[i] / 4);
}
END_TEST

START_TEST(a_flush_and_the_window_before_a_writer_have_their_bounds)
{
    for (int i = 0; i < N_LIMITS; i++) {
        uint64_t flush = memory_share_flush(limits[i]);
        uint64_t populated = memory_share_populated(limits[i]);
        ck_assert(flush >= 4 * MIB && flush <= 64 * MIB);
        ck_assert(populated >= 4 * MIB && populated <= 64 * MIB);
        ck_assert_uint_eq(populated % 4096, 0);
    }
    ck_assert_uint_eq(memory_share_flush(512 * MIB), 32 * MIB);
    ck_assert_uint_eq(memory_share_populated(256 * MIB), 32 * MIB);
}
END_TEST

START_TEST(much_more_may_be_mapped_than_is_resident_and_four_files_at_least)
{
    ck_assert_uint_eq(memory_share_mapped(GIB, MIB), 16 * GIB);
    ck_assert_uint_eq(memory_share_mapped(64 * MIB, GIB), 4 * GIB);
    ck_assert_uint_eq(memory_share_mapped(0, 64 * 1024), 256 * 1024);
}
END_TEST

START_TEST(no_limit_makes_a_share_overflow)
{
    for (int i = 0; i < N_LIMITS; i++) {
        uint64_t mapped = memory_share_mapped(limits[i], GIB);
        ck_assert_uint_ge(mapped, 4 * GIB);
        ck_assert_uint_le(mapped, INT64_MAX);
        if (limits[i] <= INT64_MAX / 16)
            ck_assert_uint_ge(mapped, 16 * limits[i]);
        else
            ck_assert_uint_ge(mapped, INT64_MAX - 15);
    }
}
END_TEST

START_TEST(a_larger_limit_makes_no_share_smaller)
{
    for (int i = 1; i < N_LIMITS; i++) {
        uint64_t less = memory_share_resident(limits[i - 1]);
        uint64_t more = memory_share_resident(limits[i]);
        ck_assert_uint_le(less, more);
        ck_assert_uint_le(memory_share_mapped(less, MIB), memory_share_mapped(more, MIB));
        ck_assert_uint_le(memory_share_populated(less), memory_share_populated(more));
        ck_assert_uint_le(memory_share_flush(less), memory_share_flush(more));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory_share");
    TCase *tc = tcase_create("memory_share");
    tcase_add_test(tc, half_is_left_to_the_page_cache);
    tcase_add_test(tc, writers_that_wait_for_the_disk_leave_half_of_the_page_cache);
    tcase_add_test(tc, a_flush_and_the_window_before_a_writer_have_their_bounds);
    tcase_add_test(tc, much_more_may_be_mapped_than_is_resident_and_four_files_at_least);
    tcase_add_test(tc, no_limit_makes_a_share_overflow);
    tcase_add_test(tc, a_larger_limit_makes_no_share_smaller);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
