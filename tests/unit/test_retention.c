/* Which files of a log may go, and what is left when they are gone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/retention.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/key_index.h"
#include "tests/lib/numbered_body.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum {
    HOUR_MS = 3600 * 1000,
    ANY_HOUR = (1 << 24) - 1,
    N_RECORDS = 40,
    BODY_BYTES = 10000,
    SLOWLY_US = 50000
};

/* ---- the rules ---- */

static const struct store_retention rules = {.is_on = true,
                                             .keep_ms = 72 * (uint64_t)HOUR_MS,
                                             .hours = 1 << 4 | 1 << 23,
                                             .used_percent = 75};

static enum retention_verdict judge(const struct store_retention *r, uint64_t age_ms, unsigned hour,
                                    unsigned used_percent)
{
    const uint64_t now_ms = 1000 * (uint64_t)HOUR_MS;
    const struct retention_look look = {.now_ms = now_ms,
                                        .changed_ms = now_ms - age_ms,
                                        .hour = hour,
                                        .used_percent = used_percent};
    return retention_judge(r, &look);
}

START_TEST(a_file_goes_by_age_at_its_hour_or_when_space_is_short)
{
    const uint64_t old_ms = rules.keep_ms;
    ck_assert_int_eq(judge(&rules, old_ms, 4, 10), RETENTION_EXPIRED);
    ck_assert_int_eq(judge(&rules, old_ms, 23, 10), RETENTION_EXPIRED);
    ck_assert_int_eq(judge(&rules, old_ms, 5, 10), RETENTION_KEEP);
    ck_assert_int_eq(judge(&rules, old_ms, 5, 74), RETENTION_KEEP);
    ck_assert_int_eq(judge(&rules, old_ms, 5, 75), RETENTION_EXPIRED);
    ck_assert_int_eq(judge(&rules, old_ms - 1, 4, 100), RETENTION_KEEP);
}
END_TEST

START_TEST(a_file_changed_in_the_future_is_not_old)
{
    const struct retention_look look = {.now_ms = 5, .changed_ms = 6, .hour = 4};
    struct store_retention r = rules;
    r.keep_ms = 1;
    ck_assert_int_eq(retention_judge(&r, &look), RETENTION_KEEP);
}
END_TEST

START_TEST(only_a_rule_for_it_makes_young_files_go)
{
    struct store_retention r = rules;
    r.force_percent = 85;
    ck_assert_int_eq(judge(&r, 0, 4, 84), RETENTION_KEEP);
    ck_assert_int_eq(judge(&r, 0, 5, 85), RETENTION_FORCED);
    ck_assert_int_eq(judge(&r, r.keep_ms, 5, 85), RETENTION_EXPIRED);
    r.used_percent = r.force_percent = 0;
    ck_assert_int_eq(judge(&r, r.keep_ms, 5, 100), RETENTION_KEEP);
}
END_TEST

/* ---- their going ---- */

static struct {
    struct store_fixture store;
    struct io io; /* the real one with another clock and disk */
    struct store_expired told;
    _Atomic unsigned n_told; /* acq_rel: after `told` was written, before it is read */
    /* relaxed: what the seam answers, and whether an error was told */
    _Atomic bool is_later; /* the clock is far ahead */
    _Atomic bool is_read_only;
    _Atomic bool is_slow;  /* the first file of a queue goes slowly */
    _Atomic bool is_going; /* and is about to; acq_rel: found in its list before */
    _Atomic unsigned used_percent;
    _Atomic bool has_failed;
} f;

static uint64_t now_ms(struct io *io)
{
    (void)io;
    uint64_t ms = io_posix()->now_ms(io_posix());
    return atomic_load_explicit(&f.is_later, memory_order_relaxed) ? ms + 100 * HOUR_MS : ms;
}

static int free_space(struct io *io, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    (void)io;
    (void)path;
    *ret_total = 1000;
    *ret_free = 1000 - 10 * atomic_load_explicit(&f.used_percent, memory_order_relaxed);
    return 0;
}

static int unlink_file(struct io *io, const char *path)
{
    if (atomic_load_explicit(&f.is_slow, memory_order_relaxed) && strstr(path, "consumequeue") &&
        !atomic_exchange_explicit(&f.is_going, true, memory_order_acq_rel))
        (void)usleep(SLOWLY_US);
    bool is_refused = atomic_load_explicit(&f.is_read_only, memory_order_relaxed);
    return is_refused && strstr(path, "commitlog") ? -EROFS : io_posix()->unlink(io, path);
}

static void on_expired(void *arg, const struct store_expired *x)
{
    (void)arg;
    f.told = *x;
    if (x->failure)
        atomic_store_explicit(&f.has_failed, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&f.n_told, 1, memory_order_acq_rel);
}

