/* The allocator's steps, driven by hand: the next file, the window, waiting. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/allocator.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "store/reclaimer.h"
#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { FILE_BYTES = 1 << 20, WINDOW = 256 * 1024, IDLE_WINDOW = 64 * 1024 };

static char *folder;
static struct fault fault;
static struct mapped_files mf;
static struct reclaimer reclaimer;
static struct allocator a;
static _Atomic uint64_t published;
static uint64_t clock_ns; /* stands but for what a test moves it */

static uint64_t fake_mono_ns(struct io *io)
{
    (void)io;
    return clock_ns;
}

static void set_up(void)
{
    struct err e;
    struct mapped_file *first;
    folder = tmpdir_make();
    published = 0;
    fault_init(&fault, io_posix());
    fault.io.mono_ns = fake_mono_ns;
    reclaimer_init(&reclaimer, &mf, 0, &published);
    ck_assert_int_eq(
        mapped_files_init(&mf, &fault.io, folder, FILE_BYTES, MAPPED_READ, &reclaimer, &e), 0);
    allocator_init(&a, &mf, &published, WINDOW, IDLE_WINDOW);
    ck_assert_int_eq(mapped_file_create(&first, &fault.io, folder, 0, FILE_BYTES, FILE_BYTES, &e),
                     0);
    ck_assert_int_eq(mapped_files_add(&mf, first, &e), 0);
    ck_assert_int_eq(allocator_begin(&a, first, 0, &e), 0);
}

static void tear_down(void)
{
    struct err e;
    ck_assert_int_eq(allocator_stop(&a, &e), 0);
    allocator_fini(&a);
    mapped_files_fini(&mf);
    reclaimer_fini(&reclaimer);
    tmpdir_remove(folder);
}

/* The window, the file it asks for, and the window again. */
static void step(void)
{
    (void)allocator_window_step(&a);
    (void)allocator_maker_step(&a);
    (void)allocator_window_step(&a);
}

START_TEST(the_first_window_is_there_before_the_first_append)
{
    ck_assert_uint_eq(mf.files[0]->populated, IDLE_WINDOW);
}
END_TEST

START_TEST(without_a_window_files_are_mapped_read_only_and_count_as_populated)
{
    struct err e;
    a.window_bytes = a.idle_window_bytes = 0;
    mapped_file_unpin(mf.files[0]); /* the pin of the first begin */
    ck_assert_int_eq(allocator_begin(&a, mf.files[0], 0, &e), 0);
    fault_arm(&fault, FAULT_POPULATE, 1, EIO, FAULT_FROM_NOW);
    published = FILE_BYTES / 2 + 1;
    step();
    ck_assert_uint_eq(mf.n, 2);
    for (size_t i = 0; i < mf.n; i++) {
        ck_assert_uint_eq(mf.files[i]->populated, FILE_BYTES);
        ck_assert_int_eq(mf.files[i]->access, MAPPED_READ);
    }
    ck_assert(!fault_fired(&fault));
}
END_TEST

START_TEST(an_empty_log_keeps_one_file)
{
    step();
    ck_assert_uint_eq(mf.n, 1);
    ck_assert_ptr_null(allocator_take(&a));
}
END_TEST

START_TEST(the_window_moves_ahead_of_the_writer)
{
    published = 100 * 1024;
    step();
    ck_assert_uint_ge(mf.files[0]->populated, 100 * 1024 + IDLE_WINDOW);
    ck_assert_uint_le(mf.files[0]->populated, mf.files[0]->allocated); /* I1 */
}
END_TEST

START_TEST(the_next_file_is_made_when_half_is_full)
{
    published = FILE_BYTES / 2 + 1;
    step();
    ck_assert_uint_eq(mf.n, 2);
    struct mapped_file *next = allocator_take(&a);
    ck_assert_ptr_eq(next, mf.files[1]);
    ck_assert_uint_ge(next->populated, IDLE_WINDOW); /* ready for an append at once */
    ck_assert_ptr_null(allocator_take(&a));
    mapped_file_unpin(next);
}
END_TEST

