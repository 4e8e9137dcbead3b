/* One receive: what it finds, how it waits, and how it ends. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/receive_case.h"
#include "tests/lib/suite.h"

/* ---- scanning ---- */

START_TEST(what_is_there_is_replied_with_at_once)
{
    (void)append("one");
    (void)append("two");
    struct asked *a = ask();
    expect_messages(a, 2);
    ck_assert_str_eq(a->call.messages[1].body, "two");
    expect_n_parked(0);
    ck_assert_uint_eq(still_rpc_n_posted(), 0);
    end(a, RPC_END_WRITTEN);
    ck_assert_int_eq(a->call.n_refs, 0);
    ck_assert_uint_eq(n_in_flight(), 2);
}
END_TEST

START_TEST(more_to_look_at_is_another_step_and_no_wait)
{
    struct lease_scan other;
    (void)append("one");
    scan(&other);
    struct asked *a = ask();
    for (int i = 0; i < 3; i++) {
        expect_n_parked(0);
        ck_assert_uint_eq(still_rpc_n_timers(), 0); /* it did not even begin to */
        ck_assert_uint_eq(still_rpc_n_posted(), 1);
        ck_assert(still_rpc_run_one());
    }
    lease_end(&other);
    ck_assert(still_rpc_run_one());
    expect_message(a, "one", 1);
}
END_TEST

/* Changes the first byte of a body where it lies. */
static void damage(struct store_appended at)
{
    struct store_slice slice;
    struct err e;
    ck_assert_int_eq(store_get(f.broker.store.store, span_str("T"), 0, at.queue_off, &slice, &e),
                     0);
    uint64_t off = at.log_off + (uint64_t)(slice.rec.body.ptr - slice.rec.raw.ptr);
    store_unpin(slice.pin);
    store_fixture_poke(&f.broker.store, "commitlog/00000000000000000000", off, "X", 1);
}

START_TEST(damaged_messages_do_not_keep_it_from_those_behind)
{
    for (int i = 0; i < 3; i++)
        damage(append("bad"));
    (void)append("good");
    struct asked *a = ask_for_one();
    still_rpc_run();
    expect_message(a, "good", 1);
}
END_TEST

START_TEST(a_step_ends_when_the_time_is_over)
{
    struct lease_scan other;
    scan(&other);
    struct asked *a = ask();
    pass_time(POLL_MS);
    still_rpc_run();
    expect_nothing(a);
    lease_end(&other);
}
END_TEST

START_TEST(without_time_to_wait_nothing_is_said_at_once)
{
    struct asked *a = make("*");
    a->receive->until_ms = now_ms();
    start(a);
    expect_nothing(a);
    ck_assert_uint_eq(still_rpc_n_timers(), 0);
}
END_TEST

START_TEST(nothing_is_said_at_once_of_a_deleted_topic)
{
    lease_drop_topic(f.b->leases, span_str("T"));
    expect_nothing(ask());
}
END_TEST

/* ---- waiting ---- */

START_TEST(a_receive_that_waits_is_woken_by_an_arrival)
{
    struct asked *a = ask();
    expect_waiting(a);
    arrive("one");
    ck_assert(!a->call.is_finished); /* whoever brings it does not do the work */
    still_rpc_run();
    expect_message(a, "one", 1);
    expect_n_parked(0);
    ck_assert_uint_eq(still_rpc_n_timers(), 1); /* that of when it is visible again */
    end(a, RPC_END_WRITTEN);
    ck_assert_int_eq(a->call.n_refs, 0);
}
END_TEST

START_TEST(an_arrival_that_its_filter_does_not_take_leaves_it_alone)
{
    struct asked *a = make("TagB || TagC");
    start(a);
    (void)append("of TagA");
    ck_assert_uint_eq(tell(), 0);
    expect_waiting(a);
}
END_TEST

START_TEST(nothing_is_said_when_the_time_is_over_and_not_before)
{
    struct asked *a = ask();
    pass_time(POLL_MS - 1);
    expect_waiting(a);
    pass_time(1);
    expect_nothing(a);
    expect_n_parked(0);
    end(a, RPC_END_WRITTEN);
    ck_assert_int_eq(a->call.n_refs, 0);
}
END_TEST

START_TEST(who_was_woken_in_vain_waits_for_the_rest_of_its_time)
{
    struct asked *a = ask();
    pass_time(POLL_MS / 2);
    ck_assert_uint_eq(tell(), 1);
    still_rpc_run();
    expect_waiting(a);
    ck_assert_uint_eq(still_rpc_n_timers(), 1);
    pass_time(POLL_MS - POLL_MS / 2 - 1);
    expect_waiting(a);
    pass_time(1);
    expect_nothing(a);
}
END_TEST

START_TEST(a_wake_on_its_way_when_the_time_is_over_still_brings_its_message)
{
    struct asked *a = ask();
    arrive("one");
    pass_time(POLL_MS);
    ck_assert(!a->call.is_finished);
    still_rpc_run();
    expect_message(a, "one", 1);
}
END_TEST

START_TEST(a_wake_in_vain_when_the_time_is_over_is_the_end)
{
    struct asked *a = ask();
    ck_assert_uint_eq(tell(), 1);
    pass_time(POLL_MS);
    ck_assert(!a->call.is_finished);
    still_rpc_run();
    expect_nothing(a);
}
END_TEST

START_TEST(who_waits_is_told_at_once_that_the_topic_is_deleted)
{
    struct asked *a = ask();
    lease_drop_topic(f.b->leases, span_str("T"));
    ck_assert_uint_eq(hold_notify_topic(f.b->holds, span_str("T")), 1);
    still_rpc_run();
    expect_nothing(a);
}
END_TEST