static void set_up(void)
{
    memset(&f, 0, sizeof f);
    store_fixture_init(&f.store);
    f.io = *io_posix();
    f.io.now_ms = now_ms;
    f.io.free_space = free_space;
    f.io.unlink = unlink_file;
    f.store.io = &f.io;
    f.store.opt.flush_interval_ms = 5;
    f.store.opt.index_slots = 10;
    f.store.opt.index_items = 8; /* of a file: some lie before what is kept */
    f.store.opt.on_expired = on_expired;
    f.store.opt.retention = (struct store_retention){
        .is_on = true, .keep_ms = 72 * (uint64_t)HOUR_MS, .hours = ANY_HOUR, .interval_ms = 1};
    store_fixture_open(&f.store);
}

static void tear_down(void)
{
    store_fixture_fini(&f.store);
}

/* A body that tells its number. */
static const char *body_of(int i)
{
    static char body[BODY_BYTES + 1];
    return numbered_body_make(body, sizeof body, i);
}

/* With a key. */
static void append(int i)
{
    const struct span body = span_str(body_of(i));
    struct store_message m = {.topic = span_str("T"),
                              .born_host = {.addr = {10, 0, 0, 1}, .addr_len = 4},
                              .properties = span_str("KEYS\001key\002"),
                              .body = &body,
                              .n_body = 1};
    struct store_appended at;
    struct err e = {0};
    ck_assert_msg(store_append(f.store.store, &m, &at, &e) == 0, "%s", e.msg);
}

/* Over seven files; queue 0 has all, queue 1 one in the first file. */
static void fill(void)
{
    (void)store_fixture_append(&f.store, "T", 1, "early");
    for (int i = 0; i < N_RECORDS; i++)
        append(i);
    store_fixture_await(&f.store, "T", 0, N_RECORDS);
}

static struct store_stats stats(void)
{
    struct store_stats st;
    store_stats(f.store.store, &st);
    return st;
}

static void set(_Atomic bool *what, bool value)
{
    atomic_store_explicit(what, value, memory_order_relaxed);
}

static bool has_failed(void)
{
    return atomic_load_explicit(&f.has_failed, memory_order_relaxed);
}

static void use_space(unsigned percent)
{
    atomic_store_explicit(&f.used_percent, percent, memory_order_relaxed);
}

static void await_told(void)
{
    while (atomic_load_explicit(&f.n_told, memory_order_acquire) == 0)
        (void)sched_yield();
}

/* Waits until the log begins in the file that is appended to, and what went is counted. */
static void expire_all(void)
{
    struct store_stats st;
    set(&f.is_later, true);
    do {
        (void)sched_yield();
        st = stats();
    } while (st.log_min < st.published - st.published % FIXTURE_FILE_BYTES ||
             st.n_expired < st.log_min / FIXTURE_FILE_BYTES);
}

static uint64_t min_of(int32_t queue_id)
{
    uint64_t min, max;
    store_queue_bounds(f.store.store, span_str("T"), queue_id, &min, &max);
    return min;
}

/* What is left of the queues, from the start of the log on. */
static void expect_rest(void)
{
    struct store_slice slices[N_RECORDS];
    struct store_scan scan = {.topic = span_str("T"),
                              .max_messages = N_RECORDS,
                              .max_bytes = UINT64_MAX,
                              .max_entries = UINT64_MAX};
    struct store_scanned done;
    struct err e;
    uint64_t first = min_of(0);
    ck_assert_uint_gt(first, 0);
    ck_assert_uint_lt(first, N_RECORDS);
    ck_assert_int_eq(store_scan(f.store.store, &scan, slices, &done, &e), 0);
    ck_assert_uint_eq(done.n, N_RECORDS - first);
    ck_assert_uint_eq(done.n_damaged, 0);
    ck_assert_uint_ge(slices[0].rec.log_off, stats().log_min);
    for (uint64_t i = 0; i < done.n; i++) {
        ck_assert_int_eq(numbered_body_number(slices[i].rec.body), (int)(first + i));
        store_unpin(slices[i].pin);
    }
    ck_assert_uint_eq(min_of(1), 1); /* empty, and its numbers go on */
}

START_TEST(nothing_goes_before_its_time)
{
    fill();
    for (int i = 0; i < 50; i++)
        (void)usleep(1000);
    ck_assert_uint_eq(stats().n_expired, 0);
    ck_assert_uint_eq(stats().log_min, 0);
}
END_TEST

