/* ReceiveMessage, AckMessage and ChangeInvisibleDuration against a real sluiced with short minimum
 * times. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/broker_child.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { SHORT_MS = 600, LONG_MS = 15000, VISIBLE_AGAIN_MS = 1000 };

static struct {
    struct broker_child broker;
    struct client *client;
    char *store;
} f;

static void setup(void)
{
    static const char *const args[] = {
        "--set", "minInvisibleTimeMillis=500", "--set", "minLongPollingMillis=500",
        "--set", "maxInFlightPerQueue=100",    NULL};
    f.store = tmpdir_make();
    broker_child_start(&f.broker, f.store, args);
    f.client = messaging_connect(f.broker.endpoint, "subscriber");
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 4);
}

static void teardown(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    tmpdir_remove(f.store);
}

/* A receive of group G on topic T that waits long and holds long. */
static const struct messaging_receive patient = {
    .topic = "T", .group = "G", .invisible_ms = 60000, .polling_ms = LONG_MS};

static void receive(const struct messaging_receive *r, struct messaging_batch *ret)
{
    messaging_receive(f.client, r, ret);
    ck_assert_int_eq(ret->end_status, CLIENT_OK);
    ck_assert(ret->has_time);
    ck_assert_msg((ret->code == CODE(OK)) == (ret->n > 0), "%s", ret->text);
}

static void expect_nothing(const struct messaging_receive *like)
{
    struct messaging_receive r = *like;
    struct messaging_batch b;
    r.polling_ms = SHORT_MS;
    receive(&r, &b);
    ck_assert_int_eq(b.code, CODE(MESSAGE_NOT_FOUND));
}

/* One message, its handle copied out. */
static void receive_one(const struct messaging_receive *r, const char *body, int attempt,
                        char handle[256])
{
    struct messaging_batch b;
    receive(r, &b);
    ck_assert_uint_eq(b.n, 1);
    const V2(Message) *m = messaging_at(&b, 0);
    ck_assert(messaging_body_is(m, body));
    ck_assert_int_eq(m->system_properties->delivery_attempt, attempt);
    (void)snprintf(handle, 256, "%s", m->system_properties->receipt_handle);
    messaging_batch_free(&b);
}

static int32_t ack(const char *handle)
{
    return messaging_ack(f.client, "T", "G", handle);
}

/* ---- delivery ---- */

START_TEST(a_message_arrives_with_all_that_clients_need)
{
    struct messaging_message m = {
        .topic = "T", .tag = "TagA", .id = "ID-7", .body = "123456789", .n_properties = 2};
    messaging_free(messaging_send(f.client, &m, 1));
    struct messaging_batch b;
    receive(&patient, &b);
    const V2(Message) *got = messaging_at(&b, 0);
    const V2(SystemProperties) *s = got->system_properties;
    ck_assert_str_eq(got->topic->name, "T");
    ck_assert_str_eq(s->message_id, "ID-7");
    ck_assert_str_eq(s->tag, "TagA");
    ck_assert_int_eq(s->body_encoding, APACHE__ROCKETMQ__V2__ENCODING__IDENTITY);
    ck_assert_int_eq(s->message_type, APACHE__ROCKETMQ__V2__MESSAGE_TYPE__NORMAL);
    ck_assert_int_eq(s->body_digest->type, APACHE__ROCKETMQ__V2__DIGEST_TYPE__CRC32);
    ck_assert_str_eq(s->body_digest->checksum, "CBF43926");
    ck_assert_ptr_nonnull(s->born_timestamp);
    ck_assert_str_eq(s->born_host, "127.0.0.1");
    ck_assert_ptr_nonnull(s->store_timestamp);
    ck_assert_int_eq(s->delivery_attempt, 1);
    ck_assert_int_ne(s->_queue_offset_case, 0);
    ck_assert_uint_eq(got->n_user_properties, 2);
    ck_assert(messaging_body_is(got, "123456789"));
    messaging_batch_free(&b);
}
END_TEST

