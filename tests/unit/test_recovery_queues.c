/* Which queues a start believes, what it counts of them, and which entries it writes again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/bytes.h"
#include "store/checkpoint.h"
#include "store/format.h"
#include "tests/lib/recovery_case.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

/* ---- queues that are lost ---- */

static void remove_queues(void)
{
    char *queues = tmpdir_path(f.root, "consumequeue");
    tmpdir_remove(queues);
}

START_TEST(a_kill_without_a_checkpoint_queues_everything_again)
{
    store_fixture_kill(&f);
    forget_checkpoint();
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.n_records, N_RECORDS);
    ck_assert_uint_eq(r.n_requeued, N_RECORDS);
    ck_assert_uint_eq(r.n_damaged, 0);
    expect_all_but(-1);
}
END_TEST

START_TEST(lost_queues_are_built_again)
{
    store_fixture_close(&f);
    remove_queues();
    struct store_recovery r = reopen();
    ck_assert(r.was_clean);
    ck_assert_uint_eq(r.n_requeued, N_RECORDS);
    ck_assert_uint_eq(n_queued(), N_RECORDS);
    expect_all_but(-1);
}
END_TEST

START_TEST(one_lost_queue_among_others_is_built_again)
{
    (void)store_fixture_append(&f, "U", 0, "other");
    (void)store_fixture_append(&f, "T", 0, "tail");
    store_fixture_close(&f);
    tmpdir_remove(tmpdir_path(f.root, "consumequeue/T"));
    (void)reopen();
    ck_assert_uint_eq(n_queued(), N_RECORDS + 1);
    expect_all_but(-1);
    store_fixture_expect(&f, "U", 0, 0, "other");
}
END_TEST

START_TEST(a_lost_queue_that_the_last_file_does_not_name_is_built_again)
{
    append_others();
    store_fixture_close(&f);
    tmpdir_remove(tmpdir_path(f.root, "consumequeue/T"));
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.n_requeued, N_RECORDS);
    ck_assert_uint_eq(n_queued(), N_RECORDS);
    expect_all_but(-1);
}
END_TEST

START_TEST(whole_queues_are_not_walked_for_after_a_clean_stop)
{
    for (int i = 0; i < N_RECORDS; i++)
        (void)store_fixture_append(&f, "U", 0, body_of(i));
    store_fixture_close(&f);
    struct store_recovery r = reopen();
    ck_assert_uint_lt(r.n_records, 2 * N_RECORDS); /* the last file only */
    ck_assert_uint_eq(r.n_requeued, 0);
}
END_TEST

START_TEST(queues_without_a_log_are_emptied)
{
    store_fixture_close(&f);
    tmpdir_remove(tmpdir_path(f.root, "commitlog"));
    (void)reopen();
    ck_assert_uint_eq(n_queued(), 0);
    ck_assert_uint_eq(store_fixture_append(&f, "T", 0, "first").log_off, 0);
}
END_TEST

/* ---- entries and numbers that are wrong ---- */

/* Fewer messages than the topic had before it was deleted; RocketMQ then drops the note of that. */
static void make_anew(int n_before, int n_since)
{
    struct err e = {0};
    uint64_t below;
    for (int i = 0; i < n_before; i++)
        (void)store_fixture_append(&f, "V", 0, "before");
    int rc = store_drop_topic(f.store, span_str("V"), &below, &e);
    ck_assert_msg(rc == 0, "drop: %s", e.msg);
    for (int i = 0; i < n_since; i++)
        (void)store_fixture_append(&f, "V", 0, "since");
}

static void expect_since(uint64_t n_since)
{
    uint64_t min_off, max_off;
    store_queue_bounds(f.store, span_str("V"), 0, &min_off, &max_off);
    ck_assert_uint_eq(max_off, n_since);
    for (uint64_t i = 0; i < n_since; i++)
        store_fixture_expect(&f, "V", 0, i, "since");
}

START_TEST(a_deleted_topics_messages_do_not_follow_those_since)
{
    make_anew(20, 5);
    store_fixture_close(&f);
    tmpdir_remove(tmpdir_path(f.root, "consumequeue/T")); /* so that all is walked */
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.n_requeued, N_RECORDS);
    expect_since(5);
    expect_all_but(-1);
}
END_TEST

START_TEST(a_wrong_last_entry_shuts_out_no_record)
{
    enum { N_KEPT = 5 };
    static const uint8_t behind[20 * (N_RECORDS - N_KEPT)] = {0, 0, 0, 0, 0, 0, 255, 7, 0, 0, 1};
    ck_assert_uint_gt(0xff07, at[N_KEPT + 1].log_off); /* no record begins there */
    (void)store_fixture_append(&f, "U", 0, "other");
    store_fixture_close(&f);
    tmpdir_remove(tmpdir_path(f.root, "consumequeue/U")); /* so that all is walked */
    store_fixture_poke(&f, "consumequeue/T/0/00000000000000000000", 20 * N_KEPT, behind,
                       sizeof behind);
    (void)reopen();
    ck_assert_uint_eq(n_queued(), N_RECORDS);
    expect_all_but(-1);
}
END_TEST