START_TEST(old_files_go_with_the_entries_that_point_at_them)
{
    struct store_slice slice;
    struct err e;
    fill();
    expire_all();
    ck_assert(!has_failed());
    expect_rest();
    ck_assert_int_eq(store_get(f.store.store, span_str("T"), 0, 0, &slice, &e), ERR_NOTFOUND);
    ck_assert_uint_eq(store_fixture_append(&f.store, "T", 1, "late").queue_off, 1);
    store_fixture_await(&f.store, "T", 1, 2);
    store_fixture_expect(&f.store, "T", 1, 1, "late");
    ck_assert_uint_eq(stats().n_damaged, 0);
}
END_TEST

START_TEST(who_holds_a_message_keeps_it)
{
    struct store_slice slice;
    struct err e;
    fill();
    ck_assert_int_eq(store_get(f.store.store, span_str("T"), 0, 0, &slice, &e), 0);
    expire_all();
    ck_assert(store_body_check(&slice.rec, /* ret_crc = */ NULL));
    store_unpin(slice.pin);
}
END_TEST

START_TEST(what_went_stays_away_after_a_stop_and_after_a_crash)
{
    fill();
    expire_all();
    uint64_t min = min_of(0);
    store_fixture_close(&f.store);
    store_fixture_open(&f.store);
    ck_assert_uint_eq(min_of(0), min);
    expect_rest();
    store_fixture_close(&f.store);
    store_fixture_kill(&f.store);
    store_fixture_open(&f.store);
    ck_assert_uint_eq(min_of(0), min);
    expect_rest();
}
END_TEST

static void remove_file(const char *name)
{
    char *path = tmpdir_path(f.store.root, name);
    ck_assert_int_eq(unlink(path), 0);
    free(path);
}

/* As when the power goes after the log's files went, and before its queues' did. */
START_TEST(entries_that_point_before_the_log_are_passed_over_at_a_start)
{
    f.store.opt.retention.is_on = false;
    store_fixture_close(&f.store);
    store_fixture_open(&f.store);
    fill();
    uint64_t last = stats().published / FIXTURE_FILE_BYTES;
    store_fixture_close(&f.store);
    store_fixture_kill(&f.store);
    for (uint64_t i = 0; i < last; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "commitlog/%020" PRIu64, i * FIXTURE_FILE_BYTES);
        remove_file(name);
    }
    store_fixture_open(&f.store);
    expect_rest();
}
END_TEST

START_TEST(a_file_that_somebody_removed_holds_up_nothing)
{
    fill();
    remove_file("commitlog/00000000000000000000");
    expire_all();
    ck_assert(!has_failed());
    expect_rest();
}
END_TEST

/* As when its files cannot be listed: what it has is passed over. */
START_TEST(a_damaged_queue_holds_up_nothing)
{
    struct store_stats st;
    fill();
    store_fixture_close(&f.store);
    store_fixture_open(&f.store);
    remove_file("consumequeue/T/1/00000000000000000000");
    set(&f.is_later, true);
    await_told();
    ck_assert(has_failed());
    do
        st = stats();
    while (st.log_min < st.published - st.published % FIXTURE_FILE_BYTES);
    ck_assert_uint_gt(min_of(0), 0);
}
END_TEST

START_TEST(queues_that_are_lost_begin_with_the_log)
{
    fill();
    expire_all();
    uint64_t min = min_of(0);
    store_fixture_close(&f.store);
    tmpdir_remove(tmpdir_path(f.store.root, "consumequeue"));
    store_fixture_kill(&f.store);
    store_fixture_open(&f.store);
    ck_assert_uint_eq(min_of(0), min);
}
END_TEST

/* The flusher, too, begins there. */
START_TEST(queues_that_are_lost_begin_in_a_later_file)
{
    store_fixture_close(&f.store);
    f.store.opt.queue_file_bytes = 5 * 20;
    store_fixture_open(&f.store);
    fill();
    expire_all();
    uint64_t min = min_of(0);
    ck_assert_uint_gt(min, 5);
    store_fixture_close(&f.store);
    tmpdir_remove(tmpdir_path(f.store.root, "consumequeue"));
    store_fixture_kill(&f.store);
    store_fixture_open(&f.store);
    ck_assert_uint_eq(min_of(0), min);
    store_fixture_close(&f.store);
    store_fixture_open(&f.store);
    ck_assert_uint_eq(min_of(0), min);
    (void)store_fixture_append(&f.store, "T", 0, "late");
}
END_TEST

