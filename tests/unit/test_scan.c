/* Reading an open store: scans, single records, times. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"

static struct store_fixture f;

static void set_up(void)
{
    store_fixture_init(&f);
    f.opt.without_index = true; /* pins are counted, and the indexer takes some */
    store_fixture_open(&f);
}

static void tear_down(void)
{
    store_fixture_fini(&f);
}

static void scan(struct store_scan *scan, struct store_slice *slices, struct store_scanned *ret)
{
    struct err e = {0};
    int rc = store_scan(f.store, scan, slices, ret, &e);
    ck_assert_msg(rc == 0, "scan: %s", e.msg);
    for (size_t i = 0; i < ret->n; i++)
        store_unpin(slices[i].pin);
}

START_TEST(a_scan_stops_for_each_of_its_reasons)
{
    struct store_slice slices[8];
    struct store_scanned done;
    for (int i = 0; i < 5; i++)
        (void)store_fixture_append(&f, "T", 0, "x");
    store_fixture_await(&f, "T", 0, 5);
    struct store_scan s = {
        .topic = span_str("T"), .max_messages = 8, .max_bytes = 1 << 20, .max_entries = 100};
    scan(&s, slices, &done);
    ck_assert_int_eq(done.end, STORE_SCAN_TAIL);
    ck_assert_uint_eq(done.n, 5);
    ck_assert_uint_eq(done.next_queue_off, 5);
    s.max_messages = 3;
    scan(&s, slices, &done);
    ck_assert_int_eq(done.end, STORE_SCAN_FULL);
    ck_assert_uint_eq(done.next_queue_off, 3);
    s.max_entries = 2;
    scan(&s, slices, &done);
    ck_assert_int_eq(done.end, STORE_SCAN_MORE);
    ck_assert_uint_eq(done.n, 2);
    s.max_bytes = 1;
    scan(&s, slices, &done);
    ck_assert_int_eq(done.end, STORE_SCAN_FULL);
    ck_assert_uint_eq(done.n, 1);
    s.topic = span_str("absent");
    scan(&s, slices, &done);
    ck_assert_int_eq(done.end, STORE_SCAN_NO_QUEUE);
}
END_TEST

START_TEST(a_scan_passes_over_what_does_not_match)
{
    struct store_slice slices[8];
    struct store_scanned done;
    for (int i = 0; i < 5; i++)
        (void)store_fixture_append(&f, "T", 0, "x");
    store_fixture_await(&f, "T", 0, 5);
    int32_t code = 0; /* of no tag; ours have one */
    struct store_scan s = {.topic = span_str("T"),
                           .max_messages = 8,
                           .max_bytes = 1 << 20,
                           .max_entries = 100,
                           .match = {.tag_codes = &code, .n_tag_codes = 1}};
    scan(&s, slices, &done);
    ck_assert_uint_eq(done.n, 0);
    ck_assert_uint_eq(done.n_passed, 5);
    ck_assert_uint_eq(done.next_queue_off, 5);
    code = 2598919; /* of TagA: rocketmq-store 15.5 */
    scan(&s, slices, &done);
    ck_assert_uint_eq(done.n, 5);
}
END_TEST

START_TEST(a_damaged_record_is_passed_over_and_counted)
{
    struct store_slice slices[8];
    struct store_scanned done;
    for (int i = 0; i < 3; i++)
        (void)store_fixture_append(&f, "T", 0, "x");
    store_fixture_await(&f, "T", 0, 3);
    struct store_appended at = store_fixture_append(&f, "T", 0, "x");
    store_fixture_await(&f, "T", 0, 4);
    store_fixture_poke(&f, "commitlog/00000000000000000000", at.log_off + 4, "\0\0\0\0", 4);
    struct store_scan s = {
        .topic = span_str("T"), .max_messages = 8, .max_bytes = 1 << 20, .max_entries = 100};
    scan(&s, slices, &done);
    ck_assert_uint_eq(done.n, 3);
    ck_assert_uint_eq(done.n_damaged, 1);
    ck_assert_uint_eq(done.next_queue_off, 4);
    struct store_stats st;
    store_stats(f.store, &st);
    ck_assert_uint_eq(st.n_damaged, 1);
}
END_TEST

/* Whatever is in the entry: nothing, a place behind the log, another record's place, or no
 * record's.
 */
START_TEST(a_damaged_entry_does_not_hide_its_record)
{
    static const uint8_t entries[][20] = {
        {0}, {0x80}, {0x7f}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, {[11] = 110}};
    struct store_slice slices[8];
    struct store_scanned done;
    struct store_stats st;
    for (int i = 0; i < 5; i++)
        (void)store_fixture_append(&f, "T", i % 2, "x");
    store_fixture_await(&f, "T", 0, 3);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        store_fixture_poke(&f, "consumequeue/T/0/00000000000000000000", 20, entries[i], 20);
        struct store_scan s = {
            .topic = span_str("T"), .max_messages = 8, .max_bytes = 1 << 20, .max_entries = 100};
        scan(&s, slices, &done);
        ck_assert_uint_eq(done.n, 3);
        ck_assert_uint_eq(slices[1].rec.queue_off, 1);
        store_fixture_expect(&f, "T", 0, 1, "x");
        store_stats(f.store, &st);
        ck_assert_uint_eq(st.n_damaged, 2 * (i + 1)); /* each look at it counts */
    }
}
END_TEST

