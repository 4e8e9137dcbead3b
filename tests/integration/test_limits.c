/* Clients that ask for much and read nothing, against a real sluiced: what they cost, and that
 * others are served meanwhile. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/broker_child.h"
#include "tests/lib/h2_raw.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum {
    N_WAITING = 1000,
    WAITING_BYTES_MAX = 24 * 1024, /* of one receive that waits, gRPC's call with it */
    BIG_BODY_BYTES = 1024 * 1024,
    N_BIG = 24,
};

static struct {
    struct broker_child broker;
    struct client *client;
    char *store;
} f;

static void start(const char *const *args)
{
    f.store = tmpdir_make();
    broker_child_start(&f.broker, f.store, args);
    f.client = messaging_connect(f.broker.endpoint, "greedy");
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 4);
}

static void stop(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    tmpdir_remove(f.store);
}

/* Bytes of the broker's own memory: without mapped files. */
static uint64_t anonymous_bytes(void)
{
    char path[64], line[256];
    unsigned long kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)f.broker.pid);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (kib == 0 && fgets(line, sizeof line, file))
        (void)sscanf(line, "RssAnon: %lu", &kib);
    (void)fclose(file);
    ck_assert_uint_gt(kib, 0);
    return (uint64_t)kib * 1024;
}

/* A limit for the broker as it is built: sanitizers take memory too. */
static uint64_t scaled(uint64_t bytes)
{
    const char *slowness = getenv("CK_TIMEOUT_MULTIPLIER");
    return bytes * (slowness ? strtoul(slowness, NULL, 10) : 1);
}

static const struct messaging_receive waiting = {
    .topic = "T", .group = "G", .filter = "TagA", .invisible_ms = 10000, .polling_ms = 20000};

START_TEST(receives_that_wait_cost_little_and_all_end_with_the_broker)
{
    static struct client_stream *streams[N_WAITING];
    start(/* args = */ NULL);
    struct client_stream *first = messaging_receive_start(f.client, &waiting);
    messaging_send_ok(f.client, "T", "TagB", "x"); /* what is needed once is there now */
    uint64_t before = anonymous_bytes();
    for (int i = 0; i < N_WAITING; i++)
        streams[i] = messaging_receive_start(f.client, &waiting);
    messaging_send_ok(f.client, "T", "TagB", "x");
    uint64_t after = anonymous_bytes();
    uint64_t limit = scaled((uint64_t)N_WAITING * WAITING_BYTES_MAX);
    ck_assert_msg(after < before + limit, "%d receives cost %llu bytes", N_WAITING,
                  (unsigned long long)(after - before));
    for (int i = 0; i < N_WAITING; i++)
        client_stream_close(streams[i]);
    client_stream_close(first);
    stop();
}
END_TEST

START_TEST(one_receive_too_many_is_refused_with_the_limit_named)
{
    static const char *const args[] = {"--set", "maxParkedReceivesPerGroup=1", NULL};
    struct messaging_batch b;
    start(args);
    struct client_stream *first = messaging_receive_start(f.client, &waiting);
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 4);
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 4);
    messaging_receive(f.client, &waiting, &b);
    ck_assert_int_eq(b.code, CODE(TOO_MANY_REQUESTS));
    ck_assert_ptr_nonnull(strstr(b.text, "maxParkedReceivesPerGroup"));
    client_stream_close(first);
    stop();
}
END_TEST

/* Until every message is in its queue: a receive that found only a few could be written whole. */
static void await_queues(void)
{
    Sluice__V1__GetStatsRequest req = SLUICE__V1__GET_STATS_REQUEST__INIT;
    bool is_done = false;
    while (!is_done) { /* the test's own limit ends it */
        Sluice__V1__GetStatsResponse *stats = messaging_call(
            f.client, PROTO_GET_STATS, &req.base, &sluice__v1__get_stats_response__descriptor);
        is_done = stats->dispatched == stats->published;
        messaging_free(stats);
    }
}

static void publish_big(void)
{
    char *body = calloc(1, BIG_BODY_BYTES);
    struct messaging_message m = {.topic = "T", .body = body, .body_len = BIG_BODY_BYTES};
    for (int i = 0; i < N_BIG; i++) {
        V2(SendMessageResponse) *reply = messaging_send(f.client, &m, 1);
        ck_assert_int_eq(reply->status->code, CODE(OK));
        messaging_free(reply);
    }
    free(body);
    await_queues();
}

/* Receives until `n` messages are there. */
static void receive_all(struct client *c, const struct messaging_receive *r, size_t n)
{
    while (n > 0) {
        struct messaging_batch b;
        messaging_receive(c, r, &b);
        ck_assert_msg(b.code == CODE(OK), "%s, %zu missing", b.text, n);
        for (size_t i = 0; i < b.n; i++)
            ck_assert_int_eq(messaging_at(&b, i)->system_properties->delivery_attempt, 1);
        n -= b.n;
        messaging_batch_free(&b);
    }
}

