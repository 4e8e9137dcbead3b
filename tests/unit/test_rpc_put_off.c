/* Requests that are put off and taken up again, or kept, over a real loopback connection. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/io.h"
#include "base/lock.h"
#include "broker/rpc.h"
#include "tests/lib/suite.h"
#include "tools/client.h"

enum { CALL_MS = 30000, STOP_MS = 200, OUTCOME = 7 };

static struct {
    struct rpc_server *server;
    struct client *client;
    struct lock lock;
    pthread_cond_t changed;
    struct rpc_call *waiting; /* set before its call is counted */
    struct rpc_kept *kept;    /* the same */
    /* guarded by lock */
    int n_calls, n_ended, n_stopped;
} f;

static void note(int *counter)
{
    lock_take(&f.lock);
    (*counter)++;
    (void)pthread_cond_broadcast(&f.changed);
    lock_drop(&f.lock);
}

static void await(const int *counter, int n)
{
    lock_take(&f.lock);
    while (*counter < n)
        lock_wait(&f.lock, &f.changed, CALL_MS);
    lock_drop(&f.lock);
}

/* Answers the second time: with the request and the outcome. */
static void on_request(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    size_t n;
    const struct span *slices = rpc_request(call, &n);
    if (rpc_outcome(call) == 0) {
        rpc_put_off(call);
        f.waiting = call;
        note(&f.n_calls);
        return;
    }
    char text[64];
    int len =
        snprintf(text, sizeof text, "%.*s %d %.*s", (int)slices[0].len, (const char *)slices[0].ptr,
                 rpc_outcome(call), (int)rpc_metadata(call, "x-mq-client-id").len,
                 (const char *)rpc_metadata(call, "x-mq-client-id").ptr);
    struct rpc_piece piece = {.bytes = span_of(text, (size_t)len)};
    rpc_send(call, &piece, 1, /* more = */ false);
    rpc_finish(call, RPC_OK, NULL);
    note(&f.n_calls);
}

static void on_kept(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    f.kept = rpc_keep_request(call);
    f.waiting = call;
    note(&f.n_calls);
}

static void on_end(void *ctx, struct rpc_call *call, enum rpc_end end)
{
    (void)ctx;
    (void)call;
    (void)end;
    note(&f.n_ended);
}

static const struct rpc_method methods[] = {
    {.path = "/t.T/Unary", .kind = RPC_UNARY, .on_request = on_request, .on_end = on_end},
    {.path = "/t.T/Stream", .kind = RPC_SERVER_STREAM, .on_request = on_request, .on_end = on_end},
    {.path = "/t.T/Kept", .kind = RPC_SERVER_STREAM, .on_request = on_kept, .on_end = on_end},
};

static void setup(void)
{
    struct err e = {0};
    char endpoint[64];
    struct rpc_options opt = {
        .host = "127.0.0.1", .n_workers = 2, .methods = methods, .n_methods = 3};
    lock_init(&f.lock, LOCK_LEAF);
    lock_cond_init(&f.changed);
    f.n_calls = f.n_ended = f.n_stopped = 0;
    ck_assert_int_eq(rpc_server_start(&f.server, &opt, &e), 0);
    (void)snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", rpc_server_port(f.server));
    struct client_options client = {.endpoint = endpoint, .client_id = "me"};
    ck_assert_int_eq(client_open(&f.client, &client, &e), 0);
}

static void teardown(void)
{
    client_close(f.client);
    rpc_server_stop(f.server);
    (void)pthread_cond_destroy(&f.changed);
    lock_fini(&f.lock);
}

static void expect_reply(void *arg, const struct client_reply *reply)
{
    ck_assert_int_eq(reply->status, CLIENT_OK);
    ck_assert(span_equal(reply->message, span_str("hello 7 me")));
    *(bool *)arg = true;
}

START_TEST(a_request_put_off_is_answered_when_it_is_taken_up)
{
    struct err e;
    bool is_done = false;
    ck_assert_int_eq(client_start(f.client, "/t.T/Unary", span_str("hello"), CALL_MS, expect_reply,
                                  &is_done, &e),
                     0);
    while (client_poll(f.client, 10))
        continue;
    await(&f.n_calls, 1);
    rpc_take_up(f.waiting, OUTCOME);
    while (!is_done)
        (void)client_poll(f.client, CLIENT_FOREVER);
    await(&f.n_ended, 1);
    ck_assert_int_eq(f.n_calls, 2);
}
END_TEST

/* Sends a request, and returns when its handler has. */
static struct client_stream *begin(const char *path)
{
    struct err e;
    struct client_stream *s;
    ck_assert_int_eq(client_stream_open(&s, f.client, path, CALL_MS, &e), 0);
    ck_assert_int_eq(client_stream_send(s, span_str("hello"), &e), 0);
    ck_assert_int_eq(client_stream_half_close(s, &e), 0);
    await(&f.n_calls, 1);
    return s;
}

START_TEST(one_whose_client_is_gone_is_not_taken_up_and_ends_once)
{
    struct client_stream *s = begin("/t.T/Stream");
    struct rpc_call *waiting = f.waiting;
    client_stream_close(s);
    while (!rpc_is_lost(waiting))
        (void)sched_yield();
    ck_assert_int_eq(f.n_ended, 0); /* the call waits for us */
    rpc_take_up(waiting, OUTCOME);
    await(&f.n_ended, 1);
    ck_assert_int_eq(f.n_calls, 1);
}
END_TEST

/* Returns once a stop that has cancelled the call had time to end; whether it did. */
static bool stop_ends(void)
{
    struct io *io = io_posix();
    while (!rpc_is_lost(f.waiting))
        (void)sched_yield();
    uint64_t until_ns = io->mono_ns(io) + STOP_MS * UINT64_C(1000000);
    lock_take(&f.lock);
    while (f.n_stopped == 0 && io->mono_ns(io) < until_ns)
        lock_wait(&f.lock, &f.changed, STOP_MS);
    bool ends = f.n_stopped > 0;
    lock_drop(&f.lock);
    return ends;
}

static void *take_up_late(void *arg)
{
    *(bool *)arg = stop_ends();
    rpc_take_up(f.waiting, OUTCOME);
    return NULL;
}

static void *drop_late(void *arg)
{
    *(bool *)arg = stop_ends();
    rpc_kept_drop(f.kept);
    return NULL;
}

/* Stops while another thread still has the call. */
static void stop_beside(void *(*other)(void *arg))
{
    bool has_ended = true;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, other, &has_ended), 0);
    rpc_server_end_calls(f.server, /* grace_ms = */ 0);
    int n_ended = f.n_ended;
    note(&f.n_stopped);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(!has_ended);
    ck_assert_int_eq(n_ended, 1);
}

START_TEST(a_stop_waits_for_what_is_put_off)
{
    struct client_stream *s = begin("/t.T/Stream");
    stop_beside(take_up_late);
    ck_assert_int_eq(f.n_calls, 1); /* its client is told, so it is not taken up */
    client_stream_close(s);
}
END_TEST

START_TEST(a_stop_waits_for_a_kept_request)
{
    struct client_stream *s = begin("/t.T/Kept");
    stop_beside(drop_late);
    client_stream_close(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rpc_put_off");
    TCase *tc = tcase_create("rpc_put_off");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_request_put_off_is_answered_when_it_is_taken_up);
    tcase_add_test(tc, one_whose_client_is_gone_is_not_taken_up_and_ends_once);
    tcase_add_test(tc, a_stop_waits_for_what_is_put_off);
    tcase_add_test(tc, a_stop_waits_for_a_kept_request);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
