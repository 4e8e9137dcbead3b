/* Connections that speak something else, or nothing, or stop in the middle: each costs only itself,
 * and the broker serves others meanwhile and afterwards. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/broker_child.h"
#include "tests/lib/crash_io.h"
#include "tests/lib/h2_raw.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { WAIT_MS = 30000, N_RANDOM = 30, N_SILENT = 100 };

static struct {
    struct broker_child broker;
    struct client *client;
    char *store;
} f;

static void setup(void)
{
    f.store = tmpdir_make();
    broker_child_start(&f.broker, f.store, /* args = */ NULL);
    f.client = messaging_connect(f.broker.endpoint, "decent");
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
}

/* Every test ends with a broker that serves a client of before and a new one, and stops cleanly. */
static void teardown(void)
{
    struct client *fresh = messaging_connect(f.broker.endpoint, "fresh");
    messaging_send_ok(f.client, "T", NULL, "still here");
    messaging_send_ok(fresh, "T", NULL, "here too");
    client_close(fresh);
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    tmpdir_remove(f.store);
}

/* ---- raw bytes ---- */

/* A connection on which these bytes were sent; the other side may have closed it meanwhile. */
static int say(const void *bytes, size_t len)
{
    int fd = h2_raw_dial(f.broker.endpoint);
    (void)send(fd, bytes, len, MSG_NOSIGNAL);
    return fd;
}

/* Reads until the other side closes; how many bytes came. */
static size_t read_to_the_end(int fd)
{
    char buf[4096];
    size_t len = 0;
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    for (;;) {
        ck_assert_msg(poll(&waiting, 1, WAIT_MS) == 1, "the connection is not closed");
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n <= 0)
            return len; /* a reset is an end too */
        len += (size_t)n;
    }
}

START_TEST(random_bytes_end_their_connection)
{
    uint64_t dice = crash_io_seed();
    for (int i = 0; i < N_RANDOM; i++) {
        uint64_t words[64];
        for (size_t w = 0; w < sizeof words / sizeof words[0]; w++)
            words[w] = crash_io_random(&dice);
        ((uint8_t *)words)[0] |= 0x80; /* neither a TLS record nor the preface */
        int fd = say(words, sizeof words);
        (void)read_to_the_end(fd); /* settings may come first */
        (void)close(fd);
    }
}
END_TEST

START_TEST(http_1_is_told_off)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: broker\r\nAccept: */*\r\n\r\n";
    int fd = say(request, sizeof request - 1);
    (void)read_to_the_end(fd);
    (void)close(fd);
}
END_TEST

START_TEST(a_tls_hello_cut_short_holds_up_nobody)
{
    static const uint8_t hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc};
    int fds[sizeof hello];
    for (size_t i = 0; i < sizeof hello; i++)
        fds[i] = say(hello, i + 1);
    messaging_send_ok(f.client, "T", NULL, "served meanwhile");
    for (size_t i = 0; i < sizeof hello; i++)
        (void)close(fds[i]);
}
END_TEST

START_TEST(bad_tls_records_end_their_connection)
{
    static const uint8_t junk[256] = {0x16, 0x03, 0x01, 0x00, 0x20, 0xff};
    int fd = say(junk, sizeof junk);
    (void)read_to_the_end(fd);
    (void)close(fd);
}
END_TEST

START_TEST(silent_connections_and_cut_prefaces_hold_up_nobody)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    int fds[N_SILENT];
    for (int i = 0; i < N_SILENT; i++)
        fds[i] = say(preface, (size_t)i % sizeof preface);
    struct client *other = messaging_connect(f.broker.endpoint, "other");
    messaging_send_ok(other, "T", NULL, "served meanwhile");
    client_close(other);
    for (int i = 0; i < N_SILENT; i++)
        (void)close(fds[i]);
}
END_TEST

START_TEST(a_preface_byte_by_byte_is_a_connection_like_any_other)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    struct pollfd waiting = {.fd = h2_raw_dial(f.broker.endpoint), .events = POLLIN};
    for (size_t i = 0; i < sizeof preface - 1; i++)
        ck_assert_int_eq(send(waiting.fd, preface + i, 1, MSG_NOSIGNAL), 1);
    ck_assert_int_eq(poll(&waiting, 1, WAIT_MS), 1); /* the server's settings */
    char first;
    ck_assert_int_eq(recv(waiting.fd, &first, 1, 0), 1);
    (void)close(waiting.fd);
}
END_TEST