START_TEST(what_a_client_never_reads_goes_to_another_once_it_is_gone)
{
    struct messaging_receive r = waiting;
    r.filter = NULL;
    r.invisible_ms = 600000;
    start(/* args = */ NULL);
    publish_big();
    struct client *idle = messaging_connect(f.broker.endpoint, "idle");
    struct client_stream *unread = messaging_receive_start(idle, &r);
    messaging_create_topic(f.client, "U", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    ck_assert_uint_lt(anonymous_bytes(), scaled((uint64_t)N_BIG * BIG_BODY_BYTES + (64 << 20)));
    client_stream_close(unread);
    client_close(idle);
    receive_all(f.client, &r, N_BIG);
    stop();
}
END_TEST

static void ask(struct h2_raw *h, const struct messaging_receive *r)
{
    uint8_t head[5] = {0};
    struct span request = messaging_receive_bytes(r);
    uint32_t stream = h2_raw_call(h, PROTO_RECEIVE_MESSAGE, "dying");
    head[4] = (uint8_t)request.len;
    ck_assert_uint_lt(request.len, 256);
    ck_assert_uint_eq(h2_raw_send(h, stream, head, sizeof head, /* patience_ms = */ 5000),
                      sizeof head);
    ck_assert_uint_eq(h2_raw_send(h, stream, request.ptr, request.len, /* patience_ms = */ 5000),
                      request.len);
    h2_raw_end(h, stream);
    free((void *)request.ptr);
}

/* Asks for messages on a connection of its own, and reads nothing but what the window lets in. */
static void ask_and_stall(struct h2_raw *h, const struct messaging_receive *r)
{
    h2_raw_open(h, f.broker.endpoint);
    ask(h, r);
    while (h->n_data_bytes == 0) /* the test's own limit ends it */
        (void)h2_raw_pump(h, /* wait_ms = */ 100);
}

START_TEST(a_connection_that_dies_in_the_middle_of_a_reply_gives_its_messages_back)
{
    struct messaging_receive r = waiting;
    struct h2_raw dying;
    r.filter = NULL;
    r.invisible_ms = 600000;
    start(/* args = */ NULL);
    publish_big();
    ask_and_stall(&dying, &r);
    h2_raw_close(&dying);
    receive_all(f.client, &r, N_BIG);
    stop();
}
END_TEST

START_TEST(a_client_that_reads_nothing_does_not_keep_the_broker_from_stopping)
{
    struct messaging_receive r = waiting;
    r.filter = NULL;
    start(/* args = */ NULL);
    publish_big();
    struct client *idle = messaging_connect(f.broker.endpoint, "idle");
    struct client_stream *unread = messaging_receive_start(idle, &r);
    messaging_create_topic(f.client, "U", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    stop();
    client_stream_close(unread);
    client_close(idle);
}
END_TEST

/* ---- what is not read ---- */

static Sluice__V1__GetStatsResponse *get_stats(void)
{
    Sluice__V1__GetStatsRequest req = SLUICE__V1__GET_STATS_REQUEST__INIT;
    return messaging_call(f.client, PROTO_GET_STATS, &req.base,
                          &sluice__v1__get_stats_response__descriptor);
}

static void await_refused(uint64_t n)
{
    uint64_t n_refused = 0;
    while (n_refused < n) { /* the test's own limit ends it */
        Sluice__V1__GetStatsResponse *stats = get_stats();
        n_refused = stats->unread_refused;
        messaging_free(stats);
    }
}

static void expect_ended(uint64_t n)
{
    Sluice__V1__GetStatsResponse *stats = get_stats();
    ck_assert_uint_eq(stats->unread_ended, n);
    messaging_free(stats);
}

START_TEST(a_client_that_has_much_unread_gets_no_more)
{
    static const char *const args[] = {"--set", "maxUnreadPerConnection=4194304", NULL};
    struct messaging_receive r = waiting;
    struct h2_raw stalled;
    r.filter = NULL;
    start(args);
    publish_big();
    ask_and_stall(&stalled, &r);
    ask(&stalled, &r);
    await_refused(1);
    expect_ended(0);
    h2_raw_close(&stalled);
    stop();
}
END_TEST

static const char *const unread_args[] = {"--set", "maxUnreadPerConnection=4194304", "--set",
                                          "unreadTimeoutMillis=200", NULL};

START_TEST(a_client_that_reads_nothing_is_ended_and_others_get_its_messages)
{
    struct messaging_receive r = waiting;
    struct h2_raw stalled;
    r.filter = NULL;
    r.invisible_ms = 600000;
    start(unread_args);
    publish_big();
    ask_and_stall(&stalled, &r);
    while (!stalled.is_closed) /* the test's own limit ends it */
        (void)h2_raw_pump(&stalled, /* wait_ms = */ 100);
    expect_ended(1);
    r.batch = 1; /* so that this one is never beyond the limit */
    receive_all(f.client, &r, N_BIG);
    h2_raw_close(&stalled);
    stop();
}
END_TEST

START_TEST(a_tls_client_that_reads_nothing_is_ended_too)
{
    struct messaging_receive r = waiting;
    struct client_options opt = {.tls = true, .client_id = "idle"};
    struct client *idle = NULL;
    struct err e;
    r.filter = NULL;
    r.invisible_ms = 600000;
    start(unread_args);
    publish_big();
    opt.endpoint = f.broker.endpoint;
    ck_assert_msg(client_open(&idle, &opt, &e) == 0, "%s", e.msg);
    struct client_stream *unread = messaging_receive_start(idle, &r);
    r.batch = 1;
    receive_all(f.client, &r, N_BIG); /* once it is ended */
    expect_ended(1);
    client_stream_close(unread);
    client_close(idle);
    stop();
}
END_TEST

START_TEST(a_client_that_reads_is_not_ended_however_much_it_gets)
{
    static const char *const args[] = {"--set", "maxUnreadPerConnection=4194304", "--set",
                                       "unreadTimeoutMillis=10000", NULL};
    struct messaging_receive r = waiting;
    r.filter = NULL;
    r.invisible_ms = 600000;
    start(args);
    publish_big();
    receive_all(f.client, &r, N_BIG);
    expect_ended(0);
    stop();
}
END_TEST

/* ---- much at once ---- */

enum {
    MEMORY_BYTES = 64 << 20,
    N_LEECHES = 8,
    N_ENDLESS = 50, /* requests of each */
    ENDLESS_BYTES = 4 << 20,
};

static const char *const memory_args[] = {"--set", "maxRequestMemory=67108864", "--set",
                                          "maxRequestSize=16777216", NULL};

/* Requests that say they are long, and stop when nothing more is taken or 4 MiB are there; how many
 * bytes were. None are of a connection that comes when memory is full already: gRPC may end one
 * that has no call yet, even before its settings. */
static size_t begin_endless(struct h2_raw *h)
{
    static const uint8_t part[64 * 1024];
    static const uint8_t head[] = {0, 0, 0x80, 0, 0}; /* not compressed, 8 MiB */
    uint32_t streams[N_ENDLESS];
    size_t sent = 0;
    if (!h2_raw_try_open(h, f.broker.endpoint))
        return 0;
    for (int i = 0; i < N_ENDLESS; i++) {
        streams[i] = h2_raw_call(h, PROTO_SEND_MESSAGE, "leech");
        (void)h2_raw_send(h, streams[i], head, sizeof head, /* patience_ms = */ 20);
    }
    for (size_t n = 0; n < ENDLESS_BYTES; n += sizeof part)
        for (int i = 0; i < N_ENDLESS && !h->is_closed; i++)
            sent += h2_raw_send(h, streams[i], part, sizeof part, /* patience_ms = */ 1);
    return sent;
}

/* Sends until one is accepted: gRPC has what the others held some time after they are gone. */
static void send_soon(void)
{
    struct messaging_message m = {.topic = "T", .body = "served"};
    bool is_ok = false;
    while (!is_ok) { /* the test's own limit ends it */
        struct client *c = messaging_connect(f.broker.endpoint, "other");
        V2(SendMessageResponse) *reply = messaging_try_send(c, &m, 1);
        is_ok = reply && reply->status->code == CODE(OK);
        messaging_free(reply);
        client_close(c);
    }
}

START_TEST(requests_that_never_end_stay_within_their_memory_and_leave_with_their_client)
{
    struct h2_raw leeches[N_LEECHES];
    size_t sent = 0;
    start(memory_args);
    for (int i = 0; i < N_LEECHES; i++)
        sent += begin_endless(&leeches[i]);
    ck_assert_uint_gt(sent, MEMORY_BYTES);
    uint64_t bytes = anonymous_bytes();
    /* without a limit it is all of the 1.6 GiB; gRPC ends calls late, and memory returns later */
    ck_assert_msg(bytes < scaled(12 * (uint64_t)MEMORY_BYTES), "they take %llu bytes",
                  (unsigned long long)bytes);
    for (int i = 0; i < N_LEECHES; i++)
        h2_raw_close(&leeches[i]);
    send_soon();
    stop();
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("limits");
    TCase *tc = tcase_create("limits");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_add_test(tc, receives_that_wait_cost_little_and_all_end_with_the_broker);
    tcase_add_test(tc, one_receive_too_many_is_refused_with_the_limit_named);
    tcase_add_test(tc, what_a_client_never_reads_goes_to_another_once_it_is_gone);
    tcase_add_test(tc, a_connection_that_dies_in_the_middle_of_a_reply_gives_its_messages_back);
    tcase_add_test(tc, a_client_that_reads_nothing_does_not_keep_the_broker_from_stopping);
    tcase_add_test(tc, a_client_that_has_much_unread_gets_no_more);
    tcase_add_test(tc, a_client_that_reads_nothing_is_ended_and_others_get_its_messages);
    tcase_add_test(tc, a_tls_client_that_reads_nothing_is_ended_too);
    tcase_add_test(tc, a_client_that_reads_is_not_ended_however_much_it_gets);
    tcase_add_test(tc,
                   requests_that_never_end_stay_within_their_memory_and_leave_with_their_client);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
