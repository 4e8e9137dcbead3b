/* A stop in the middle of the work: senders go on until the broker is gone, a second SIGTERM
 * changes nothing, and what was accepted is there afterwards, in a store that was closed cleanly.
 * A stop that cancels calls which the housekeeper has yet to come to. And an end by a signal that
 * is not waited for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/broker_child.h"
#include "tests/lib/crew.h"
#include "tests/lib/messaging.h"
#include "tests/lib/packed.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_SENDERS = 3, N_BEFORE = 300, SENT_MAX = 100000, N_PUT_OFF = 200 };

static const char *const modes[] = {"ASYNC_FLUSH", "SYNC_FLUSH"};

static struct {
    char *store;
    struct broker_child broker;
    _Atomic uint64_t n_accepted[N_SENDERS]; /* numbers 0 to n - 1 of each sender */
} f;

static void start(const char *mode)
{
    char set[64];
    (void)snprintf(set, sizeof set, "flushDiskType=%s", mode);
    const char *const args[] = {"--set", set, "--set", "minLongPollingMillis=100", NULL};
    broker_child_start(&f.broker, f.store, args);
}

/* Sends numbered messages until one is not accepted. */
static void send_until_refused(int sender)
{
    struct client *client = messaging_connect(f.broker.endpoint, NULL);
    char body[64];
    for (uint64_t n = 0; n < SENT_MAX; n++) {
        (void)snprintf(body, sizeof body, "%d %llu", sender, (unsigned long long)n);
        const struct messaging_message m = {.topic = "T", .body = body};
        V2(SendMessageResponse) *reply = messaging_try_send(client, &m, 1);
        bool is_accepted = reply && reply->status->code == CODE(OK);
        messaging_free(reply);
        if (!is_accepted)
            break;
        atomic_store(&f.n_accepted[sender], n + 1);
    }
    client_close(client);
}

static uint64_t n_accepted(void)
{
    uint64_t n = 0;
    for (int i = 0; i < N_SENDERS; i++)
        n += atomic_load(&f.n_accepted[i]);
    return n;
}

/* Notes which numbers came; what was not accepted may come too, once. */
static void take(const V2(Message) *m, bool *has_come[N_SENDERS])
{
    char body[64] = "";
    int sender;
    unsigned long long n;
    ck_assert_uint_lt(m->body.len, sizeof body);
    memcpy(body, m->body.data, m->body.len);
    ck_assert_int_eq(sscanf(body, "%d %llu", &sender, &n), 2);
    ck_assert(sender >= 0 && sender < N_SENDERS && n < SENT_MAX);
    ck_assert(!has_come[sender][n]);
    has_come[sender][n] = true;
}

static void expect_all(void)
{
    bool *has_come[N_SENDERS];
    struct messaging_batch b;
    const struct messaging_receive r = {
        .topic = "T", .group = "G", .invisible_ms = 60000, .polling_ms = 200};
    struct client *client = messaging_connect(f.broker.endpoint, NULL);
    for (int i = 0; i < N_SENDERS; i++)
        has_come[i] = calloc(SENT_MAX, sizeof(bool));
    do {
        messaging_receive(client, &r, &b);
        for (size_t i = 0; i < b.n; i++)
            take(messaging_at(&b, i), has_come);
        messaging_batch_free(&b);
    } while (b.code == CODE(OK));
    for (int i = 0; i < N_SENDERS; i++) {
        for (uint64_t n = 0; n < atomic_load(&f.n_accepted[i]); n++)
            ck_assert_msg(has_come[i][n], "%llu of sender %d is lost", (unsigned long long)n, i);
        free(has_come[i]);
    }
    client_close(client);
}

START_TEST(a_stop_under_load_keeps_what_was_accepted_and_is_clean)
{
    struct crew senders;
    memset(&f, 0, sizeof f);
    f.store = tmpdir_make();
    start(modes[_i]);
    struct client *client = messaging_connect(f.broker.endpoint, NULL);
    messaging_create_topic(client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 4);
    client_close(client);
    crew_start(&senders, N_SENDERS, send_until_refused);
    while (n_accepted() < N_BEFORE) /* the test's own limit is the timeout */
        (void)sched_yield();
    ck_assert_int_eq(kill(f.broker.pid, SIGTERM), 0);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0); /* the second one */
    crew_join(&senders);
    char *path = tmpdir_path(f.store, "abort");
    ck_assert_int_ne(access(path, F_OK), 0);
    free(path);
    start(modes[_i]);
    expect_all();
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    tmpdir_remove(f.store);
}
END_TEST

