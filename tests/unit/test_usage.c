/* What a stretch of time cost, and what it says was used up. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/usage.h"

#include <poll.h>
#include <unistd.h>

#include "tests/lib/suite.h"

enum { SECOND_NS = 1000000000 };

START_TEST(the_cost_is_the_difference_and_never_below_zero)
{
    const struct usage begin = {.wall_ns = 10, .self_ns = 4, .server_ns = 9, .read_bytes = 1};
    const struct usage end = {.wall_ns = 15, .self_ns = 6, .server_ns = 0, .read_bytes = 513};
    struct usage spent = usage_between(&begin, &end);
    ck_assert_uint_eq(spent.wall_ns, 5);
    ck_assert_uint_eq(spent.self_ns, 2);
    ck_assert_uint_eq(spent.server_ns, 0); /* it ended meanwhile */
    ck_assert_uint_eq(spent.read_bytes, 512);
}
END_TEST

START_TEST(what_was_used_up_is_named)
{
    const struct usage idle = {.wall_ns = SECOND_NS, .busy_ns = SECOND_NS / 2};
    const struct usage all = {.wall_ns = SECOND_NS, .busy_ns = 2u * SECOND_NS - SECOND_NS / 20};
    const struct usage disk = {.wall_ns = SECOND_NS, .disk_ns = SECOND_NS};
    const struct usage one = {.wall_ns = SECOND_NS, .server_ns = SECOND_NS, .busy_ns = SECOND_NS};
    ck_assert_str_eq(usage_bound(&idle, 2), "waiting");
    ck_assert_str_eq(usage_bound(&all, 2), "cpu");
    ck_assert_str_eq(usage_bound(&disk, 2), "disk");
    ck_assert_str_eq(usage_bound(&one, 2), "one core");
}
END_TEST

START_TEST(this_process_is_seen_to_work)
{
    const pid_t servers[USAGE_SERVERS_MAX] = {getpid()};
    struct usage before, after;
    (void)poll(NULL, 0, 1); /* gives the processor away, which counts */
    usage_read(&before, servers, 0);
    do
        usage_read(&after, servers, 0);
    while (after.self_ns == before.self_ns || after.server_ns == before.server_ns);
    ck_assert_uint_gt(after.wall_ns, before.wall_ns);
    ck_assert_uint_gt(after.minor_faults, 0);
    ck_assert_uint_gt(after.n_switches, 0);
    ck_assert_uint_gt(usage_rss(servers), 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("usage");
    TCase *tc = tcase_create("usage");
    tcase_add_test(tc, the_cost_is_the_difference_and_never_below_zero);
    tcase_add_test(tc, what_was_used_up_is_named);
    tcase_add_test(tc, this_process_is_seen_to_work);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
