/* The reply of a receive, as rpc_send gets it: the linker puts the functions below in the place of
 * rpc_send and rpc_finish (--wrap), so there is no call behind it, and in front of store_unpin. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/deliver.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"
#include "tests/lib/broker_fixture.h"
#include "tests/lib/suite.h"

enum { SENT_MAX = 40, PIECES_MAX = 2, INVISIBLE_MS = 30000, PROPERTY_BYTES = 3000 };

#define V2(name) Apache__Rocketmq__V2__##name
#define CONTENT(name) APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_RESPONSE__CONTENT_##name

/* One message that was sent: its pieces are held as gRPC holds them until they are written. */
struct sent {
    V2(ReceiveMessageResponse) *read;
    struct rpc_piece pieces[PIECES_MAX];
    size_t n_pieces;
    bool more;
};

static struct {
    struct broker_fixture broker;
    struct lease *lease;
    struct taken taken[BOUNDS_BATCH_MAX];
    size_t n_taken;
    struct sent sent[SENT_MAX];
    size_t n_sent, n_written;
    int n_finished, status;
} f;

static _Thread_local int n_unpinned; /* since the delivery began; not by the store's threads */

void __wrap_rpc_send(struct rpc_call *call, const struct rpc_piece *pieces, size_t n, bool more);
void __wrap_rpc_finish(struct rpc_call *call, int status, const char *text);
void __wrap_store_unpin(struct store_pin *pin);
void __real_store_unpin(struct store_pin *pin);

