/* Tests of leases on disk: restarts, RocketMQ's offsets, damage, failures while saving. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/fault.h"
#include "tests/lib/lease_case.h"
#include "tests/lib/suite.h"

START_TEST(a_handle_given_out_before_a_restart_stays_valid)
{
    struct lease_entry got[3], again[3];
    deliver(10, 3, got);
    ck_assert_int_eq(ack(&got[1]), LEASE_OK);
    save();
    reopen(LEASE_PLAIN);
    lease_check(lease);
    ck_assert_uint_eq(progress().position, 13);
    ck_assert_uint_eq(progress().lowest, 10);
    ck_assert_int_eq(ack(&got[0]), LEASE_OK);
    take.now_ms += INVISIBLE;
    ck_assert_uint_eq(take_back(again, 3), 1);
    ck_assert_uint_eq(again[0].queue_off, 12);
    ck_assert_uint_eq(again[0].attempt, 2);
}
END_TEST

START_TEST(the_same_attempt_is_known_after_a_restart)
{
    struct lease_entry got[2], again[2];
    reopen(LEASE_ORDERLY);
    take.attempt_id = span_str("attempt-1");
    deliver(0, 2, got);
    save();
    reopen(LEASE_ORDERLY);
    ck_assert_uint_eq(take_back(again, 2), 2);
    ck_assert_uint_eq(again[0].attempt, 1);
}
END_TEST

static char *read_file(const char *name)
{
    char *path = tmpdir_path(folder, name);
    uint8_t *buf;
    size_t len;
    ck_assert_msg(io_read_file(io_posix(), path, 1 << 20, &buf, &len, &e) == 0, "%s", e.msg);
    free(path);
    return (char *)buf;
}

static void write_file(const char *name, const char *text)
{
    char *path = tmpdir_path(folder, name);
    ck_assert_int_eq(io_replace_file(io_posix(), path, text, strlen(text), false, &e), 0);
    free(path);
}

START_TEST(rocketmqs_offset_is_the_lowest_unacked_message)
{
    struct lease_entry got[3];
    deliver(10, 3, got);
    ck_assert_int_eq(ack(&got[0]), LEASE_OK);
    save();
    char *text = read_file("consumerOffset.json");
    ck_assert_ptr_nonnull(strstr(text, "\"t@g\": {\n      \"0\": 11\n    }"));
    free(text);
}
END_TEST

START_TEST(a_group_goes_on_at_rocketmqs_offset)
{
    write_file("consumerOffset.json", "{\"offsetTable\":{\"t@g\":{0:17,2:5},\"u@g\":{0:3}}}");
    reopen(LEASE_PLAIN);
    ck_assert_uint_eq(progress().position, 17);
}
END_TEST

START_TEST(an_offset_set_back_by_rocketmq_wins_over_what_was_in_flight)
{
    struct lease_entry got[3];
    deliver(10, 3, got);
    save();
    write_file("consumerOffset.json", "{\"offsetTable\":{\"t@g\":{0:4}}}");
    reopen(LEASE_PLAIN);
    ck_assert_uint_eq(progress().position, 4);
    ck_assert_uint_eq(progress().n_in_flight, 0);
}
END_TEST

START_TEST(an_offset_moved_on_by_rocketmq_acks_what_is_below)
{
    struct lease_entry got[3];
    deliver(10, 3, got);
    save();
    write_file("consumerOffset.json", "{\"offsetTable\":{\"t@g\":{0:12}}}");
    reopen(LEASE_PLAIN);
    lease_check(lease);
    ck_assert_uint_eq(progress().lowest, 12);
    ck_assert_int_eq(ack(&got[2]), LEASE_OK);
    ck_assert_uint_eq(progress().position, 13);
    write_file("consumerOffset.json", "{\"offsetTable\":{\"t@g\":{0:90}}}");
    reopen(LEASE_PLAIN);
    ck_assert_uint_eq(progress().position, 90);
}
END_TEST

START_TEST(a_damaged_lease_file_only_brings_messages_again)
{
    struct lease_entry got[3];
    deliver(10, 3, got);
    ck_assert_int_eq(ack(&got[0]), LEASE_OK);
    save();
    write_file("sluiceLeases", "SLUICELE no such thing");
    reopen(LEASE_PLAIN);
    ck_assert_uint_eq(progress().position, 11);
    ck_assert_uint_eq(progress().n_in_flight, 0);
}
END_TEST

static uint64_t an_hour_ago(struct io *io)
{
    (void)io;
    return io_posix()->now_ms(io_posix()) - 3600000;
}

START_TEST(a_wall_clock_set_back_between_two_runs_makes_no_lease_longer)
{
    struct lease_entry got;
    struct io late = *io_posix();
    late.now_ms = an_hour_ago;
    take.now_ms = steady_clock_now_ms(&steady);
    deliver(0, 1, &got);
    save();
    uint64_t saved_ms = steady_clock_now_ms(&steady);
    drop_all();
    open_table(&late);
    get(LEASE_PLAIN);
    ck_assert_uint_ge(steady_clock_now_ms(&steady) + 1000,
                      saved_ms); /* it was noted a little before */
    ck_assert_uint_le(got.until_ms, steady_clock_now_ms(&steady) + INVISIBLE);
}
END_TEST

