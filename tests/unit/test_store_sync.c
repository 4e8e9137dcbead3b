/* A store with sync flush, as its callers see it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/crew.h"
#include "tests/lib/fault.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_APPENDERS = 8, N_EACH = 200, BODY_BYTES = 900 };

static struct store_fixture f;
static struct fault fault;

static void set_up(void)
{
    store_fixture_init(&f);
    fault_init(&fault, io_posix());
    f.io = &fault.io;
    f.opt.flush = STORE_FLUSH_SYNC;
    f.opt.max_message_bytes = 32 * 1024;
    store_fixture_open(&f);
}

static void tear_down(void)
{
    store_fixture_fini(&f);
}

static struct store_stats stats(void)
{
    struct store_stats st;
    store_stats(f.store, &st);
    return st;
}

START_TEST(an_append_returns_when_the_record_is_on_disk)
{
    for (int i = 0; i < 100; i++) {
        struct store_appended at = store_fixture_append(&f, "T", 0, "body");
        ck_assert_uint_ge(stats().flushed, at.log_off + at.size);
    }
    store_fixture_await(&f, "T", 0, 100);
    store_fixture_expect(&f, "T", 0, 99, "body");
    ck_assert_uint_eq(stats().n_grouped, 100);
}
END_TEST

/* Closes a store whose close has to fail, since it has failed before. */
static void close_failed(void)
{
    struct err e;
    ck_assert_int_eq(store_close(f.store, &e), ERR_FAILED);
    fault_disarm(&fault);
    store_fixture_open(&f);
}

