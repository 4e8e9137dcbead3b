/* Everything that takes memory away, against everything that uses it: files are
 * unmapped, parts of them dropped, removed for their age, topics deleted, while
 * others append, scan, and hold what they found. Meant for ThreadSanitizer; alone it shows that
 * what is pinned stays readable (I3). */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/crew.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"

enum {
    FILE_BYTES = 8 << 20,
    BODY_BYTES = 16 * 1024,
    N_EACH = 1200, /* of each appender: 38 MiB together, so that most lies behind
                      the tail */
    N_QUEUES = 2,
    N_HELD = 48,
    N_DROPS = 15,
};

static struct store_fixture f;
static _Atomic bool is_over; /* relaxed: tells readers to end */
static _Atomic uint64_t n_checked;

static void append(const char *topic, int32_t queue_id, uint8_t fill)
{
    uint8_t body[BODY_BYTES];
    struct store_appended at;
    struct err e;
    memset(body, fill, sizeof body);
    int rc = store_fixture_try(&f, topic, queue_id, span_of(body, sizeof body), &at, &e);
    ck_assert_msg(rc == 0 || rc == ERR_NOTFOUND, "%s", e.msg); /* the topic is being deleted */
}

static void append_many(int queue_id)
{
    for (int i = 0; i < N_EACH; i++)
        append("T", queue_id, (uint8_t)i);
}

/* Slices kept while others come and go: a ring. */
struct held {
    struct store_slice slices[N_HELD];
    size_t at;
};

/* What was kept longest is looked at once more, and goes. */
static void hold(struct held *h, const struct store_slice *slice)
{
    struct store_slice *kept = &h->slices[h->at++ % N_HELD];
    if (kept->pin) {
        ck_assert(store_body_check(&kept->rec, /* ret_crc = */ NULL));
        store_unpin(kept->pin);
        atomic_fetch_add_explicit(&n_checked, 1, memory_order_relaxed); /* a count */
    }
    *kept = *slice;
}

static void let_go(struct held *h)
{
    for (size_t i = 0; i < N_HELD; i++)
        store_unpin(h->slices[i].pin);
}

/* One pass over a queue, which may be deleted meanwhile. */
static void scan_once(const char *topic, int32_t queue_id, struct held *h)
{
    struct store_slice slices[16];
    struct store_scan s = {.topic = span_str(topic),
                           .queue_id = queue_id,
                           .max_messages = 16,
                           .max_bytes = UINT64_MAX,
                           .max_entries = UINT64_MAX};
    struct store_scanned done;
    struct err e;
    do {
        ck_assert_msg(store_scan(f.store, &s, slices, &done, &e) == 0, "%s", e.msg);
        ck_assert_uint_eq(done.n_damaged, 0);
        for (size_t i = 0; i < done.n; i++)
            hold(h, &slices[i]);
        s.from_queue_off = done.next_queue_off;
    } while (done.end == STORE_SCAN_FULL || done.end == STORE_SCAN_MORE);
}

static void scan_again_and_again(int queue_id)
{
    struct held h = {.at = 0};
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        scan_once("T", queue_id, &h);
        scan_once("D", 0, &h);
    }
    let_go(&h);
}

static void *make_and_delete(void *arg)
{
    uint64_t below;
    struct err e;
    (void)arg;
    for (int i = 0; i < N_DROPS; i++) {
        for (int k = 0; k < 20; k++)
            append("D", 0, (uint8_t)k);
        ck_assert_msg(store_drop_topic(f.store, span_str("D"), &below, &e) == 0, "%s", e.msg);
    }
    return NULL;
}

static int pass(void *arg, const struct store_file_info *info)
{
    (void)arg, (void)info;
    return 0;
}

static void *measure(void *arg)
{
    struct store_stats st;
    struct err e;
    (void)arg;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        store_stats(f.store, &st);
        ck_assert_uint_le(st.published, st.populated); /* I1 */
        ck_assert_msg(store_each_file(f.store, pass, NULL, &e) == 0, "%s", e.msg);
    }
    return NULL;
}

static void run_all(void)
{
    struct crew appenders, readers;
    pthread_t deleter, watcher;
    crew_start(&appenders, N_QUEUES, append_many);
    crew_start(&readers, N_QUEUES, scan_again_and_again);
    ck_assert_int_eq(pthread_create(&deleter, NULL, make_and_delete, NULL), 0);
    ck_assert_int_eq(pthread_create(&watcher, NULL, measure, NULL), 0);
    crew_join(&appenders);
    ck_assert_int_eq(pthread_join(deleter, NULL), 0);
    atomic_store_explicit(&is_over, true, memory_order_relaxed);
    crew_join(&readers);
    ck_assert_int_eq(pthread_join(watcher, NULL), 0);
}

static void set_up(void)
{
    store_fixture_init(&f);
    f.opt.file_bytes = FILE_BYTES;
    f.opt.populate_window_bytes = 1 << 20;
    f.opt.flush_interval_ms = 5;
    f.opt.mapped_budget_bytes = 1;   /* unmaps whatever nobody holds */
    f.opt.resident_budget_bytes = 1; /* drops whatever is not at the tail */
    is_over = false;
    n_checked = 0;
    store_fixture_open(&f);
}

static void tear_down(void)
{
    store_fixture_fini(&f);
}

static void expect_taken_away(void)
{
    struct store_stats st;
    store_stats(f.store, &st);
    ck_assert_uint_gt(st.n_unmapped, 0);
    ck_assert_uint_gt(st.n_relaxed, 0);
    ck_assert_uint_gt(n_checked, 0);
}

START_TEST(what_is_held_stays_readable_while_all_memory_is_taken_away)
{
    run_all();
    store_fixture_await(&f, "T", 0, N_EACH);
    expect_taken_away();
}
END_TEST

START_TEST(with_sync_flush_too)
{
    store_fixture_close(&f);
    f.opt.flush = STORE_FLUSH_SYNC;
    store_fixture_open(&f);
    run_all();
    store_fixture_await(&f, "T", 0, N_EACH);
    expect_taken_away();
}
END_TEST

START_TEST(the_log_s_oldest_files_go_meanwhile)
{
    struct store_stats st;
    store_fixture_close(&f);
    f.opt.retention = (struct store_retention){
        .is_on = true, .hours = (1 << 24) - 1, .interval_ms = 1}; /* at any age */
    store_fixture_open(&f);
    run_all();
    store_fixture_await(&f, "T", 0, N_EACH);
    store_stats(f.store, &st);
    ck_assert_uint_ge(st.n_expired, 2);
    ck_assert_uint_eq(st.n_damaged, 0);
    ck_assert_uint_gt(n_checked, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store_races");
    TCase *tc = tcase_create("races");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_held_stays_readable_while_all_memory_is_taken_away);
    tcase_add_test(tc, with_sync_flush_too);
    tcase_add_test(tc, the_log_s_oldest_files_go_meanwhile);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
