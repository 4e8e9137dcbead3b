/* Tests of leases: deliveries, handles, attempts, renewal, orderly queues. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/lease_case.h"
#include "tests/lib/suite.h"

/* ---- plain groups ---- */

START_TEST(a_new_group_starts_at_the_first_message)
{
    struct lease_scan scan;
    ck_assert_int_eq(begin(&scan), LEASE_READY);
    ck_assert_uint_eq(scan.position, 0);
    lease_end(&scan);
}
END_TEST

START_TEST(a_delivery_moves_the_position_and_counts_as_attempt_one)
{
    struct lease_entry got[2];
    deliver(5, 2, got);
    ck_assert_uint_eq(got[0].attempt, 1);
    ck_assert_uint_eq(got[0].until_ms, START + INVISIBLE);
    ck_assert(got[0].nonce != got[1].nonce);
    ck_assert_uint_eq(progress().position, 7);
    ck_assert_uint_eq(progress().lowest, 5);
    ck_assert_uint_eq(progress().n_in_flight, 2);
}
END_TEST

START_TEST(only_one_scan_runs_on_a_queue)
{
    struct lease_scan first, second;
    ck_assert_int_eq(begin(&first), LEASE_READY);
    ck_assert_int_eq(begin(&second), LEASE_BUSY);
    lease_end(&first);
    ck_assert_int_eq(begin(&second), LEASE_READY);
    lease_end(&second);
}
END_TEST

START_TEST(what_is_passed_over_moves_the_group_on)
{
    struct lease_scan scan;
    enum lease_taken taken;
    ck_assert_int_eq(begin(&scan), LEASE_READY);
    ck_assert_int_eq(lease_take_new(&scan, &take, NULL, 0, 50, &taken, &e), 0);
    lease_end(&scan);
    ck_assert_uint_eq(progress().position, 50);
    ck_assert_uint_eq(progress().lowest, 50);
}
END_TEST

START_TEST(the_lowest_unacked_message_holds_the_offset_back)
{
    struct lease_entry got[3];
    deliver(0, 3, got);
    ck_assert_int_eq(ack(&got[1]), LEASE_OK);
    ck_assert_uint_eq(progress().lowest, 0);
    ck_assert_int_eq(ack(&got[0]), LEASE_OK);
    ck_assert_uint_eq(progress().lowest, 2);
    ck_assert_int_eq(ack(&got[2]), LEASE_OK);
    ck_assert_uint_eq(progress().lowest, 3);
}
END_TEST

START_TEST(a_second_ack_is_as_good_as_the_first_while_its_time_lasts)
{
    struct lease_entry got[2];
    deliver(0, 2, got);
    ck_assert_int_eq(ack(&got[1]), LEASE_OK);
    ck_assert_int_eq(ack(&got[1]), LEASE_AGAIN);
    take.now_ms += INVISIBLE;
    ck_assert_int_eq(ack(&got[1]), LEASE_EXPIRED);
}
END_TEST

START_TEST(an_ack_at_the_end_of_its_time_is_expired)
{
    struct lease_entry got;
    deliver(0, 1, &got);
    take.now_ms += INVISIBLE - 1;
    struct lease_entry probe = got;
    take.now_ms++;
    ck_assert_int_eq(ack(&probe), LEASE_EXPIRED);
    take.now_ms--;
    ck_assert_int_eq(ack(&got), LEASE_OK);
}
END_TEST

START_TEST(an_expired_message_comes_again_with_the_next_attempt)
{
    struct lease_entry got, again;
    deliver(0, 1, &got);
    ck_assert_uint_eq(take_back(&again, 1), 0);
    take.now_ms += INVISIBLE;
    ck_assert_uint_eq(take_back(&again, 1), 1);
    ck_assert_uint_eq(again.queue_off, 0);
    ck_assert_uint_eq(again.attempt, 2);
    ck_assert_int_eq(ack(&got), LEASE_EXPIRED);
    ck_assert_int_eq(ack(&again), LEASE_OK);
}
END_TEST

START_TEST(an_acked_message_never_comes_again)
{
    struct lease_entry got[4], again[4];
    deliver(0, 4, got);
    ck_assert_int_eq(ack(&got[2]), LEASE_OK);
    take.now_ms += INVISIBLE;
    ck_assert_uint_eq(take_back(again, 4), 3);
    ck_assert_uint_eq(again[0].queue_off, 0);
    ck_assert_uint_eq(again[1].queue_off, 1);
    ck_assert_uint_eq(again[2].queue_off, 3);
}
END_TEST