/* I5 */
START_TEST(after_a_failed_sync_only_reopening_helps)
{
    struct store_appended at;
    struct err e;
    (void)store_fixture_append(&f, "T", 0, "before");
    store_fixture_await(&f, "T", 0, 1);
    fault_arm(&fault, FAULT_SYNC, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(store_fixture_try(&f, "T", 0, span_str("lost"), &at, &e), ERR_UNKNOWN);
    ck_assert(stats().failed);
    ck_assert_int_eq(store_fixture_try(&f, "T", 0, span_str("late"), &at, &e), ERR_FAILED);
    store_fixture_expect(&f, "T", 0, 0, "before");
    uint64_t below;
    ck_assert_int_eq(store_drop_topic(f.store, span_str("T"), &below, &e),
                     ERR_FAILED); /* and not never */
    close_failed();
    store_fixture_expect(&f, "T", 0, 0, "before");
    (void)store_fixture_append(&f, "T", 0, "after");
}
END_TEST

START_TEST(a_store_goes_from_one_flush_to_the_other_and_back)
{
    const enum store_flush turns[] = {STORE_FLUSH_ASYNC, STORE_FLUSH_SYNC, STORE_FLUSH_ASYNC,
                                      STORE_FLUSH_ASYNC, STORE_FLUSH_SYNC};
    static char body[30000];
    char names[6][16];
    memset(body, 'b', sizeof body - 1);
    (void)store_fixture_append(&f, "T", 0, "turn 0");
    for (int i = 1; i <= 5; i++) {
        store_fixture_close(&f);
        f.opt.flush = turns[i - 1];
        store_fixture_open(&f);
        (void)snprintf(names[i], sizeof names[i], "turn %d", i);
        (void)store_fixture_append(&f, "T", 0, names[i]);
        for (int k = 0; k < 3; k++) /* past the end of a file */
            (void)store_fixture_append(&f, "U", 0, body);
    }
    store_fixture_await(&f, "T", 0, 6);
    store_fixture_await(&f, "U", 0, 15);
    for (uint64_t i = 1; i <= 5; i++)
        store_fixture_expect(&f, "T", 0, i, names[i]);
    for (uint64_t i = 0; i < 15; i++)
        store_fixture_expect(&f, "U", 0, i, body);
    ck_assert_uint_eq(stats().n_damaged, 0);
}
END_TEST

/* ---- many at once ---- */

static void append_many(int id)
{
    char body[BODY_BYTES + 1];
    for (int i = 0; i < N_EACH; i++) {
        memset(body, 'a' + id, BODY_BYTES);
        body[BODY_BYTES] = '\0';
        (void)snprintf(body, BODY_BYTES, "%d", i);
        struct store_appended at = store_fixture_append(&f, "T", id, body);
        ck_assert_uint_eq(at.queue_off, (uint64_t)i);
        ck_assert_uint_ge(stats().flushed, at.log_off + at.size);
    }
}

START_TEST(appenders_share_their_syncs_and_lose_nothing)
{
    struct crew appenders;
    crew_start(&appenders, N_APPENDERS, append_many);
    crew_join(&appenders);
    struct store_stats st = stats();
    ck_assert_uint_eq(st.n_grouped, N_APPENDERS * N_EACH);
    ck_assert_uint_gt(st.n_files, 1);
    ck_assert_uint_ge(st.written_bytes, st.appended_bytes);
    ck_assert_uint_le(st.written_bytes, st.appended_bytes + 8 * st.n_files); /* fillers */
    for (int id = 0; id < N_APPENDERS; id++) {
        char body[BODY_BYTES + 1];
        memset(body, 'a' + id, BODY_BYTES);
        body[BODY_BYTES] = '\0';
        (void)snprintf(body, BODY_BYTES, "%d", N_EACH - 1);
        store_fixture_await(&f, "T", id, N_EACH);
        struct store_slice slice;
        struct err e = {0};
        ck_assert_int_eq(store_get(f.store, span_str("T"), id, N_EACH - 1, &slice, &e), 0);
        ck_assert_uint_eq(slice.rec.body.len, strlen(body));
        ck_assert(store_body_check(&slice.rec, /* ret_crc = */ NULL));
        store_unpin(slice.pin);
    }
}
END_TEST

/* ---- without waiting ---- */

static void count_told(void *arg, const struct err *failure)
{
    _Atomic int *told = arg;
    *told += failure ? 100 : 1;
}

static enum store_settled submit_and_settle(struct store_ticket *t, const struct span *bodies,
                                            size_t n)
{
    struct store_appended at;
    struct err e = {0};
    enum store_settled settled = STORE_NOW;
    for (size_t i = 0; i < n; i++) {
        struct store_message m = {
            .topic = span_str("T"), .born_host = {.addr_len = 4}, .body = &bodies[i], .n_body = 1};
        ck_assert_msg(store_submit(f.store, &m, t, &at, &e) == 0, "%s", e.msg);
    }
    ck_assert_msg(store_settle(f.store, t, &settled, &e) == 0, "%s", e.msg);
    return settled;
}

START_TEST(a_close_settles_what_was_submitted)
{
    static _Atomic int told;
    struct store_ticket t = {.on_settled = count_told, .arg = (void *)&told};
    const struct span bodies[] = {span_str("one"), span_str("two"), span_str("three")};
    int now = submit_and_settle(&t, bodies, 3) == STORE_NOW;
    store_fixture_close(&f);
    ck_assert_int_eq(told + now, 1);
    store_fixture_open(&f);
    store_fixture_expect(&f, "T", 0, 2, "three");
}
END_TEST

START_TEST(async_flush_settles_at_once)
{
    static _Atomic int told;
    struct store_ticket t = {.on_settled = count_told, .arg = (void *)&told};
    const struct span body = span_str("one");
    store_fixture_close(&f);
    f.opt.flush = STORE_FLUSH_ASYNC;
    store_fixture_open(&f);
    ck_assert_int_eq(submit_and_settle(&t, &body, 1), STORE_NOW);
    ck_assert_int_eq(told, 0);
    ck_assert_uint_eq(stats().n_groups, 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("store with sync flush");
    TCase *tc = tcase_create("store with sync flush");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, an_append_returns_when_the_record_is_on_disk);
    tcase_add_test(tc, after_a_failed_sync_only_reopening_helps);
    tcase_add_test(tc, a_store_goes_from_one_flush_to_the_other_and_back);
    tcase_add_test(tc, appenders_share_their_syncs_and_lose_nothing);
    tcase_add_test(tc, a_close_settles_what_was_submitted);
    tcase_add_test(tc, async_flush_settles_at_once);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}