START_TEST(a_time_finds_the_first_record_at_or_behind_it)
{
    struct err e;
    uint64_t off;
    struct store_appended first = store_fixture_append(&f, "T", 0, "x");
    store_fixture_await(&f, "T", 0, 1);
    ck_assert_int_eq(store_queue_off_by_time(f.store, span_str("T"), 0, first.store_ms, &off, &e),
                     0);
    ck_assert_uint_eq(off, 0);
    ck_assert_int_eq(
        store_queue_off_by_time(f.store, span_str("T"), 0, first.store_ms + 1, &off, &e), 0);
    ck_assert_uint_eq(off, 1);
}
END_TEST

static bool is_body(void *arg, const struct store_record *rec)
{
    return span_equal(rec->body, span_str(arg));
}

START_TEST(the_record_is_asked_too)
{
    struct store_slice slices[8];
    struct store_scanned done;
    char wanted[] = "b";
    (void)store_fixture_append(&f, "T", 0, "a");
    (void)store_fixture_append(&f, "T", 0, wanted);
    store_fixture_await(&f, "T", 0, 2);
    struct store_scan s = {.topic = span_str("T"),
                           .max_messages = 8,
                           .max_bytes = 1 << 20,
                           .max_entries = 100,
                           .match = {.record = is_body, .arg = wanted}};
    scan(&s, slices, &done);
    ck_assert_uint_eq(done.n, 1);
    ck_assert_uint_eq(done.n_passed, 1);
    ck_assert_uint_eq(slices[0].rec.queue_off, 1);
}
END_TEST

START_TEST(a_scan_from_behind_the_end_stays_there)
{
    struct store_slice slices[1];
    struct store_scanned done;
    (void)store_fixture_append(&f, "T", 0, "x");
    store_fixture_await(&f, "T", 0, 1);
    struct store_scan s = {.topic = span_str("T"),
                           .from_queue_off = 9,
                           .max_messages = 1,
                           .max_bytes = 1 << 20,
                           .max_entries = 100};
    scan(&s, slices, &done);
    ck_assert_int_eq(done.end, STORE_SCAN_TAIL);
    ck_assert_uint_eq(done.n, 0);
    ck_assert_uint_eq(done.next_queue_off, 9);
}
END_TEST

START_TEST(a_scan_goes_on_from_file_to_file)
{
    enum { N = 3 * FIXTURE_QUEUE_FILE_BYTES / STORE_QUEUE_ENTRY_BYTES };
    static struct store_slice slices[N];
    struct store_scanned done;
    for (int i = 0; i < N; i++)
        (void)store_fixture_append(&f, "T", 0, "x");
    store_fixture_await(&f, "T", 0, N);
    struct store_scan s = {
        .topic = span_str("T"), .max_messages = N, .max_bytes = 1 << 20, .max_entries = N};
    scan(&s, slices, &done);
    ck_assert_uint_eq(done.n, N);
    for (uint64_t i = 0; i < N; i++)
        ck_assert_uint_eq(slices[i].rec.queue_off, i);
}
END_TEST

START_TEST(what_is_not_there_is_not_found)
{
    struct store_slice slice;
    struct err e;
    (void)store_fixture_append(&f, "T", 0, "x");
    store_fixture_await(&f, "T", 0, 1);
    ck_assert_int_eq(store_get(f.store, span_str("T"), 0, 1, &slice, &e), ERR_NOTFOUND);
    ck_assert_int_eq(store_get(f.store, span_str("T"), 1, 0, &slice, &e), ERR_NOTFOUND);
    ck_assert_int_eq(store_get(f.store, span_str("U"), 0, 0, &slice, &e), ERR_NOTFOUND);
}
END_TEST

/* More hits than pins are taken for at once, in more than one file of the log. */
START_TEST(a_pin_is_held_for_each_hit_until_it_is_dropped)
{
    enum { RECORD_MIN_BYTES = 91, N = 3 * FIXTURE_FILE_BYTES / RECORD_MIN_BYTES };
    static struct store_slice slices[N];
    struct store_scanned done;
    struct store_stats before, held, after;
    struct err e;
    for (int i = 0; i < N; i++)
        (void)store_fixture_append(&f, "T", 0, "x");
    store_fixture_await(&f, "T", 0, N);
    struct store_scan s = {
        .topic = span_str("T"), .max_messages = N, .max_bytes = 1 << 30, .max_entries = N};
    store_stats(f.store, &before);
    ck_assert_uint_gt(before.n_files, 2);
    ck_assert_int_eq(store_scan(f.store, &s, slices, &done, &e), 0);
    store_stats(f.store, &held);
    for (size_t i = 0; i < done.n; i++)
        store_unpin(slices[i].pin);
    store_stats(f.store, &after);
    ck_assert_uint_eq(done.n, N);
    ck_assert_uint_eq(held.n_pins, before.n_pins + N);
    ck_assert_uint_eq(after.n_pins, before.n_pins);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("scan");
    TCase *tc = tcase_create("scan");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_scan_stops_for_each_of_its_reasons);
    tcase_add_test(tc, a_scan_passes_over_what_does_not_match);
    tcase_add_test(tc, a_damaged_record_is_passed_over_and_counted);
    tcase_add_test(tc, a_damaged_entry_does_not_hide_its_record);
    tcase_add_test(tc, a_time_finds_the_first_record_at_or_behind_it);
    tcase_add_test(tc, the_record_is_asked_too);
    tcase_add_test(tc, a_scan_from_behind_the_end_stays_there);
    tcase_add_test(tc, a_scan_goes_on_from_file_to_file);
    tcase_add_test(tc, what_is_not_there_is_not_found);
    tcase_add_test(tc, a_pin_is_held_for_each_hit_until_it_is_dropped);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}
