/* What a start walks of the log, and where it finds its end: after stops, kills and damage. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/recovery.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/recovery_case.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

/* ---- where the walk begins ---- */

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

/* ---- damage ---- */

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

/* ---- the end of the log ---- */

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

static Suite *make_suite(void)
{
    Suite *s = suite_create("recovery");
    TCase *tc = tcase_create("recovery");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_kill_after_the_checkpoint_walks_only_what_is_behind_it);
    tcase_add_test(tc, after_a_clean_stop_only_the_last_record_is_walked);
    tcase_add_test(tc, a_checkpoint_that_lies_ahead_does_no_harm);
    tcase_add_test(tc, a_long_recovery_tells_how_far_it_is);
    tcase_add_test(tc, a_walk_keeps_to_the_budget_for_mappings);
    tcase_add_test(tc, a_damaged_record_never_hides_those_behind_it);
    tcase_add_test(tc, damage_up_to_the_end_of_a_file_does_not_hide_the_next);
    tcase_add_test(tc, a_search_finds_a_record_at_its_own_place_only);
    tcase_add_test(tc, a_torn_last_record_is_cut_off);
    tcase_add_test(tc, a_record_torn_at_any_sector_is_cut_off);
    tcase_add_test(tc, a_torn_end_after_a_clean_stop_is_cut_from_the_queue_too);
    tcase_add_test(tc, garbage_behind_the_end_is_not_believed_and_goes);
    tcase_add_test(tc, a_copy_of_a_record_elsewhere_is_not_believed);
    tcase_add_test(tc, a_shorter_last_file_is_extended_and_cut);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}
