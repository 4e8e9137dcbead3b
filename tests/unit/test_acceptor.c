/* One port for plaintext and TLS, over real loopback connections. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "broker/rpc.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"
#include "tools/client.h"

enum { CALL_MS = 30000, WAIT_MS = 30000, BODY_BYTES = 1 << 20, N_BODIES = 8 };

static struct {
    struct rpc_server *server;
    char endpoint[64];
    uint8_t *body;
} f;

static uint64_t now_ms(void)
{
    return io_posix()->mono_ns(io_posix()) / 1000000;
}

/* ---- handlers ---- */

/* Answers with the peer's address and the number of bytes that came. */
static void describe(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    size_t n, total = 0;
    const struct span *spans = rpc_request(call, &n);
    for (size_t i = 0; i < n; i++)
        total += spans[i].len;
    char text[128];
    (void)snprintf(text, sizeof text, "%s %zu", rpc_peer(call), total);
    struct rpc_piece piece = {.bytes = span_str(text)};
    rpc_send(call, &piece, 1, false);
    rpc_finish(call, RPC_OK, NULL);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void stream(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    struct rpc_piece piece = {.bytes = span_of(f.body, BODY_BYTES), .release = nothing};
    for (int i = 0; i < N_BODIES; i++)
        rpc_send(call, &piece, 1, i + 1 < N_BODIES);
    rpc_finish(call, RPC_OK, NULL);
}

static const struct rpc_method methods[] = {
    {"/t.T/Describe", RPC_UNARY, describe, NULL, NULL, NULL},
    {"/t.T/Stream", RPC_SERVER_STREAM, stream, NULL, NULL, NULL},
};

static int start_with(struct rpc_options opt, struct err *e)
{
    opt.host = opt.host ? opt.host : "127.0.0.1";
    opt.methods = methods;
    opt.n_methods = sizeof methods / sizeof methods[0];
    return rpc_server_start(&f.server, &opt, e);
}

static void start(struct rpc_options opt)
{
    struct err e;
    ck_assert_msg(start_with(opt, &e) == 0, "%s", e.msg);
    (void)snprintf(f.endpoint, sizeof f.endpoint, "127.0.0.1:%u", rpc_server_port(f.server));
}

static void setup(void)
{
    f.body = malloc(BODY_BYTES);
    ck_assert_ptr_nonnull(f.body);
    memset(f.body, 'b', BODY_BYTES);
}

static void teardown(void)
{
    rpc_server_stop(f.server);
    f.server = NULL;
    free(f.body);
}

/* ---- clients ---- */

static struct client *open_client(bool tls)
{
    struct err e;
    struct client *c;
    struct client_options opt = {.endpoint = f.endpoint, .tls = tls};
    ck_assert_msg(client_open(&c, &opt, &e) == 0, "%s", e.msg);
    return c;
}

/* What the server says of a request of `len` bytes. */
static void ask(struct client *c, size_t len, char *ret_peer, size_t *ret_total)
{
    struct err e;
    uint8_t *reply = NULL;
    size_t reply_len;
    uint8_t *request = calloc(1, len);
    int rc =
        client_call(c, "/t.T/Describe", span_of(request, len), CALL_MS, &reply, &reply_len, &e);
    free(request);
    ck_assert_msg(rc == 0, "%s", e.msg);
    char text[128];
    (void)snprintf(text, sizeof text, "%.*s", (int)reply_len, (const char *)reply);
    free(reply);
    ck_assert_int_eq(sscanf(text, "%63s %zu", ret_peer, ret_total), 2);
}

static void assert_serving(bool tls)
{
    char peer[64];
    size_t total;
    struct client *c = open_client(tls);
    ask(c, 10, peer, &total);
    client_close(c);
    ck_assert_uint_eq(total, 10);
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(rpc_server_port(f.server))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Whether the other side closes within the time. */
static bool is_closed_within(int fd, int wait_ms)
{
    char buf[256];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, wait_ms) == 1)
        if (recv(fd, buf, sizeof buf, MSG_DONTWAIT) <= 0)
            return true;
    return false;
}

static void write_all(int fd, const void *bytes, size_t len)
{
    ck_assert_int_eq((int)send(fd, bytes, len, MSG_NOSIGNAL), (int)len);
}

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
enum { PREFACE_BYTES = sizeof preface - 1 };

/* ---- first bytes ---- */