void __wrap_rpc_send(struct rpc_call *call, const struct rpc_piece *pieces, size_t n, bool more)
{
    struct err e;
    struct span slices[PIECES_MAX];
    ProtobufCMessage *read = NULL;
    (void)call;
    ck_assert_int_eq(f.n_finished, 0);
    ck_assert_uint_lt(f.n_sent, SENT_MAX);
    ck_assert(n >= 1 && n <= PIECES_MAX);
    struct sent *s = &f.sent[f.n_sent++];
    for (size_t i = 0; i < n; i++)
        slices[i] = pieces[i].bytes;
    int rc = proto_unpack(&apache__rocketmq__v2__receive_message_response__descriptor, slices, n, 0,
                          &read, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
    *s = (struct sent){.read = (V2(ReceiveMessageResponse) *)read, .n_pieces = n, .more = more};
    memcpy(s->pieces, pieces, n * sizeof *pieces);
}

void __wrap_rpc_finish(struct rpc_call *call, int status, const char *text)
{
    (void)call;
    (void)text;
    f.n_finished++;
    f.status = status;
}

void __wrap_store_unpin(struct store_pin *pin)
{
    n_unpinned++;
    __real_store_unpin(pin);
}

static void setup(void)
{
    memset(&f, 0, sizeof f);
    broker_fixture_init(&f.broker);
    broker_fixture_open(&f.broker);
    f.lease = broker_fixture_lease(&f.broker);
}

/* gRPC is through with the pieces of a message. */
static void write_out(struct sent *s)
{
    for (size_t i = 0; i < s->n_pieces; i++)
        if (s->pieces[i].release)
            s->pieces[i].release(s->pieces[i].arg);
    s->n_pieces = 0;
}

static void teardown(void)
{
    for (size_t i = 0; i < f.n_sent; i++) {
        write_out(&f.sent[i]);
        protobuf_c_message_free_unpacked(&f.sent[i].read->base, NULL);
    }
    lease_unref(f.lease);
    broker_fixture_fini(&f.broker);
}

static void append(const char *body, const char *properties)
{
    struct err e;
    struct store_appended at;
    const struct span bytes = span_str(body);
    const struct store_message m = {.topic = span_str("T"),
                                    .born_host = {.addr_len = 4},
                                    .properties = span_str(properties),
                                    .body = &bytes,
                                    .n_body = 1};
    ck_assert_int_eq(store_append(f.broker.store.store, &m, &at, &e), 0);
    store_fixture_await(&f.broker.store, "T", 0, at.queue_off + 1);
}

/* Takes all that is in queue 0 under the lease, bodies checked. */
static void take_all(void)
{
    struct err e;
    struct filter *all;
    struct group_info group;
    const struct topic_info topic = {.name = "T", .n_read_queues = 1};
    group_info_init(&group, span_str("G"));
    ck_assert_int_eq(filter_compile_tags(&all, span_str("*"), &e), 0);
    struct take t = {.b = &f.broker.b,
                     .group = &group,
                     .topic = &topic,
                     .lease = f.lease,
                     .filter = all,
                     .max = BOUNDS_BATCH_MAX,
                     .how = {.invisible_ms = INVISIBLE_MS, .max_attempts = 3},
                     .taken = f.taken};
    (void)take_pass(&t); /* what there is fits one batch */
    take_check_bodies(&t);
    filter_free(all);
    f.n_taken = t.n;
}

static void deliver(enum digest_form digest)
{
    const struct deliver d = {.b = &f.broker.b,
                              .group = span_str("G"),
                              .topic = span_str("T"),
                              .topic_namespace = span_str("ns"),
                              .invisible_ms = INVISIBLE_MS,
                              .digest = digest};
    n_unpinned = 0;
    deliver_messages(&d, f.lease, f.taken, f.n_taken);
}

static void take_and_deliver(void)
{
    take_all();
    deliver(DIGEST_CRC32_HEX8);
}

/* The i-th message of the reply: its status is before them. */
static const V2(Message) *message(size_t i)
{
    ck_assert_uint_lt(i + 1, f.n_sent);
    ck_assert_int_eq(f.sent[i + 1].read->content_case, CONTENT(MESSAGE));
    return f.sent[i + 1].read->message;
}

/* ---- the reply ---- */

START_TEST(a_reply_is_a_status_the_messages_and_the_time)
{
    append("one", "");
    append("two", "");
    take_and_deliver();
    ck_assert_uint_eq(f.n_sent, 4);
    ck_assert_int_eq(f.sent[0].read->content_case, CONTENT(STATUS));
    ck_assert_int_eq(f.sent[0].read->status->code, CODE(OK));
    ck_assert_mem_eq(message(0)->body.data, "one", 3);
    ck_assert_mem_eq(message(1)->body.data, "two", 3);
    ck_assert_int_eq(f.sent[3].read->content_case, CONTENT(DELIVERY_TIMESTAMP));
    ck_assert_int_eq(f.sent[3].read->delivery_timestamp->seconds, 1700000000);
    ck_assert_int_eq(f.n_finished, 1);
    ck_assert_int_eq(f.status, RPC_OK);
}
END_TEST

START_TEST(all_but_the_last_say_that_more_follows)
{
    append("one", "");
    take_and_deliver();
    ck_assert_uint_eq(f.n_sent, 3);
    ck_assert(f.sent[0].more && f.sent[1].more && !f.sent[2].more);
}
END_TEST

START_TEST(without_messages_a_reply_says_why)
{
    struct status st;
    (void)status_set(&st, CODE(MESSAGE_NOT_FOUND), "no new message");
    deliver_status(&f.broker.b, /* call = */ NULL, &st);
    ck_assert_uint_eq(f.n_sent, 2);
    ck_assert_int_eq(f.sent[0].read->status->code, CODE(MESSAGE_NOT_FOUND));
    ck_assert_str_eq(f.sent[0].read->status->message, "no new message");
    ck_assert_int_eq(f.sent[1].read->content_case, CONTENT(DELIVERY_TIMESTAMP));
    ck_assert_int_eq(f.n_finished, 1);
}
END_TEST

/* ---- a message ---- */

START_TEST(a_message_says_what_its_record_and_its_request_do)
{
    append("one", "");
    append("two", "TAGS\001TagA\002UNIQ_KEY\001ID\002");
    take_and_deliver();
    const V2(Message) *m = message(1);
    const V2(SystemProperties) *s = m->system_properties;
    ck_assert_str_eq(m->topic->name, "T");
    ck_assert_str_eq(m->topic->resource_namespace, "ns");
    ck_assert_str_eq(s->tag, "TagA");
    ck_assert_str_eq(s->message_id, "ID");
    ck_assert_int_eq(s->queue_offset, 1);
    ck_assert_int_eq(s->invisible_duration->seconds, INVISIBLE_MS / 1000);
}
END_TEST

START_TEST(a_handle_names_the_delivery)
{
    struct receipt receipt;
    struct err e;
    append("one", "");
    take_all();
    f.broker.clock.mono_ms += INVISIBLE_MS;
    store_unpin(f.taken[0].slice.pin); /* of the first delivery, which reaches nobody */
    take_and_deliver();
    const V2(SystemProperties) *s = message(0)->system_properties;
    ck_assert_int_eq(s->delivery_attempt, 2);
    int rc = receipt_decode(f.broker.b.receipts, span_str(s->receipt_handle), &receipt, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
    ck_assert_uint_eq(receipt.group_hash, receipt_hash(span_str("G")));
    ck_assert_uint_eq(receipt.topic_hash, receipt_hash(span_str("T")));
    ck_assert_int_eq(receipt.queue_id, 0);
    ck_assert_uint_eq(receipt.queue_off, 0);
    ck_assert_uint_eq(receipt.attempt, 2);
    ck_assert_uint_eq(receipt.nonce, f.taken[0].entry.nonce);
    ck_assert_uint_eq(receipt.until_ms, f.taken[0].entry.until_ms);
}
END_TEST

/* "body" has the CRC-32 0xDBA80BB2 and the MD5 841A2D689AD86BD1611447453C22C6FC. */
START_TEST(a_digest_has_the_form_that_the_client_reads)
{
    append("body", "");
    take_all();
    deliver(_i == 0 ? DIGEST_CRC32_HEX8 : DIGEST_MD5);
    const V2(Digest) *digest = message(0)->system_properties->body_digest;
    ck_assert_int_eq(digest->type, _i == 0 ? APACHE__ROCKETMQ__V2__DIGEST_TYPE__CRC32
                                           : APACHE__ROCKETMQ__V2__DIGEST_TYPE__MD5);
    ck_assert_str_eq(digest->checksum, _i == 0 ? "DBA80BB2" : "841A2D689AD86BD1611447453C22C6FC");
}
END_TEST

/* ---- memory ---- */

START_TEST(a_body_is_sent_where_it_lies_and_pinned_until_it_is_written)
{
    append("body", "");
    take_and_deliver();
    struct sent *s = &f.sent[1];
    ck_assert_uint_eq(s->n_pieces, 2);
    ck_assert_ptr_eq(s->pieces[1].bytes.ptr, f.taken[0].slice.rec.body.ptr);
    ck_assert_int_eq(n_unpinned, 0);
    write_out(s);
    ck_assert_int_eq(n_unpinned, 1);
}
END_TEST

START_TEST(a_message_without_a_body_holds_no_file)
{
    append("", "");
    take_and_deliver();
    ck_assert_uint_eq(f.sent[1].n_pieces, 1);
    ck_assert_uint_eq(message(0)->body.len, 0);
    ck_assert_int_eq(n_unpinned, 1);
}
END_TEST

/* More than the memory of one piece of heads, in whatever order gRPC gets rid of them. */
START_TEST(heads_stay_until_each_of_them_is_written)
{
    static char property[PROPERTY_BYTES];
    memset(property, 'p', sizeof property - 1);
    memcpy(property, "k\001", 2);
    for (int i = 0; i < BOUNDS_BATCH_MAX; i++)
        append("body", property);
    take_and_deliver();
    for (size_t n = BOUNDS_BATCH_MAX; n-- > 0;) {
        const struct span head = f.sent[n + 1].pieces[0].bytes;
        ck_assert_ptr_nonnull(memmem(head.ptr, head.len, property + 2, PROPERTY_BYTES - 3));
        write_out(&f.sent[n + 1]);
        ck_assert_int_eq(n_unpinned, (int)(BOUNDS_BATCH_MAX - n));
    }
}
END_TEST

/* ---- accounts ---- */

START_TEST(what_was_delivered_is_counted)
{
    append("one", "");
    append("three", "");
    take_and_deliver();
    ck_assert_uint_eq(atomic_load_explicit(&f.broker.b.n_delivered, memory_order_relaxed), 2);
    ck_assert_uint_eq(atomic_load_explicit(&f.broker.b.delivered_bytes, memory_order_relaxed), 8);
}
END_TEST

START_TEST(a_message_that_cannot_be_told_is_given_back)
{
    append("one", "");
    take_all();
    deliver((enum digest_form)99); /* which there is none of */
    ck_assert_uint_eq(f.n_sent, 2);
    ck_assert_int_eq(f.n_finished, 1);
    ck_assert_int_eq(n_unpinned, 1);
    ck_assert_uint_eq(atomic_load_explicit(&f.broker.b.n_delivered, memory_order_relaxed), 0);
    take_all();
    ck_assert_uint_eq(f.n_taken, 1);
    ck_assert_uint_eq(f.taken[0].entry.attempt, 1);
    store_unpin(f.taken[0].slice.pin);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deliver");
    TCase *tc = tcase_create("deliver");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_reply_is_a_status_the_messages_and_the_time);
    tcase_add_test(tc, all_but_the_last_say_that_more_follows);
    tcase_add_test(tc, without_messages_a_reply_says_why);
    tcase_add_test(tc, a_message_says_what_its_record_and_its_request_do);
    tcase_add_test(tc, a_handle_names_the_delivery);
    tcase_add_loop_test(tc, a_digest_has_the_form_that_the_client_reads, 0, 2);
    tcase_add_test(tc, a_body_is_sent_where_it_lies_and_pinned_until_it_is_written);
    tcase_add_test(tc, a_message_without_a_body_holds_no_file);
    tcase_add_test(tc, heads_stay_until_each_of_them_is_written);
    tcase_add_test(tc, what_was_delivered_is_counted);
    tcase_add_test(tc, a_message_that_cannot_be_told_is_given_back);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