static void on_reply(void *arg, const struct client_reply *reply)
{
    *(size_t *)arg += reply->status == CLIENT_OK;
}

static void start_call(struct client *client, const char *path, const ProtobufCMessage *request,
                       size_t *n_answered)
{
    struct err e;
    const struct span bytes = packed(request);
    ck_assert_int_eq(client_start(client, path, bytes, MESSAGING_CALL_MS, on_reply, n_answered, &e),
                     0);
    free((void *)bytes.ptr);
}

static void start_route(struct client *client, int topic_number, size_t *n_answered)
{
    char name[32];
    (void)snprintf(name, sizeof name, "topic-%d", topic_number);
    V2(Resource) topic = messaging_resource(name);
    V2(QueryRouteRequest) req = APACHE__ROCKETMQ__V2__QUERY_ROUTE_REQUEST__INIT;
    req.topic = &topic;
    start_call(client, PROTO_QUERY_ROUTE, &req.base, n_answered);
}

static void await_route(struct client *client, int topic_number)
{
    size_t n_answered = 0;
    start_route(client, topic_number, &n_answered);
    while (n_answered == 0)
        (void)client_poll(client, CLIENT_FOREVER);
}

/* The first use of a topic puts the call off, and the housekeeper makes one topic, or the
 * statistics, after the other. Returns when the broker has all these calls. */
static void give_much_to_do(struct client *client, size_t *n_answered)
{
    Sluice__V1__GetStatsRequest stats = SLUICE__V1__GET_STATS_REQUEST__INIT;
    await_route(client, 0); /* connected: what follows is sent in order */
    for (int i = 1; i <= N_PUT_OFF; i++) {
        start_route(client, i, n_answered);
        start_call(client, PROTO_GET_STATS, &stats.base, n_answered);
    }
    await_route(client, 0); /* the topic is there: this one does not wait */
}

START_TEST(a_stop_that_cancels_what_waits_for_the_housekeeper_is_clean)
{
    size_t n_answered = 0;
    const char *const args[] = {"--set", "stopGraceMillis=0", "--set", "autoCreateTopicEnable=true",
                                NULL};
    f.store = tmpdir_make();
    broker_child_start(&f.broker, f.store, args);
    struct client *client = messaging_connect(f.broker.endpoint, NULL);
    give_much_to_do(client, &n_answered);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    client_close(client);
    ck_assert_uint_lt(n_answered, (size_t)2 * N_PUT_OFF); /* it did cancel some */
    tmpdir_remove(f.store);
}
END_TEST

/* sluiced does not catch it: the store is that of a broker that was killed. */
START_TEST(a_hangup_ends_it_as_a_kill_does)
{
    struct messaging_batch b;
    const struct messaging_receive r = {
        .topic = "T", .group = "G", .invisible_ms = 60000, .polling_ms = 5000};
    ck_assert(signal(SIGHUP, SIG_DFL) != SIG_ERR); /* for the child, whoever started us */
    f.store = tmpdir_make();
    start(modes[0]);
    struct client *client = messaging_connect(f.broker.endpoint, NULL);
    messaging_create_topic(client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    messaging_send_ok(client, "T", NULL, "kept");
    client_close(client);
    ck_assert_int_eq(kill(f.broker.pid, SIGHUP), 0);
    ck_assert_int_eq(broker_child_stop(&f.broker), -1); /* it was gone before */
    start(modes[0]);
    client = messaging_connect(f.broker.endpoint, NULL);
    messaging_receive(client, &r, &b);
    ck_assert_uint_eq(b.n, 1);
    messaging_batch_free(&b);
    client_close(client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    tmpdir_remove(f.store);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("stop");
    TCase *tc = tcase_create("stop");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, a_stop_under_load_keeps_what_was_accepted_and_is_clean, 0, 2);
    tcase_add_test(tc, a_stop_that_cancels_what_waits_for_the_housekeeper_is_clean);
    tcase_add_test(tc, a_hangup_ends_it_as_a_kill_does);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
