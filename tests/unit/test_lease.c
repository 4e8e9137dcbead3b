/* Tests of leases: deliveries, handles, attempts, orderly queues, saving and loading. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { MAX = 64, INVISIBLE = 30000, START = 1000000 };

static char *folder;
static struct lease_table *table;
static struct lease *lease;
static struct lease_take take;
static struct err e;

static void open_table(struct io *io)
{
    ck_assert_msg(lease_table_open(&table, folder, /* max in flight = */ 100, io, &e) == 0, "%s",
                  e.msg);
}

static void get(enum lease_order order)
{
    ck_assert_int_eq(lease_get(table, span_str("g"), span_str("t"), order, &lease, &e), 0);
}

static void drop_all(void)
{
    lease_unref(lease);
    lease_table_close(table);
    lease = NULL;
    table = NULL;
}

static void reopen(enum lease_order order)
{
    drop_all();
    open_table(io_posix());
    get(order);
}

static void setup(void)
{
    folder = tmpdir_make();
    take = (struct lease_take){.now_ms = START, .invisible_ms = INVISIBLE, .max_attempts = 3};
    open_table(io_posix());
    get(LEASE_PLAIN);
}

static void teardown(void)
{
    drop_all();
    tmpdir_remove(folder);
}

static enum lease_begin begin(struct lease_scan *ret_scan)
{
    enum lease_begin begun;
    ck_assert_msg(lease_begin(lease, 0, &take, &begun, ret_scan, &e) == 0, "%s", e.msg);
    return begun;
}

/* Takes entries [from, from + n) of queue 0 as a scan that found each of them. */
static void deliver(uint64_t from, size_t n, struct lease_entry *entries)
{
    struct lease_scan scan;
    enum lease_taken taken;
    ck_assert_int_eq(begin(&scan), LEASE_READY);
    for (size_t i = 0; i < n; i++)
        entries[i].queue_off = from + i;
    ck_assert_int_eq(lease_take_new(&scan, &take, entries, n, from + n, &taken, &e), 0);
    ck_assert_int_eq(taken, LEASE_TAKEN);
    lease_end(&scan);
    lease_check(lease);
}

static size_t take_back(struct lease_entry *entries, size_t max)
{
    struct lease_scan scan;
    enum lease_begin begun = begin(&scan);
    ck_assert(begun == LEASE_READY || begun == LEASE_FULL);
    size_t n = lease_take_back(&scan, &take, entries, max);
    lease_end(&scan);
    lease_check(lease);
    return n;
}

static struct lease_handle handle_of(const struct lease_entry *entry)
{
    return (struct lease_handle){.queue_id = 0,
                                 .queue_off = entry->queue_off,
                                 .nonce = entry->nonce,
                                 .until_ms = entry->until_ms};
}

static enum lease_outcome ack(const struct lease_entry *entry)
{
    struct lease_handle handle = handle_of(entry);
    enum lease_outcome outcome = lease_ack(lease, &handle, take.now_ms);
    lease_check(lease);
    return outcome;
}

static enum lease_outcome change(const struct lease_entry *entry, uint64_t invisible_ms,
                                 struct lease_entry *ret)
{
    struct lease_handle handle = handle_of(entry);
    enum lease_outcome outcome = lease_change(lease, &handle, take.now_ms, invisible_ms, ret);
    lease_check(lease);
    return outcome;
}

static struct lease_progress progress(void)
{
    struct lease_progress p;
    lease_progress(lease, 0, &p);
    return p;
}

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
    ck_assert_int_eq(ack(&got[0]), LEASE_OK);
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
    ck_assert_int_eq(begin(&scan), LEASE_BUSY);
    lease_unref(lease);
    get(LEASE_PLAIN);
    ck_assert_uint_eq(progress().position, 0);
}
END_TEST

/* ---- renewal ---- */

