/* Tests of the clock that leases go by: steps of the wall clock do not show. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/steady_clock.h"

#include "tests/lib/suite.h"

static uint64_t wall_ms, mono_ns;

static uint64_t read_wall(struct io *io)
{
    (void)io;
    return wall_ms;
}

static uint64_t read_mono(struct io *io)
{
    (void)io;
    return mono_ns;
}

static struct io two_clocks = {.now_ms = read_wall, .mono_ns = read_mono};

START_TEST(it_starts_at_the_wall_clock_and_goes_on_with_the_monotonic_one)
{
    struct steady_clock c;
    wall_ms = 5000;
    mono_ns = 7000 * UINT64_C(1000000); /* ahead of the wall clock */
    steady_clock_init(&c, &two_clocks);
    ck_assert_uint_eq(steady_clock_now_ms(&c), 5000);
    mono_ns += 250 * UINT64_C(1000000);
    ck_assert_uint_eq(steady_clock_now_ms(&c), 5250);
    ck_assert_uint_eq(steady_clock_mono_ms(&c), 7250);
}
END_TEST

START_TEST(a_step_of_the_wall_clock_does_not_show)
{
    struct steady_clock c;
    wall_ms = 1000000;
    mono_ns = 0;
    steady_clock_init(&c, &two_clocks);
    wall_ms = 1;
    ck_assert_uint_eq(steady_clock_now_ms(&c), 1000000);
    wall_ms = 999999999;
    ck_assert_uint_eq(steady_clock_now_ms(&c), 1000000);
}
END_TEST

START_TEST(it_never_shows_less_than_in_an_earlier_life)
{
    struct steady_clock c;
    wall_ms = 5000;
    mono_ns = 0;
    steady_clock_init(&c, &two_clocks);
    steady_clock_not_before(&c, 4000);
    ck_assert_uint_eq(steady_clock_now_ms(&c), 5000);
    steady_clock_not_before(&c, 9000);
    ck_assert_uint_eq(steady_clock_now_ms(&c), 9000);
    mono_ns += UINT64_C(1000000);
    ck_assert_uint_eq(steady_clock_now_ms(&c), 9001);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("steady_clock");
    TCase *tc = tcase_create("clock");
    tcase_add_test(tc, it_starts_at_the_wall_clock_and_goes_on_with_the_monotonic_one);
    tcase_add_test(tc, a_step_of_the_wall_clock_does_not_show);
    tcase_add_test(tc, it_never_shows_less_than_in_an_earlier_life);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
