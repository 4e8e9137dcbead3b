/* The gRPC server over a real loopback connection. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/lock.h"
#include "tests/lib/suite.h"
#include "tools/client.h"

enum {
    CALL_MS = 30000,
    WAIT_MS = 2 * CALL_MS, /* a call that hangs ends with a status, not in the midst of a test */
    BODY_BYTES = 100000,
    REQUEST_MAX = 8 << 20,
};

/* What the handlers below note for the tests. */
static struct {
    struct rpc_server *server;
    struct client *client;
    struct client_stream *stream; /* the one that a test has open */
    char endpoint[64];
    uint8_t body[BODY_BYTES];

    struct lock lock;
    pthread_cond_t changed;
    /* guarded by lock */
    struct rpc_call *parked;
    int n_ended;
    int n_written;
    int n_released;
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

/* ---- handlers ---- */

static void reply(struct rpc_call *call, struct span bytes)
{
    struct rpc_piece piece = {.bytes = bytes};
    rpc_send(call, &piece, 1, false);
    rpc_finish(call, RPC_OK, NULL);
}

static size_t request_bytes(const struct rpc_call *call, size_t *ret_n_slices)
{
    size_t total = 0;
    const struct span *spans = rpc_request(call, ret_n_slices);
    for (size_t i = 0; i < *ret_n_slices; i++)
        total += spans[i].len;
    return total;
}

static void request_copy(const struct rpc_call *call, uint8_t *buf, size_t max)
{
    size_t n, at = 0;
    const struct span *spans = rpc_request(call, &n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_le(at + spans[i].len, max);
        memcpy(buf + at, spans[i].ptr, spans[i].len);
        at += spans[i].len;
    }
}

static void echo(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    size_t n;
    uint8_t buf[256];
    size_t len = request_bytes(call, &n);
    request_copy(call, buf, sizeof buf);
    reply(call, span_of(buf, len));
}

static void measure(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    size_t n;
    uint8_t buf[16];
    be64_put(buf, request_bytes(call, &n));
    be64_put(buf + 8, n);
    reply(call, span_of(buf, sizeof buf));
}

static void refuse(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    reply(call, span_str("this is dropped: the first finish counts"));
    rpc_finish(call, RPC_INTERNAL, "too late");
}

static void fail_call(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    rpc_finish(call, RPC_INVALID_ARGUMENT, "no such thing");
}

static void describe(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    struct span id = rpc_metadata(call, "x-mq-client-id");
    uint64_t deadline = rpc_deadline_ms(call);
    char text[256];
    (void)snprintf(text, sizeof text, "%s %.*s %" PRIu64 " %d", rpc_peer(call), (int)id.len,
                   (const char *)id.ptr, deadline == UINT64_MAX ? 0 : deadline,
                   rpc_metadata(call, "no-such-header").ptr != NULL);
    reply(call, span_str(text));
}

static void release_one(void *arg)
{
    ck_assert_ptr_eq(arg, &f);
    bump(&f.n_released);
}

/* Request: be32 number of messages, be32 bytes of each. */
static void stream(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    uint8_t ask[8];
    request_copy(call, ask, sizeof ask);
    uint32_t n = be32_get(ask);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t head[4];
        be32_put(head, i);
        const struct rpc_piece pieces[] = {
            {.bytes = span_of(head, sizeof head)},
            {.bytes = span_of(f.body, be32_get(ask + 4)), .release = release_one, .arg = &f},
        };
        rpc_send(call, pieces, 2, i + 1 < n);
    }
    rpc_finish(call, RPC_OK, NULL);
}

static void chat(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    size_t n;
    uint8_t buf[256];
    size_t len = request_bytes(call, &n);
    request_copy(call, buf, sizeof buf);
    struct rpc_piece piece = {.bytes = span_of(buf, len)};
    rpc_send(call, &piece, 1, false);
}

static void park(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    lock_take(&f.lock);
    f.parked = rpc_ref(call);
    (void)pthread_cond_broadcast(&f.changed);
    lock_drop(&f.lock);
}

static void note_end(void *ctx, struct rpc_call *call, enum rpc_end end)
{
    (void)ctx;
    ck_assert_int_eq(rpc_is_lost(call), end == RPC_END_LOST);
    if (end == RPC_END_WRITTEN)
        bump(&f.n_written);
    bump(&f.n_ended);
}