/* ---- HTTP/2 out of order ---- */

START_TEST(a_frame_too_large_or_unknown_headers_end_only_their_connection)
{
    static const uint8_t too_large[] = {0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1};
    static const uint8_t bad_block[] = {0, 0, 2, 1, 4, 0, 0, 0, 1, 0xff, 0xff};
    static const struct span frames[] = {{too_large, sizeof too_large},
                                         {bad_block, sizeof bad_block}};
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        struct h2_raw h;
        h2_raw_open(&h, f.broker.endpoint);
        (void)send(h.fd, frames[i].ptr, frames[i].len, MSG_NOSIGNAL);
        (void)read_to_the_end(h.fd);
        h2_raw_close(&h);
    }
}
END_TEST

START_TEST(a_request_cut_in_the_middle_is_dropped_with_its_connection)
{
    static const uint8_t head[] = {0, 0, 0, 0, 100, 1, 2, 3}; /* 100 bytes, 3 of them */
    static const char *const paths[] = {PROTO_SEND_MESSAGE, PROTO_RECEIVE_MESSAGE, PROTO_TELEMETRY,
                                        "/nowhere"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct h2_raw h;
        h2_raw_open(&h, f.broker.endpoint);
        uint32_t stream = h2_raw_call(&h, paths[i], "cut");
        ck_assert_uint_eq(h2_raw_send(&h, stream, head, sizeof head, WAIT_MS), sizeof head);
        if (i % 2)
            h2_raw_end(&h, stream); /* and one that says it is whole */
        h2_raw_close(&h);
    }
}
END_TEST

/* ---- nothing said of oneself ---- */

/* What is in the reply: the code as protobuf writes it, after the tags of status and code. */
static bool says(const struct h2_raw *h, uint32_t code)
{
    const uint8_t wanted[] = {0x08, (uint8_t)(code | 0x80), (uint8_t)(code >> 7 | 0x80),
                              (uint8_t)(code >> 14)};
    return memmem(h->data, h->n_data_bytes < sizeof h->data ? h->n_data_bytes : sizeof h->data,
                  wanted, sizeof wanted) != NULL;
}

START_TEST(calls_without_any_metadata_are_told_that_the_client_id_is_missing)
{
    static const uint8_t empty[] = {0, 0, 0, 0, 0};
    static const char *const paths[] = {
        PROTO_QUERY_ROUTE,    PROTO_QUERY_ASSIGNMENT, PROTO_HEARTBEAT,   PROTO_NOTIFY_TERMINATION,
        PROTO_SEND_MESSAGE,   PROTO_RECEIVE_MESSAGE,  PROTO_ACK_MESSAGE, PROTO_CHANGE_INVISIBLE,
        PROTO_FORWARD_TO_DLQ, PROTO_TELEMETRY};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct h2_raw h;
        h2_raw_open(&h, f.broker.endpoint);
        uint32_t stream = h2_raw_call(&h, paths[i], /* client_id = */ NULL);
        (void)h2_raw_send(&h, stream, empty, sizeof empty, WAIT_MS);
        if (strcmp(paths[i], PROTO_TELEMETRY) != 0)
            h2_raw_end(&h, stream);
        while (!says(&h, CODE(CLIENT_ID_REQUIRED)))
            ck_assert_msg(h2_raw_pump(&h, WAIT_MS), "%s is not answered so", paths[i]);
        h2_raw_close(&h);
    }
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("garbage");
    TCase *tc = tcase_create("garbage");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, random_bytes_end_their_connection);
    tcase_add_test(tc, http_1_is_told_off);
    tcase_add_test(tc, a_tls_hello_cut_short_holds_up_nobody);
    tcase_add_test(tc, bad_tls_records_end_their_connection);
    tcase_add_test(tc, silent_connections_and_cut_prefaces_hold_up_nobody);
    tcase_add_test(tc, a_preface_byte_by_byte_is_a_connection_like_any_other);
    tcase_add_test(tc, a_frame_too_large_or_unknown_headers_end_only_their_connection);
    tcase_add_test(tc, a_request_cut_in_the_middle_is_dropped_with_its_connection);
    tcase_add_test(tc, calls_without_any_metadata_are_told_that_the_client_id_is_missing);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