START_TEST(the_window_follows_into_the_file_that_was_taken)
{
    published = FILE_BYTES / 2 + 1;
    step();
    struct mapped_file *next = allocator_take(&a);
    published = FILE_BYTES + 100 * 1024;
    step();
    ck_assert_uint_ge(next->populated, 100 * 1024 + IDLE_WINDOW);
    ck_assert_ptr_eq(a.current, next);
    mapped_file_unpin(next);
}
END_TEST

START_TEST(the_window_reaches_into_the_next_file)
{
    published = FILE_BYTES / 2 + 1;
    step();
    published = FILE_BYTES - 4096;
    a.is_wanted = true; /* as allocator_wait does: the whole window */
    step();
    ck_assert_uint_eq(mf.files[0]->populated, FILE_BYTES);
    ck_assert_uint_ge(mf.files[1]->populated, WINDOW - 4096);
}
END_TEST

/* ---- the rate ---- */

static void append_in(uint64_t bytes, unsigned ms)
{
    clock_ns += (uint64_t)ms * 1000000;
    published += bytes;
    (void)allocator_window_step(&a);
}

START_TEST(the_window_is_as_wide_as_what_is_written_in_a_tenth_of_a_second)
{
    append_in(160 * 1024, 100);
    ck_assert_uint_eq(allocator_rate(&a), 1600 * 1024);
    uint64_t lead = mf.files[0]->populated - published;
    ck_assert_uint_ge(lead, 159 * 1024);
    ck_assert_uint_le(lead, 160 * 1024 + MAPPED_PAGE_BYTES);
}
END_TEST

START_TEST(a_fast_writer_has_the_whole_window_and_no_more)
{
    append_in(100 * 1024, 10);
    ck_assert_uint_eq(mf.files[0]->populated, 100 * 1024 + WINDOW);
}
END_TEST

START_TEST(the_rate_falls_slowly)
{
    append_in(160 * 1024, 100);
    append_in(0, 1000);
    ck_assert_uint_eq(allocator_rate(&a), 1200 * 1024);
    append_in(0, 1000);
    ck_assert_uint_eq(allocator_rate(&a), 900 * 1024);
}
END_TEST

START_TEST(the_window_of_an_idle_log_shrinks_after_five_seconds)
{
    append_in(100 * 1024, 10);
    for (int i = 0; i < 5; i++)
        append_in(0, 1000);
    ck_assert_uint_eq(mf.files[0]->populated, 100 * 1024 + WINDOW);
    append_in(0, 1000);
    ck_assert_uint_eq(mf.files[0]->populated, 100 * 1024 + IDLE_WINDOW);
}
END_TEST

/* ---- what a sync by others write-protects ---- */

static struct stretch {
    const uint8_t *base;
    uint64_t len;
} first_populated;

static int (*populate_inner)(struct io *io, uint8_t *base, uint64_t len);

static int note_populate(struct io *io, uint8_t *base, uint64_t len)
{
    if (!first_populated.base)
        first_populated = (struct stretch){base, len};
    return populate_inner(io, base, len);
}

/* Appends; the stretch that was populated first. */
static struct stretch populated_after(uint64_t bytes, unsigned ms)
{
    first_populated.base = NULL;
    populate_inner = fault.io.populate;
    fault.io.populate = note_populate;
    append_in(bytes, ms);
    fault.io.populate = populate_inner;
    return first_populated;
}

enum { RENEWED = 32 * 1024 };

START_TEST(pages_just_ahead_of_a_slow_writer_are_made_writable_again)
{
    append_in(IDLE_WINDOW, 1000);
    struct stretch s = populated_after(10000, 1000);
    const uint8_t *page = mf.files[0]->base + IDLE_WINDOW + 2 * MAPPED_PAGE_BYTES;
    ck_assert_ptr_eq(s.base, page);
    ck_assert_ptr_eq(s.base + s.len, mf.files[0]->base + 2 * IDLE_WINDOW);
    ck_assert_uint_eq(a.nudge_off, published + RENEWED); /* where it calls again */
}
END_TEST

START_TEST(a_window_that_is_used_up_at_once_is_left_alone)
{
    struct stretch s = populated_after(IDLE_WINDOW, 10);
    ck_assert_ptr_eq(s.base, mf.files[0]->base + IDLE_WINDOW); /* no page for a second time */
    ck_assert_uint_gt(a.nudge_off, published + RENEWED);
}
END_TEST