static const struct rpc_method methods[] = {
    {"/t.T/Echo", RPC_UNARY, echo, NULL, note_end, NULL},
    {"/t.T/Measure", RPC_UNARY, measure, NULL, note_end, NULL},
    {"/t.T/Refuse", RPC_UNARY, refuse, NULL, note_end, NULL},
    {"/t.T/Fail", RPC_UNARY, fail_call, NULL, note_end, NULL},
    {"/t.T/Describe", RPC_UNARY, describe, NULL, note_end, NULL},
    {"/t.T/Stream", RPC_SERVER_STREAM, stream, NULL, note_end, NULL},
    {"/t.T/Chat", RPC_BIDI, chat, NULL, note_end, NULL},
    {"/t.T/Park", RPC_UNARY, park, NULL, note_end, NULL},
};

/* ---- fixture ---- */

static void open_client(const char *id)
{
    struct err e;
    struct client_options opt = {.endpoint = f.endpoint, .client_id = id};
    ck_assert_msg(client_open(&f.client, &opt, &e) == 0, "%s", e.msg);
}

static int start_on(uint16_t port, struct rpc_server **ret_server, struct err *e)
{
    struct rpc_options opt = {.host = "127.0.0.1",
                              .port = port,
                              .max_request_bytes = REQUEST_MAX,
                              .methods = methods,
                              .n_methods = sizeof methods / sizeof methods[0]};
    return rpc_server_start(ret_server, &opt, e);
}

static void setup(void)
{
    memset(&f, 0, sizeof f);
    memset(f.body, 'b', sizeof f.body);
    lock_init(&f.lock, LOCK_LEAF);
    lock_cond_init(&f.changed);
    struct err e;
    ck_assert_msg(start_on(0, &f.server, &e) == 0, "%s", e.msg);
    (void)snprintf(f.endpoint, sizeof f.endpoint, "127.0.0.1:%u", rpc_server_port(f.server));
    open_client("tester");
}

static struct client_stream *open_stream(const char *path)
{
    struct err e;
    ck_assert_int_eq(client_stream_open(&f.stream, f.client, path, CALL_MS, &e), 0);
    return f.stream;
}

static void close_client(void)
{
    client_stream_close(f.stream);
    f.stream = NULL;
    client_close(f.client);
    f.client = NULL;
}

static void stop_server(void)
{
    rpc_server_stop(f.server);
    f.server = NULL;
}

static void teardown(void)
{
    close_client();
    stop_server();
    lock_fini(&f.lock);
}

struct outcome {
    int status;
    bool is_done;
    size_t len;
    char text[256];
};

static void note_reply(void *arg, const struct client_reply *r)
{
    struct outcome *out = arg;
    out->status = r->status;
    out->is_done = true;
    out->len = r->message.len;
    if (r->status != CLIENT_OK)
        (void)snprintf(out->text, sizeof out->text, "%s", r->text);
    else if (r->message.len > 0 && r->message.len < sizeof out->text)
        memcpy(out->text, r->message.ptr, r->message.len);
}

static void begin(struct outcome *out, const char *path, struct span request)
{
    struct err e;
    *out = (struct outcome){.is_done = false};
    ck_assert_int_eq(client_start(f.client, path, request, CALL_MS, note_reply, out, &e), 0);
}

static void finish(const struct outcome *out)
{
    uint64_t until = now_ms() + WAIT_MS;
    while (!out->is_done && now_ms() < until)
        (void)client_poll(f.client, 100);
    ck_assert(out->is_done);
}

/* One unary call: its status, and the reply in `ret_text` (256 bytes, may be NULL). */
static int call(const char *path, struct span request, char *ret_text)
{
    struct outcome out;
    begin(&out, path, request);
    finish(&out);
    if (ret_text)
        memcpy(ret_text, out.text, sizeof out.text);
    return out.status;
}

static void assert_serving(void)
{
    char text[256];
    int rc = call("/t.T/Echo", span_str("still here"), text);
    ck_assert_msg(rc == CLIENT_OK, "status %d: %s", rc, text);
    ck_assert_str_eq(text, "still here");
}

static struct rpc_call *await_parked(void)
{
    uint64_t until = now_ms() + WAIT_MS;
    struct rpc_call *parked = NULL;
    while (!parked && now_ms() < until) {
        (void)client_poll(f.client, 1);
        lock_take(&f.lock);
        parked = f.parked;
        lock_drop(&f.lock);
    }
    ck_assert_ptr_nonnull(parked);
    return parked;
}

/* ---- calls ---- */