START_TEST(damaged_offsets_without_a_copy_are_an_error)
{
    write_file("consumerOffset.json", "{\"offsetTable\":");
    struct lease_table *other;
    ck_assert_int_eq(lease_table_open(&other, folder, 100, &steady, &e), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(e.msg, "consumerOffset.json"));
}
END_TEST

START_TEST(a_dropped_group_does_not_come_back_after_a_restart)
{
    struct lease_entry got;
    deliver(10, 1, &got);
    save();
    lease_drop_group(table, span_str("g"));
    save();
    reopen(LEASE_PLAIN);
    ck_assert_uint_eq(progress().position, 0);
    ck_assert_uint_eq(progress().n_in_flight, 0);
}
END_TEST

START_TEST(a_dropped_group_is_gone_from_the_files_at_once)
{
    struct lease_entry got;
    deliver(10, 1, &got);
    save();
    lease_drop_topic(table, span_str("t"));
    reopen(LEASE_PLAIN);
    ck_assert_uint_eq(progress().position, 0);
}
END_TEST

START_TEST(a_drop_that_cannot_be_written_is_written_later)
{
    struct fault fault;
    struct lease_entry got;
    drop_all();
    fault_init(&fault, io_posix());
    open_table(&fault.io);
    get(LEASE_PLAIN);
    deliver(10, 1, &got);
    save();
    fault_arm(&fault, FAULT_WRITE, 1, EIO, FAULT_FROM_NOW);
    lease_drop_group(table, span_str("g"));
    fault_disarm(&fault);
    save();
    reopen(LEASE_PLAIN);
    ck_assert_uint_eq(progress().position, 0);
}
END_TEST

static uint64_t end_at(void *arg, struct span topic, int32_t queue_id)
{
    ck_assert(span_equal(topic, span_str("t")));
    ck_assert_int_eq(queue_id, 0);
    return *(const uint64_t *)arg;
}

static size_t limit(uint64_t end)
{
    size_t n;
    ck_assert_int_eq(lease_limit(table, end_at, &end, &n, &e), 0);
    lease_check(lease);
    return n;
}

START_TEST(a_position_behind_the_end_of_the_store_is_taken_back)
{
    struct lease_entry got[4];
    deliver(10, 4, got);
    ck_assert_int_eq(ack(&got[2]), LEASE_OK);
    ck_assert_uint_eq(limit(UINT64_MAX), 0);
    ck_assert_uint_eq(limit(14), 0);
    ck_assert_uint_eq(limit(11), 1);
    ck_assert_uint_eq(progress().position, 11);
    ck_assert_uint_eq(progress().n_in_flight, 1);
    ck_assert_int_eq(ack(&got[3]), LEASE_EXPIRED);
    ck_assert_int_eq(ack(&got[0]), LEASE_OK);
    deliver(11, 2, got);
    ck_assert_uint_eq(limit(0), 1);
    ck_assert_uint_eq(progress().n_in_flight, 0);
    ck_assert_uint_eq(progress().lowest, 0);
}
END_TEST