START_TEST(never_more_than_32_messages_come_at_once)
{
    struct messaging_receive r = patient;
    struct messaging_batch b;
    size_t n = 0;
    for (int i = 0; i < 70; i++)
        messaging_send_ok(f.client, "T", NULL, "x");
    r.batch = 100000;
    while (n < 70) {
        receive(&r, &b);
        ck_assert_uint_gt(b.n, 0);
        ck_assert_uint_le(b.n, 32);
        n += b.n;
        messaging_batch_free(&b);
    }
    ck_assert_uint_eq(n, 70);
    expect_nothing(&patient);
}
END_TEST

static int32_t take_queue_of_one(const char *group)
{
    struct messaging_batch b;
    struct messaging_receive r = patient;
    r.topic = "Two";
    r.group = group;
    r.batch = 1;
    receive(&r, &b);
    ck_assert_uint_eq(b.n, 1);
    int32_t queue_id = messaging_at(&b, 0)->system_properties->queue_id;
    messaging_batch_free(&b);
    return queue_id;
}

START_TEST(groups_that_take_turns_each_begin_with_every_queue)
{
    messaging_create_topic(f.client, "Two", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 2);
    for (int i = 0; i < 8; i++)
        messaging_send_ok(f.client, "Two", NULL, "x");
    for (int i = 0; i < 8; i++)
        (void)take_queue_of_one("Before"); /* a message is in its queue soon after it was sent */
    int32_t first = take_queue_of_one("G");
    (void)take_queue_of_one("H");
    ck_assert_int_ne(take_queue_of_one("G"), first);
}
END_TEST

START_TEST(two_groups_each_get_every_message)
{
    char handle[256];
    struct messaging_receive other = patient;
    other.group = "H";
    messaging_send_ok(f.client, "T", NULL, "both");
    receive_one(&patient, "both", 1, handle);
    receive_one(&other, "both", 1, handle);
}
END_TEST

/* ---- filters ---- */

START_TEST(only_the_tags_asked_for_come)
{
    struct messaging_receive r = patient;
    struct messaging_batch b;
    size_t n = 0;
    static const char *const tags[] = {"TagA", "TagB", "TagC"};
    for (int i = 0; i < 30; i++)
        messaging_send_ok(f.client, "T", tags[i % 3], tags[i % 3]);
    r.filter = "TagA || TagC";
    while (n < 20) {
        receive(&r, &b);
        ck_assert_uint_gt(b.n, 0);
        for (size_t i = 0; i < b.n; i++)
            ck_assert(!messaging_body_is(messaging_at(&b, i), "TagB"));
        n += b.n;
        messaging_batch_free(&b);
    }
    ck_assert_uint_eq(n, 20);
    expect_nothing(&r);
    r.filter = "*"; /* what was passed over is behind the group */
    expect_nothing(&r);
}
END_TEST

START_TEST(a_hundred_thousand_tags_of_the_same_hash_never_come_and_do_not_stall)
{
    enum { N = 1000 };
    static struct messaging_message many[N];
    struct messaging_receive r = patient;
    char handle[256];
    for (int i = 0; i < N; i++)
        many[i] = (struct messaging_message){.topic = "T", .tag = "BB", .body = "collides"};
    for (int i = 0; i < 100; i++) {
        V2(SendMessageResponse) *reply = messaging_send(f.client, many, N);
        ck_assert_int_eq(reply->status->code, CODE(OK));
        messaging_free(reply);
    }
    messaging_send_ok(f.client, "T", "Aa", "wanted");
    r.filter = "Aa";
    receive_one(&r, "wanted", 1, handle);
    expect_nothing(&r);
}
END_TEST

START_TEST(a_filter_of_separators_only_is_illegal)
{
    struct messaging_receive r = patient;
    struct messaging_batch b;
    r.filter = "||";
    receive(&r, &b);
    ck_assert_int_eq(b.code, CODE(ILLEGAL_FILTER_EXPRESSION));
}
END_TEST

/* ---- waiting ---- */

START_TEST(an_empty_receive_takes_its_whole_time)
{
    struct messaging_receive r = patient;
    struct messaging_batch b;
    r.polling_ms = 1500;
    receive(&r, &b);
    ck_assert_int_eq(b.code, CODE(MESSAGE_NOT_FOUND));
    ck_assert_uint_ge(b.took_ms, 1500 - 1); /* the clocks of both ends are cut to milliseconds */
    ck_assert_uint_lt(b.took_ms, LONG_MS);
}
END_TEST

