/* Tests of broker/budget.c: what is derived from a limit, and what options say instead. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/budget.h"

#include "tests/lib/suite.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static struct config cfg;
static struct err e;

static void setup(void)
{
    config_init(&cfg);
}

static void set(const char *assignment)
{
    ck_assert_msg(config_set(&cfg, assignment, &e) == 0, "%s", e.msg);
}

START_TEST(half_of_the_limit_may_be_resident)
{
    ck_assert_uint_eq(budget_choose(&cfg, 8 * GIB).resident_bytes, 4 * GIB);
    ck_assert_uint_eq(budget_choose(&cfg, 256 * MIB).resident_bytes, 128 * MIB);
}
END_TEST

START_TEST(a_small_limit_leaves_what_a_broker_needs_to_run)
{
    struct budget b = budget_choose(&cfg, 16 * MIB);
    ck_assert_uint_eq(b.resident_bytes, 64 * MIB);
    ck_assert_uint_eq(b.populated_bytes, 8 * MIB);
    ck_assert_uint_eq(b.mapped_bytes, 4 * cfg.log_file_bytes);
}
END_TEST

START_TEST(the_window_is_an_eighth_up_to_what_is_ever_used)
{
    ck_assert_uint_eq(budget_choose(&cfg, 256 * MIB).populated_bytes, 16 * MIB);
    ck_assert_uint_eq(budget_choose(&cfg, 64 * GIB).populated_bytes, 64 * MIB);
}
END_TEST

START_TEST(what_waits_for_the_disk_is_half_of_the_page_caches_share)
{
    ck_assert_uint_eq(8 * budget_choose(&cfg, 512 * MIB).flush_bytes, 128 * MIB);
    ck_assert_uint_eq(budget_choose(&cfg, 16 * MIB).flush_bytes, 4 * MIB);
    ck_assert_uint_eq(budget_choose(&cfg, 64 * GIB).flush_bytes, 64 * MIB);
    set("flushBytes=1048576");
    ck_assert_uint_eq(budget_choose(&cfg, 512 * MIB).flush_bytes, MIB);
}
END_TEST

START_TEST(the_window_is_whole_pages)
{
    set("residentMemoryBudget=100000001");
    ck_assert_uint_eq(budget_choose(&cfg, 0).populated_bytes % 4096, 0);
}
END_TEST

START_TEST(sixteen_times_as_much_may_be_mapped)
{
    ck_assert_uint_eq(budget_choose(&cfg, 8 * GIB).mapped_bytes, 64 * GIB);
}
END_TEST

START_TEST(a_limit_that_is_none_does_not_overflow)
{
    struct budget b = budget_choose(&cfg, UINT64_MAX);
    ck_assert_uint_le(b.mapped_bytes, INT64_MAX);
    ck_assert_uint_gt(b.mapped_bytes, INT64_MAX / 2);
}
END_TEST

START_TEST(what_an_option_says_is_taken_as_it_is)
{
    set("residentMemoryBudget=134217728");
    set("mappedMemoryBudget=1");
    set("populateWindow=4096");
    struct budget b = budget_choose(&cfg, 8 * GIB);
    ck_assert_uint_eq(b.resident_bytes, 128 * MIB);
    ck_assert_uint_eq(b.mapped_bytes, 1);
    ck_assert_uint_eq(b.populated_bytes, 4096);
}
END_TEST

START_TEST(one_option_moves_what_is_derived_from_it)
{
    set("residentMemoryBudget=134217728");
    struct budget b = budget_choose(&cfg, 64 * GIB);
    ck_assert_uint_eq(b.populated_bytes, 16 * MIB);
    ck_assert_uint_eq(b.mapped_bytes, 4 * GIB);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("budget");
    TCase *c = tcase_create("choose");
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_test(c, half_of_the_limit_may_be_resident);
    tcase_add_test(c, a_small_limit_leaves_what_a_broker_needs_to_run);
    tcase_add_test(c, the_window_is_an_eighth_up_to_what_is_ever_used);
    tcase_add_test(c, what_waits_for_the_disk_is_half_of_the_page_caches_share);
    tcase_add_test(c, the_window_is_whole_pages);
    tcase_add_test(c, sixteen_times_as_much_may_be_mapped);
    tcase_add_test(c, a_limit_that_is_none_does_not_overflow);
    tcase_add_test(c, what_an_option_says_is_taken_as_it_is);
    tcase_add_test(c, one_option_moves_what_is_derived_from_it);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
