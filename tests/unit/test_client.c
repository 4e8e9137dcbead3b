/* The gRPC client against a server of this process. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/client.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "broker/rpc.h"
#include "tests/lib/suite.h"

enum { CALL_MS = 10000, N_MANY = 500, MAX_SLICES = 16 };

static struct {
    struct rpc_server *server;
    struct client *client;
    char endpoint[64];
    size_t n_done, n_good;
} f;

/* ---- handlers ---- */

static void on_echo(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    size_t n;
    const struct span *slices = rpc_request(call, &n);
    struct rpc_piece pieces[MAX_SLICES] = {0};
    ck_assert_uint_le(n, MAX_SLICES);
    for (size_t i = 0; i < n; i++)
        pieces[i].bytes = slices[i];
    rpc_send(call, pieces, n, /* more = */ false);
    rpc_finish(call, RPC_OK, NULL);
}

static void on_refuse(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    rpc_finish(call, RPC_INVALID_ARGUMENT, "not like this");
}

/* Parks the call for ever. */
static void on_hang(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    (void)call;
}

static void on_three(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    for (int i = 0; i < 3; i++) {
        const char digit = (char)('0' + i);
        const struct rpc_piece piece = {.bytes = span_of(&digit, 1)};
        rpc_send(call, &piece, 1, /* more = */ i < 2);
    }
    rpc_finish(call, RPC_OK, NULL);
}

static const struct rpc_method methods[] = {
    {.path = "/t.T/Echo", .kind = RPC_UNARY, .on_request = on_echo},
    {.path = "/t.T/Refuse", .kind = RPC_UNARY, .on_request = on_refuse},
    {.path = "/t.T/Hang", .kind = RPC_UNARY, .on_request = on_hang},
    {.path = "/t.T/HangStream", .kind = RPC_SERVER_STREAM, .on_request = on_hang},
    {.path = "/t.T/Three", .kind = RPC_SERVER_STREAM, .on_request = on_three},
};

enum { N_METHODS = sizeof methods / sizeof methods[0] };

static void connect_to(const char *endpoint)
{
    struct err e;
    const struct client_options opt = {.endpoint = endpoint};
    ck_assert_int_eq(client_open(&f.client, &opt, &e), 0);
}

static void setup(void)
{
    struct err e;
    memset(&f, 0, sizeof f);
    const struct rpc_options opt = {
        .host = "127.0.0.1", .methods = methods, .n_methods = N_METHODS};
    ck_assert_int_eq(rpc_server_start(&f.server, &opt, &e), 0);
    (void)snprintf(f.endpoint, sizeof f.endpoint, "127.0.0.1:%u", rpc_server_port(f.server));
    connect_to(f.endpoint);
}

static void teardown(void)
{
    client_close(f.client);
    rpc_server_stop(f.server);
}

static int call(const char *path, const char *request, uint64_t timeout_ms, struct err *e)
{
    uint8_t *reply = NULL;
    size_t len = 0;
    int rc = client_call(f.client, path, span_str(request), timeout_ms, &reply, &len, e);
    if (rc == 0) {
        ck_assert_uint_eq(len, strlen(request));
        if (len > 0) /* an empty reply has no bytes to point at */
            ck_assert_mem_eq(reply, request, len);
    }
    free(reply);
    return rc;
}

/* ---- unary ---- */

START_TEST(a_reply_is_what_the_server_sent)
{
    struct err e;
    ck_assert_int_eq(call("/t.T/Echo", "hello", CALL_MS, &e), 0);
    ck_assert_int_eq(call("/t.T/Echo", "", CALL_MS, &e), 0);
}
END_TEST

START_TEST(a_refusal_carries_its_text)
{
    struct err e;
    ck_assert_int_eq(call("/t.T/Refuse", "x", CALL_MS, &e), ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, "not like this"));
}
END_TEST

START_TEST(an_unknown_method_is_not_supported)
{
    struct err e;
    ck_assert_int_eq(call("/t.T/Nothing", "x", CALL_MS, &e), ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(e.msg, "/t.T/Nothing"));
}
END_TEST

START_TEST(a_call_ends_at_its_deadline)
{
    struct err e;
    ck_assert_int_eq(call("/t.T/Hang", "x", 50, &e), ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, "no answer in time"));
}
END_TEST

