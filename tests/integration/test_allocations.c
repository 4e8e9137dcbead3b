/* A message costs no allocation of ours on its way in or out: what one needs is kept from request
 * to request. Beside allocation.c, the linker puts the functions below in front of those of gRPC
 * and protobuf-c that allocate (--wrap) for everything that is ours; what these libraries allocate
 * for themselves is not counted. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/support/alloc.h>

#include "base/io.h"
#include "broker/broker.h"
#include "broker/config.h"
#include "tests/lib/allocation.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum {
    WARM_REQUESTS = 200, /* until pools and tables are as large as they get */
    REQUESTS = 500,
    WARM_SYNCED = 50, /* each waits for the disk */
    SYNCED = 200,
    BATCH = 32,
    /* The flusher lists queues twice a second, the housekeeper does its rounds. */
    BACKGROUND_MAX = 50,
    BODY_BYTES = 1024,
};

/* By all threads but that of the test, which is the client. */
static _Atomic uint64_t n_allocated;
static _Thread_local bool is_client;

void allocation_seen(void)
{
    if (!is_client) /* relaxed, here and below: a plain counter, read after what it counts */
        atomic_fetch_add_explicit(&n_allocated, 1, memory_order_relaxed);
}

static uint64_t allocated(void)
{
    return atomic_load_explicit(&n_allocated, memory_order_relaxed);
}

void *__real_gpr_malloc(size_t n);
void *__wrap_gpr_malloc(size_t n);
void *__real_gpr_zalloc(size_t n);
void *__wrap_gpr_zalloc(size_t n);
ProtobufCMessage *__real_protobuf_c_message_unpack(const ProtobufCMessageDescriptor *type,
                                                   ProtobufCAllocator *allocator, size_t len,
                                                   const uint8_t *bytes);
ProtobufCMessage *__wrap_protobuf_c_message_unpack(const ProtobufCMessageDescriptor *type,
                                                   ProtobufCAllocator *allocator, size_t len,
                                                   const uint8_t *bytes);

void *__wrap_gpr_malloc(size_t n)
{
    allocation_seen();
    return __real_gpr_malloc(n);
}

void *__wrap_gpr_zalloc(size_t n)
{
    allocation_seen();
    return __real_gpr_zalloc(n);
}

ProtobufCMessage *__wrap_protobuf_c_message_unpack(const ProtobufCMessageDescriptor *type,
                                                   ProtobufCAllocator *allocator, size_t len,
                                                   const uint8_t *bytes)
{
    if (!allocator)
        allocation_seen(); /* at least one */
    return __real_protobuf_c_message_unpack(type, allocator, len, bytes);
}

/* ---- the broker, in this process ---- */

static struct {
    struct broker *broker;
    struct client *client;
    char *store;
} f;

static void set_up(const char *flush)
{
    struct err e = {0};
    struct config cfg;
    char endpoint[32];
    f.store = tmpdir_make();
    config_init(&cfg);
    ck_assert_int_eq(config_set_value(&cfg, "storePathRootDir", f.store, &e), 0);
    ck_assert_int_eq(config_set_value(&cfg, "listen", "127.0.0.1:0", &e), 0);
    ck_assert_int_eq(config_set_value(&cfg, "mappedFileSizeCommitLog", "67108864", &e), 0);
    ck_assert_int_eq(config_set_value(&cfg, "flushDiskType", flush, &e), 0);
    ck_assert_msg(broker_start(&f.broker, &cfg, io_posix(), &e) == 0, "%s", e.msg);
    (void)snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", broker_port(f.broker));
    f.client = messaging_connect(endpoint, "counter");
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    messaging_create_group(f.client, "G", /* fifo = */ false, /* max_attempts = */ 16);
}

static void setup(void)
{
    set_up("ASYNC_FLUSH");
}

static void setup_synced(void)
{
    set_up("SYNC_FLUSH");
}

static void teardown(void)
{
    struct err e = {0};
    client_close(f.client);
    ck_assert_msg(broker_stop(f.broker, &e) == 0, "%s", e.msg);
    tmpdir_remove(f.store);
}

/* ---- publish ---- */

static void publish(size_t n_requests, size_t n_each)
{
    static char body[BODY_BYTES];
    struct messaging_message messages[BATCH];
    for (size_t i = 0; i < n_each; i++)
        messages[i] = (struct messaging_message){
            .topic = "T", .tag = "TagA", .key = "key", .body = body, .body_len = sizeof body};
    for (size_t i = 0; i < n_requests; i++) {
        V2(SendMessageResponse) *reply = messaging_send(f.client, messages, n_each);
        ck_assert_int_eq(reply->status->code, CODE(OK));
        messaging_free(reply);
    }
}

static void publish_counted(size_t n_warm, size_t n_requests, size_t n_each)
{
    publish(n_warm, n_each);
    uint64_t before = allocated();
    publish(n_requests, n_each);
    ck_assert_uint_le(allocated() - before, BACKGROUND_MAX);
}

START_TEST(publishing_allocates_nothing)
{
    publish_counted(WARM_REQUESTS, REQUESTS, 1);
}
END_TEST

