/* Body bytes are copied once on their way in, from gRPC's slices into the mapping (with sync flush
 * by the kernel, so not at all here), and not at all on their way out over plaintext: the body
 * piece is the mapping. The linker puts the functions below in front of memcpy, memmove and
 * rpc_send (--wrap) for everything that is ours. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "broker/broker.h"
#include "broker/config.h"
#include "tests/lib/log_mapping.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { BODY_BYTES = 1024 * 1024, N_MESSAGES = 8, OVERHEAD_BYTES = 32 * 1024 };

/* Copies by all threads but that of the test, which is the client. */
static _Atomic uint64_t n_copied;
static _Atomic uint64_t n_mapped_bytes;   /* sent from a commit-log mapping */
static _Atomic uint64_t n_unmapped_bytes; /* sent from elsewhere */
static _Thread_local bool is_client;

void *__real_memcpy(void *to, const void *from, size_t n);
void *__wrap_memcpy(void *to, const void *from, size_t n);
void *__real_memmove(void *to, const void *from, size_t n);
void *__wrap_memmove(void *to, const void *from, size_t n);
void __real_rpc_send(struct rpc_call *call, const struct rpc_piece *pieces, size_t n, bool more);
void __wrap_rpc_send(struct rpc_call *call, const struct rpc_piece *pieces, size_t n, bool more);

/* relaxed, here and below: plain counters, read after the calls that they count */
void *__wrap_memcpy(void *to, const void *from, size_t n)
{
    if (!is_client)
        atomic_fetch_add_explicit(&n_copied, n, memory_order_relaxed);
    return __real_memcpy(to, from, n);
}

void *__wrap_memmove(void *to, const void *from, size_t n)
{
    if (!is_client)
        atomic_fetch_add_explicit(&n_copied, n, memory_order_relaxed);
    return __real_memmove(to, from, n);
}

void __wrap_rpc_send(struct rpc_call *call, const struct rpc_piece *pieces, size_t n, bool more)
{
    for (size_t i = 0; i < n; i++) {
        bool is_mapped = pieces[i].release && log_mapping_has((uintptr_t)pieces[i].bytes.ptr);
        atomic_fetch_add_explicit(is_mapped ? &n_mapped_bytes : &n_unmapped_bytes,
                                  pieces[i].bytes.len, memory_order_relaxed);
    }
    __real_rpc_send(call, pieces, n, more);
}

/* ---- the broker, in this process ---- */

static struct {
    struct broker *broker;
    struct client *client;
    char *store;
} f;

static void start_with(const char *flush)
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
}

static void setup(void)
{
    start_with("ASYNC_FLUSH");
}

static void setup_sync(void)
{
    start_with("SYNC_FLUSH");
}

static void teardown(void)
{
    struct err e = {0};
    client_close(f.client);
    ck_assert_msg(broker_stop(f.broker, &e) == 0, "%s", e.msg);
    tmpdir_remove(f.store);
}

static void reset_counters(void)
{
    atomic_store_explicit(&n_copied, 0, memory_order_relaxed);
    atomic_store_explicit(&n_mapped_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&n_unmapped_bytes, 0, memory_order_relaxed);
}

static void publish_all(char *body)
{
    struct messaging_message m = {.topic = "T", .body = body, .body_len = BODY_BYTES};
    for (int i = 0; i < N_MESSAGES; i++) {
        V2(SendMessageResponse) *reply = messaging_send(f.client, &m, 1);
        ck_assert_int_eq(reply->status->code, CODE(OK));
        messaging_free(reply);
    }
}

START_TEST(a_published_body_is_copied_once)
{
    char *body = calloc(1, BODY_BYTES);
    reset_counters();
    uint64_t copied_by_rpc = rpc_copied_bytes();
    publish_all(body);
    uint64_t copied = atomic_load_explicit(&n_copied, memory_order_relaxed);
    ck_assert_uint_ge(copied, (uint64_t)N_MESSAGES * BODY_BYTES);
    ck_assert_uint_lt(copied, (uint64_t)N_MESSAGES * (BODY_BYTES + OVERHEAD_BYTES));
    ck_assert_uint_lt(rpc_copied_bytes() - copied_by_rpc, (uint64_t)N_MESSAGES * OVERHEAD_BYTES);
    free(body);
}
END_TEST