START_TEST(a_unary_call_gets_its_reply)
{
    char text[256];
    ck_assert_int_eq(call("/t.T/Echo", span_str("hello"), text), CLIENT_OK);
    ck_assert_str_eq(text, "hello");
    await(&f.n_written, 1);
}
END_TEST

START_TEST(many_calls_at_once_each_get_their_own_reply)
{
    enum { N = 300 };
    static struct outcome outs[N];
    char text[16];
    for (int i = 0; i < N; i++) {
        (void)snprintf(text, sizeof text, "call %d", i);
        begin(&outs[i], "/t.T/Echo", span_str(text));
    }
    for (int i = 0; i < N; i++) {
        finish(&outs[i]);
        (void)snprintf(text, sizeof text, "call %d", i);
        ck_assert_int_eq(outs[i].status, CLIENT_OK);
        ck_assert_str_eq(outs[i].text, text);
    }
    await(&f.n_written, N);
}
END_TEST

START_TEST(an_empty_request_is_a_message_of_no_bytes)
{
    char text[256];
    ck_assert_int_eq(call("/t.T/Measure", (struct span){0}, text), CLIENT_OK);
    ck_assert_uint_eq(be64_get((uint8_t *)text), 0);
}
END_TEST

START_TEST(a_large_request_comes_in_slices)
{
    enum { LEN = 5 << 20 };
    uint8_t *request = calloc(1, LEN);
    char text[256];
    ck_assert_int_eq(call("/t.T/Measure", span_of(request, LEN), text), CLIENT_OK);
    ck_assert_uint_eq(be64_get((uint8_t *)text), LEN);
    ck_assert_uint_gt(be64_get((uint8_t *)text + 8), 8);
    free(request);
}
END_TEST

START_TEST(a_request_over_the_limit_is_refused)
{
    uint8_t *request = calloc(1, REQUEST_MAX + 1);
    ck_assert_int_eq(call("/t.T/Measure", span_of(request, REQUEST_MAX + 1), NULL),
                     CLIENT_RESOURCE_EXHAUSTED);
    ck_assert_int_eq(call("/t.T/Measure", span_of(request, REQUEST_MAX), NULL), CLIENT_OK);
    free(request);
}
END_TEST

START_TEST(oversized_headers_are_refused_and_the_server_goes_on)
{
    char *path = malloc(100001);
    memset(path, 'x', 100000);
    path[0] = '/';
    path[100000] = '\0';
    int status = call(path, span_str("x"), NULL);
    free(path);
    /* C-core may end the connection too, before the client has read why or after it; the client
     * then makes another. */
    ck_assert(status == CLIENT_RESOURCE_EXHAUSTED || status == CLIENT_UNAVAILABLE);
    uint64_t until = now_ms() + WAIT_MS;
    do {
        client_connect(f.client, WAIT_MS);
        status = call("/t.T/Echo", span_str("x"), NULL);
    } while (status == CLIENT_UNAVAILABLE && now_ms() < until);
    ck_assert_int_eq(status, CLIENT_OK);
    assert_serving();
}
END_TEST

START_TEST(a_failed_call_has_the_status_and_its_text)
{
    char text[256];
    ck_assert_int_eq(call("/t.T/Fail", span_str("x"), text), 3);
    ck_assert_str_eq(text, "no such thing");
    await(&f.n_written, 1);
}
END_TEST

START_TEST(the_first_finish_counts)
{
    ck_assert_int_eq(call("/t.T/Refuse", span_str("x"), NULL), CLIENT_OK);
    await(&f.n_ended, 1);
}
END_TEST

START_TEST(a_path_that_is_not_served_is_unimplemented)
{
    ck_assert_int_eq(call("/t.T/Nothing", span_str("x"), NULL), CLIENT_UNIMPLEMENTED);
    ck_assert_int_eq(call("/other.Service/Echo", span_str("x"), NULL), CLIENT_UNIMPLEMENTED);
    assert_serving();
}
END_TEST

START_TEST(an_unserved_stream_is_refused_before_its_request)
{
    struct span message;
    struct client_stream *s = open_stream("/t.T/Nothing");
    ck_assert_int_eq(client_stream_next(s, WAIT_MS, &message), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_status(s, NULL), CLIENT_UNIMPLEMENTED);
    client_stream_close(s);
    f.stream = NULL;
}
END_TEST