START_TEST(an_owned_delivery_is_renewed_while_its_owner_lives)
{
    const uint64_t owners[] = {3, 7, 9};
    struct lease_entry got, again;
    take.owner = 7;
    deliver(0, 1, &got);
    for (int i = 0; i < 100; i++) {
        take.now_ms += 5000;
        ck_assert_int_eq(lease_renew(table, owners, 3, take.now_ms, &e), 0);
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
    ck_assert_int_eq(lease_renew(table, owners, 2, START, &e), 0);
    ck_assert_uint_eq(lease_next_visible_ms(lease), START + 1000);
    take.now_ms += 1000;
    ck_assert_uint_eq(take_back(&again, 1), 1);
    ck_assert_uint_eq(again.attempt, 2);
}
END_TEST

START_TEST(renewal_ends_after_three_hours)
{
    const uint64_t owners[] = {7};
    struct lease_entry got, again;
    take.owner = 7;
    deliver(0, 1, &got);
    ck_assert_uint_eq(got.until_ms, START + LEASE_RENEW_LIMIT_MS);
    for (; take.now_ms < got.until_ms; take.now_ms += 5000)
        ck_assert_int_eq(lease_renew(table, owners, 1, take.now_ms, &e), 0);
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

/* ---- saving and loading ---- */

static void save(void)
{
    ck_assert_msg(lease_save(table, &e) == 0, "%s", e.msg);
}

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

START_TEST(damaged_offsets_without_a_copy_are_an_error)
{
    write_file("consumerOffset.json", "{\"offsetTable\":");
    struct lease_table *other;
    ck_assert_int_eq(lease_table_open(&other, folder, 100, io_posix(), &e), ERR_CORRUPT);
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

/* ---- beside a naive model ---- */

enum { MODEL_MESSAGES = 400 };

struct model_message {
    bool is_out; /* delivered and not acked */
    uint32_t attempts;
    uint64_t visible_ms;
    struct lease_entry last;
};

struct model {
    struct model_message messages[MODEL_MESSAGES];
    uint64_t position;
    unsigned seed;
};

static unsigned pick(struct model *m, unsigned n)
{
    return (unsigned)rand_r(&m->seed) % n;
}

static size_t model_in_flight(const struct model *m)
{
    size_t n = 0;
    for (size_t i = 0; i < MODEL_MESSAGES; i++)
        n += m->messages[i].is_out;
    return n;
}

static uint64_t model_lowest(const struct model *m)
{
    for (uint64_t i = 0; i < m->position; i++)
        if (m->messages[i].is_out)
            return i;
    return m->position;
}

/* What is taken back must be visible in the model, in order, and as many as there are. */
static void model_take_back(struct model *m, size_t max)
{
    struct lease_entry got[MAX];
    size_t n = take_back(got, max);
    size_t n_visible = 0;
    for (size_t i = 0; i < MODEL_MESSAGES; i++)
        n_visible += m->messages[i].is_out && m->messages[i].visible_ms <= take.now_ms;
    ck_assert_uint_eq(n, n_visible < max ? n_visible : max);
    for (size_t i = 0; i < n; i++) {
        struct model_message *message = &m->messages[got[i].queue_off];
        ck_assert(i == 0 || got[i - 1].queue_off < got[i].queue_off);
        ck_assert(message->is_out && message->visible_ms <= take.now_ms);
        ck_assert(got[i].is_dead == (message->attempts >= take.max_attempts));
        message->attempts += !got[i].is_dead;
        ck_assert_uint_eq(got[i].attempt, message->attempts);
        message->visible_ms = take.now_ms + take.invisible_ms;
        message->last = got[i];
    }
}

static void model_take_new(struct model *m, size_t n)
{
    struct lease_entry got[MAX];
    if (m->position + n > MODEL_MESSAGES || model_in_flight(m) >= 100)
        return;
    deliver(m->position, n, got);
    for (size_t i = 0; i < n; i++)
        m->messages[m->position + i] =
            (struct model_message){.is_out = true,
                                   .attempts = 1,
                                   .visible_ms = take.now_ms + take.invisible_ms,
                                   .last = got[i]};
    m->position += n;
}

static void model_ack(struct model *m)
{
    if (m->position == 0)
        return;
    struct model_message *message = &m->messages[pick(m, (unsigned)m->position)];
    enum lease_outcome outcome = ack(&message->last);
    if (!message->is_out)
        ck_assert_int_ne(outcome, LEASE_OK);
    else
        ck_assert_int_eq(outcome, message->visible_ms > take.now_ms ? LEASE_OK : LEASE_EXPIRED);
    if (outcome == LEASE_OK)
        message->is_out = false;
}

static void model_change(struct model *m)
{
    if (m->position == 0)
        return;
    struct model_message *message = &m->messages[pick(m, (unsigned)m->position)];
    uint64_t invisible_ms = pick(m, 50);
    struct lease_entry changed;
    enum lease_outcome outcome = change(&message->last, invisible_ms, &changed);
    ck_assert_int_eq(outcome == LEASE_OK, message->is_out && message->visible_ms > take.now_ms);
    if (outcome != LEASE_OK)
        return;
    message->visible_ms = take.now_ms + invisible_ms;
    message->last = changed;
}

static void model_give_back(struct model *m)
{
    if (m->position == 0)
        return;
    struct model_message *message = &m->messages[pick(m, (unsigned)m->position)];
    if (!message->is_out || message->last.is_dead || message->attempts == 0)
        return;
    if (lease_give_back(lease, 0, &message->last, 1, take.now_ms) == 0)
        return;
    message->attempts--;
    message->visible_ms = take.now_ms;
}

static void model_step(struct model *m)
{
    switch (pick(m, 8)) {
    case 0:
        model_take_new(m, 1 + pick(m, 10));
        break;
    case 1:
        model_take_back(m, 1 + pick(m, 32));
        break;
    case 2:
        model_change(m);
        break;
    case 3:
        model_give_back(m);
        break;
    case 4:
        take.now_ms += pick(m, 40);
        break;
    default:
        model_ack(m);
        break;
    }
    lease_check(lease);
    ck_assert_uint_eq(progress().position, m->position);
    ck_assert_uint_eq(progress().lowest, model_lowest(m));
    ck_assert_uint_eq(progress().n_in_flight, model_in_flight(m));
}

START_TEST(random_steps_agree_with_a_naive_model)
{
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    for (unsigned round = 0; round < 20; round++) {
        struct model m = {.seed = seed + round};
        printf("SEED=%u\n", m.seed);
        fflush(stdout);
        take.now_ms = START;
        take.invisible_ms = 100;
        ck_assert_int_eq(lease_seek(lease, 0, 0, &e), 0);
        for (int step = 0; step < 1000; step++)
            model_step(&m);
        save();
        reopen(LEASE_PLAIN);
        ck_assert_uint_eq(progress().position, m.position);
        ck_assert_uint_eq(progress().n_in_flight, model_in_flight(&m));
        take.now_ms += 1000;
        model_take_back(&m, MAX);
    }
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
    tcase_add_test(tc, renewal_ends_after_three_hours);
    tcase_add_test(tc, random_steps_agree_with_a_naive_model);
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
    tcase_add_test(tc, a_changed_message_blocks_its_orderly_queue_until_it_is_visible);
    tcase_add_test(tc, an_orderly_batch_given_back_is_no_ones_batch);
    tcase_add_test(tc, a_shorter_receive_takes_the_rest_of_a_batch_later_and_in_order);
    tcase_add_test(tc, the_same_attempt_is_known_after_a_restart);
    suite_add_tcase(suite, tc);
}

static void add_saving_tests(Suite *suite)
{
    TCase *tc = tcase_create("saving");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_handle_given_out_before_a_restart_stays_valid);
    tcase_add_test(tc, rocketmqs_offset_is_the_lowest_unacked_message);
    tcase_add_test(tc, a_group_goes_on_at_rocketmqs_offset);
    tcase_add_test(tc, an_offset_set_back_by_rocketmq_wins_over_what_was_in_flight);
    tcase_add_test(tc, an_offset_moved_on_by_rocketmq_acks_what_is_below);
    tcase_add_test(tc, a_damaged_lease_file_only_brings_messages_again);
    tcase_add_test(tc, damaged_offsets_without_a_copy_are_an_error);
    tcase_add_test(tc, a_dropped_group_does_not_come_back_after_a_restart);
    tcase_add_test(tc, a_dropped_topic_takes_only_its_own_offsets);
    tcase_add_test(tc, nothing_is_written_when_nothing_changed);
    tcase_add_test(tc, a_failure_at_any_call_of_a_save_leaves_old_or_new_leases);
    suite_add_tcase(suite, tc);
}

int main(void)
{
    Suite *suite = suite_create("lease");
    add_plain_tests(suite);
    add_orderly_tests(suite);
    add_saving_tests(suite);
    return suite_run(suite);
}
