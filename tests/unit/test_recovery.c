/* What a store believes when it is opened: after clean stops, kills and damage. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/recovery.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "store/checkpoint.h"
#include "store/format.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_RECORDS = 12 };

static struct store_fixture f;
static struct store_appended at[N_RECORDS];

static const char *body_of(int i)
{
    static char body[N_RECORDS][8100];
    memset(body[i], 'a' + i, sizeof body[i] - 1);
    return body[i];
}

/* Records over two files, all in queue 0. */
static void set_up(void)
{
    store_fixture_init(&f);
    store_fixture_open(&f);
    for (int i = 0; i < N_RECORDS; i++)
        at[i] = store_fixture_append(&f, "T", 0, body_of(i));
}

static void tear_down(void)
{
    store_fixture_fini(&f);
}

static void damage(uint64_t log_off, size_t len)
{
    static const uint8_t junk[9000] = {1, 2, 3};
    char name[64];
    (void)snprintf(name, sizeof name, "commitlog/%020llu",
                   (unsigned long long)(log_off - log_off % FIXTURE_FILE_BYTES));
    store_fixture_poke(&f, name, log_off % FIXTURE_FILE_BYTES, junk, len);
}

static void forget_checkpoint(void)
{
    static const uint8_t zeros[48];
    store_fixture_poke(&f, "checkpoint", 0, zeros, sizeof zeros);
}

static void remove_queues(void)
{
    char *queues = tmpdir_path(f.root, "consumequeue");
    tmpdir_remove(queues);
}

static struct store_recovery reopen(void)
{
    struct store_recovery r;
    store_fixture_open(&f);
    store_recovery_report(f.store, &r);
    return r;
}

static uint64_t n_queued(void)
{
    uint64_t min_off, max_off;
    store_queue_bounds(f.store, span_str("T"), 0, &min_off, &max_off);
    return max_off;
}

static uint64_t log_end(void)
{
    struct store_stats st;
    store_stats(f.store, &st);
    return st.published;
}

static void expect_all_but(int missing)
{
    for (int i = 0; i < N_RECORDS; i++)
        if (i != missing)
            store_fixture_expect(&f, "T", 0, (uint64_t)i, body_of(i));
}

START_TEST(a_kill_after_the_checkpoint_walks_only_what_is_behind_it)
{
    store_fixture_kill(&f);
    struct store_recovery r = reopen();
    ck_assert(!r.was_clean);
    ck_assert_uint_eq(r.n_records, 0);
    ck_assert_uint_lt(r.scanned_bytes, FIXTURE_FILE_BYTES); /* zeros, to the end of the file */
    ck_assert_uint_eq(n_queued(), N_RECORDS);
    expect_all_but(-1);
}
END_TEST

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

/* ---- progress ---- */

static _Atomic uint64_t clock_ns; /* relaxed: each look moves it on, whoever looks */
static unsigned n_told;
static struct store_progress last_told;

/* Each look at the clock is two seconds later. */
static uint64_t jumping_mono_ns(struct io *io)
{
    (void)io;
    return atomic_fetch_add_explicit(&clock_ns, 2000000000, memory_order_relaxed);
}

static void on_progress(void *arg, const struct store_progress *p)
{
    ck_assert_ptr_eq(arg, &n_told);
    ck_assert_uint_ge(p->done_bytes, last_told.done_bytes);
    ck_assert_uint_le(p->done_bytes, p->total_bytes);
    last_told = *p;
    n_told++;
}