START_TEST(a_handler_sees_peer_headers_and_deadline)
{
    char text[256];
    char peer[64];
    char id[64];
    uint64_t deadline = 0;
    int has_other = 1;
    uint64_t before = now_ms();
    ck_assert_int_eq(call("/t.T/Describe", span_str("x"), text), CLIENT_OK);
    ck_assert_int_eq(sscanf(text, "%63s %63s %" SCNu64 " %d", peer, id, &deadline, &has_other), 4);
    ck_assert_msg(strncmp(peer, "127.0.0.1:", 10) == 0, "peer is '%s'", peer);
    ck_assert_str_eq(id, "tester");
    ck_assert_int_eq(has_other, 0);
    ck_assert_uint_ge(deadline, before + CALL_MS - 1000);
    ck_assert_uint_le(deadline, now_ms() + CALL_MS + 1000);
}
END_TEST

/* ---- streams ---- */

static struct client_stream *ask_stream(uint32_t n, uint32_t bytes)
{
    struct err e;
    uint8_t ask[8];
    be32_put(ask, n);
    be32_put(ask + 4, bytes);
    struct client_stream *s = open_stream("/t.T/Stream");
    ck_assert_int_eq(client_stream_send(s, span_of(ask, sizeof ask), &e), 0);
    int rc = client_stream_half_close(s, &e);
    ck_assert_msg(rc == 0 || rc == ERR_CLOSED, "%s", e.msg); /* a short reply may be through */
    return s;
}

START_TEST(a_stream_delivers_all_messages_in_order)
{
    enum { N = 32 };
    struct client_stream *s = ask_stream(N, 1024);
    struct span m;
    for (uint32_t i = 0; i < N; i++) {
        ck_assert_int_eq(client_stream_next(s, WAIT_MS, &m), CLIENT_MESSAGE);
        ck_assert_uint_eq(m.len, 4 + 1024);
        ck_assert_uint_eq(be32_get(m.ptr), i);
        ck_assert_mem_eq(m.ptr + 4, f.body, 1024);
    }
    ck_assert_int_eq(client_stream_next(s, WAIT_MS, &m), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_status(s, NULL), CLIENT_OK);
    client_stream_close(s);
    f.stream = NULL;
    await(&f.n_written, 1);
}
END_TEST

START_TEST(a_stream_may_be_empty)
{
    struct client_stream *s = ask_stream(0, 0);
    struct span m;
    ck_assert_int_eq(client_stream_next(s, WAIT_MS, &m), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_status(s, NULL), CLIENT_OK);
    client_stream_close(s);
    f.stream = NULL;
}
END_TEST

START_TEST(each_lent_piece_is_released_once)
{
    enum { N = 20 };
    uint64_t copied = rpc_copied_bytes();
    struct client_stream *s = ask_stream(N, BODY_BYTES);
    struct span m;
    while (client_stream_next(s, WAIT_MS, &m) == CLIENT_MESSAGE)
        ck_assert_uint_eq(m.len, 4 + BODY_BYTES);
    ck_assert_int_eq(client_stream_status(s, NULL), CLIENT_OK);
    close_client();
    stop_server();
    ck_assert_int_eq(f.n_released, N);
    ck_assert_uint_eq(rpc_copied_bytes() - copied, N * 4);
}
END_TEST

START_TEST(pieces_of_a_lost_stream_are_released)
{
    enum { N = 200 };
    struct client_stream *s = ask_stream(N, BODY_BYTES);
    struct span m;
    ck_assert_int_eq(client_stream_next(s, WAIT_MS, &m), CLIENT_MESSAGE);
    client_stream_cancel(s);
    client_stream_close(s);
    f.stream = NULL;
    await(&f.n_ended, 1);
    await(&f.n_released, N);
    ck_assert_int_eq(f.n_written, 0);
    close_client();
    stop_server();
    ck_assert_int_eq(f.n_released, N);
}
END_TEST

START_TEST(a_bidirectional_stream_answers_each_message)
{
    struct err e;
    struct span m;
    char text[32];
    struct client_stream *s = open_stream("/t.T/Chat");
    for (int i = 0; i < 50; i++) {
        (void)snprintf(text, sizeof text, "line %d", i);
        ck_assert_int_eq(client_stream_send(s, span_str(text), &e), 0);
        ck_assert_int_eq(client_stream_next(s, WAIT_MS, &m), CLIENT_MESSAGE);
        ck_assert(span_equal(m, span_str(text)));
    }
    ck_assert_int_eq(client_stream_half_close(s, &e), 0);
    ck_assert_int_eq(client_stream_next(s, WAIT_MS, &m), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_status(s, NULL), CLIENT_OK);
    client_stream_close(s);
    f.stream = NULL;
    await(&f.n_written, 1);
}
END_TEST