START_TEST(a_receive_ends_before_its_client_gives_up)
{
    struct messaging_receive r = patient;
    struct messaging_batch b;
    r.timeout_ms = 2000; /* less than the polling time */
    receive(&r, &b);
    ck_assert_int_eq(b.code, CODE(MESSAGE_NOT_FOUND));
    ck_assert_uint_ge(b.took_ms, 1000);
}
END_TEST

START_TEST(a_waiting_receive_is_woken_by_a_message_that_it_wants)
{
    struct messaging_receive r = patient;
    struct messaging_batch b;
    r.filter = "Wanted";
    struct client_stream *waiting = messaging_receive_start(f.client, &r);
    expect_nothing(&patient); /* by now the other one waits */
    messaging_send_ok(f.client, "T", "Unwanted", "no");
    messaging_send_ok(f.client, "T", "Wanted", "yes");
    messaging_receive_end(waiting, &b);
    ck_assert_uint_eq(b.n, 1);
    ck_assert(messaging_body_is(messaging_at(&b, 0), "yes"));
    ck_assert_uint_lt(b.took_ms, LONG_MS / 2);
    messaging_batch_free(&b);
}
END_TEST

START_TEST(a_cancelled_receive_takes_no_message_with_it)
{
    char handle[256];
    struct client_stream *waiting = messaging_receive_start(f.client, &patient);
    struct messaging_receive other = patient;
    other.group = "H";
    expect_nothing(&other); /* by now the first one waits */
    client_stream_close(waiting);
    messaging_send_ok(f.client, "T", NULL, "for somebody else");
    receive_one(&patient, "for somebody else", 1, handle);
}
END_TEST

/* ---- side by side ---- */

enum { N_SIDE = 6, N_SHARED = 300 };

/* Counts a batch's messages by the number that is their body, and acks them. */
static size_t count_and_ack(struct messaging_batch *b, int counts[N_SHARED])
{
    size_t n = b->n;
    for (size_t i = 0; i < n; i++) {
        const V2(Message) *m = messaging_at(b, i);
        char text[8] = "";
        ck_assert_uint_lt(m->body.len, sizeof text);
        memcpy(text, m->body.data, m->body.len);
        int number = atoi(text);
        ck_assert_int_lt(number, N_SHARED);
        counts[number]++;
        ck_assert_int_eq(ack(m->system_properties->receipt_handle), CODE(OK));
    }
    messaging_batch_free(b);
    return n;
}

static void delete_topic(const char *name)
{
    Sluice__V1__DeleteTopicRequest req = SLUICE__V1__DELETE_TOPIC_REQUEST__INIT;
    req.name = (char *)name;
    Sluice__V1__DeleteTopicResponse *reply = messaging_call(
        f.client, PROTO_DELETE_TOPIC, &req.base, &sluice__v1__delete_topic_response__descriptor);
    ck_assert_msg(reply->code == CODE(OK), "%s", reply->message);
    messaging_free(reply);
}

static void delete_group(const char *name)
{
    Sluice__V1__DeleteGroupRequest req = SLUICE__V1__DELETE_GROUP_REQUEST__INIT;
    req.name = (char *)name;
    Sluice__V1__DeleteGroupResponse *reply = messaging_call(
        f.client, PROTO_DELETE_GROUP, &req.base, &sluice__v1__delete_group_response__descriptor);
    ck_assert_msg(reply->code == CODE(OK), "%s", reply->message);
    messaging_free(reply);
}

/* A receive that is parked for certain: it was there before two whole calls. */
static struct client_stream *start_parked(void)
{
    struct client_stream *waiting = messaging_receive_start(f.client, &patient);
    messaging_create_group(f.client, "Other", /* fifo = */ false, /* max_attempts = */ 16);
    messaging_create_group(f.client, "Other", /* fifo = */ false, /* max_attempts = */ 16);
    return waiting;
}

