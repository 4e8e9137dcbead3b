/* The order in which a transfer sends slices. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/transfer_plan.h"

#include "tests/lib/suite.h"

START_TEST(a_whole_file_is_cut_into_pieces_without_a_gap)
{
    struct transfer_plan plan;
    struct err e;
    size_t n;
    ck_assert_int_eq(transfer_plan_whole(&plan, 2500, 1000, &e), 0);
    const struct transfer_slice *s = transfer_plan_next(&plan, &n);
    ck_assert_uint_eq(n, 3);
    ck_assert_uint_eq(s[0].off, 0);
    ck_assert(s[0].is_first);
    ck_assert_uint_eq(s[1].off, 1000);
    ck_assert_uint_eq(s[2].off, 2000);
    ck_assert_uint_eq(s[2].len, 500);
    ck_assert_ptr_eq(transfer_plan_next(&plan, &n), s); /* and again from the front */
    transfer_plan_free(&plan);
}
END_TEST

START_TEST(an_empty_file_cannot_be_sent)
{
    struct transfer_plan plan;
    struct err e;
    ck_assert_int_eq(transfer_plan_whole(&plan, 0, 1000, &e), ERR_INVAL);
}
END_TEST

/* Records of 10 bytes with the tags 7, 42, 7, 99. */
static const struct transfer_record records[] = {
    {0, 10, 7}, {10, 10, 42}, {20, 10, 7}, {30, 10, 99}};

static void check_offs(struct transfer_plan *plan, const uint64_t *offs, size_t n)
{
    size_t n_got;
    const struct transfer_slice *s = transfer_plan_next(plan, &n_got);
    ck_assert_uint_eq(n_got, n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_eq(s[i].off, offs[i]);
        ck_assert_int_eq(s[i].is_first, i == 0);
    }
}

START_TEST(one_filter_after_the_other_gets_its_tags_in_the_logs_order)
{
    struct transfer_plan plan;
    struct err e;
    ck_assert_int_eq(transfer_plan_tags(&plan, records, 4, 1, &e), 0);
    check_offs(&plan, (const uint64_t[]){0, 20}, 2);
    check_offs(&plan, (const uint64_t[]){10}, 1);
    check_offs(&plan, (const uint64_t[]){30}, 1);
    check_offs(&plan, (const uint64_t[]){0, 20}, 2);
    transfer_plan_free(&plan);
}
END_TEST

START_TEST(a_filter_for_all_tags_gets_all_in_one_pass)
{
    struct transfer_plan plan;
    struct err e;
    ck_assert_int_eq(transfer_plan_tags(&plan, records, 4, TRANSFER_TAGS, &e), 0);
    check_offs(&plan, (const uint64_t[]){0, 10, 20, 30}, 4);
    transfer_plan_free(&plan);
}
END_TEST

START_TEST(a_batch_ends_at_its_limits)
{
    struct transfer_plan plan;
    struct err e;
    size_t n;
    ck_assert_int_eq(transfer_plan_whole(&plan, 100, 1, &e), 0);
    (void)transfer_plan_next(&plan, &n);
    ck_assert_uint_eq(n, TRANSFER_BATCH_MAX);
    (void)transfer_plan_next(&plan, &n);
    ck_assert_uint_eq(n, 100 - TRANSFER_BATCH_MAX);
    transfer_plan_free(&plan);
    ck_assert_int_eq(transfer_plan_whole(&plan, 10 << 20, TRANSFER_BATCH_BYTES / 2 + 1, &e), 0);
    (void)transfer_plan_next(&plan, &n);
    ck_assert_uint_eq(n, 1);
    transfer_plan_free(&plan);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("transfer_plan");
    TCase *tc = tcase_create("transfer_plan");
    tcase_add_test(tc, a_whole_file_is_cut_into_pieces_without_a_gap);
    tcase_add_test(tc, an_empty_file_cannot_be_sent);
    tcase_add_test(tc, one_filter_after_the_other_gets_its_tags_in_the_logs_order);
    tcase_add_test(tc, a_filter_for_all_tags_gets_all_in_one_pass);
    tcase_add_test(tc, a_batch_ends_at_its_limits);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
