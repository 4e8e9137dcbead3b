/* One receive and what comes in the middle of it: arrivals, others of its group, the end of its
 * client, all at once. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "tests/lib/crew.h"
#include "tests/lib/receive_case.h"
#include "tests/lib/suite.h"

enum { ROUNDS = 100, N_COME = 3 };

/* ---- nothing is lost in between ---- */

static void append_one(void)
{
    (void)append("one");
}

static void arrive_one(void)
{
    arrive("one");
}

START_TEST(an_arrival_between_the_scan_and_the_parking_is_not_lost)
{
    f.before_park = append_one;
    expect_message(ask(), "one", 1);
    expect_n_parked(0);
    ck_assert_uint_eq(still_rpc_n_posted(), 1); /* the end of its timer */
}
END_TEST

START_TEST(an_arrival_between_the_parking_and_the_look_after_it_comes_once)
{
    f.after_park = arrive_one;
    struct asked *a = ask();
    expect_message(a, "one", 1);
    still_rpc_run(); /* the wake, which finds it finished */
    expect_message(a, "one", 1);
    ck_assert_uint_eq(n_in_flight(), 1);
}
END_TEST

static struct lease_scan other_scan;

static void begin_other_scan(void)
{
    scan(&other_scan);
}

START_TEST(a_queue_that_the_look_after_parking_could_not_see_is_looked_at_again)
{
    f.before_park = begin_other_scan;
    struct asked *a = ask();
    expect_n_parked(0);
    lease_end(&other_scan);
    (void)append("one");
    still_rpc_run();
    expect_message(a, "one", 1);
}
END_TEST

static void let_time_pass(void)
{
    f.broker.clock.mono_ms += POLL_MS;
}

START_TEST(a_time_that_is_over_while_it_parks_is_over)
{
    f.before_park = let_time_pass;
    struct asked *a = ask();
    expect_nothing(a);
    expect_n_parked(0);
}
END_TEST

static struct asked *second;

static void ask_second(int number)
{
    (void)number;
    second = ask();
}

/* Another of the group parks behind the first, and a message arrives: who is first is woken. */
static void ask_second_and_arrive(void)
{
    struct crew crew;
    crew_start(&crew, 1, ask_second); /* not on the thread that holds the first one's lock */
    crew_join(&crew);
    expect_n_parked(2);
    arrive("two");
}

START_TEST(a_wake_that_comes_to_a_finished_receive_is_passed_on)
{
    f.before_park = append_one;
    f.before_remove = ask_second_and_arrive;
    struct asked *first = ask();
    expect_message(first, "one", 1);
    ck_assert(!second->call.is_finished);
    still_rpc_run();
    expect_message(second, "two", 1);
}
END_TEST

START_TEST(a_full_reply_has_another_of_the_group_look_for_more)
{
    struct asked *a = ask_for_one(), *b = ask_for_one();
    (void)append("one");
    arrive("two"); /* one wake for both of them */
    still_rpc_run();
    expect_message(a, "one", 1);
    expect_message(b, "two", 1);
}
END_TEST

START_TEST(a_reply_that_is_not_full_leaves_the_others_alone)
{
    struct asked *a = ask(), *b = ask();
    arrive("one");
    ck_assert(still_rpc_run_one());
    expect_message(a, "one", 1);
    ck_assert_uint_eq(still_rpc_n_posted(), 1); /* the end of its timer */
    still_rpc_run();
    expect_waiting(b);
    expect_n_parked(1);
}
END_TEST

/* ---- the client is gone ---- */

START_TEST(a_client_that_is_gone_waits_no_more)
{
    struct asked *a = ask();
    end(a, RPC_END_LOST);
    expect_n_parked(0);
    still_rpc_run();
    ck_assert_int_eq(a->call.n_refs, 0);
    ck_assert(!a->call.is_finished);
    (void)append("one");
    expect_message(ask(), "one", 1);
}
END_TEST

START_TEST(the_wake_of_a_client_that_is_gone_goes_to_another_of_the_group)
{
    struct asked *a = ask(), *b = ask();
    arrive("one");
    end(a, RPC_END_LOST);
    still_rpc_run();
    ck_assert(!a->call.is_finished);
    expect_message(b, "one", 1);
    ck_assert_int_eq(a->call.n_refs, 0);
}
END_TEST

START_TEST(a_client_that_is_gone_while_it_scans_leaves_its_wake_to_another)
{
    struct lease_scan other;
    struct asked *a = ask(), *b = ask();
    scan(&other);
    arrive("one");
    ck_assert(still_rpc_run_one());
    ck_assert_int_eq(a->receive->state, RECEIVE_SCANNING);
    lease_end(&other);
    end(a, RPC_END_LOST);
    still_rpc_run();
    ck_assert(!a->call.is_finished);
    expect_message(b, "one", 1);
}
END_TEST