START_TEST(a_receive_ends_when_its_topic_or_group_is_deleted)
{
    struct messaging_batch b;
    expect_nothing(&patient); /* makes the group */
    struct client_stream *waiting = start_parked();
    delete_group("G");
    messaging_receive_end(waiting, &b);
    ck_assert_int_eq(b.code, CODE(MESSAGE_NOT_FOUND));
    ck_assert_uint_lt(b.took_ms, LONG_MS / 2);
    waiting = start_parked();
    delete_topic("T");
    messaging_receive_end(waiting, &b);
    ck_assert_int_eq(b.code, CODE(MESSAGE_NOT_FOUND));
    ck_assert_uint_lt(b.took_ms, LONG_MS / 2);
}
END_TEST

START_TEST(a_topic_made_anew_starts_empty_and_delivers)
{
    char handle[256];
    messaging_send_ok(f.client, "T", NULL, "old");
    receive_one(&patient, "old", 1, handle);
    delete_topic("T");
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 2);
    ck_assert_int_eq(ack(handle), CODE(INVALID_RECEIPT_HANDLE));
    messaging_send_ok(f.client, "T", NULL, "new");
    receive_one(&patient, "new", 1, handle);
    ck_assert_int_eq(ack(handle), CODE(OK));
    expect_nothing(&patient);
}
END_TEST

START_TEST(receives_side_by_side_share_the_messages_and_each_comes_once)
{
    int counts[N_SHARED] = {0};
    struct client_stream *waiting[N_SIDE];
    struct messaging_receive r = patient;
    struct messaging_batch b;
    size_t n = 0;
    r.batch = 5;
    for (int i = 0; i < N_SIDE; i++)
        waiting[i] = messaging_receive_start(f.client, &r);
    for (int i = 0; i < N_SHARED; i++) {
        char body[8];
        (void)snprintf(body, sizeof body, "%d", i);
        messaging_send_ok(f.client, "T", NULL, body);
    }
    for (int i = 0; n < N_SHARED; i = (i + 1) % N_SIDE) {
        messaging_receive_end(waiting[i], &b);
        ck_assert_msg(b.n > 0, "%zu of %d came: %s", n, N_SHARED, b.text);
        n += count_and_ack(&b, counts);
        waiting[i] = messaging_receive_start(f.client, &r);
    }
    for (int i = 0; i < N_SIDE; i++)
        client_stream_close(waiting[i]);
    for (int i = 0; i < N_SHARED; i++)
        ck_assert_int_eq(counts[i], 1);
    expect_nothing(&patient);
}
END_TEST

/* ---- redelivery ---- */

START_TEST(an_acked_message_never_comes_again)
{
    char handle[256];
    struct messaging_receive r = patient;
    r.invisible_ms = VISIBLE_AGAIN_MS;
    messaging_send_ok(f.client, "T", NULL, "once");
    receive_one(&r, "once", 1, handle);
    ck_assert_int_eq(ack(handle), CODE(OK));
    ck_assert_int_eq(ack(handle), CODE(OK)); /* twice is fine */
    r.polling_ms = 2 * VISIBLE_AGAIN_MS;
    struct messaging_batch b;
    receive(&r, &b);
    ck_assert_int_eq(b.code, CODE(MESSAGE_NOT_FOUND));
}
END_TEST

START_TEST(an_unacked_message_comes_again_to_one_who_waits_as_attempt_2)
{
    char first[256], second[256];
    struct messaging_receive r = patient;
    r.invisible_ms = VISIBLE_AGAIN_MS;
    messaging_send_ok(f.client, "T", NULL, "again");
    receive_one(&r, "again", 1, first);
    receive_one(&r, "again", 2, second);
    ck_assert_str_ne(first, second);
    ck_assert_int_eq(ack(first), CODE(INVALID_RECEIPT_HANDLE));
    ck_assert_int_eq(ack(second), CODE(OK));
}
END_TEST

START_TEST(a_message_handed_back_comes_at_once_to_one_who_waits)
{
    char handle[256];
    struct messaging_batch b;
    messaging_send_ok(f.client, "T", NULL, "back");
    receive_one(&patient, "back", 1, handle);
    struct client_stream *waiting = messaging_receive_start(f.client, &patient);
    struct messaging_receive other = patient;
    other.group = "H";
    other.filter = "none";
    expect_nothing(&other); /* by now the first one waits */
    ck_assert_int_eq(messaging_change(f.client, "T", "G", handle, 0, NULL), CODE(OK));
    messaging_receive_end(waiting, &b);
    ck_assert_int_eq(messaging_at(&b, 0)->system_properties->delivery_attempt, 2);
    ck_assert_uint_lt(b.took_ms, LONG_MS / 2);
    messaging_batch_free(&b);
}
END_TEST

