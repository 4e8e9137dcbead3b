/* Timers and posted work of the gRPC server. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc.h"

#include <string.h>

#include "base/io.h"
#include "base/lock.h"
#include "tests/lib/suite.h"

enum { WAIT_MS = 30000 };

static struct {
    struct rpc_server *server;

    struct lock lock;
    pthread_cond_t changed;
    /* guarded by lock */
    int n_run;
    int n_fired;
    int n_not_fired;
    uint64_t fired_at_ms;
} f;

static uint64_t now_ms(void)
{
    return io_posix()->mono_ns(io_posix()) / 1000000;
}

static void bump(int *counter)
{
    lock_take(&f.lock);
    (*counter)++;
    (void)pthread_cond_broadcast(&f.changed);
    lock_drop(&f.lock);
}

/* Waits until `*counter` is at least n. */
static void await(const int *counter, int n)
{
    uint64_t until = now_ms() + WAIT_MS;
    lock_take(&f.lock);
    while (*counter < n && now_ms() < until)
        lock_wait(&f.lock, &f.changed, 100);
    int reached = *counter;
    lock_drop(&f.lock);
    ck_assert_int_ge(reached, n);
}

static void setup(void)
{
    memset(&f, 0, sizeof f);
    lock_init(&f.lock, LOCK_LEAF);
    lock_cond_init(&f.changed);
    struct err e;
    const struct rpc_options opt = {.host = "127.0.0.1"};
    ck_assert_msg(rpc_server_start(&f.server, &opt, &e) == 0, "%s", e.msg);
}

static void stop_server(void)
{
    rpc_server_stop(f.server);
    f.server = NULL;
}

static void teardown(void)
{
    stop_server();
    lock_fini(&f.lock);
}

static void run_one(void *arg)
{
    bump(arg);
}

START_TEST(each_post_runs_once)
{
    enum { N = 1000 };
    for (int i = 0; i < N; i++)
        rpc_post(f.server, run_one, &f.n_run);
    await(&f.n_run, N);
    stop_server();
    ck_assert_int_eq(f.n_run, N);
}
END_TEST

static void timer_done(void *arg, bool fired)
{
    (void)arg;
    lock_take(&f.lock);
    f.fired_at_ms = now_ms();
    lock_drop(&f.lock);
    bump(fired ? &f.n_fired : &f.n_not_fired);
}

START_TEST(a_timer_is_never_early)
{
    static const unsigned delays_ms[] = {0, 1, 7, 30, 60};
    for (size_t i = 0; i < sizeof delays_ms / sizeof delays_ms[0]; i++) {
        uint64_t at = now_ms() + delays_ms[i];
        (void)rpc_timer_start(f.server, at, timer_done, NULL);
        await(&f.n_fired, (int)i + 1);
        ck_assert_uint_ge(f.fired_at_ms, at);
    }
    ck_assert_int_eq(f.n_not_fired, 0);
}
END_TEST

START_TEST(an_earlier_timer_overtakes_a_later_one)
{
    struct rpc_timer *late = rpc_timer_start(f.server, now_ms() + 60000, timer_done, NULL);
    (void)rpc_timer_start(f.server, now_ms() + 5, timer_done, NULL);
    await(&f.n_fired, 1);
    ck_assert_int_eq(f.n_not_fired, 0);
    rpc_timer_cancel(late);
    await(&f.n_not_fired, 1);
    ck_assert_int_eq(f.n_fired, 1);
}
END_TEST

START_TEST(cancelled_timers_are_told_so_and_the_rest_fire)
{
    enum { N = 200 };
    struct rpc_timer *timers[N];
    uint64_t at = now_ms() + 300;
    for (int i = 0; i < N; i++)
        timers[i] = rpc_timer_start(f.server, at + (unsigned)(i * 7919 % 50), timer_done, NULL);
    for (int i = 0; i < N; i += 2)
        rpc_timer_cancel(timers[i]);
    await(&f.n_not_fired, N / 2);
    await(&f.n_fired, N / 2);
    ck_assert_int_eq(f.n_fired, N / 2);
    ck_assert_int_eq(f.n_not_fired, N / 2);
}
END_TEST

static void start_timer(void *arg)
{
    (void)rpc_timer_start(arg, now_ms() + 60000, timer_done, NULL);
}

static void post_again(void *arg, bool fired)
{
    timer_done(arg, fired);
    rpc_post(f.server, start_timer, f.server);
}

START_TEST(stop_settles_every_timer)
{
    (void)rpc_timer_start(f.server, now_ms() + 60000, timer_done, NULL);
    (void)rpc_timer_start(f.server, UINT64_MAX, timer_done, NULL);
    (void)rpc_timer_start(f.server, now_ms() + 60000, post_again, NULL);
    stop_server();
    ck_assert_int_eq(f.n_not_fired, 4);
    ck_assert_int_eq(f.n_fired, 0);
}
END_TEST

START_TEST(posts_and_timers_go_on_when_the_calls_have_ended)
{
    rpc_server_end_calls(f.server, /* grace_ms = */ 0);
    rpc_post(f.server, run_one, &f.n_run);
    (void)rpc_timer_start(f.server, now_ms(), timer_done, NULL);
    await(&f.n_run, 1);
    await(&f.n_fired, 1);
    (void)rpc_timer_start(f.server, now_ms() + 60000, timer_done, NULL);
    stop_server();
    ck_assert_int_eq(f.n_not_fired, 1);
}
END_TEST

static Suite *rpc_timer_suite(void)
{
    Suite *suite = suite_create("rpc_timer");
    TCase *work = tcase_create("work");
    tcase_add_checked_fixture(work, setup, teardown);
    tcase_set_timeout(work, 60);
    suite_add_tcase(suite, work);
    tcase_add_test(work, each_post_runs_once);
    tcase_add_test(work, a_timer_is_never_early);
    tcase_add_test(work, an_earlier_timer_overtakes_a_later_one);
    tcase_add_test(work, cancelled_timers_are_told_so_and_the_rest_fire);
    tcase_add_test(work, stop_settles_every_timer);
    tcase_add_test(work, posts_and_timers_go_on_when_the_calls_have_ended);
    return suite;
}

int main(void)
{
    return suite_run(rpc_timer_suite());
}