START_TEST(after_the_last_attempt_a_message_is_reported_dead_until_acked)
{
    struct lease_entry got;
    deliver(0, 1, &got);
    for (uint32_t attempt = 2; attempt <= 3; attempt++) {
        take.now_ms += INVISIBLE;
        ck_assert_uint_eq(take_back(&got, 1), 1);
        ck_assert_uint_eq(got.attempt, attempt);
        ck_assert(!got.is_dead);
    }
    for (int i = 0; i < 2; i++) {
        take.now_ms += INVISIBLE;
        ck_assert_uint_eq(take_back(&got, 1), 1);
        ck_assert(got.is_dead);
        ck_assert_uint_eq(got.attempt, 3);
    }
    ck_assert_int_eq(ack(&got), LEASE_OK);
    ck_assert_uint_eq(progress().n_in_flight, 0);
}
END_TEST

START_TEST(a_changed_message_has_a_new_handle_and_the_old_one_is_dead)
{
    struct lease_entry got, changed, again;
    deliver(0, 1, &got);
    ck_assert_int_eq(change(&got, 1000, &changed), LEASE_OK);
    ck_assert(changed.nonce != got.nonce);
    ck_assert_uint_eq(changed.attempt, 1);
    ck_assert_uint_eq(changed.until_ms, START + 1000);
    ck_assert_int_eq(ack(&got), LEASE_EXPIRED);
    ck_assert_int_eq(change(&got, 1000, &again), LEASE_EXPIRED);
    take.now_ms += 999;
    ck_assert_int_eq(ack(&changed), LEASE_OK);
}
END_TEST

START_TEST(a_message_made_visible_at_once_counts_one_more_attempt)
{
    struct lease_entry got, changed, again;
    deliver(0, 1, &got);
    ck_assert_int_eq(change(&got, 0, &changed), LEASE_OK);
    ck_assert_uint_eq(lease_next_visible_ms(lease), START);
    ck_assert_uint_eq(take_back(&again, 1), 1);
    ck_assert_uint_eq(again.attempt, 2);
}
END_TEST

START_TEST(a_delivery_given_back_does_not_count)
{
    struct lease_entry got[2], again[2];
    deliver(0, 2, got);
    ck_assert_int_eq(ack(&got[1]), LEASE_OK);
    ck_assert_uint_eq(lease_give_back(lease, 0, got, 2, START + 1000), 1);
    lease_check(lease);
    ck_assert_int_eq(ack(&got[0]), LEASE_EXPIRED);
    ck_assert_uint_eq(lease_next_visible_ms(lease), START + 1000);
    take.now_ms += 1000;
    ck_assert_uint_eq(take_back(again, 2), 1);
    ck_assert_uint_eq(again[0].attempt, 1);
    ck_assert_uint_eq(lease_give_back(lease, 0, got, 2, START), 0);
}
END_TEST

START_TEST(the_next_time_something_is_visible_is_told)
{
    struct lease_entry got, changed;
    ck_assert_uint_eq(lease_next_visible_ms(lease), UINT64_MAX);
    deliver(0, 1, &got);
    take.invisible_ms = 100;
    deliver(1, 1, &got);
    ck_assert_uint_eq(lease_next_visible_ms(lease), START + 100);
    ck_assert_int_eq(change(&got, 60000, &changed), LEASE_OK);
    ck_assert_uint_eq(lease_next_visible_ms(lease), START + INVISIBLE);
}
END_TEST

START_TEST(a_queue_with_too_much_in_flight_delivers_nothing_new)
{
    struct lease_entry got[MAX];
    struct lease_scan scan;
    deliver(0, 60, got);
    deliver(60, 40, got);
    ck_assert_int_eq(begin(&scan), LEASE_FULL);
    lease_end(&scan);
    take.now_ms += INVISIBLE - 1;
    ck_assert_int_eq(ack(&got[0]), LEASE_FREED); /* told once */
    ck_assert_int_eq(ack(&got[1]), LEASE_OK);
    ck_assert_int_eq(begin(&scan), LEASE_READY);
    lease_end(&scan);
}
END_TEST

START_TEST(a_handle_of_another_queue_or_beyond_the_position_is_expired)
{
    struct lease_entry got;
    deliver(0, 1, &got);
    struct lease_handle handle = handle_of(&got);
    handle.queue_id = 7;
    ck_assert_int_eq(lease_ack(lease, &handle, START), LEASE_EXPIRED);
    handle.queue_id = -1;
    ck_assert_int_eq(lease_ack(lease, &handle, START), LEASE_EXPIRED);
    handle = handle_of(&got);
    handle.queue_off = 1;
    ck_assert_int_eq(lease_ack(lease, &handle, START), LEASE_EXPIRED);
}
END_TEST