/* Takes exactly `n` messages; the handle of the last one is copied out. */
static void receive_many(const struct messaging_receive *like, size_t n, char handle[256])
{
    struct messaging_receive r = *like;
    while (n > 0) {
        struct messaging_batch b;
        r.batch = n < 32 ? (int)n : 32;
        receive(&r, &b);
        ck_assert_uint_gt(b.n, 0);
        ck_assert_uint_le(b.n, n);
        n -= b.n;
        (void)snprintf(handle, 256, "%s",
                       messaging_at(&b, b.n - 1)->system_properties->receipt_handle);
        messaging_batch_free(&b);
    }
}

START_TEST(room_made_by_an_ack_wakes_one_who_waits_at_a_full_queue)
{
    char handle[256];
    struct messaging_batch b;
    struct messaging_receive r = patient;
    r.topic = "Narrow";
    messaging_create_topic(f.client, "Narrow", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    for (int i = 0; i < 101; i++)
        messaging_send_ok(f.client, "Narrow", NULL, i < 100 ? "x" : "last");
    receive_many(&r, 100, handle);
    struct client_stream *waiting = messaging_receive_start(f.client, &r);
    messaging_create_group(f.client, "Other", /* fifo = */ false, /* max_attempts = */ 16);
    messaging_create_group(f.client, "Other", /* fifo = */ false, /* max_attempts = */ 16);
    ck_assert_int_eq(messaging_ack(f.client, "Narrow", "G", handle), CODE(OK));
    messaging_receive_end(waiting, &b);
    ck_assert_uint_eq(b.n, 1);
    ck_assert(messaging_body_is(messaging_at(&b, 0), "last"));
    messaging_batch_free(&b);
}
END_TEST

START_TEST(a_shorter_invisible_time_wakes_one_who_waits_when_it_is_over)
{
    char handle[256];
    struct messaging_batch b;
    messaging_send_ok(f.client, "T", NULL, "soon");
    receive_one(&patient, "soon", 1, handle);
    struct client_stream *waiting = messaging_receive_start(f.client, &patient);
    ck_assert_int_eq(messaging_change(f.client, "T", "G", handle, 1500, NULL), CODE(OK));
    messaging_receive_end(waiting, &b);
    ck_assert_uint_eq(b.n, 1);
    ck_assert_uint_ge(b.took_ms, 1000);
    ck_assert_uint_lt(b.took_ms, LONG_MS / 2);
    messaging_batch_free(&b);
}
END_TEST

START_TEST(a_changed_invisible_time_gives_a_new_handle_and_ends_the_old)
{
    char old[256], fresh[256];
    messaging_send_ok(f.client, "T", NULL, "x");
    receive_one(&patient, "x", 1, old);
    ck_assert_int_eq(messaging_change(f.client, "T", "G", old, 30000, fresh), CODE(OK));
    ck_assert_str_ne(old, fresh);
    ck_assert_int_eq(ack(old), CODE(INVALID_RECEIPT_HANDLE));
    ck_assert_int_eq(ack(fresh), CODE(OK));
}
END_TEST

START_TEST(a_handle_made_up_or_altered_is_refused)
{
    char handle[256], altered[300];
    messaging_send_ok(f.client, "T", NULL, "x");
    receive_one(&patient, "x", 1, handle);
    ck_assert_int_eq(ack("made up"), CODE(INVALID_RECEIPT_HANDLE));
    ck_assert_int_eq(ack(""), CODE(INVALID_RECEIPT_HANDLE));
    (void)snprintf(altered, sizeof altered, "%sx", handle);
    ck_assert_int_eq(ack(altered), CODE(INVALID_RECEIPT_HANDLE));
    (void)snprintf(altered, sizeof altered, "%s", handle);
    altered[10] = altered[10] == 'A' ? 'B' : 'A';
    ck_assert_int_eq(ack(altered), CODE(INVALID_RECEIPT_HANDLE));
    ck_assert_int_eq(messaging_ack(f.client, "T", "H", handle), CODE(INVALID_RECEIPT_HANDLE));
    ck_assert_int_eq(ack(handle), CODE(OK));
}
END_TEST

START_TEST(a_message_delivered_often_enough_goes_to_the_dead_letters)
{
    char handle[256];
    struct messaging_receive r = patient;
    messaging_create_group(f.client, "Few", /* fifo = */ false, /* max_attempts = */ 2);
    r.group = "Few";
    messaging_send_ok(f.client, "T", "TagA", "hopeless");
    for (int attempt = 1; attempt <= 2; attempt++) {
        receive_one(&r, "hopeless", attempt, handle);
        ck_assert_int_eq(messaging_change(f.client, "T", "Few", handle, 0, NULL), CODE(OK));
    }
    expect_nothing(&r);
    struct messaging_receive dead = patient;
    dead.topic = "%DLQ%Few";
    dead.group = "Undertaker";
    struct messaging_batch b;
    do /* the topic is made when the first dead letter is moved */
        messaging_receive(f.client, &dead, &b);
    while (b.code == CODE(TOPIC_NOT_FOUND));
    const V2(SystemProperties) *s = messaging_at(&b, 0)->system_properties;
    ck_assert(messaging_body_is(messaging_at(&b, 0), "hopeless"));
    ck_assert_str_eq(s->tag, "TagA");
    ck_assert_str_eq(s->dead_letter_queue->topic, "T");
    messaging_batch_free(&b);
}
END_TEST

START_TEST(a_client_moves_a_message_to_the_dead_letters)
{
    char handle[256], next[256], dead_handle[256];
    struct messaging_receive r = patient;
    messaging_create_topic(f.client, "Fifo", SLUICE__V1__TOPIC_TYPE__TOPIC_FIFO, 1);
    messaging_create_group(f.client, "Orderly", /* fifo = */ true, /* max_attempts = */ 16);
    r.topic = "Fifo";
    r.group = "Orderly";
    r.batch = 1;
    static const char *const bodies[] = {"hopeless", "next"};
    for (int i = 0; i < 2; i++) {
        struct messaging_message m = {.topic = "Fifo", .group = "g", .body = bodies[i]};
        messaging_free(messaging_send(f.client, &m, 1));
    }
    receive_one(&r, "hopeless", 1, handle);
    ck_assert_int_eq(messaging_forward(f.client, "Fifo", "Orderly", handle), CODE(OK));
    receive_one(&r, "next", 1, next); /* the queue is free again */
    ck_assert_int_eq(messaging_forward(f.client, "Fifo", "Orderly", handle), CODE(OK)); /* again */
    ck_assert_int_eq(messaging_forward(f.client, "Fifo", "Other", next),
                     CODE(INVALID_RECEIPT_HANDLE));
    struct messaging_receive dead = patient;
    dead.topic = "%DLQ%Orderly";
    receive_one(&dead, "hopeless", 1, dead_handle);
    expect_nothing(&dead); /* once, though asked for twice */
}
END_TEST

/* ---- orderly groups ---- */

START_TEST(an_orderly_group_gets_one_message_after_the_other)
{
    char handle[256];
    struct messaging_receive r = patient;
    messaging_create_topic(f.client, "Fifo", SLUICE__V1__TOPIC_TYPE__TOPIC_FIFO, 2);
    messaging_create_group(f.client, "Orderly", /* fifo = */ true, /* max_attempts = */ 16);
    r.topic = "Fifo";
    r.group = "Orderly";
    r.batch = 1;
    static const char *const bodies[] = {"1", "2", "3"};
    for (int i = 0; i < 3; i++) {
        struct messaging_message m = {.topic = "Fifo", .group = "g", .body = bodies[i]};
        messaging_free(messaging_send(f.client, &m, 1));
    }
    receive_one(&r, "1", 1, handle);
    expect_nothing(&r); /* blocked until the first is acked */
    ck_assert_int_eq(messaging_ack(f.client, "Fifo", "Orderly", handle), CODE(OK));
    receive_one(&r, "2", 1, handle);
    ck_assert_int_eq(messaging_ack(f.client, "Fifo", "Orderly", handle), CODE(OK));
    receive_one(&r, "3", 1, handle);
}
END_TEST

/* ---- refusals ---- */

static int32_t code_of(const struct messaging_receive *r)
{
    struct messaging_batch b;
    messaging_receive(f.client, r, &b);
    ck_assert(b.has_time);
    messaging_batch_free(&b);
    return b.code;
}

START_TEST(bad_receives_are_refused_each_with_its_code)
{
    struct messaging_receive r = patient;
    r.topic = "Nowhere";
    ck_assert_int_eq(code_of(&r), CODE(TOPIC_NOT_FOUND));
    r = patient;
    r.group = "no way";
    ck_assert_int_eq(code_of(&r), CODE(ILLEGAL_CONSUMER_GROUP));
    r = patient;
    r.invisible_ms = 499;
    ck_assert_int_eq(code_of(&r), CODE(ILLEGAL_INVISIBLE_TIME));
    r.invisible_ms = 12 * 3600 * 1000 + 1;
    ck_assert_int_eq(code_of(&r), CODE(ILLEGAL_INVISIBLE_TIME));
    r = patient;
    r.polling_ms = -1;
    r.timeout_ms = 400;
    ck_assert_int_eq(code_of(&r), CODE(ILLEGAL_POLLING_TIME));
    char attempt_id[257];
    memset(attempt_id, 'a', 256);
    attempt_id[256] = '\0';
    r = patient;
    r.polling_ms = SHORT_MS;
    r.attempt_id = attempt_id;
    ck_assert_int_eq(code_of(&r), CODE(BAD_REQUEST));
    r.attempt_id = attempt_id + 1;
    ck_assert_int_eq(code_of(&r), CODE(MESSAGE_NOT_FOUND));
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("receive");
    TCase *tc = tcase_create("receive");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_message_arrives_with_all_that_clients_need);
    tcase_add_test(tc, never_more_than_32_messages_come_at_once);
    tcase_add_test(tc, groups_that_take_turns_each_begin_with_every_queue);
    tcase_add_test(tc, two_groups_each_get_every_message);
    tcase_add_test(tc, only_the_tags_asked_for_come);
    tcase_add_test(tc, a_hundred_thousand_tags_of_the_same_hash_never_come_and_do_not_stall);
    tcase_add_test(tc, a_filter_of_separators_only_is_illegal);
    tcase_add_test(tc, an_empty_receive_takes_its_whole_time);
    tcase_add_test(tc, a_receive_ends_before_its_client_gives_up);
    tcase_add_test(tc, a_waiting_receive_is_woken_by_a_message_that_it_wants);
    tcase_add_test(tc, a_cancelled_receive_takes_no_message_with_it);
    tcase_add_test(tc, a_receive_ends_when_its_topic_or_group_is_deleted);
    tcase_add_test(tc, a_topic_made_anew_starts_empty_and_delivers);
    tcase_add_test(tc, receives_side_by_side_share_the_messages_and_each_comes_once);
    tcase_add_test(tc, an_acked_message_never_comes_again);
    tcase_add_test(tc, an_unacked_message_comes_again_to_one_who_waits_as_attempt_2);
    tcase_add_test(tc, a_message_handed_back_comes_at_once_to_one_who_waits);
    tcase_add_test(tc, room_made_by_an_ack_wakes_one_who_waits_at_a_full_queue);
    tcase_add_test(tc, a_shorter_invisible_time_wakes_one_who_waits_when_it_is_over);
    tcase_add_test(tc, a_changed_invisible_time_gives_a_new_handle_and_ends_the_old);
    tcase_add_test(tc, a_handle_made_up_or_altered_is_refused);
    tcase_add_test(tc, a_message_delivered_often_enough_goes_to_the_dead_letters);
    tcase_add_test(tc, a_client_moves_a_message_to_the_dead_letters);
    tcase_add_test(tc, an_orderly_group_gets_one_message_after_the_other);
    tcase_add_test(tc, bad_receives_are_refused_each_with_its_code);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