/* ---- parked calls ---- */

START_TEST(a_parked_call_is_answered_from_another_thread)
{
    struct outcome out;
    begin(&out, "/t.T/Park", span_str("x"));
    struct rpc_call *parked = await_parked();
    ck_assert(!rpc_is_lost(parked));
    reply(parked, span_str("at last"));
    rpc_unref(parked);
    finish(&out);
    ck_assert_int_eq(out.status, CLIENT_OK);
    ck_assert_str_eq(out.text, "at last");
    await(&f.n_written, 1);
}
END_TEST

START_TEST(a_cancelled_call_ends_at_once_and_swallows_its_reply)
{
    struct outcome out;
    begin(&out, "/t.T/Park", span_str("x"));
    struct rpc_call *parked = await_parked();
    close_client();
    await(&f.n_ended, 1);
    ck_assert(rpc_is_lost(parked));
    ck_assert_int_eq(f.n_written, 0);
    struct rpc_piece piece = {span_of(f.body, 100), release_one, &f};
    rpc_send(parked, &piece, 1, false);
    rpc_finish(parked, RPC_OK, NULL);
    ck_assert_int_eq(f.n_released, 1);
    rpc_unref(parked);
    open_client("tester");
    assert_serving();
}
END_TEST

START_TEST(stopping_the_server_ends_parked_calls)
{
    struct outcome out;
    begin(&out, "/t.T/Park", span_str("x"));
    struct rpc_call *parked = await_parked();
    stop_server();
    ck_assert_int_eq(f.n_ended, 1);
    ck_assert_int_eq(f.n_written, 0);
    ck_assert(rpc_is_lost(parked));
    rpc_unref(parked);
    finish(&out);
    ck_assert_int_ne(out.status, CLIENT_OK);
}
END_TEST

/* ---- connections ---- */

START_TEST(a_taken_port_is_busy)
{
    struct err e;
    struct rpc_server *other = NULL;
    ck_assert_int_eq(start_on(rpc_server_port(f.server), &other, &e), ERR_BUSY);
    ck_assert_ptr_null(other);
    ck_assert_ptr_nonnull(strstr(e.msg, f.endpoint));
    assert_serving();
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tc = suite_add_case(suite, name, setup, teardown);
    tcase_set_timeout(tc, 60);
    return tc;
}

static Suite *rpc_suite(void)
{
    Suite *suite = suite_create("rpc");
    TCase *calls = add_case(suite, "calls");
    tcase_add_test(calls, a_unary_call_gets_its_reply);
    tcase_add_test(calls, many_calls_at_once_each_get_their_own_reply);
    tcase_add_test(calls, an_empty_request_is_a_message_of_no_bytes);
    tcase_add_test(calls, a_large_request_comes_in_slices);
    tcase_add_test(calls, a_request_over_the_limit_is_refused);
    tcase_add_test(calls, oversized_headers_are_refused_and_the_server_goes_on);
    tcase_add_test(calls, a_failed_call_has_the_status_and_its_text);
    tcase_add_test(calls, the_first_finish_counts);
    tcase_add_test(calls, a_path_that_is_not_served_is_unimplemented);
    tcase_add_test(calls, an_unserved_stream_is_refused_before_its_request);
    tcase_add_test(calls, a_handler_sees_peer_headers_and_deadline);
    TCase *streams = add_case(suite, "streams");
    tcase_add_test(streams, a_stream_delivers_all_messages_in_order);
    tcase_add_test(streams, a_stream_may_be_empty);
    tcase_add_test(streams, each_lent_piece_is_released_once);
    tcase_add_test(streams, pieces_of_a_lost_stream_are_released);
    tcase_add_test(streams, a_bidirectional_stream_answers_each_message);
    TCase *parked = add_case(suite, "parked");
    tcase_add_test(parked, a_parked_call_is_answered_from_another_thread);
    tcase_add_test(parked, a_cancelled_call_ends_at_once_and_swallows_its_reply);
    tcase_add_test(parked, stopping_the_server_ends_parked_calls);
    TCase *connections = add_case(suite, "connections");
    tcase_add_test(connections, a_taken_port_is_busy);
    return suite;
}

int main(void)
{
    return suite_run(rpc_suite());
}