START_TEST(queue_ids_have_a_limit)
{
    enum lease_begin begun;
    struct lease_scan scan;
    ck_assert_int_eq(lease_begin(lease, 1024, &take, &begun, &scan, &e), ERR_INVAL);
    ck_assert_int_eq(lease_begin(lease, -1, &take, &begun, &scan, &e), ERR_INVAL);
}
END_TEST

START_TEST(a_seek_makes_a_running_scan_stale)
{
    struct lease_entry got = {.queue_off = 0};
    struct lease_scan scan;
    enum lease_taken taken;
    ck_assert_int_eq(begin(&scan), LEASE_READY);
    ck_assert_int_eq(lease_seek(lease, 0, 40, &e), 0);
    ck_assert_int_eq(lease_take_new(&scan, &take, &got, 1, 1, &taken, &e), 0);
    ck_assert_int_eq(taken, LEASE_STALE);
    lease_end(&scan);
    ck_assert_uint_eq(progress().position, 40);
}
END_TEST

START_TEST(a_seek_forgets_what_is_in_flight)
{
    struct lease_entry got[3];
    deliver(0, 3, got);
    ck_assert_int_eq(lease_seek(lease, 0, 1, &e), 0);
    lease_check(lease);
    ck_assert_uint_eq(progress().n_in_flight, 0);
    ck_assert_uint_eq(progress().lowest, 1);
    ck_assert_int_eq(ack(&got[2]), LEASE_EXPIRED);
    ck_assert_int_eq(lease_seek(lease, 0, UINT64_MAX, &e), ERR_INVAL);
}
END_TEST

START_TEST(a_dropped_group_is_forgotten_and_starts_anew)
{
    struct lease_entry got;
    struct lease_scan scan;
    deliver(0, 1, &got);
    lease_drop_group(table, span_str("g"));
    ck_assert_int_eq(ack(&got), LEASE_EXPIRED);
    ck_assert_int_eq(begin(&scan), LEASE_GONE);
    lease_unref(lease);
    get(LEASE_PLAIN);
    ck_assert_uint_eq(progress().position, 0);
}
END_TEST

/* ---- renewal ---- */

static void renew(const uint64_t *owners, size_t n_owners)
{
    const struct lease_renewal renewal = {
        .owners = owners, .n_owners = n_owners, .now_ms = take.now_ms, .invisible_ms = INVISIBLE};
    ck_assert_int_eq(lease_renew(table, &renewal, &e), 0);
}

START_TEST(an_owned_delivery_is_renewed_while_its_owner_lives)
{
    const uint64_t owners[] = {3, 7, 9};
    struct lease_entry got, again;
    take.owner = 7;
    deliver(0, 1, &got);
    for (int i = 0; i < 100; i++) {
        take.now_ms += INVISIBLE / 6;
        renew(owners, 3);
        lease_check(lease);
        ck_assert_uint_eq(take_back(&again, 1), 0);
    }
    ck_assert_int_eq(ack(&got), LEASE_OK);
}
END_TEST

START_TEST(a_delivery_whose_owner_is_gone_is_visible_in_a_second)
{
    const uint64_t owners[] = {3, 9};
    struct lease_entry got, again;
    take.owner = 7;
    deliver(0, 1, &got);
    renew(owners, 2);
    ck_assert_uint_eq(lease_next_visible_ms(lease), START + 1000);
    take.now_ms += 1000;
    ck_assert_uint_eq(take_back(&again, 1), 1);
    ck_assert_uint_eq(again.attempt, 2);
}
END_TEST

START_TEST(a_renewed_delivery_does_not_hide_one_that_is_visible)
{
    const uint64_t owners[] = {7};
    struct lease_entry got[2], again[2];
    take.owner = 7;
    deliver(0, 1, &got[0]);
    take.owner = 0;
    take.invisible_ms = INVISIBLE + 1;
    deliver(1, 1, &got[1]);
    take.now_ms += INVISIBLE - 1;
    renew(owners, 1);
    ck_assert_uint_eq(lease_next_visible_ms(lease), got[1].until_ms);
    take.now_ms = got[1].until_ms;
    ck_assert_uint_eq(take_back(again, 2), 1);
    ck_assert_uint_eq(again[0].queue_off, 1);
}
END_TEST