START_TEST(the_first_append_after_a_rest_calls_the_window)
{
    append_in(1, 1000);
    for (int i = 0; i < 6; i++)
        append_in(0, 1000);
    ck_assert_ptr_null(populated_after(0, 1000).base); /* an idle log's pages stay clean */
    ck_assert_uint_eq(a.nudge_off, published + 1);
}
END_TEST

START_TEST(the_next_file_is_made_early_when_five_seconds_would_fill_this_one)
{
    append_in(10 * 1024, 100); /* half a MiB in five seconds */
    (void)allocator_maker_step(&a);
    ck_assert_uint_eq(mf.n, 1);
    append_in(30 * 1024, 100);
    (void)allocator_maker_step(&a);
    ck_assert_uint_eq(mf.n, 2);
}
END_TEST

/* ---- files ---- */

START_TEST(a_file_is_made_once_however_often_it_is_due)
{
    published = FILE_BYTES / 2 + 1;
    (void)allocator_window_step(&a);
    (void)allocator_maker_step(&a);
    uint8_t *base = mf.files[1]->base;
    base[0] = 1;
    (void)allocator_maker_step(&a);
    step();
    ck_assert_uint_eq(mf.n, 2);
    ck_assert_uint_eq(base[0], 1);
    base[0] = 0;
}
END_TEST

START_TEST(a_file_that_takes_long_does_not_hold_up_the_window)
{
    published = FILE_BYTES / 2 + 1; /* due, and the maker does not come */
    (void)allocator_window_step(&a);
    published += 100 * 1024;
    (void)allocator_window_step(&a);
    ck_assert_uint_eq(mf.n, 1);
    ck_assert_uint_ge(mf.files[0]->populated, published + IDLE_WINDOW);
}
END_TEST

START_TEST(a_file_never_used_is_removed_at_the_stop)
{
    struct err e;
    published = FILE_BYTES / 2 + 1;
    step();
    ck_assert_uint_eq(mf.n, 2);
    ck_assert_int_eq(allocator_stop(&a, &e), 0);
    ck_assert_uint_eq(mf.n, 1);
}
END_TEST

START_TEST(who_waits_is_told_why_there_is_no_room)
{
    struct err e;
    published = FILE_BYTES - 8;
    fault_arm(&fault, FAULT_ALLOCATE, 1, ENOSPC, FAULT_FROM_NOW);
    struct allocator_turn turn = allocator_turn(&a);
    a.is_wanted = true; /* as allocator_wait does */
    step();
    ck_assert_int_eq(allocator_wait(&a, turn, &e), ERR_NOSPACE);
    ck_assert_ptr_nonnull(strstr(e.msg, "allocate"));
}
END_TEST

START_TEST(room_comes_back_when_the_disk_has_some)
{
    published = FILE_BYTES - 8;
    fault_arm(&fault, FAULT_ALLOCATE, 1, ENOSPC, FAULT_ONCE);
    step();
    ck_assert_uint_eq(mf.n, 1);
    step();
    ck_assert_uint_eq(mf.n, 2);
}
END_TEST

START_TEST(a_stopped_allocator_lets_nobody_wait)
{
    struct err e;
    struct allocator_turn turn = allocator_turn(&a);
    ck_assert_int_eq(allocator_stop(&a, &e), 0);
    ck_assert_int_eq(allocator_wait(&a, turn, &e), ERR_CLOSED);
}
END_TEST

enum { HELP_BYTES = 512 * 1024 };

START_TEST(an_appender_populates_where_the_window_is_late)
{
    struct err e;
    uint64_t n_turns = a.n_turns;
    ck_assert(allocator_help(&a, mf.files[0], &e));
    ck_assert_uint_eq(mf.files[0]->populated, WINDOW);
    published = FILE_BYTES - WINDOW / 2;
    ck_assert(allocator_help(&a, mf.files[0], &e));
    ck_assert_uint_eq(mf.files[0]->populated, WINDOW + HELP_BYTES);
    ck_assert(allocator_help(&a, mf.files[0], &e));
    ck_assert_uint_eq(mf.files[0]->populated, FILE_BYTES);
    ck_assert(!allocator_help(&a, mf.files[0], &e)); /* nothing is left to do */
    ck_assert_uint_eq(a.n_turns, n_turns + 3);       /* others go on too */
}
END_TEST