START_TEST(a_long_recovery_tells_how_far_it_is)
{
    static char body[15000];
    static struct io slow;
    slow = *io_posix();
    store_fixture_close(&f);
    f.opt.file_bytes = 40 << 20;
    tmpdir_remove(f.root);
    f.root = tmpdir_make();
    f.opt.root = f.root;
    store_fixture_open(&f);
    memset(body, 'b', sizeof body - 1);
    for (int i = 0; i < 2400; i++) /* 36 MB: two pieces of 16 MiB and some */
        (void)store_fixture_append(&f, "T", 0, body);
    store_fixture_kill(&f);
    forget_checkpoint();
    slow.mono_ns = jumping_mono_ns;
    f.io = &slow;
    f.opt.on_recovery = on_progress;
    f.opt.recovery_arg = &n_told;
    (void)reopen();
    ck_assert_uint_eq(n_told, 2);
    ck_assert_uint_ge(last_told.done_bytes, 32 << 20);
    ck_assert_uint_gt(last_told.left_ms, 0);
    f.opt.on_recovery = NULL;
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

/* More than one file of another topic. */
static void append_others(void)
{
    char body[9000];
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    for (int i = 0; i < 20; i++)
        (void)store_fixture_append(&f, "U", 0, body);
}

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

/* ---- entries lost below the checkpoint ---- */

/* Takes entries from the end of the queue, or all of it; returns how many. */
enum loss { LOSE_QUEUE, LOSE_ALL, LOSE_SOME, LOSE_LAST, N_LOSSES };

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

/* ---- mappings ---- */

enum { BUDGET_FILES = 4, SPARE_FILES = 3 /* walked now; written to, and the next */ };

static _Atomic int n_maps_left; /* relaxed: a count of its own */

static int map_a_few(struct io *io, int fd, uint64_t len, bool writable, uint8_t **ret_base)
{
    if (len == FIXTURE_FILE_BYTES &&
        atomic_fetch_sub_explicit(&n_maps_left, 1, memory_order_relaxed) <= 0)
        return -ENOMEM;
    return io_posix()->map(io, fd, len, writable, ret_base);
}

static int unmap_one(struct io *io, uint8_t *base, uint64_t len)
{
    if (len == FIXTURE_FILE_BYTES)
        atomic_fetch_add_explicit(&n_maps_left, 1, memory_order_relaxed);
    return io_posix()->unmap(io, base, len);
}

START_TEST(a_walk_keeps_to_the_budget_for_mappings)
{
    static struct io narrow;
    for (int i = 0; i < 4; i++)
        append_others(); /* twelve files */
    store_fixture_kill(&f);
    forget_checkpoint();
    narrow = *io_posix();
    narrow.map = map_a_few;
    narrow.unmap = unmap_one;
    f.io = &narrow;
    f.opt.mapped_budget_bytes = BUDGET_FILES * FIXTURE_FILE_BYTES;
    atomic_store_explicit(&n_maps_left, BUDGET_FILES + SPARE_FILES, memory_order_relaxed);
    (void)reopen();
    atomic_store_explicit(&n_maps_left, 1000, memory_order_relaxed);
    expect_all_but(-1);
}
END_TEST

START_TEST(after_a_clean_stop_only_the_last_record_is_walked)
{
    store_fixture_close(&f);
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.n_records, 1);
    ck_assert_uint_eq(r.scanned_bytes, at[N_RECORDS - 1].size);
    struct store_appended next = store_fixture_append(&f, "T", 0, "next");
    ck_assert_uint_eq(next.queue_off, N_RECORDS);
    ck_assert_uint_ge(next.store_ms, at[N_RECORDS - 1].store_ms);
    expect_all_but(-1);
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

START_TEST(a_damaged_record_never_hides_those_behind_it)
{
    store_fixture_kill(&f);
    forget_checkpoint();
    damage(at[3].log_off, 600);
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.n_damaged, 1);
    ck_assert_uint_eq(r.damaged_bytes, at[3].size);
    ck_assert_uint_eq(r.n_records, N_RECORDS - 1);
    ck_assert_uint_eq(n_queued(), N_RECORDS); /* numbers stay: the lost one matches nothing */
    expect_all_but(3);
}
END_TEST

START_TEST(damage_up_to_the_end_of_a_file_does_not_hide_the_next)
{
    store_fixture_kill(&f);
    forget_checkpoint();
    int last = 0; /* of the first file */
    while (at[last + 1].log_off < FIXTURE_FILE_BYTES)
        last++;
    damage(at[last].log_off, 600);
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.n_damaged, 1);
    expect_all_but(last);
}
END_TEST

START_TEST(a_torn_last_record_is_cut_off)
{
    store_fixture_kill(&f);
    forget_checkpoint();
    const struct store_appended *torn = &at[N_RECORDS - 1];
    damage(torn->log_off + 200, 300);
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.n_damaged, 0);
    ck_assert_uint_gt(r.cut_bytes, 200);
    ck_assert_uint_eq(log_end(), torn->log_off);
    ck_assert_uint_eq(n_queued(), N_RECORDS - 1);
    ck_assert_uint_eq(store_fixture_append(&f, "T", 0, "next").queue_off, N_RECORDS - 1);
}
END_TEST