START_TEST(renewal_ends_after_three_hours)
{
    const uint64_t owners[] = {7};
    struct lease_entry got, again;
    take.owner = 7;
    deliver(0, 1, &got);
    ck_assert_uint_eq(got.until_ms, START + LEASE_RENEW_LIMIT_MS);
    for (; take.now_ms < got.until_ms; take.now_ms += INVISIBLE / 6)
        renew(owners, 1);
    ck_assert_uint_eq(take_back(&again, 1), 1);
}
END_TEST

/* ---- orderly groups ---- */

static void setup_orderly(void)
{
    setup();
    lease_unref(lease);
    get(LEASE_ORDERLY);
}

START_TEST(an_orderly_queue_is_blocked_until_its_batch_is_acked)
{
    struct lease_entry got[2];
    struct lease_scan scan;
    deliver(0, 2, got);
    ck_assert_int_eq(begin(&scan), LEASE_BLOCKED);
    ck_assert_int_eq(ack(&got[1]), LEASE_OK);
    ck_assert_int_eq(begin(&scan), LEASE_BLOCKED);
    ck_assert_int_eq(ack(&got[0]), LEASE_OK);
    ck_assert_int_eq(begin(&scan), LEASE_READY);
    lease_end(&scan);
}
END_TEST

START_TEST(an_orderly_batch_comes_again_in_order_without_what_was_acked)
{
    struct lease_entry got[4], again[4];
    deliver(0, 4, got);
    ck_assert_int_eq(ack(&got[1]), LEASE_OK);
    ck_assert_uint_eq(lease_next_visible_ms(lease), START + INVISIBLE);
    take.now_ms += INVISIBLE;
    ck_assert_uint_eq(take_back(again, 4), 3);
    ck_assert_uint_eq(again[0].queue_off, 0);
    ck_assert_uint_eq(again[1].queue_off, 2);
    ck_assert_uint_eq(again[2].queue_off, 3);
    ck_assert_uint_eq(again[2].attempt, 2);
}
END_TEST

START_TEST(the_same_attempt_gets_the_same_batch_with_counts_unchanged)
{
    struct lease_entry got[2], again[2];
    struct lease_scan scan;
    take.attempt_id = span_str("attempt-1");
    deliver(0, 2, got);
    ck_assert_uint_eq(take_back(again, 2), 2);
    ck_assert_uint_eq(again[0].queue_off, 0);
    ck_assert_uint_eq(again[0].attempt, 1);
    ck_assert_uint_eq(again[1].attempt, 1);
    ck_assert_int_eq(ack(&got[0]), LEASE_EXPIRED);
    take.attempt_id = span_str("attempt-2");
    ck_assert_int_eq(begin(&scan), LEASE_BLOCKED);
    take.attempt_id = span_str("");
    ck_assert_int_eq(begin(&scan), LEASE_BLOCKED);
    ck_assert_int_eq(ack(&again[0]), LEASE_OK);
}
END_TEST

START_TEST(the_same_attempt_after_its_time_still_counts_once)
{
    struct lease_entry got, again;
    take.attempt_id = span_str("attempt-1");
    deliver(0, 1, &got);
    take.now_ms += INVISIBLE;
    ck_assert_uint_eq(take_back(&again, 1), 1);
    ck_assert_uint_eq(again.attempt, 1);
}
END_TEST

START_TEST(what_an_earlier_attempt_had_is_not_in_the_batch_of_the_next)
{
    struct lease_entry got[2], again[2];
    take.attempt_id = span_str("attempt-1");
    deliver(0, 2, got);
    take.now_ms += INVISIBLE;
    take.attempt_id = span_str("attempt-2");
    ck_assert_uint_eq(take_back(again, 1), 1);
    ck_assert_uint_eq(take_back(again, 2), 2);
    ck_assert_uint_eq(again[0].attempt, 2);
    ck_assert_uint_eq(again[1].attempt, 2);
}
END_TEST

START_TEST(a_changed_message_blocks_its_orderly_queue_until_it_is_visible)
{
    struct lease_entry got[2], changed, again[2];
    struct lease_scan scan;
    deliver(0, 2, got);
    ck_assert_int_eq(change(&got[0], 500, &changed), LEASE_OK);
    ck_assert_int_eq(ack(&got[1]), LEASE_OK);
    take.now_ms += 499;
    ck_assert_int_eq(begin(&scan), LEASE_BLOCKED);
    take.now_ms++;
    ck_assert_uint_eq(lease_next_visible_ms(lease), take.now_ms);
    ck_assert_uint_eq(take_back(again, 2), 1);
    ck_assert_uint_eq(again[0].attempt, 2);
}
END_TEST