START_TEST(a_broker_that_is_not_there_is_named)
{
    struct err e;
    rpc_server_stop(f.server);
    f.server = NULL;
    client_close(f.client);
    connect_to(f.endpoint);
    ck_assert_int_eq(call("/t.T/Echo", "x", CALL_MS, &e), ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, f.endpoint));
    ck_assert_ptr_nonnull(strstr(e.msg, "refused"));
}
END_TEST

struct late_server {
    int listener;
    struct rpc_options opt;
    int rc;
    struct err e;
};

/* Breaks the first connection, then serves on the same port. Nothing is asserted here: Check would
 * jump back on another thread's stack. */
static void *serve_late(void *arg)
{
    struct late_server *late = arg;
    int fd = accept(late->listener, NULL, NULL);
    (void)close(late->listener);
    (void)close(fd);
    late->rc = rpc_server_start(&f.server, &late->opt, &late->e);
    return NULL;
}

static void listen_anywhere(struct late_server *late)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    const int on = 1;
    late->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(setsockopt(late->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    ck_assert_int_eq(bind(late->listener, (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(listen(late->listener, 1), 0);
    ck_assert_int_eq(getsockname(late->listener, (struct sockaddr *)&at, &len), 0);
    late->opt = (struct rpc_options){.host = "127.0.0.1",
                                     .port = ntohs(at.sin_port),
                                     .methods = methods,
                                     .n_methods = N_METHODS};
    (void)snprintf(f.endpoint, sizeof f.endpoint, "127.0.0.1:%u", late->opt.port);
}

START_TEST(an_end_that_grpc_tells_is_put_into_words)
{
    static const struct {
        int status;
        const char *text, *words;
    } ends[] = {
        {CLIENT_CANCELLED, "CANCELLED", ": it ended the call, as it does when it stops"},
        {CLIENT_UNAVAILABLE,
         "DNS resolution failed for x:1: C-ares status is not ARES_SUCCESS qtype=AAAA name=x "
         "is_balancer=0: Domain name not found",
         "': Domain name not found"},
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct err e;
        int rc = client_error(f.client, "/t.T/Echo", ends[i].status, ends[i].text, &e);
        ck_assert_int_eq(rc, ERR_IO);
        ck_assert_ptr_nonnull(strstr(e.msg, f.endpoint));
        ck_assert_ptr_nonnull(strstr(e.msg, ends[i].words));
        ck_assert_ptr_null(strstr(e.msg, "ARES"));
    }
}
END_TEST

START_TEST(a_broker_that_is_just_starting_is_waited_for)
{
    struct late_server late;
    pthread_t thread;
    struct err e = {0};
    teardown();
    listen_anywhere(&late);
    ck_assert_int_eq(pthread_create(&thread, NULL, serve_late, &late), 0);
    connect_to(f.endpoint);
    client_connect(f.client, CALL_MS);
    int rc = call("/t.T/Echo", "hello", CALL_MS, &e);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_msg(late.rc == 0, "%s", late.e.msg);
    ck_assert_msg(rc == 0, "%s", e.msg);
}
END_TEST

START_TEST(patience_with_a_broker_that_is_not_there_ends)
{
    struct err e;
    rpc_server_stop(f.server);
    f.server = NULL;
    client_close(f.client);
    connect_to(f.endpoint);
    uint64_t before = io_posix()->mono_ns(io_posix());
    client_connect(f.client, 300);
    uint64_t waited_ms = (io_posix()->mono_ns(io_posix()) - before) / 1000000;
    ck_assert_uint_ge(waited_ms, 299);
    ck_assert_uint_lt(waited_ms, CALL_MS / 2);
    ck_assert_int_eq(call("/t.T/Echo", "x", CALL_MS, &e), ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, "refused"));
}
END_TEST

static void count_reply(void *arg, const struct client_reply *reply)
{
    size_t expected = (size_t)(uintptr_t)arg;
    f.n_done++;
    if (reply->status == CLIENT_OK && reply->message.len == sizeof expected &&
        memcmp(reply->message.ptr, &expected, sizeof expected) == 0)
        f.n_good++;
}

START_TEST(each_of_many_calls_under_way_gets_its_own_reply)
{
    struct err e;
    for (size_t i = 0; i < N_MANY; i++)
        ck_assert_int_eq(client_start(f.client, "/t.T/Echo", span_of(&i, sizeof i), CALL_MS,
                                      count_reply, (void *)(uintptr_t)i, &e),
                         0);
    while (client_n_running(f.client) > 0)
        (void)client_poll(f.client, CLIENT_FOREVER);
    ck_assert_uint_eq(f.n_good, N_MANY);
}
END_TEST

START_TEST(closing_ends_what_is_under_way)
{
    struct err e;
    ck_assert_int_eq(
        client_start(f.client, "/t.T/Hang", span_str("x"), CLIENT_FOREVER, count_reply, NULL, &e),
        0);
    client_close(f.client);
    f.client = NULL;
    ck_assert_uint_eq(f.n_done, 1);
    ck_assert_uint_eq(f.n_good, 0);
}
END_TEST

/* ---- streams ---- */

static struct client_stream *open_stream(const char *path)
{
    struct err e;
    struct client_stream *s;
    ck_assert_int_eq(client_stream_open(&s, f.client, path, CALL_MS, &e), 0);
    ck_assert_int_eq(client_stream_send(s, span_str("go"), &e), 0);
    ck_assert_int_eq(client_stream_half_close(s, &e), 0);
    return s;
}

START_TEST(a_stream_gives_its_messages_in_order_and_ends)
{
    struct client_stream *s = open_stream("/t.T/Three");
    struct span message;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(client_stream_next(s, CALL_MS, &message), CLIENT_MESSAGE);
        ck_assert_uint_eq(message.len, 1);
        ck_assert_int_eq(message.ptr[0], '0' + i);
    }
    ck_assert_int_eq(client_stream_next(s, CALL_MS, &message), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_next(s, CALL_MS, &message), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_status(s, NULL), CLIENT_OK);
    client_stream_close(s);
}
END_TEST

START_TEST(waiting_for_a_silent_stream_ends_in_time)
{
    struct client_stream *s = open_stream("/t.T/HangStream");
    struct span message;
    uint64_t before = io_posix()->mono_ns(io_posix());
    ck_assert_int_eq(client_stream_next(s, 50, &message), CLIENT_WAITING);
    ck_assert_int_eq(client_stream_next(s, 0, &message), CLIENT_WAITING);
    uint64_t waited_ms = (io_posix()->mono_ns(io_posix()) - before) / 1000000;
    ck_assert_uint_ge(waited_ms, 49);
    ck_assert_uint_lt(waited_ms, CALL_MS / 2);
    client_stream_close(s);
}
END_TEST

START_TEST(a_cancelled_stream_ends_as_cancelled)
{
    struct client_stream *s = open_stream("/t.T/HangStream");
    struct span message;
    client_stream_cancel(s);
    ck_assert_int_eq(client_stream_next(s, CALL_MS, &message), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_status(s, NULL), CLIENT_CANCELLED);
    client_stream_close(s);
}
END_TEST

START_TEST(writing_to_a_stream_that_is_over_is_refused)
{
    struct err e;
    struct client_stream *s;
    struct span message;
    ck_assert_int_eq(client_stream_open(&s, f.client, "/t.T/Nothing", CALL_MS, &e), 0);
    ck_assert_int_eq(client_stream_next(s, CALL_MS, &message), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_status(s, NULL), CLIENT_UNIMPLEMENTED);
    ck_assert_int_eq(client_stream_send(s, span_str("x"), &e), ERR_CLOSED);
    client_stream_close(s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("client");
    TCase *tc = tcase_create("client");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_reply_is_what_the_server_sent);
    tcase_add_test(tc, a_refusal_carries_its_text);
    tcase_add_test(tc, an_unknown_method_is_not_supported);
    tcase_add_test(tc, a_call_ends_at_its_deadline);
    tcase_add_test(tc, a_broker_that_is_not_there_is_named);
    tcase_add_test(tc, an_end_that_grpc_tells_is_put_into_words);
    tcase_add_test(tc, a_broker_that_is_just_starting_is_waited_for);
    tcase_add_test(tc, patience_with_a_broker_that_is_not_there_ends);
    tcase_add_test(tc, each_of_many_calls_under_way_gets_its_own_reply);
    tcase_add_test(tc, closing_ends_what_is_under_way);
    tcase_add_test(tc, a_stream_gives_its_messages_in_order_and_ends);
    tcase_add_test(tc, waiting_for_a_silent_stream_ends_in_time);
    tcase_add_test(tc, a_cancelled_stream_ends_as_cancelled);
    tcase_add_test(tc, writing_to_a_stream_that_is_over_is_refused);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