START_TEST(a_wrong_entry_is_written_again_when_the_log_is_walked)
{
    static const uint8_t junk[20] = {0, 0, 0, 0, 0, 0, 1, 7, 0, 0, 1};
    (void)store_fixture_append(&f, "U", 0, "other");
    store_fixture_close(&f);
    store_fixture_poke(&f, "consumequeue/T/0/00000000000000000000", 20 * 4, junk, sizeof junk);
    tmpdir_remove(tmpdir_path(f.root, "consumequeue/U")); /* so that all is walked */
    struct store_recovery r = reopen();
    struct store_stats st;
    ck_assert_uint_eq(r.n_requeued, 2);
    ck_assert_uint_eq(r.n_damaged, 0);
    expect_all_but(-1);
    store_stats(f.store, &st);
    ck_assert_uint_eq(st.n_damaged, 0);
}
END_TEST

/* Gives a record another number of its queue: no checksum is over that. */
static void renumber(int record, uint8_t number)
{
    char name[64];
    (void)snprintf(
        name, sizeof name, "commitlog/%020llu",
        (unsigned long long)(at[record].log_off - at[record].log_off % FIXTURE_FILE_BYTES));
    store_fixture_poke(&f, name, at[record].log_off % FIXTURE_FILE_BYTES + FORMAT_AT_QUEUE_OFF + 7,
                       &number, 1);
}

START_TEST(a_record_with_a_wrong_number_takes_no_others_place)
{
    static const uint8_t numbers[] = {2, 4, 9, 64, 200};
    store_fixture_kill(&f);
    for (size_t i = 0; i < sizeof numbers; i++) {
        forget_checkpoint();
        remove_queues();
        renumber(5, numbers[i]);
        struct store_recovery r = reopen();
        expect_all_but(5);
        ck_assert_uint_eq(r.n_damaged, numbers[i] < 5);
        store_fixture_kill(&f);
    }
    (void)reopen();
}
END_TEST

/* ---- entries lost below the checkpoint ---- */

enum loss { LOSE_QUEUE, LOSE_ALL, LOSE_SOME, LOSE_LAST, N_LOSSES };

/* Takes entries from the end of the queue, or all of it; returns how many. */
static uint64_t lose(int loss)
{
    static const uint8_t zeros[20 * N_RECORDS];
    static const uint64_t n_kept[] = {
        [LOSE_QUEUE] = 0, [LOSE_ALL] = 0, [LOSE_SOME] = 5, [LOSE_LAST] = N_RECORDS - 1};
    uint64_t n_lost = N_RECORDS - n_kept[loss];
    if (loss == LOSE_QUEUE)
        tmpdir_remove(tmpdir_path(f.root, "consumequeue/T"));
    else
        store_fixture_poke(&f, "consumequeue/T/0/00000000000000000000", 20 * n_kept[loss], zeros,
                           20 * n_lost);
    return n_lost;
}

START_TEST(entries_lost_below_the_checkpoint_are_noticed_after_a_kill)
{
    (void)store_fixture_append(&f, "U", 0, "other");
    store_fixture_kill(&f);
    uint64_t n_lost = lose(_i);
    struct store_recovery r = reopen();
    ck_assert(!r.was_clean);
    ck_assert_uint_eq(r.n_requeued, n_lost);
    expect_all_but(-1);
    store_fixture_expect(&f, "U", 0, 0, "other");
}
END_TEST

START_TEST(a_walk_for_lost_entries_leaves_the_log_on_disk)
{
    struct store_stats st;
    (void)store_fixture_append(&f, "U", 0, "other");
    store_fixture_kill(&f);
    (void)lose(LOSE_QUEUE);
    f.opt.flush_interval_ms = 60000;
    struct store_recovery r = reopen();
    ck_assert_uint_gt(r.n_requeued, 0);
    store_stats(f.store, &st);
    ck_assert_uint_eq(st.flushed, st.published); /* so no append waits until it is synced again */
}
END_TEST

static void await_checkpoint(void)
{
    struct store_stats st;
    do
        store_stats(f.store, &st);
    while (st.checkpoint < st.published);
}

/* Goes on with what a kill at this moment would leave. */
static void kill_now(void)
{
    char *left = tmpdir_copy(f.root);
    store_fixture_close(&f);
    tmpdir_remove(f.root);
    f.root = left;
    f.opt.root = left;
}

START_TEST(a_store_in_use_counts_its_entries_for_the_start_after_a_kill)
{
    store_fixture_close(&f);
    f.opt.flush_interval_ms = 1;
    store_fixture_open(&f);
    (void)store_fixture_append(&f, "U", 0, "other");
    await_checkpoint();
    kill_now();
    uint64_t n_lost = lose(_i);
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.n_requeued, n_lost);
    expect_all_but(-1);
    await_checkpoint();
    kill_now(); /* nothing more is lost: nothing is walked */
    r = reopen();
    ck_assert_uint_eq(r.n_records, 0);
    expect_all_but(-1);
}
END_TEST