START_TEST(an_orderly_batch_given_back_is_no_ones_batch)
{
    struct lease_entry got[2], again[2];
    take.attempt_id = span_str("attempt-1");
    deliver(0, 2, got);
    ck_assert_uint_eq(lease_give_back(lease, 0, got, 2, START), 2);
    ck_assert_uint_eq(take_back(again, 2), 2);
    ck_assert_uint_eq(again[0].attempt, 1);
    ck_assert_uint_eq(again[1].queue_off, 1);
}
END_TEST

START_TEST(a_shorter_receive_takes_the_rest_of_a_batch_later_and_in_order)
{
    struct lease_entry got[3], again[3];
    deliver(0, 3, got);
    take.now_ms += INVISIBLE;
    ck_assert_uint_eq(take_back(again, 1), 1);
    ck_assert_uint_eq(again[0].queue_off, 0);
    ck_assert_int_eq(ack(&again[0]), LEASE_OK);
    ck_assert_uint_eq(take_back(again, 3), 2);
    ck_assert_uint_eq(again[0].queue_off, 1);
    ck_assert_uint_eq(again[0].attempt, 2);
}
END_TEST

static void add_plain_tests(Suite *suite)
{
    TCase *tc = tcase_create("plain");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_new_group_starts_at_the_first_message);
    tcase_add_test(tc, a_delivery_moves_the_position_and_counts_as_attempt_one);
    tcase_add_test(tc, only_one_scan_runs_on_a_queue);
    tcase_add_test(tc, what_is_passed_over_moves_the_group_on);
    tcase_add_test(tc, the_lowest_unacked_message_holds_the_offset_back);
    tcase_add_test(tc, a_second_ack_is_as_good_as_the_first_while_its_time_lasts);
    tcase_add_test(tc, an_ack_at_the_end_of_its_time_is_expired);
    tcase_add_test(tc, an_expired_message_comes_again_with_the_next_attempt);
    tcase_add_test(tc, an_acked_message_never_comes_again);
    tcase_add_test(tc, after_the_last_attempt_a_message_is_reported_dead_until_acked);
    tcase_add_test(tc, a_changed_message_has_a_new_handle_and_the_old_one_is_dead);
    tcase_add_test(tc, a_message_made_visible_at_once_counts_one_more_attempt);
    tcase_add_test(tc, a_delivery_given_back_does_not_count);
    tcase_add_test(tc, the_next_time_something_is_visible_is_told);
    tcase_add_test(tc, a_queue_with_too_much_in_flight_delivers_nothing_new);
    tcase_add_test(tc, a_handle_of_another_queue_or_beyond_the_position_is_expired);
    tcase_add_test(tc, queue_ids_have_a_limit);
    tcase_add_test(tc, a_seek_makes_a_running_scan_stale);
    tcase_add_test(tc, a_seek_forgets_what_is_in_flight);
    tcase_add_test(tc, a_dropped_group_is_forgotten_and_starts_anew);
    tcase_add_test(tc, an_owned_delivery_is_renewed_while_its_owner_lives);
    tcase_add_test(tc, a_delivery_whose_owner_is_gone_is_visible_in_a_second);
    tcase_add_test(tc, a_renewed_delivery_does_not_hide_one_that_is_visible);
    tcase_add_test(tc, renewal_ends_after_three_hours);
    suite_add_tcase(suite, tc);
}

static void add_orderly_tests(Suite *suite)
{
    TCase *tc = tcase_create("orderly");
    tcase_add_checked_fixture(tc, setup_orderly, teardown);
    tcase_add_test(tc, an_orderly_queue_is_blocked_until_its_batch_is_acked);
    tcase_add_test(tc, an_orderly_batch_comes_again_in_order_without_what_was_acked);
    tcase_add_test(tc, the_same_attempt_gets_the_same_batch_with_counts_unchanged);
    tcase_add_test(tc, the_same_attempt_after_its_time_still_counts_once);
    tcase_add_test(tc, what_an_earlier_attempt_had_is_not_in_the_batch_of_the_next);
    tcase_add_test(tc, a_changed_message_blocks_its_orderly_queue_until_it_is_visible);
    tcase_add_test(tc, an_orderly_batch_given_back_is_no_ones_batch);
    tcase_add_test(tc, a_shorter_receive_takes_the_rest_of_a_batch_later_and_in_order);
    suite_add_tcase(suite, tc);
}

int main(void)
{
    Suite *suite = suite_create("lease");
    add_plain_tests(suite);
    add_orderly_tests(suite);
    return suite_run(suite);
}