START_TEST(a_lost_reply_gives_its_messages_back_as_if_never_delivered)
{
    struct asked *a = ask(), *b = ask();
    arrive("one");
    still_rpc_run();
    expect_message(a, "one", 1);
    expect_waiting(b);
    end(a, RPC_END_LOST);
    still_rpc_run();
    expect_message(b, "one", 1);
    ck_assert_int_eq(a->call.n_refs, 0);
}
END_TEST

START_TEST(a_reply_that_was_written_stays_with_its_client)
{
    (void)append("one");
    end(ask(), RPC_END_WRITTEN);
    struct asked *b = ask();
    still_rpc_run();
    expect_waiting(b);
    ck_assert_uint_eq(n_in_flight(), 1);
}
END_TEST

START_TEST(nothing_of_a_receive_is_left_in_the_next)
{
    f.b->receives.n_max = f.b->delivered.n_max = 1;
    (void)append("one");
    struct asked *a = ask();
    const struct receive *kept = a->receive;
    end(a, RPC_END_WRITTEN);
    struct asked *b = make("TagB");
    ck_assert_ptr_eq(b->receive, kept);
    start(b);
    expect_waiting(b);
    end(b, RPC_END_LOST);
    ck_assert_uint_eq(n_in_flight(), 1); /* not b's to give back */
    struct asked *c = ask();
    still_rpc_run();
    expect_waiting(c);
}
END_TEST

/* ---- everything at once ---- */

static struct asked *contested;
static pthread_barrier_t all_there;

/* The wake, the timer and the end of the call, on threads of their own. */
static void come(int number)
{
    (void)pthread_barrier_wait(&all_there); /* one of them is told that it is the last */
    if (number == 0)
        still_rpc_fire(now_ms());
    else if (number == 1)
        still_rpc_run();
    else
        end(contested, RPC_END_LOST);
}

static void ack(const struct asked *a)
{
    const struct taken *m = &a->receive->delivered->messages[0];
    const struct lease_handle handle = {.queue_id = m->queue_id,
                                        .queue_off = m->entry.queue_off,
                                        .nonce = m->entry.nonce,
                                        .until_ms = m->entry.until_ms};
    ck_assert_int_eq(lease_ack(f.lease, &handle, steady_clock_now_ms(&f.b->clock)), LEASE_OK);
}

START_TEST(whatever_comes_first_the_message_is_there_for_the_next)
{
    struct crew crew;
    ck_assert_int_eq(pthread_barrier_init(&all_there, NULL, N_COME), 0);
    for (int i = 0; i < ROUNDS; i++) {
        f.n_asked = 0;
        contested = ask();
        arrive("one");
        f.broker.clock.mono_ms += POLL_MS;
        crew_start(&crew, N_COME, come);
        crew_join(&crew);
        still_rpc_run();
        ck_assert_int_eq(contested->call.n_refs, 0);
        expect_n_parked(0);
        struct asked *next = ask();
        expect_message(next, "one", 1);
        ack(next);
        end(next, RPC_END_WRITTEN);
    }
    ck_assert_int_eq(pthread_barrier_destroy(&all_there), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("receive_races");
    TCase *tc = suite_add_case(suite, "between", setup, teardown);
    tcase_add_test(tc, an_arrival_between_the_scan_and_the_parking_is_not_lost);
    tcase_add_test(tc, an_arrival_between_the_parking_and_the_look_after_it_comes_once);
    tcase_add_test(tc, a_queue_that_the_look_after_parking_could_not_see_is_looked_at_again);
    tcase_add_test(tc, a_time_that_is_over_while_it_parks_is_over);
    tcase_add_test(tc, a_wake_that_comes_to_a_finished_receive_is_passed_on);
    tcase_add_test(tc, a_full_reply_has_another_of_the_group_look_for_more);
    tcase_add_test(tc, a_reply_that_is_not_full_leaves_the_others_alone);
    tc = suite_add_case(suite, "gone", setup, teardown);
    tcase_add_test(tc, a_client_that_is_gone_waits_no_more);
    tcase_add_test(tc, the_wake_of_a_client_that_is_gone_goes_to_another_of_the_group);
    tcase_add_test(tc, a_client_that_is_gone_while_it_scans_leaves_its_wake_to_another);
    tcase_add_test(tc, a_lost_reply_gives_its_messages_back_as_if_never_delivered);
    tcase_add_test(tc, a_reply_that_was_written_stays_with_its_client);
    tcase_add_test(tc, nothing_of_a_receive_is_left_in_the_next);
    tc = suite_add_case(suite, "race", setup, teardown);
    tcase_add_test(tc, whatever_comes_first_the_message_is_there_for_the_next);
    return suite_run(suite);
}
