/* A log whose positions cross 2^31, 2^32 and further marks, and one near the last position there
 * is: appended to, read, killed and recovered there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_RECORDS = 40, BODY_BYTES = 9000, SLOTS = 10, ITEMS = 200 };

static struct store_fixture f;

static const char *body_of(int i)
{
    static char body[BODY_BYTES];
    memset(body, 'a' + i % 26, sizeof body - 1);
    return body;
}

static void make_file(const char *name, uint64_t bytes)
{
    char *path = tmpdir_path(f.root, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
    ck_assert_int_eq(close(fd), 0);
    free(path);
}

/* A store whose earlier files are gone, killed when it had written nothing into this one. */
static void make_store(uint64_t first)
{
    char name[64];
    uint8_t bytes[STORE_CHECKPOINT_BYTES];
    const struct store_checkpoint cp = {.queue_off = (int64_t)first};
    store_fixture_init(&f);
    f.opt.index_slots = SLOTS;
    f.opt.index_items = ITEMS;
    char *folder = tmpdir_path(f.root, "commitlog");
    ck_assert_int_eq(mkdir(folder, 0755), 0);
    free(folder);
    (void)snprintf(name, sizeof name, "commitlog/%020" PRIu64, first);
    make_file(name, FIXTURE_FILE_BYTES);
    store_checkpoint_encode(bytes, &cp);
    store_fixture_poke(&f, "checkpoint", 0, bytes, sizeof bytes);
    store_fixture_poke(&f, "abort", 0, "1", 1);
}

static struct store_appended append(int i)
{
    struct span body = span_str(body_of(i));
    struct store_appended at = {0};
    struct err e = {0};
    const struct store_message m = {.topic = span_str("T"),
                                    .born_host = {.addr_len = 4},
                                    .properties = span_str("KEYS\001k\002"),
                                    .body = &body,
                                    .n_body = 1};
    ck_assert_msg(store_append(f.store, &m, &at, &e) == 0, "%s", e.msg);
    return at;
}

static int count(void *arg, const struct store_walk_item *item)
{
    ck_assert(item->body_ok);
    ++*(int *)arg;
    return 0;
}

static void expect_index(void)
{
    struct store_stats st;
    struct store_find *find;
    struct err e;
    enum store_query_end end;
    int n = 0;
    const struct store_query q = {.topic = span_str("T"), .key = span_str("k")};
    do {
        (void)sched_yield(); /* the indexer gets there; the test's own limit is the timeout */
        store_stats(f.store, &st);
        ck_assert(!st.index_failed);
    } while (st.indexed < st.published);
    ck_assert_int_eq(store_find_open(&find, f.root, SLOTS, f.io, &e), 0);
    ck_assert_int_eq(store_query(find, &q, count, &n, &end, &e), 0);
    store_find_close(find);
    ck_assert_int_eq(n, N_RECORDS);
}

static void expect_all(void)
{
    store_fixture_await(&f, "T", 0, N_RECORDS);
    for (int i = 0; i < N_RECORDS; i++)
        store_fixture_expect(&f, "T", 0, (uint64_t)i, body_of(i));
}

static const uint64_t marks[] = {UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(1) << 40,
                                 UINT64_C(1) << 62};
enum { N_MARKS = sizeof marks / sizeof marks[0] };

START_TEST(a_log_goes_over_a_mark_as_over_any_other_place)
{
    static const uint8_t zeros[STORE_CHECKPOINT_BYTES];
    uint64_t mark = marks[_i];
    make_store(mark - FIXTURE_FILE_BYTES);
    store_fixture_open(&f);
    ck_assert_uint_lt(append(0).log_off, mark);
    struct store_appended last = {0};
    for (int i = 1; i < N_RECORDS; i++)
        last = append(i);
    ck_assert_uint_gt(last.log_off, mark);
    expect_all();
    expect_index();
    store_fixture_kill(&f);
    store_fixture_poke(&f, "checkpoint", 0, zeros, sizeof zeros); /* walk it all */
    store_fixture_open(&f);
    struct store_recovery r;
    store_recovery_report(f.store, &r);
    ck_assert_uint_eq(r.n_records, N_RECORDS);
    ck_assert_uint_eq(r.n_damaged, 0);
    expect_all();
    expect_index();
    store_fixture_close(&f);
    store_fixture_open(&f);
    expect_all();
    store_fixture_fini(&f);
}
END_TEST

START_TEST(the_last_position_ends_a_log_and_nothing_else)
{
    uint64_t first = INT64_MAX - INT64_MAX % FIXTURE_FILE_BYTES - FIXTURE_FILE_BYTES;
    struct store_appended at;
    struct err e = {0};
    int n = 0;
    make_store(first);
    store_fixture_open(&f);
    while (store_fixture_try(&f, "T", 0, span_str(body_of(n)), &at, &e) == 0) {
        ck_assert_uint_le(at.log_off, INT64_MAX - at.size);
        ck_assert_int_lt(n++, N_RECORDS);
    }
    ck_assert_int_gt(n, 0);
    ck_assert_uint_gt(strlen(e.msg), 0);
    store_fixture_await(&f, "T", 0, (uint64_t)n);
    for (int i = 0; i < n; i++)
        store_fixture_expect(&f, "T", 0, (uint64_t)i, body_of(i));
    store_fixture_close(&f);
    store_fixture_open(&f);
    for (int i = 0; i < n; i++)
        store_fixture_expect(&f, "T", 0, (uint64_t)i, body_of(i));
    store_fixture_fini(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("far");
    TCase *tc = tcase_create("far");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, a_log_goes_over_a_mark_as_over_any_other_place, 0, N_MARKS);
    tcase_add_test(tc, the_last_position_ends_a_log_and_nothing_else);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