START_TEST(a_torn_record_at_the_checkpoint_does_not_hide_lost_entries)
{
    append_others();
    uint64_t end = log_end();
    store_fixture_kill(&f);
    damage(end, 1000);
    struct store_recovery r = reopen();
    ck_assert_uint_gt(r.n_records, 0); /* of the last file, from its start */
    ck_assert_uint_le(r.scanned_bytes, FIXTURE_FILE_BYTES);
    store_fixture_kill(&f);
    damage(end, 1000);
    (void)lose(_i);
    (void)reopen();
    expect_all_but(-1);
}
END_TEST

START_TEST(a_record_lost_behind_the_checkpoint_costs_no_walk_from_the_first)
{
    struct store_appended last[3];
    store_fixture_close(&f);
    f.opt.flush_interval_ms = 60000; /* no checkpoint but the one before */
    store_fixture_open(&f);
    for (int i = 0; i < 3; i++)
        last[i] = store_fixture_append(&f, "T", 0, body_of(i));
    kill_now();
    damage(last[1].log_off, 600);
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.n_damaged, 1);
    ck_assert_uint_eq(r.n_records, 2);
    ck_assert_uint_eq(n_queued(), N_RECORDS + 3);
    store_fixture_expect(&f, "T", 0, N_RECORDS + 2, body_of(2));
}
END_TEST

/* ---- a count of another position ---- */

/* Fields that RocketMQ moves on, not all at the same time, without the count. */
static const uint64_t moved[] = {0 /* time of the log */, 8 /* of the queues */,
                                 32 /* confirmed position */, FORMAT_CHECKPOINT_AT_COUNT_OFF};
enum { N_MOVED = sizeof moved / sizeof moved[0] };

/* As when RocketMQ had the store last; it may have deleted topics, or added messages. */
static void move_checkpoint(int field)
{
    uint8_t before[8];
    be64_put(before, at[5].log_off);
    store_fixture_poke(&f, "checkpoint", moved[field], before, sizeof before);
}

START_TEST(a_count_of_another_position_is_not_believed)
{
    (void)store_fixture_append(&f, "U", 0, "other");
    store_fixture_kill(&f);
    move_checkpoint(_i);
    (void)lose(LOSE_QUEUE);
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.n_records, 0);
    store_fixture_expect(&f, "U", 0, 0, "other");
}
END_TEST

START_TEST(a_count_of_another_position_costs_no_walk_after_a_clean_stop)
{
    uint8_t fewer[8];
    struct store_checkpoint cp;
    struct err e;
    be64_put(fewer, N_RECORDS - 1);
    store_fixture_close(&f);
    move_checkpoint(_i);
    store_fixture_poke(&f, "checkpoint", FORMAT_CHECKPOINT_AT_N_QUEUES + 8, fewer, sizeof fewer);
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.n_requeued, 0);
    ck_assert_uint_lt(r.scanned_bytes, FIXTURE_FILE_BYTES); /* the last file */
    expect_all_but(-1);
    store_fixture_close(&f); /* nothing was appended, and it is counted again */
    ck_assert_int_eq(checkpoint_read(f.root, io_posix(), &cp, &e), 0);
    ck_assert(checkpoint_has_count(&cp));
    ck_assert_uint_eq(cp.n_entries, N_RECORDS);
    store_fixture_open(&f);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("recovery_queues");
    TCase *tc = tcase_create("recovery_queues");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_kill_without_a_checkpoint_queues_everything_again);
    tcase_add_test(tc, lost_queues_are_built_again);
    tcase_add_test(tc, one_lost_queue_among_others_is_built_again);
    tcase_add_test(tc, a_lost_queue_that_the_last_file_does_not_name_is_built_again);
    tcase_add_test(tc, whole_queues_are_not_walked_for_after_a_clean_stop);
    tcase_add_test(tc, queues_without_a_log_are_emptied);
    tcase_add_test(tc, a_deleted_topics_messages_do_not_follow_those_since);
    tcase_add_test(tc, a_wrong_last_entry_shuts_out_no_record);
    tcase_add_test(tc, a_wrong_entry_is_written_again_when_the_log_is_walked);
    tcase_add_test(tc, a_record_with_a_wrong_number_takes_no_others_place);
    tcase_add_loop_test(tc, entries_lost_below_the_checkpoint_are_noticed_after_a_kill, 0,
                        N_LOSSES);
    tcase_add_test(tc, a_walk_for_lost_entries_leaves_the_log_on_disk);
    tcase_add_loop_test(tc, a_store_in_use_counts_its_entries_for_the_start_after_a_kill, 0,
                        N_LOSSES);
    tcase_add_loop_test(tc, a_torn_record_at_the_checkpoint_does_not_hide_lost_entries, 0,
                        N_LOSSES);
    tcase_add_test(tc, a_record_lost_behind_the_checkpoint_costs_no_walk_from_the_first);
    tcase_add_loop_test(tc, a_count_of_another_position_is_not_believed, 0, N_MOVED);
    tcase_add_loop_test(tc, a_count_of_another_position_costs_no_walk_after_a_clean_stop, 0,
                        N_MOVED);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}