START_TEST(a_dropped_topic_takes_only_its_own_offsets)
{
    write_file("consumerOffset.json", "{\"offsetTable\":{\"t@g\":{0:17},\"u@g\":{0:3}}}");
    reopen(LEASE_PLAIN);
    lease_drop_topic(table, span_str("u"));
    save();
    char *text = read_file("consumerOffset.json");
    ck_assert_ptr_nonnull(strstr(text, "t@g"));
    ck_assert_ptr_null(strstr(text, "u@g"));
    free(text);
}
END_TEST

START_TEST(nothing_is_written_when_nothing_changed)
{
    struct fault fault;
    struct lease_entry got;
    drop_all();
    fault_init(&fault, io_posix());
    open_table(&fault.io);
    get(LEASE_PLAIN);
    deliver(0, 1, &got);
    save();
    fault_arm(&fault, FAULT_WRITE, 1, EIO, FAULT_ONCE);
    save();
    ck_assert(!fault_fired(&fault));
    ck_assert_int_eq(ack(&got), LEASE_OK);
    ck_assert_int_eq(lease_save(table, &e), ERR_IO);
    fault_disarm(&fault);
    save();
    drop_all();
    open_table(io_posix());
    get(LEASE_PLAIN);
    ck_assert_uint_eq(progress().lowest, 1);
}
END_TEST

/* Saves after an ack, with the n-th call failing; then what a restart finds. */
static bool save_with_fault(struct fault *fault, uint64_t n)
{
    struct lease_entry got[2], again[2];
    take.now_ms = START;
    deliver(0, 2, got);
    save();
    ck_assert_int_eq(ack(&got[0]), LEASE_OK);
    fault_arm(fault, FAULT_ALL, n, EIO, FAULT_FROM_NOW);
    int rc = lease_save(table, &e);
    bool fired = fault_fired(fault);
    fault_disarm(fault);
    drop_all();
    open_table(&fault->io);
    get(LEASE_PLAIN);
    lease_check(lease);
    ck_assert(rc == 0 || fired);
    ck_assert_uint_eq(progress().position, 2);
    ck_assert(progress().lowest == 1 || (rc < 0 && progress().lowest == 0));
    take.now_ms += INVISIBLE;
    ck_assert_uint_ge(take_back(again, 2), 1);
    ck_assert_int_eq(lease_seek(lease, 0, 0, &e), 0);
    return fired;
}

START_TEST(a_failure_at_any_call_of_a_save_leaves_old_or_new_leases)
{
    struct fault fault;
    drop_all();
    fault_init(&fault, io_posix());
    open_table(&fault.io);
    get(LEASE_PLAIN);
    uint64_t n = 1;
    while (save_with_fault(&fault, n))
        n++;
    ck_assert_uint_gt(n, 5);
}
END_TEST

static void add_saving_tests(Suite *suite)
{
    TCase *tc = tcase_create("saving");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_handle_given_out_before_a_restart_stays_valid);
    tcase_add_test(tc, the_same_attempt_is_known_after_a_restart);
    tcase_add_test(tc, rocketmqs_offset_is_the_lowest_unacked_message);
    tcase_add_test(tc, a_group_goes_on_at_rocketmqs_offset);
    tcase_add_test(tc, an_offset_set_back_by_rocketmq_wins_over_what_was_in_flight);
    tcase_add_test(tc, an_offset_moved_on_by_rocketmq_acks_what_is_below);
    tcase_add_test(tc, a_damaged_lease_file_only_brings_messages_again);
    tcase_add_test(tc, a_wall_clock_set_back_between_two_runs_makes_no_lease_longer);
    tcase_add_test(tc, damaged_offsets_without_a_copy_are_an_error);
    tcase_add_test(tc, a_dropped_group_does_not_come_back_after_a_restart);
    tcase_add_test(tc, a_dropped_group_is_gone_from_the_files_at_once);
    tcase_add_test(tc, a_drop_that_cannot_be_written_is_written_later);
    tcase_add_test(tc, a_position_behind_the_end_of_the_store_is_taken_back);
    tcase_add_test(tc, a_dropped_topic_takes_only_its_own_offsets);
    tcase_add_test(tc, nothing_is_written_when_nothing_changed);
    tcase_add_test(tc, a_failure_at_any_call_of_a_save_leaves_old_or_new_leases);
    suite_add_tcase(suite, tc);
}

int main(void)
{
    Suite *suite = suite_create("lease_state");
    add_saving_tests(suite);
    return suite_run(suite);
}
