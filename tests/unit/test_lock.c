/* Tests of ranked locks: order, try, wait; in a debug build a breach of the order aborts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lock.h"

#include <signal.h>
#include <time.h>

#include "tests/lib/suite.h"

static struct lock low, high;
static pthread_cond_t cond;
static int turn; /* guarded by low */

static void setup(void)
{
    lock_init(&low, LOCK_TOPIC);
    lock_init(&high, LOCK_LEAF);
    lock_cond_init(&cond);
    turn = 0;
}

static void teardown(void)
{
    (void)pthread_cond_destroy(&cond);
    lock_fini(&high);
    lock_fini(&low);
}

START_TEST(locks_are_taken_in_rising_rank_and_dropped_in_any_order)
{
    lock_take(&low);
    lock_take(&high);
    lock_assert_held(&low);
    lock_drop(&low);
    lock_assert_held(&high);
    lock_drop(&high);
    lock_take(&low); /* nothing is believed to be held any more */
    lock_drop(&low);
}
END_TEST

static void *take_and_drop_if_free(void *got)
{
    *(int *)got = lock_try(&low);
    if (*(int *)got)
        lock_drop(&low);
    return NULL;
}

static int try_elsewhere(void)
{
    int got = -1;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, take_and_drop_if_free, &got), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return got;
}

START_TEST(a_taken_lock_cannot_be_had_by_trying)
{
    lock_take(&low);
    ck_assert_int_eq(try_elsewhere(), 0);
    lock_drop(&low);
    ck_assert_int_eq(try_elsewhere(), 1);
}
END_TEST

static void *answer(void *arg)
{
    (void)arg;
    lock_take(&low);
    while (turn != 1)
        lock_wait(&low, &cond, -1);
    turn = 2;
    (void)pthread_cond_broadcast(&cond);
    lock_drop(&low);
    return NULL;
}

START_TEST(waiting_releases_the_lock_and_holds_it_again)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, answer, NULL), 0);
    lock_take(&low);
    turn = 1;
    (void)pthread_cond_broadcast(&cond);
    while (turn != 2)
        lock_wait(&low, &cond, -1);
    lock_assert_held(&low);
    lock_drop(&low);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static int64_t mono_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

START_TEST(a_wait_ends_at_its_timeout_and_not_long_before)
{
    lock_take(&low);
    int64_t start = mono_ms();
    while (mono_ms() - start < 30)
        lock_wait(&low, &cond, 30); /* may return early, spuriously, but not for ever */
    lock_assert_held(&low);
    lock_drop(&low);
}
END_TEST

#ifndef NDEBUG
START_TEST(taking_a_lower_rank_aborts)
{
    lock_take(&high);
    lock_take(&low);
}
END_TEST

START_TEST(taking_a_lock_twice_aborts)
{
    lock_take(&low);
    lock_take(&low);
}
END_TEST

START_TEST(trying_a_lower_rank_aborts)
{
    lock_take(&high);
    (void)lock_try(&low);
}
END_TEST

START_TEST(dropping_what_is_not_held_aborts)
{
    lock_drop(&low);
}
END_TEST

START_TEST(asserting_what_is_not_held_aborts)
{
    lock_take(&high);
    lock_assert_held(&low);
}
END_TEST

static void add_breaches(TCase *tc)
{
    tcase_add_test_raise_signal(tc, taking_a_lower_rank_aborts, SIGABRT);
    tcase_add_test_raise_signal(tc, taking_a_lock_twice_aborts, SIGABRT);
    tcase_add_test_raise_signal(tc, trying_a_lower_rank_aborts, SIGABRT);
    tcase_add_test_raise_signal(tc, dropping_what_is_not_held_aborts, SIGABRT);
    tcase_add_test_raise_signal(tc, asserting_what_is_not_held_aborts, SIGABRT);
}
#else
static void add_breaches(TCase *tc)
{
    (void)tc; /* a release build does not look */
}
#endif

int main(void)
{
    Suite *suite = suite_create("lock");
    TCase *tc = tcase_create("lock");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, locks_are_taken_in_rising_rank_and_dropped_in_any_order);
    tcase_add_test(tc, a_taken_lock_cannot_be_had_by_trying);
    tcase_add_test(tc, waiting_releases_the_lock_and_holds_it_again);
    tcase_add_test(tc, a_wait_ends_at_its_timeout_and_not_long_before);
    add_breaches(tc);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