/* The disk wrote some of its sectors: those in front of one, all but one, or that one alone. */
static void tear(const struct store_appended *torn, uint64_t sector, int how)
{
    static const uint8_t zeros[FIXTURE_FILE_BYTES];
    enum { SECTOR = 512 };
    char name[64];
    uint64_t from = torn->log_off % FIXTURE_FILE_BYTES, to = from + torn->size;
    uint64_t begin = from - from % SECTOR + sector * SECTOR, end = begin + SECTOR;
    (void)snprintf(name, sizeof name, "commitlog/%020llu",
                   (unsigned long long)(torn->log_off - from));
    if (how != 2)
        store_fixture_poke(&f, name, begin > from ? begin : from, zeros,
                           (how == 0 || end > to ? to : end) - (begin > from ? begin : from));
    if (how == 2 && begin > from)
        store_fixture_poke(&f, name, from, zeros, begin - from);
    if (how == 2 && end < to)
        store_fixture_poke(&f, name, end, zeros, to - end);
}

START_TEST(a_record_torn_at_any_sector_is_cut_off)
{
    const struct store_appended *torn = &at[N_RECORDS - 1];
    uint64_t n_sectors = torn->size / 512;
    for (uint64_t i = 0; i < n_sectors; i++)
        for (int how = 0; how < 3; how++) {
            store_fixture_kill(&f);
            forget_checkpoint();
            tear(torn, i, how);
            struct store_recovery r = reopen();
            ck_assert_uint_eq(r.n_damaged, 0);
            ck_assert_uint_eq(log_end(), torn->log_off);
            ck_assert_uint_eq(n_queued(), N_RECORDS - 1);
            struct store_appended again = store_fixture_append(&f, "T", 0, body_of(N_RECORDS - 1));
            ck_assert_uint_eq(again.log_off, torn->log_off);
            ck_assert_uint_eq(again.size, torn->size);
        }
    store_fixture_await(&f, "T", 0, N_RECORDS);
    expect_all_but(-1);
}
END_TEST

START_TEST(a_torn_end_after_a_clean_stop_is_cut_from_the_queue_too)
{
    store_fixture_close(&f);
    damage(at[N_RECORDS - 1].log_off, 600);
    struct store_recovery r = reopen();
    ck_assert(r.was_clean);
    ck_assert_uint_eq(log_end(), at[N_RECORDS - 1].log_off);
    ck_assert_uint_eq(n_queued(), N_RECORDS - 1);
}
END_TEST

START_TEST(garbage_behind_the_end_is_not_believed_and_goes)
{
    uint64_t end = log_end();
    store_fixture_close(&f);
    damage(end, 1000);
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.cut_bytes, 3); /* the rest of the junk is zeros */
    ck_assert_uint_eq(log_end(), end);
    store_fixture_close(&f);
    r = reopen();
    ck_assert_uint_eq(r.cut_bytes, 0);
}
END_TEST

START_TEST(a_copy_of_a_record_elsewhere_is_not_believed)
{
    struct store_slice slice;
    struct err e;
    uint64_t end = log_end();
    store_fixture_await(&f, "T", 0, N_RECORDS);
    ck_assert_int_eq(store_get(f.store, span_str("T"), 0, 0, &slice, &e), 0);
    size_t len = slice.rec.size;
    uint8_t *copy = malloc(len);
    memcpy(copy, slice.rec.raw.ptr, len);
    store_unpin(slice.pin);
    store_fixture_kill(&f);
    char name[64];
    (void)snprintf(name, sizeof name, "commitlog/%020d", FIXTURE_FILE_BYTES);
    store_fixture_poke(&f, name, end - FIXTURE_FILE_BYTES, copy, len);
    free(copy);
    (void)reopen();
    ck_assert_uint_eq(log_end(), end);
    ck_assert_uint_eq(n_queued(), N_RECORDS);
}
END_TEST

START_TEST(a_shorter_last_file_is_extended_and_cut)
{
    store_fixture_close(&f);
    char name[64];
    (void)snprintf(name, sizeof name, "commitlog/%020d", FIXTURE_FILE_BYTES);
    char *path = tmpdir_path(f.root, name);
    const struct store_appended *cut = &at[N_RECORDS - 1];
    ck_assert_int_eq(truncate(path, (off_t)(cut->log_off + 500 - FIXTURE_FILE_BYTES)), 0);
    free(path);
    struct store_recovery r = reopen();
    ck_assert_uint_eq(r.cut_bytes, 500);
    ck_assert_uint_eq(log_end(), cut->log_off);
    ck_assert_uint_eq(n_queued(), N_RECORDS - 1);
}
END_TEST