/* Its first file is about to go when all of them do: the topic made anew keeps its own. */
START_TEST(a_topic_may_be_dropped_meanwhile)
{
    uint64_t below;
    struct err e;
    store_fixture_close(&f.store);
    f.store.opt.queue_file_bytes = 5 * 20;
    store_fixture_open(&f.store);
    fill();
    set(&f.is_slow, true);
    set(&f.is_later, true);
    while (!atomic_load_explicit(&f.is_going, memory_order_acquire))
        (void)sched_yield();
    ck_assert_int_eq(store_drop_topic(f.store.store, span_str("T"), &below, &e), 0);
    ck_assert_uint_eq(store_fixture_append(&f.store, "T", 0, "anew").queue_off, 0);
    store_fixture_await(&f.store, "T", 0, 1);
    (void)usleep(2 * SLOWLY_US);
    store_fixture_close(&f.store);
    store_fixture_open(&f.store);
    store_fixture_expect(&f.store, "T", 0, 0, "anew");
    struct store_recovery r;
    store_recovery_report(f.store.store, &r);
    ck_assert_uint_eq(r.n_requeued, 0);
}
END_TEST

START_TEST(keys_of_what_went_are_removed_too)
{
    uint64_t *names;
    size_t n_before, n_after;
    struct err e;
    char *folder = tmpdir_path(f.store.root, "index");
    fill();
    while (stats().indexed < stats().published)
        (void)sched_yield();
    ck_assert_int_eq(key_index_list(folder, &names, &n_before, &e), 0);
    free(names);
    expire_all();
    do { /* the test's own limit ends it: nothing is appended */
        (void)usleep(1000);
        ck_assert_int_eq(key_index_list(folder, &names, &n_after, &e), 0);
        free(names);
    } while (n_after == n_before);
    free(folder);
}
END_TEST

START_TEST(want_of_space_takes_one_young_file_after_the_other)
{
    store_fixture_close(&f.store);
    f.store.opt.retention.force_percent = 85;
    store_fixture_open(&f.store);
    fill();
    ck_assert_uint_eq(stats().n_expired, 0);
    use_space(90);
    await_told();
    use_space(50);
    ck_assert(f.told.was_forced);
    ck_assert_uint_eq(f.told.n_files, 1);
    ck_assert_uint_eq(f.told.upto_log_off - f.told.from_log_off, FIXTURE_FILE_BYTES);
}
END_TEST

/* Its queue's file is kept by the dispatcher, who came to it last. */
START_TEST(a_dropped_topic_does_not_hold_that_up)
{
    uint64_t below;
    struct err e;
    store_fixture_close(&f.store);
    f.store.opt.retention.force_percent = 85;
    store_fixture_open(&f.store);
    fill();
    (void)store_fixture_append(&f.store, "U", 0, "dropped");
    store_fixture_await(&f.store, "U", 0, 1);
    ck_assert_int_eq(store_drop_topic(f.store.store, span_str("U"), &below, &e), 0);
    use_space(90);
    await_told();
    ck_assert(f.told.was_forced);
}
END_TEST

START_TEST(a_file_that_cannot_be_removed_is_told_and_stays)
{
    fill();
    set(&f.is_read_only, true);
    set(&f.is_later, true);
    await_told();
    ck_assert(has_failed());
    ck_assert_uint_eq(stats().log_min, 0);
    set(&f.is_read_only, false);
    expire_all(); /* once it can be */
    expect_rest();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("retention");
    TCase *tc = tcase_create("rules");
    tcase_add_test(tc, a_file_goes_by_age_at_its_hour_or_when_space_is_short);
    tcase_add_test(tc, a_file_changed_in_the_future_is_not_old);
    tcase_add_test(tc, only_a_rule_for_it_makes_young_files_go);
    suite_add_tcase(s, tc);
    tc = tcase_create("going");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, nothing_goes_before_its_time);
    tcase_add_test(tc, old_files_go_with_the_entries_that_point_at_them);
    tcase_add_test(tc, who_holds_a_message_keeps_it);
    tcase_add_test(tc, what_went_stays_away_after_a_stop_and_after_a_crash);
    tcase_add_test(tc, entries_that_point_before_the_log_are_passed_over_at_a_start);
    tcase_add_test(tc, a_file_that_somebody_removed_holds_up_nothing);
    tcase_add_test(tc, a_damaged_queue_holds_up_nothing);
    tcase_add_test(tc, queues_that_are_lost_begin_with_the_log);
    tcase_add_test(tc, queues_that_are_lost_begin_in_a_later_file);
    tcase_add_test(tc, a_topic_may_be_dropped_meanwhile);
    tcase_add_test(tc, keys_of_what_went_are_removed_too);
    tcase_add_test(tc, want_of_space_takes_one_young_file_after_the_other);
    tcase_add_test(tc, a_dropped_topic_does_not_hold_that_up);
    tcase_add_test(tc, a_file_that_cannot_be_removed_is_told_and_stays);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