START_TEST(the_first_bytes_tell_the_protocol)
{
    static const uint8_t tls[HELLO_BYTES] = {0x16, 0x03, 0x01, 0x02};
    static const uint8_t ssl2[HELLO_BYTES] = {0x80, 0x2e, 0x01, 0x03};
    ck_assert_int_eq(acceptor_classify(span_of(preface, HELLO_BYTES)), HELLO_PLAIN);
    ck_assert_int_eq(acceptor_classify(span_of(tls, HELLO_BYTES)), HELLO_TLS);
    ck_assert_int_eq(acceptor_classify(span_of(ssl2, HELLO_BYTES)), HELLO_FOREIGN);
    ck_assert_int_eq(acceptor_classify(span_str("GET /console HTTP/1.1\r\nHost: a\r\n")),
                     HELLO_FOREIGN);
    ck_assert_int_eq(acceptor_classify(span_of(preface, HELLO_BYTES - 1)), HELLO_FOREIGN);
    ck_assert_int_eq(acceptor_classify((struct span){0}), HELLO_FOREIGN);
}
END_TEST

/* ---- one port ---- */

START_TEST(plaintext_and_tls_are_served_on_one_port)
{
    start((struct rpc_options){.port = 0});
    assert_serving(false);
    assert_serving(true);
    assert_serving(false);
}
END_TEST

/* Plaintext and TLS alike. */
START_TEST(a_handler_sees_the_real_address)
{
    start((struct rpc_options){.port = 0});
    char first[64], again[64], other[64];
    size_t total;
    struct client *c = open_client(/* tls = */ _i == 1);
    ask(c, 1, first, &total);
    ask(c, 1, again, &total);
    client_close(c);
    c = open_client(/* tls = */ _i == 1);
    ask(c, 1, other, &total);
    client_close(c);
    ck_assert_msg(strncmp(first, "127.0.0.1:", 10) == 0, "peer is '%s'", first);
    ck_assert_str_eq(first, again);
    ck_assert_str_ne(first, other);
}
END_TEST

START_TEST(large_messages_go_both_ways)
{
    start((struct rpc_options){.port = 0});
    char peer[64];
    size_t total;
    struct err e;
    struct span m;
    struct client *c = open_client(/* tls = */ _i == 1);
    ask(c, 5 << 20, peer, &total);
    ck_assert_uint_eq(total, 5 << 20);
    struct client_stream *s;
    ck_assert_int_eq(client_stream_open(&s, c, "/t.T/Stream", CALL_MS, &e), 0);
    ck_assert_int_eq(client_stream_send(s, span_str("go"), &e), 0);
    for (int i = 0; i < N_BODIES; i++) {
        ck_assert_int_eq(client_stream_next(s, WAIT_MS, &m), CLIENT_MESSAGE);
        ck_assert(span_equal(m, span_of(f.body, BODY_BYTES)));
    }
    ck_assert_int_eq(client_stream_next(s, WAIT_MS, &m), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_status(s, NULL), CLIENT_OK);
    client_stream_close(s);
    client_close(c);
}
END_TEST

START_TEST(a_preface_in_single_bytes_is_understood)
{
    start((struct rpc_options){.port = 0});
    int fd = dial();
    for (size_t i = 0; i < PREFACE_BYTES; i++)
        write_all(fd, preface + i, 1);
    char settings[9] = {0};
    ck_assert_int_eq((int)recv(fd, settings, sizeof settings, MSG_WAITALL), (int)sizeof settings);
    ck_assert_int_eq(settings[3], 4); /* the server's SETTINGS frame */
    (void)close(fd);
}
END_TEST

START_TEST(a_foreign_protocol_is_closed_at_once)
{
    start((struct rpc_options){.port = 0});
    int fd = dial();
    write_all(fd, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35);
    ck_assert(is_closed_within(fd, WAIT_MS));
    (void)close(fd);
    assert_serving(false);
}
END_TEST

START_TEST(a_broken_frame_after_the_preface_closes_that_connection)
{
    static const char frames[] = "\0\0\5\0\0\0\0\0\1abcde"     /* DATA of no stream */
                                 "\xff\xff\xff\1\0\0\0\0\1zz"; /* HEADERS of 16 MiB */
    start((struct rpc_options){.port = 0});
    int fd = dial();
    write_all(fd, preface, PREFACE_BYTES);
    write_all(fd, frames, sizeof frames - 1);
    ck_assert(is_closed_within(fd, WAIT_MS));
    (void)close(fd);
    assert_serving(false);
}
END_TEST

START_TEST(garbage_after_a_tls_hello_disturbs_nobody)
{
    start((struct rpc_options){.port = 0});
    uint8_t junk[3000];
    memset(junk, 0xaa, sizeof junk);
    memcpy(junk, "\x16\x03\x01\x0b\x00", 5);
    int fd = dial();
    write_all(fd, junk, sizeof junk);
    ck_assert(is_closed_within(fd, WAIT_MS));
    (void)close(fd);
    assert_serving(true);
}
END_TEST