START_TEST(an_appender_populates_no_further_than_the_window_while_a_piece_is_late)
{
    struct err e;
    mf.files[0]->claimed = IDLE_WINDOW + MAPPED_PAGE_BYTES; /* somebody is at it */
    ck_assert(allocator_help(&a, mf.files[0], &e));
    ck_assert_uint_eq(mf.files[0]->claimed, WINDOW);
    ck_assert(!allocator_help(&a, mf.files[0], &e));
    ck_assert_uint_eq(mf.files[0]->populated, IDLE_WINDOW);
}
END_TEST

START_TEST(one_appender_helps_and_the_others_wait)
{
    struct err e;
    a.is_helped = true;
    ck_assert(!allocator_help(&a, mf.files[0], &e));
    ck_assert_uint_eq(mf.files[0]->populated, IDLE_WINDOW);
}
END_TEST

START_TEST(what_an_appender_cannot_populate_is_told_and_tried_again)
{
    struct err e;
    struct allocator_turn turn = allocator_turn(&a);
    fault_arm(&fault, FAULT_POPULATE, 1, ENOSPC, FAULT_ONCE);
    ck_assert(!allocator_help(&a, mf.files[0], &e));
    ck_assert_int_eq(allocator_wait(&a, turn, &e), ERR_NOSPACE);
    published = IDLE_WINDOW;
    step();
    ck_assert_uint_ge(mf.files[0]->populated, 2 * IDLE_WINDOW);
}
END_TEST

static void *help_on(void *arg)
{
    struct err e;
    (void)arg;
    while (mf.files[0]->populated < FILE_BYTES)
        (void)allocator_help(&a, mf.files[0], &e);
    return NULL;
}

START_TEST(window_and_appender_populate_one_file_without_a_gap)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, help_on, NULL), 0);
    while (mf.files[0]->populated < FILE_BYTES) {
        published = mf.files[0]->populated - 1;
        (void)allocator_window_step(&a);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(mf.files[0]->populated, FILE_BYTES);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("allocator");
    TCase *tc = tcase_create("allocator");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_first_window_is_there_before_the_first_append);
    tcase_add_test(tc, without_a_window_files_are_mapped_read_only_and_count_as_populated);
    tcase_add_test(tc, an_empty_log_keeps_one_file);
    tcase_add_test(tc, the_window_moves_ahead_of_the_writer);
    tcase_add_test(tc, the_next_file_is_made_when_half_is_full);
    tcase_add_test(tc, the_window_follows_into_the_file_that_was_taken);
    tcase_add_test(tc, the_window_reaches_into_the_next_file);
    tcase_add_test(tc, the_window_is_as_wide_as_what_is_written_in_a_tenth_of_a_second);
    tcase_add_test(tc, a_fast_writer_has_the_whole_window_and_no_more);
    tcase_add_test(tc, the_rate_falls_slowly);
    tcase_add_test(tc, the_window_of_an_idle_log_shrinks_after_five_seconds);
    tcase_add_test(tc, pages_just_ahead_of_a_slow_writer_are_made_writable_again);
    tcase_add_test(tc, a_window_that_is_used_up_at_once_is_left_alone);
    tcase_add_test(tc, the_first_append_after_a_rest_calls_the_window);
    tcase_add_test(tc, the_next_file_is_made_early_when_five_seconds_would_fill_this_one);
    tcase_add_test(tc, a_file_is_made_once_however_often_it_is_due);
    tcase_add_test(tc, a_file_that_takes_long_does_not_hold_up_the_window);
    tcase_add_test(tc, a_file_never_used_is_removed_at_the_stop);
    tcase_add_test(tc, who_waits_is_told_why_there_is_no_room);
    tcase_add_test(tc, room_comes_back_when_the_disk_has_some);
    tcase_add_test(tc, a_stopped_allocator_lets_nobody_wait);
    tcase_add_test(tc, an_appender_populates_where_the_window_is_late);
    tcase_add_test(tc, an_appender_populates_no_further_than_the_window_while_a_piece_is_late);
    tcase_add_test(tc, one_appender_helps_and_the_others_wait);
    tcase_add_test(tc, what_an_appender_cannot_populate_is_told_and_tried_again);
    tcase_add_test(tc, window_and_appender_populate_one_file_without_a_gap);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}