START_TEST(a_checkpoint_that_lies_ahead_does_no_harm)
{
    static const uint8_t far[8] = {0, 0, 1};
    store_fixture_kill(&f);
    store_fixture_poke(&f, "checkpoint", 40, far, sizeof far);
    (void)reopen();
    ck_assert_uint_eq(n_queued(), N_RECORDS);
    expect_all_but(-1);
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

START_TEST(a_search_finds_a_record_at_its_own_place_only)
{
    uint64_t found;
    struct store_slice slice;
    struct err e;
    store_fixture_await(&f, "T", 0, N_RECORDS);
    ck_assert_int_eq(store_get(f.store, span_str("T"), 0, 1, &slice, &e), 0);
    uint64_t before = 50;
    struct span bytes = span_of(slice.rec.raw.ptr - before, slice.rec.size + before);
    ck_assert(recovery_find_record(bytes, slice.rec.log_off - before, &found));
    ck_assert_uint_eq(found, before);
    ck_assert(!recovery_find_record(bytes, slice.rec.log_off, &found));
    bytes.len--;
    ck_assert(!recovery_find_record(bytes, slice.rec.log_off - before, &found));
    ck_assert(!recovery_find_record(span_of(bytes.ptr, 3), 0, &found));
    store_unpin(slice.pin);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("recovery");
    TCase *tc = tcase_create("recovery");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_kill_after_the_checkpoint_walks_only_what_is_behind_it);
    tcase_add_test(tc, a_kill_without_a_checkpoint_queues_everything_again);
    tcase_add_test(tc, a_long_recovery_tells_how_far_it_is);
    tcase_add_test(tc, lost_queues_are_built_again);
    tcase_add_test(tc, one_lost_queue_among_others_is_built_again);
    tcase_add_test(tc, a_lost_queue_that_the_last_file_does_not_name_is_built_again);
    tcase_add_test(tc, a_deleted_topics_messages_do_not_follow_those_since);
    tcase_add_test(tc, a_wrong_last_entry_shuts_out_no_record);
    tcase_add_loop_test(tc, entries_lost_below_the_checkpoint_are_noticed_after_a_kill, 0,
                        N_LOSSES);
    tcase_add_test(tc, a_walk_for_lost_entries_leaves_the_log_on_disk);
    tcase_add_loop_test(tc, a_store_in_use_counts_its_entries_for_the_start_after_a_kill, 0,
                        N_LOSSES);
    tcase_add_loop_test(tc, a_torn_record_at_the_checkpoint_does_not_hide_lost_entries, 0,
                        N_LOSSES);
    tcase_add_loop_test(tc, a_count_of_another_position_is_not_believed, 0, N_MOVED);
    tcase_add_loop_test(tc, a_count_of_another_position_costs_no_walk_after_a_clean_stop, 0,
                        N_MOVED);
    tcase_add_test(tc, a_record_lost_behind_the_checkpoint_costs_no_walk_from_the_first);
    tcase_add_test(tc, a_walk_keeps_to_the_budget_for_mappings);
    tcase_add_test(tc, after_a_clean_stop_only_the_last_record_is_walked);
    tcase_add_test(tc, a_record_with_a_wrong_number_takes_no_others_place);
    tcase_add_test(tc, a_wrong_entry_is_written_again_when_the_log_is_walked);
    tcase_add_test(tc, whole_queues_are_not_walked_for_after_a_clean_stop);
    tcase_add_test(tc, a_damaged_record_never_hides_those_behind_it);
    tcase_add_test(tc, damage_up_to_the_end_of_a_file_does_not_hide_the_next);
    tcase_add_test(tc, a_torn_last_record_is_cut_off);
    tcase_add_test(tc, a_record_torn_at_any_sector_is_cut_off);
    tcase_add_test(tc, a_torn_end_after_a_clean_stop_is_cut_from_the_queue_too);
    tcase_add_test(tc, garbage_behind_the_end_is_not_believed_and_goes);
    tcase_add_test(tc, a_copy_of_a_record_elsewhere_is_not_believed);
    tcase_add_test(tc, a_shorter_last_file_is_extended_and_cut);
    tcase_add_test(tc, a_checkpoint_that_lies_ahead_does_no_harm);
    tcase_add_test(tc, queues_without_a_log_are_emptied);
    tcase_add_test(tc, a_search_finds_a_record_at_its_own_place_only);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}
