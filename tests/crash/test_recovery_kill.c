/* Kills a process in the middle of a recovery, at every call of it, and recovers what it left. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/fault.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_RECORDS = 60, SLOTS = 10, ITEMS = 50, CALLS_MAX = 2000 };

static const char *body_of(int i)
{
    static char body[N_RECORDS][3000];
    memset(body[i], 'a' + i % 26, sizeof body[i] - 1);
    return body[i];
}

static void append_all(struct store_fixture *f)
{
    for (int i = 0; i < N_RECORDS; i++) {
        struct span body = span_str(body_of(i));
        const struct store_message m = {.topic = span_str("T"),
                                        .born_host = {.addr_len = 4},
                                        .properties = span_str("KEYS\001k other\002"),
                                        .body = &body,
                                        .n_body = 1};
        struct store_appended at;
        struct err e;
        ck_assert_int_eq(store_append(f->store, &m, &at, &e), 0);
    }
}

/* What a kill left, with work for a recovery: half of the queue, no index, rubbish at the end. */
static void make_damaged(struct store_fixture *f)
{
    static const uint8_t zeros[20 * N_RECORDS], rubbish[200] = {1, 2, 3};
    struct store_stats st;
    char name[64];
    store_fixture_init(f);
    f->opt.index_slots = SLOTS;
    f->opt.index_items = ITEMS;
    store_fixture_open(f);
    append_all(f);
    store_stats(f->store, &st);
    store_fixture_kill(f);
    store_fixture_poke(f, "checkpoint", 0, zeros, 48);
    store_fixture_poke(f, "consumequeue/T/0/00000000000000000000", 20 * N_RECORDS / 2, zeros,
                       20 * N_RECORDS / 2);
    (void)snprintf(name, sizeof name, "commitlog/%020llu",
                   (unsigned long long)(st.published - st.published % FIXTURE_FILE_BYTES));
    store_fixture_poke(f, name, st.published % FIXTURE_FILE_BYTES, rubbish, sizeof rubbish);
}

/* ---- the kill ---- */

/* Opens and closes the store in a child that is killed at the n-th call; whether it came to that.
 */
static bool kill_at(struct store_fixture *f, uint64_t n)
{
    int status;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        static struct fault fault;
        struct err e;
        fault_init(&fault, io_posix());
        fault_arm(&fault, FAULT_ALL, n, FAULT_KILL, FAULT_ONCE);
        f->io = &fault.io;
        bool is_well =
            store_open(&f->store, &f->opt, f->io, &e) == 0 && store_close(f->store, &e) == 0;
        _exit(is_well ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return WIFSIGNALED(status);
}

static int count(void *arg, const struct store_walk_item *item)
{
    ck_assert(item->body_ok);
    ++*(int *)arg;
    return 0;
}

static void check_index(struct store_fixture *f)
{
    struct store_stats st;
    struct store_find *find;
    struct err e;
    enum store_query_end end;
    int n = 0;
    const struct store_query q = {.topic = span_str("T"), .key = span_str("k")};
    do {
        (void)sched_yield(); /* the indexer gets there; the test's own limit is the timeout */
        store_stats(f->store, &st);
        ck_assert(!st.index_failed);
    } while (st.indexed < st.published);
    ck_assert_int_eq(store_find_open(&find, f->root, SLOTS, f->io, &e), 0);
    ck_assert_int_eq(store_query(find, &q, count, &n, &end, &e), 0);
    store_find_close(find);
    ck_assert_int_eq(n, N_RECORDS);
}

static void check_whole(struct store_fixture *f)
{
    uint64_t min, max;
    f->io = io_posix();
    store_fixture_open(f);
    store_queue_bounds(f->store, span_str("T"), 0, &min, &max);
    ck_assert_uint_eq(max, N_RECORDS);
    for (int i = 0; i < N_RECORDS; i++)
        store_fixture_expect(f, "T", 0, (uint64_t)i, body_of(i));
    check_index(f);
    (void)store_fixture_append(f, "T", 0, "after");
    store_fixture_close(f);
}

static void sweep(uint64_t second)
{
    struct store_fixture damaged, f;
    uint64_t n = 1;
    bool was_killed = true;
    make_damaged(&damaged);
    for (; was_killed; n++) {
        ck_assert_uint_lt(n, CALLS_MAX);
        f = damaged;
        f.opt.root = f.root = tmpdir_copy(damaged.root);
        was_killed = kill_at(&f, n);
        if (second > 0)
            (void)kill_at(&f, 1 + n * second % 97); /* anywhere */
        check_whole(&f);
        tmpdir_remove(f.root);
    }
    ck_assert_uint_gt(n, 50); /* it did reach something */
    tmpdir_remove(damaged.root);
}

START_TEST(a_recovery_killed_anywhere_is_done_by_the_next)
{
    sweep(0);
}
END_TEST

START_TEST(two_recoveries_killed_anywhere_are_done_by_the_third)
{
    sweep(31);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recovery_kill");
    TCase *tc = tcase_create("recovery_kill");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_recovery_killed_anywhere_is_done_by_the_next);
    tcase_add_test(tc, two_recoveries_killed_anywhere_are_done_by_the_third);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
