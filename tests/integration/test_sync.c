/* A broker with sync flush, and a disk whose syncs the test holds back or makes fail: an answer
 * means that the message is on disk, and nothing but that answer waits for it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "broker/broker.h"
#include "broker/config.h"
#include "tests/lib/messaging.h"
#include "tests/lib/packed.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_SENDERS = 16 };

/* The seam with a gate before the syncs of the log. */
static struct {
    struct io io;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* guarded by mutex */
    int fd; /* the log's; -1: none */
    bool is_shut;
    int errno_value; /* of the next sync; 0: it goes well */
    int n_waiting;   /* at the gate */
    int n_synced;
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct {
    struct broker *broker;
    struct client *client;
    char *store;
    char endpoint[32];
    _Atomic int n_answered;
} f;

/* ---- the gate ---- */

static int gate_open(struct io *io, const char *path, int flags, unsigned mode)
{
    (void)io;
    int fd = io_posix()->open(io_posix(), path, flags, mode);
    if (fd >= 0 && flags == O_WRONLY && strstr(path, "/commitlog/")) {
        pthread_mutex_lock(&gate.mutex);
        gate.fd = fd;
        pthread_mutex_unlock(&gate.mutex);
    }
    return fd;
}

static int gate_sync_fd(struct io *io, int fd)
{
    (void)io;
    pthread_mutex_lock(&gate.mutex);
    int rc = 0;
    if (fd == gate.fd) {
        gate.n_waiting++;
        (void)pthread_cond_broadcast(&gate.changed);
        while (gate.is_shut)
            pthread_cond_wait(&gate.changed, &gate.mutex);
        gate.n_waiting--;
        gate.n_synced++;
        rc = -gate.errno_value;
    }
    pthread_mutex_unlock(&gate.mutex);
    return rc < 0 ? rc : io_posix()->sync_fd(io_posix(), fd);
}

static void shut_gate(void)
{
    pthread_mutex_lock(&gate.mutex);
    gate.is_shut = true;
    gate.n_synced = 0;
    pthread_mutex_unlock(&gate.mutex);
}

static void open_gate(int errno_value)
{
    pthread_mutex_lock(&gate.mutex);
    gate.is_shut = false;
    gate.errno_value = errno_value;
    (void)pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
}

/* Until a sync of the log stands at the gate. */
static void await_sync(void)
{
    pthread_mutex_lock(&gate.mutex);
    while (gate.n_waiting == 0)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
}

/* ---- the broker, in this process ---- */

static void setup(void)
{
    struct err e = {0};
    struct config cfg;
    f.store = tmpdir_make();
    gate.io = *io_posix();
    gate.io.open = gate_open;
    gate.io.sync_fd = gate_sync_fd;
    gate.fd = -1;
    gate.errno_value = 0;
    config_init(&cfg);
    ck_assert_int_eq(config_set_value(&cfg, "storePathRootDir", f.store, &e), 0);
    ck_assert_int_eq(config_set_value(&cfg, "listen", "127.0.0.1:0", &e), 0);
    ck_assert_int_eq(config_set_value(&cfg, "mappedFileSizeCommitLog", "8388608", &e), 0);
    ck_assert_int_eq(config_set_value(&cfg, "flushDiskType", "SYNC_FLUSH", &e), 0);
    ck_assert_int_eq(config_set_value(&cfg, "minLongPollingMillis", "0", &e), 0);
    ck_assert_int_eq(config_set_value(&cfg, "workers", "1", &e), 0);
    ck_assert_msg(broker_start(&f.broker, &cfg, &gate.io, &e) == 0, "%s", e.msg);
    (void)snprintf(f.endpoint, sizeof f.endpoint, "127.0.0.1:%u", broker_port(f.broker));
    f.client = messaging_connect(f.endpoint, "looker");
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    atomic_store(&f.n_answered, 0);
}

static void teardown(void)
{
    struct err e = {0};
    client_close(f.client);
    if (f.broker)
        ck_assert_msg(broker_stop(f.broker, &e) == 0, "%s", e.msg);
    tmpdir_remove(f.store);
}

static Sluice__V1__GetStatsResponse *get_stats(void)
{
    Sluice__V1__GetStatsRequest req = SLUICE__V1__GET_STATS_REQUEST__INIT;
    return messaging_call(f.client, PROTO_GET_STATS, &req.base,
                          &sluice__v1__get_stats_response__descriptor);
}

/* The only worker has served it, so it served what came before. */
static void await_appended(uint64_t n)
{
    for (uint64_t appended = 0; appended < n;) {
        Sluice__V1__GetStatsResponse *stats = get_stats();
        appended = stats->appended;
        messaging_free(stats);
    }
}

static size_t receive_some(int64_t polling_ms)
{
    struct messaging_batch b;
    struct messaging_receive r = {
        .topic = "T", .group = "G", .batch = 32, .invisible_ms = 60000, .polling_ms = polling_ms};
    messaging_receive(f.client, &r, &b);
    size_t n = b.n;
    messaging_batch_free(&b);
    return n;
}

/* Fails the test unless G gets `want` messages, and then no more. */
static void expect_messages(size_t want)
{
    size_t n = 0;
    while (n < want) {
        size_t more = receive_some(/* polling_ms = */ 10000);
        ck_assert_uint_gt(more, 0);
        n += more;
    }
    ck_assert_uint_eq(n + receive_some(/* polling_ms = */ 0), want);
}

/* ---- senders ---- */

struct sender {
    pthread_t thread;
    size_t n; /* messages of its request */
    V2(SendMessageResponse) *reply;
};

static void *send_some(void *arg)
{
    struct sender *s = arg;
    struct messaging_message messages[4];
    struct client *c = messaging_connect(f.endpoint, NULL);
    for (size_t i = 0; i < s->n; i++)
        messages[i] = (struct messaging_message){.topic = "T", .id = "ID", .body = "body"};
    s->reply = messaging_send(c, messages, s->n);
    atomic_fetch_add(&f.n_answered, 1);
    client_close(c);
    return NULL;
}

static void start_send(struct sender *s, size_t n)
{
    s->n = n;
    ck_assert_int_eq(pthread_create(&s->thread, NULL, send_some, s), 0);
}

/* Waits for the answer, which has this code for all its messages. */
static void expect_code(struct sender *s, int32_t code)
{
    ck_assert_int_eq(pthread_join(s->thread, NULL), 0);
    ck_assert_int_eq((int32_t)s->reply->status->code, code);
    ck_assert_uint_eq(s->reply->n_entries, s->n);
    for (size_t i = 0; i < s->n; i++) {
        ck_assert_int_eq((int32_t)s->reply->entries[i]->status->code, code);
        ck_assert_str_eq(s->reply->entries[i]->message_id, code == CODE(OK) ? "ID" : "");
    }
    messaging_free(s->reply);
}

START_TEST(a_send_is_answered_after_its_sync_and_not_before)
{
    struct sender s;
    shut_gate();
    start_send(&s, 1);
    await_sync();
    await_appended(1); /* the worker waits for no disk: it answers this */
    ck_assert_int_eq(atomic_load(&f.n_answered), 0);
    expect_messages(0); /* nobody sees what a power cut could take back */
    open_gate(0);
    expect_code(&s, CODE(OK));
    expect_messages(1);
}
END_TEST

START_TEST(sends_that_come_during_a_sync_share_the_next_one)
{
    struct sender first, others[N_SENDERS];
    shut_gate();
    start_send(&first, 1);
    await_sync();
    for (int i = 0; i < N_SENDERS; i++)
        start_send(&others[i], 3);
    await_appended(1 + 3 * N_SENDERS);
    open_gate(0);
    expect_code(&first, CODE(OK));
    for (int i = 0; i < N_SENDERS; i++)
        expect_code(&others[i], CODE(OK));
    Sluice__V1__GetStatsResponse *stats = get_stats();
    ck_assert_uint_eq(stats->groups, 2);
    ck_assert_uint_eq(stats->grouped, 1 + 3 * N_SENDERS);
    ck_assert_uint_eq(stats->max_grouped, 3 * N_SENDERS);
    ck_assert_uint_eq(stats->written_bytes, stats->appended_bytes);
    pthread_mutex_lock(&gate.mutex);
    int n_synced = gate.n_synced;
    pthread_mutex_unlock(&gate.mutex);
    ck_assert_int_eq(n_synced, 2);
    messaging_free(stats);
}
END_TEST

/* I5 */
START_TEST(after_a_failed_sync_senders_are_told_and_receives_go_on)
{
    struct err e = {0};
    struct sender pending, queued, late;
    messaging_send_ok(f.client, "T", NULL, "before");
    shut_gate();
    start_send(&pending, 2);
    await_sync();
    start_send(&queued, 1);
    await_appended(4);
    open_gate(EIO);
    expect_code(&pending, CODE(MASTER_PERSISTENCE_TIMEOUT));
    expect_code(&queued, CODE(MASTER_PERSISTENCE_TIMEOUT));
    start_send(&late, 1);
    expect_code(&late, CODE(INTERNAL_SERVER_ERROR));
    expect_messages(1);
    Sluice__V1__GetStatsResponse *stats = get_stats();
    ck_assert(stats->failed);
    messaging_free(stats);
    ck_assert_int_eq(broker_stop(f.broker, &e), ERR_FAILED);
    f.broker = NULL;
}
END_TEST

/* ---- who goes away meanwhile ---- */

static void ignore_reply(void *arg, const struct client_reply *reply)
{
    (void)arg;
    (void)reply;
}

START_TEST(a_client_may_go_away_while_its_message_is_written)
{
    V2(Resource) topic = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    V2(SystemProperties) system = APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES__INIT;
    V2(Message) message = APACHE__ROCKETMQ__V2__MESSAGE__INIT;
    V2(Message) *messages[] = {&message};
    V2(SendMessageRequest) req = APACHE__ROCKETMQ__V2__SEND_MESSAGE_REQUEST__INIT;
    struct client *c = messaging_connect(f.endpoint, NULL);
    struct err e = {0};
    topic.name = (char *)"T";
    system.message_id = (char *)"ID";
    system.message_type = APACHE__ROCKETMQ__V2__MESSAGE_TYPE__NORMAL;
    message.topic = &topic;
    message.system_properties = &system;
    message.body = (ProtobufCBinaryData){.data = (uint8_t *)"body", .len = 4};
    req.messages = messages;
    req.n_messages = 1;
    const struct span bytes = packed(&req.base);
    shut_gate();
    ck_assert_int_eq(client_start(c, PROTO_SEND_MESSAGE, bytes, MESSAGING_CALL_MS, ignore_reply,
                                  /* arg = */ NULL, &e),
                     0);
    await_sync();
    client_close(c); /* cancels it */
    await_appended(1);
    open_gate(0);
    messaging_send_ok(f.client, "T", NULL, "after");
    expect_messages(2); /* nothing was promised, nothing was lost */
    free((void *)bytes.ptr);
}
END_TEST

static void *stop_broker(void *arg)
{
    struct err e = {0};
    *(int *)arg = broker_stop(f.broker, &e);
    return NULL;
}

START_TEST(a_stop_waits_for_what_is_on_its_way_to_the_disk)
{
    pthread_t stopper;
    struct sender s;
    int rc = 1;
    shut_gate();
    start_send(&s, 1);
    await_sync();
    ck_assert_int_eq(pthread_create(&stopper, NULL, stop_broker, &rc), 0);
    open_gate(0);
    expect_code(&s, CODE(OK));
    ck_assert_int_eq(pthread_join(stopper, NULL), 0);
    ck_assert_int_eq(rc, 0);
    f.broker = NULL;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync flush");
    TCase *tc = tcase_create("sync flush");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_send_is_answered_after_its_sync_and_not_before);
    tcase_add_test(tc, sends_that_come_during_a_sync_share_the_next_one);
    tcase_add_test(tc, after_a_failed_sync_senders_are_told_and_receives_go_on);
    tcase_add_test(tc, a_client_may_go_away_while_its_message_is_written);
    tcase_add_test(tc, a_stop_waits_for_what_is_on_its_way_to_the_disk);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