START_TEST(a_connection_that_ends_in_its_hello_is_forgotten)
{
    start((struct rpc_options){.port = 0});
    int fd = dial();
    write_all(fd, "PRI", 3);
    (void)shutdown(fd, SHUT_WR);
    ck_assert(is_closed_within(fd, WAIT_MS));
    (void)close(fd);
    assert_serving(false);
}
END_TEST

/* ---- limits ---- */

START_TEST(connections_over_the_limit_are_closed_until_others_end)
{
    start((struct rpc_options){.max_connections = 2});
    int first = dial();
    int second = dial();
    write_all(first, preface, PREFACE_BYTES); /* one with gRPC, one in its hello */
    ck_assert(!is_closed_within(second, 200));
    int third = dial();
    ck_assert(is_closed_within(third, WAIT_MS));
    (void)close(third);
    (void)close(first);
    bool is_let_in = false;
    uint64_t until = now_ms() + WAIT_MS;
    while (!is_let_in && now_ms() < until) { /* gRPC closes its side, and the count follows */
        third = dial();
        is_let_in = !is_closed_within(third, 100);
        (void)close(third);
    }
    ck_assert(is_let_in);
    (void)close(second);
}
END_TEST

START_TEST(stop_closes_connections_that_said_nothing)
{
    start((struct rpc_options){.port = 0});
    int fd = dial();
    write_all(fd, "\x16\x03", 2);
    rpc_server_stop(f.server);
    f.server = NULL;
    ck_assert(is_closed_within(fd, WAIT_MS));
    (void)close(fd);
}
END_TEST

/* ---- addresses and files ---- */

START_TEST(an_unknown_host_is_named)
{
    struct err e;
    char too_long[80]; /* a label that no server needs to be asked about */
    memset(too_long, 'a', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    ck_assert_int_eq(start_with((struct rpc_options){.host = too_long}, &e), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "aaaa"));
}
END_TEST

START_TEST(an_address_of_another_machine_cannot_be_bound)
{
    struct err e;
    ck_assert_int_eq(start_with((struct rpc_options){.host = "192.0.2.1"}, &e), ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, "192.0.2.1"));
}
END_TEST

static char *write_file(const char *folder, const char *name, const char *text)
{
    struct err e;
    char *path = tmpdir_path(folder, name);
    ck_assert_int_eq(io_replace_file(io_posix(), path, text, strlen(text), false, &e), 0);
    return path;
}

START_TEST(a_certificate_that_is_none_is_refused)
{
    struct err e;
    char *folder = tmpdir_make();
    char *cert = write_file(folder, "cert.pem", "this is not a certificate\n");
    char *key = write_file(folder, "key.pem", "nor a key\n");
    struct rpc_options opt = {.tls_cert_path = cert, .tls_key_path = key};
    ck_assert_int_eq(start_with(opt, &e), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, cert));
    opt.tls_key_path = NULL;
    ck_assert_int_eq(start_with(opt, &e), ERR_INVAL);
    opt.tls_key_path = key;
    opt.tls_cert_path = "/no/such/file";
    ck_assert_int_eq(start_with(opt, &e), ERR_NOTFOUND);
    free(cert);
    free(key);
    tmpdir_remove(folder);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tc = suite_add_case(suite, name, setup, teardown);
    tcase_set_timeout(tc, 60);
    return tc;
}

static Suite *acceptor_suite(void)
{
    Suite *suite = suite_create("acceptor");
    TCase *hello = add_case(suite, "hello");
    tcase_add_test(hello, the_first_bytes_tell_the_protocol);
    tcase_add_test(hello, a_preface_in_single_bytes_is_understood);
    tcase_add_test(hello, a_foreign_protocol_is_closed_at_once);
    tcase_add_test(hello, a_broken_frame_after_the_preface_closes_that_connection);
    tcase_add_test(hello, garbage_after_a_tls_hello_disturbs_nobody);
    tcase_add_test(hello, a_connection_that_ends_in_its_hello_is_forgotten);
    TCase *port = add_case(suite, "port");
    tcase_add_test(port, plaintext_and_tls_are_served_on_one_port);
    tcase_add_loop_test(port, a_handler_sees_the_real_address, 0, 2);
    tcase_add_loop_test(port, large_messages_go_both_ways, 0, 2);
    TCase *limits = add_case(suite, "limits");
    tcase_add_test(limits, connections_over_the_limit_are_closed_until_others_end);
    tcase_add_test(limits, stop_closes_connections_that_said_nothing);
    TCase *config = add_case(suite, "config");
    tcase_add_test(config, an_unknown_host_is_named);
    tcase_add_test(config, an_address_of_another_machine_cannot_be_bound);
    tcase_add_test(config, a_certificate_that_is_none_is_refused);
    return suite;
}

int main(void)
{
    return suite_run(acceptor_suite());
}