START_TEST(a_receive_too_many_is_refused)
{
    struct asked *a = NULL;
    do
        a = ask();
    while (!a->call.is_finished);
    expect_code(a, CODE(TOO_MANY_REQUESTS));
    expect_n_parked(10);
    end(a, RPC_END_WRITTEN);
    ck_assert_int_eq(a->call.n_refs, 0);
}
END_TEST

/* ---- visible again ---- */

/* A message that its client has not acked. */
static void deliver(void)
{
    struct asked *a = ask();
    expect_message(a, "one", 1);
    end(a, RPC_END_WRITTEN);
}

/* Only the reply has seen it: who waits was there before. */
START_TEST(who_waits_is_woken_when_a_message_delivered_since_is_visible_again)
{
    struct asked *a = make("*");
    a->receive->until_ms = now_ms() + 2 * INVISIBLE_MS;
    start(a);
    (void)append("one");
    deliver();
    pass_time(INVISIBLE_MS);
    ck_assert_uint_eq(still_rpc_n_posted(), 0); /* one millisecond is the clock's own */
    pass_time(1);
    still_rpc_run();
    expect_message(a, "one", 2);
}
END_TEST

/* Only who waits has seen it: the alarm of the delivery is over, or there was no memory for it. */
START_TEST(who_waits_is_woken_when_a_message_in_flight_is_visible_again)
{
    struct alarm_table *none;
    struct err e;
    (void)append("one");
    deliver();
    still_rpc_stop();
    alarm_table_close(f.b->alarms);
    ck_assert_int_eq(alarm_table_open(&none, f.b->holds, &f.b->clock, &e), 0);
    f.b->alarms = none;
    struct asked *a = make("*");
    a->receive->until_ms = now_ms() + 2 * INVISIBLE_MS;
    start(a);
    expect_waiting(a);
    pass_time(INVISIBLE_MS + 1);
    still_rpc_run();
    expect_message(a, "one", 2);
}
END_TEST

/* ---- refused and stopped ---- */

START_TEST(a_client_that_does_not_read_gets_no_more_and_others_do)
{
    struct asked *a = ask(), *b = ask();
    a->call.has_unread = true;
    arrive("one");
    still_rpc_run();
    expect_code(a, CODE(TOO_MANY_REQUESTS));
    expect_message(b, "one", 1);
    ck_assert_uint_eq(atomic_load_explicit(&f.b->n_unread_refused, memory_order_relaxed), 1);
}
END_TEST

static void stop(void)
{
    atomic_store_explicit(&f.b->is_stopping, true, memory_order_seq_cst);
    (void)hold_notify_all(f.b->holds);
}

START_TEST(a_stop_ends_who_waits)
{
    struct asked *a = ask();
    stop();
    still_rpc_run();
    expect_nothing(a);
}
END_TEST

START_TEST(nobody_begins_to_wait_during_a_stop)
{
    f.before_park = stop;
    struct asked *a = ask(), *b = ask();
    expect_nothing(a);
    expect_nothing(b);
    expect_n_parked(0);
}
END_TEST

START_TEST(what_is_there_is_replied_with_during_a_stop_too)
{
    (void)append("one");
    stop();
    expect_message(ask(), "one", 1);
}
END_TEST

START_TEST(a_timer_that_the_server_s_stop_ended_says_nothing)
{
    struct asked *a = ask();
    still_rpc_stop();
    expect_waiting(a);
    end(a, RPC_END_LOST); /* as the server does with each call */
    ck_assert_int_eq(a->call.n_refs, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("receive");
    TCase *tc = suite_add_case(suite, "scanning", setup, teardown);
    tcase_add_test(tc, what_is_there_is_replied_with_at_once);
    tcase_add_test(tc, more_to_look_at_is_another_step_and_no_wait);
    tcase_add_test(tc, damaged_messages_do_not_keep_it_from_those_behind);
    tcase_add_test(tc, a_step_ends_when_the_time_is_over);
    tcase_add_test(tc, without_time_to_wait_nothing_is_said_at_once);
    tcase_add_test(tc, nothing_is_said_at_once_of_a_deleted_topic);
    tc = suite_add_case(suite, "waiting", setup, teardown);
    tcase_add_test(tc, a_receive_that_waits_is_woken_by_an_arrival);
    tcase_add_test(tc, an_arrival_that_its_filter_does_not_take_leaves_it_alone);
    tcase_add_test(tc, nothing_is_said_when_the_time_is_over_and_not_before);
    tcase_add_test(tc, who_was_woken_in_vain_waits_for_the_rest_of_its_time);
    tcase_add_test(tc, a_wake_on_its_way_when_the_time_is_over_still_brings_its_message);
    tcase_add_test(tc, a_wake_in_vain_when_the_time_is_over_is_the_end);
    tcase_add_test(tc, who_waits_is_told_at_once_that_the_topic_is_deleted);
    tcase_add_test(tc, a_receive_too_many_is_refused);
    tc = suite_add_case(suite, "visible", setup, teardown);
    tcase_add_test(tc, who_waits_is_woken_when_a_message_delivered_since_is_visible_again);
    tcase_add_test(tc, who_waits_is_woken_when_a_message_in_flight_is_visible_again);
    tc = suite_add_case(suite, "stop", setup, teardown);
    tcase_add_test(tc, a_client_that_does_not_read_gets_no_more_and_others_do);
    tcase_add_test(tc, a_stop_ends_who_waits);
    tcase_add_test(tc, nobody_begins_to_wait_during_a_stop);
    tcase_add_test(tc, what_is_there_is_replied_with_during_a_stop_too);
    tcase_add_test(tc, a_timer_that_the_server_s_stop_ended_says_nothing);
    return suite_run(suite);
}