START_TEST(publishing_many_in_a_request_allocates_nothing)
{
    publish_counted(WARM_REQUESTS, REQUESTS, BATCH);
}
END_TEST

/* A request is kept until its records are on disk, and each record until then. */
START_TEST(publishing_to_the_disk_allocates_nothing)
{
    publish_counted(WARM_SYNCED, SYNCED, 1);
}
END_TEST

START_TEST(publishing_many_in_a_request_to_the_disk_allocates_nothing)
{
    publish_counted(WARM_SYNCED, SYNCED, BATCH);
}
END_TEST

/* ---- receive and acknowledge ---- */

static void ack(const struct messaging_batch *batch)
{
    V2(Resource) group = messaging_resource("G"), topic = messaging_resource("T");
    V2(AckMessageEntry) entries[BATCH], *list[BATCH];
    V2(AckMessageRequest) req = APACHE__ROCKETMQ__V2__ACK_MESSAGE_REQUEST__INIT;
    for (size_t i = 0; i < batch->n; i++) {
        const V2(SystemProperties) *sys = messaging_at(batch, i)->system_properties;
        entries[i] = (V2(AckMessageEntry))APACHE__ROCKETMQ__V2__ACK_MESSAGE_ENTRY__INIT;
        entries[i].message_id = sys->message_id;
        entries[i].receipt_handle = sys->receipt_handle;
        list[i] = &entries[i];
    }
    req.group = &group;
    req.topic = &topic;
    req.entries = list;
    req.n_entries = batch->n;
    ck_assert_int_eq(messaging_code(f.client, PROTO_ACK_MESSAGE, &req.base,
                                    &apache__rocketmq__v2__ack_message_response__descriptor),
                     CODE(OK));
}

static void receive(size_t n_requests, int n_each)
{
    const struct messaging_receive r = {
        .topic = "T", .group = "G", .batch = n_each, .invisible_ms = 30000, .polling_ms = 5000};
    for (size_t i = 0; i < n_requests; i++) {
        struct messaging_batch batch;
        messaging_receive(f.client, &r, &batch);
        ck_assert_uint_eq(batch.n, (size_t)n_each);
        ack(&batch);
        messaging_batch_free(&batch);
    }
}

static void receive_counted(int n_each)
{
    enum { WARM_RECEIVES = 50, RECEIVES = 200 };
    publish((WARM_RECEIVES + RECEIVES) * (size_t)n_each / BATCH + 1, BATCH);
    receive(WARM_RECEIVES, n_each);
    uint64_t before = allocated();
    receive(RECEIVES, n_each);
    ck_assert_uint_le(allocated() - before, BACKGROUND_MAX);
}

START_TEST(receiving_and_acknowledging_allocates_nothing)
{
    receive_counted(1);
}
END_TEST

START_TEST(receiving_and_acknowledging_many_at_once_allocates_nothing)
{
    receive_counted(BATCH);
}
END_TEST

/* ---- the count itself: without one the tests above would pass too ---- */

enum { WAYS = 9 };

/* In every way once, each to be freed. Asserts nothing: that may allocate too. */
static void *allocate(void *arg)
{
    void **each = arg;
    if (asprintf((char **)&each[0], "%d", 0) < 0)
        each[0] = NULL;
    each[1] = malloc(1);
    each[2] = calloc(1, 1);
    each[3] = realloc(NULL, 1);
    each[4] = aligned_alloc(64, 64);
    each[5] = strdup("text");
    each[6] = gpr_malloc(1);
    each[7] = gpr_zalloc(1);
    each[8] = protobuf_c_message_unpack(&apache__rocketmq__v2__resource__descriptor,
                                        /* allocator = */ NULL, 0, NULL);
    return NULL;
}

START_TEST(what_another_thread_allocates_is_counted)
{
    pthread_t thread;
    void *each[WAYS];
    uint64_t before = allocated();
    ck_assert_int_eq(pthread_create(&thread, NULL, allocate, each), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(allocated() - before, WAYS);
    for (size_t i = 0; i < WAYS; i++) {
        ck_assert_ptr_nonnull(each[i]);
        free(each[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("allocations");
    TCase *count = tcase_create("count");
    TCase *tc = tcase_create("allocations");
    TCase *synced = tcase_create("allocations, SYNC_FLUSH");
    is_client = true;
    tcase_add_test(count, what_another_thread_allocates_is_counted);
    suite_add_tcase(suite, count);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, publishing_allocates_nothing);
    tcase_add_test(tc, publishing_many_in_a_request_allocates_nothing);
    tcase_add_test(tc, receiving_and_acknowledging_allocates_nothing);
    tcase_add_test(tc, receiving_and_acknowledging_many_at_once_allocates_nothing);
    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(synced, setup_synced, teardown);
    tcase_add_test(synced, publishing_to_the_disk_allocates_nothing);
    tcase_add_test(synced, publishing_many_in_a_request_to_the_disk_allocates_nothing);
    suite_add_tcase(suite, synced);
    return suite_run(suite);
}