/* The kernel copies it, from gRPC's slices. */
START_TEST(with_sync_flush_a_published_body_is_not_copied)
{
    char *body = calloc(1, BODY_BYTES);
    reset_counters();
    uint64_t copied_by_rpc = rpc_copied_bytes();
    publish_all(body);
    uint64_t copied = atomic_load_explicit(&n_copied, memory_order_relaxed);
    ck_assert_uint_lt(copied, (uint64_t)N_MESSAGES * OVERHEAD_BYTES);
    ck_assert_uint_lt(rpc_copied_bytes() - copied_by_rpc, (uint64_t)N_MESSAGES * OVERHEAD_BYTES);
    free(body);
}
END_TEST

START_TEST(a_delivered_body_is_never_copied_and_lies_in_the_mapping)
{
    size_t n = 0;
    char *body = calloc(1, BODY_BYTES);
    publish_all(body);
    free(body);
    reset_counters();
    uint64_t copied_by_rpc = rpc_copied_bytes();
    struct messaging_receive r = {
        .topic = "T", .group = "G", .invisible_ms = 60000, .polling_ms = 5000};
    while (n < N_MESSAGES) {
        struct messaging_batch b;
        messaging_receive(f.client, &r, &b);
        ck_assert_uint_gt(b.n, 0);
        n += b.n;
        messaging_batch_free(&b);
    }
    uint64_t copied = atomic_load_explicit(&n_copied, memory_order_relaxed);
    ck_assert_uint_lt(copied, (uint64_t)N_MESSAGES * OVERHEAD_BYTES);
    ck_assert_uint_lt(rpc_copied_bytes() - copied_by_rpc, (uint64_t)N_MESSAGES * OVERHEAD_BYTES);
    ck_assert_uint_eq(atomic_load_explicit(&n_mapped_bytes, memory_order_relaxed),
                      (uint64_t)N_MESSAGES * BODY_BYTES);
    ck_assert_uint_lt(atomic_load_explicit(&n_unmapped_bytes, memory_order_relaxed),
                      (uint64_t)N_MESSAGES * OVERHEAD_BYTES);
}
END_TEST

/* A test of the counting itself: without it the two above could pass for want of any count. */
static void *copy_a_body(void *to)
{
    static char from[BODY_BYTES];
    return memcpy(to, from, sizeof from);
}

START_TEST(a_copy_on_another_thread_is_counted)
{
    pthread_t thread;
    void *to = malloc(BODY_BYTES);
    ck_assert_ptr_nonnull(to);
    uint64_t before = atomic_load_explicit(&n_copied, memory_order_relaxed);
    ck_assert_int_eq(pthread_create(&thread, NULL, copy_a_body, to), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_ge(atomic_load_explicit(&n_copied, memory_order_relaxed) - before, BODY_BYTES);
    free(to);
}
END_TEST

int main(void)
{
    is_client = true;
    Suite *suite = suite_create("no copy");
    TCase *tc = tcase_create("no copy");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_published_body_is_copied_once);
    tcase_add_test(tc, a_delivered_body_is_never_copied_and_lies_in_the_mapping);
    tcase_add_test(tc, a_copy_on_another_thread_is_counted);
    suite_add_tcase(suite, tc);
    TCase *sync = tcase_create("no copy with sync flush");
    tcase_add_checked_fixture(sync, setup_sync, teardown);
    tcase_add_test(sync, with_sync_flush_a_published_body_is_not_copied);
    tcase_add_test(sync, a_delivered_body_is_never_copied_and_lies_in_the_mapping);
    suite_add_tcase(suite, sync);
    return suite_run(suite);
}
