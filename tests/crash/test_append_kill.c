/* Kills a process at every call to the kernel while it appends over several files, drops a topic
 * and makes it again, and looks at what it left: what was acknowledged is there, a dropped topic is
 * gone or whole, and the store goes on. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/fault.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_RECORDS = 24, N_OLD = 5, BODY_BYTES = 9000, CALLS_MAX = 3000 };

/* Shared between the process that appends and the one that looks. */
struct progress {
    _Atomic int n_acked; /* of T */
    _Atomic bool was_dropped;
    _Atomic uint64_t below_log_off; /* of the dropped topic */
    _Atomic int n_new;              /* of the topic made again */
};

static struct progress *progress;

static const char *body_of(int i)
{
    static char body[BODY_BYTES];
    memset(body, 'a' + i % 26, sizeof body - 1);
    return body;
}

/* Ends the process when anything fails: nothing does, until it is killed. */
static void append(struct store_fixture *f, const char *topic, const char *body)
{
    struct store_appended at;
    struct err e;
    if (store_fixture_try(f, topic, 0, span_str(body), &at, &e) < 0)
        _exit(1);
}

static void run(struct store_fixture *f)
{
    uint64_t below;
    struct err e;
    if (store_open(&f->store, &f->opt, f->io, &e) < 0)
        _exit(1);
    for (int i = 0; i < N_OLD; i++)
        append(f, "U", "old");
    for (int i = 0; i < N_RECORDS; i++) {
        append(f, "T", body_of(i));
        atomic_store(&progress->n_acked, i + 1);
    }
    if (store_drop_topic(f->store, span_str("U"), &below, &e) < 0)
        _exit(1);
    atomic_store(&progress->below_log_off, below);
    atomic_store(&progress->was_dropped, true);
    for (int i = 0; i < N_OLD; i++) {
        append(f, "U", "new");
        atomic_store(&progress->n_new, i + 1);
    }
    _exit(store_close(f->store, &e) < 0);
}

/* Whether the child was killed: false when it made fewer than `n` calls. */
static bool kill_at(struct store_fixture *f, uint64_t n)
{
    int status;
    memset(progress, 0, sizeof *progress);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        static struct fault fault;
        fault_init(&fault, io_posix());
        fault_arm(&fault, FAULT_ALL, n, FAULT_KILL, FAULT_ONCE);
        f->io = &fault.io;
        run(f);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

/* The topic's queue: whole as it was, partly removed, or that of the topic made again. */
static void check_dropped(struct store_fixture *f)
{
    uint64_t min, max;
    int n_new = atomic_load(&progress->n_new);
    store_queue_bounds(f->store, span_str("U"), 0, &min, &max);
    if (!atomic_load(&progress->was_dropped))
        return;
    ck_assert_uint_ge(max, (uint64_t)n_new);
    ck_assert_uint_le(max, N_OLD);
    for (uint64_t i = 0; i < max; i++)
        store_fixture_expect(f, "U", 0, i, "new");
}

static void check_left(struct store_fixture *f)
{
    int n_acked = atomic_load(&progress->n_acked);
    const struct store_deleted deleted = {.topic = "U",
                                          .below_log_off = atomic_load(&progress->below_log_off)};
    f->io = io_posix();
    f->opt.deleted = &deleted;
    f->opt.n_deleted = atomic_load(&progress->was_dropped);
    store_fixture_open_after_crash(f);
    for (int i = 0; i < n_acked; i++)
        store_fixture_expect(f, "T", 0, (uint64_t)i, body_of(i));
    check_dropped(f);
    ck_assert_uint_ge(store_fixture_append(f, "T", 0, "after").queue_off, (uint64_t)n_acked);
    store_fixture_close(f);
}

static void sweep(enum store_flush flush)
{
    bool was_killed = true;
    uint64_t n = 1;
    for (; was_killed; n++) {
        struct store_fixture f;
        ck_assert_uint_lt(n, CALLS_MAX);
        store_fixture_init(&f);
        f.opt.flush = flush;
        f.opt.flush_interval_ms = 1;
        was_killed = kill_at(&f, n);
        check_left(&f);
        tmpdir_remove(f.root);
    }
    ck_assert_uint_gt(n, 100); /* it did reach something */
}

START_TEST(a_kill_at_any_call_loses_nothing_acknowledged)
{
    sweep(STORE_FLUSH_ASYNC);
}
END_TEST

START_TEST(with_sync_flush_a_kill_at_any_call_loses_nothing_acknowledged)
{
    sweep(STORE_FLUSH_SYNC);
}
END_TEST

int main(void)
{
    tmpdir_use_memory();
    progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Suite *suite = suite_create("append_kill");
    TCase *tc = tcase_create("append_kill");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_kill_at_any_call_loses_nothing_acknowledged);
    tcase_add_test(tc, with_sync_flush_a_kill_at_any_call_loses_nothing_acknowledged);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
