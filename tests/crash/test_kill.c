/* Kills a real process while it appends, and looks at what it left. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/crash_io.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"

enum { N_PRODUCERS = 2, N_ROUNDS = 10, BODY_MAX = 3000, KILL_AFTER_MAX = 3000 };

/* Shared between the process that appends and the one that kills it. */
struct acked {
    _Atomic uint64_t n[N_PRODUCERS]; /* entries acknowledged in queue i, from the first round on */
};

/* What entry `n` of queue `queue_id` must hold; the length varies, so that records lie anywhere. */
static struct span body_of(int queue_id, uint64_t n, char buf[BODY_MAX])
{
    size_t len = 30 + (size_t)(n * 7919 + (uint64_t)queue_id * 13) % (BODY_MAX - 30);
    memset(buf, 'a' + (int)(n % 26), len);
    (void)snprintf(buf, BODY_MAX, "%d:%llu", queue_id, (unsigned long long)n);
    return span_of(buf, len);
}

struct producer {
    struct store_fixture *f;
    struct acked *acked;
    int queue_id;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    char buf[BODY_MAX];
    struct store_appended at;
    struct err e;
    uint64_t min_off, n;
    store_queue_bounds(p->f->store, span_str("T"), p->queue_id, &min_off, &n);
    for (;; n++) {
        struct span body = body_of(p->queue_id, n, buf);
        if (store_fixture_try(p->f, "T", p->queue_id, body, &at, &e) < 0 || at.queue_off != n)
            _exit(1);
        atomic_store_explicit(&p->acked->n[p->queue_id], n + 1, memory_order_release);
    }
    return NULL;
}

static void run_child(struct store_fixture *f, struct acked *acked)
{
    struct producer producers[N_PRODUCERS];
    pthread_t threads[N_PRODUCERS];
    store_fixture_open(f);
    for (int i = 0; i < N_PRODUCERS; i++) {
        producers[i] = (struct producer){.f = f, .acked = acked, .queue_id = i};
        if (pthread_create(&threads[i], NULL, produce, &producers[i]) != 0)
            _exit(1);
    }
    (void)pause(); /* until killed */
    _exit(1);
}

static uint64_t count(const struct acked *acked)
{
    uint64_t n = 0;
    for (int i = 0; i < N_PRODUCERS; i++)
        n += atomic_load_explicit(&acked->n[i], memory_order_acquire);
    return n;
}

/* Runs a child until it has acknowledged `n` more records, then kills it. */
static void kill_after(struct store_fixture *f, struct acked *acked, uint64_t n)
{
    uint64_t until = count(acked) + n;
    int status;
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        run_child(f, acked);
    while (count(acked) < until && waitpid(pid, &status, WNOHANG) == 0)
        (void)sched_yield();
    ck_assert_msg(count(acked) >= until, "the child ended by itself");
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

static void check_queue(struct store_fixture *f, int queue_id, uint64_t n_acked)
{
    char buf[BODY_MAX];
    uint64_t min_off, max_off;
    store_queue_bounds(f->store, span_str("T"), queue_id, &min_off, &max_off);
    ck_assert_uint_eq(min_off, 0);
    ck_assert_uint_ge(max_off, n_acked);
    for (uint64_t n = 0; n < max_off; n++) {
        struct store_slice slice;
        struct err e = {0};
        int rc = store_get(f->store, span_str("T"), queue_id, n, &slice, &e);
        ck_assert_msg(rc == 0, "get: %s", e.msg);
        ck_assert(span_equal(slice.rec.body, body_of(queue_id, n, buf)));
        store_unpin(slice.pin);
    }
}

START_TEST(what_was_acknowledged_survives_a_kill)
{
    struct store_fixture f;
    uint64_t seed = crash_io_seed();
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    struct acked *acked =
        mmap(NULL, sizeof *acked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(acked, MAP_FAILED);
    store_fixture_init(&f);
    f.opt.flush_interval_ms = 2;
    for (int round = 0; round < N_ROUNDS; round++) {
        struct store_recovery r;
        kill_after(&f, acked, 1 + crash_io_random(&seed) % KILL_AFTER_MAX);
        store_fixture_open(&f);
        store_recovery_report(f.store, &r);
        ck_assert(!r.was_clean);
        ck_assert_uint_eq(r.n_damaged, 0);
        for (int i = 0; i < N_PRODUCERS; i++)
            check_queue(&f, i, atomic_load_explicit(&acked->n[i], memory_order_acquire));
        for (int i = 0; i < N_PRODUCERS; i++) { /* unacknowledged ones may be there as well */
            uint64_t min_off, max_off;
            store_queue_bounds(f.store, span_str("T"), i, &min_off, &max_off);
            atomic_store_explicit(&acked->n[i], max_off, memory_order_release);
        }
        store_fixture_close(&f);
    }
    store_fixture_open(&f);
    store_fixture_fini(&f);
    (void)munmap(acked, sizeof *acked);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("kill");
    TCase *tc = tcase_create("kill");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, what_was_acknowledged_survives_a_kill);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}
