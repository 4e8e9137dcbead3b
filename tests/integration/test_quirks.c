/* What single clients do differently, each under its client's name, by raw calls as that client
 * makes them. C++ and C# have no other test here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/broker_child.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static struct {
    struct broker_child broker;
    struct client *client;
    char *store;
} f;

static void setup(void)
{
    static const char *const args[] = {"--set", "minInvisibleTimeMillis=500", NULL};
    f.store = tmpdir_make();
    broker_child_start(&f.broker, f.store, args);
    f.client = messaging_connect(f.broker.endpoint, "quirky");
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 4);
}

static void teardown(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    tmpdir_remove(f.store);
}

static const struct messaging_receive pushed = {
    .topic = "T", .group = "G", .auto_renew = true, .polling_ms = 15000};

/* One message by this receive; its handle is copied out. */
static void receive_one(const struct messaging_receive *r, int attempt, char handle[256])
{
    struct messaging_batch b;
    messaging_receive(f.client, r, &b);
    ck_assert_msg(b.code == CODE(OK), "%s", b.text);
    ck_assert_uint_eq(b.n, 1);
    const V2(SystemProperties) *s = messaging_at(&b, 0)->system_properties;
    ck_assert_int_eq(s->delivery_attempt, attempt);
    (void)snprintf(handle, 256, "%s", s->receipt_handle);
    messaging_batch_free(&b);
}

static int32_t beat(struct client *c, V2(ClientType) type, const char *group_name)
{
    V2(Resource) group = messaging_resource(group_name);
    V2(HeartbeatRequest) req = APACHE__ROCKETMQ__V2__HEARTBEAT_REQUEST__INIT;
    req.client_type = type;
    if (group_name) {
        req._group_case = APACHE__ROCKETMQ__V2__HEARTBEAT_REQUEST___GROUP_GROUP;
        req.group = &group;
    }
    return messaging_code(c, PROTO_HEARTBEAT, &req.base,
                          &apache__rocketmq__v2__heartbeat_response__descriptor);
}

/* ---- C++ ---- */

START_TEST(cpp_asks_for_an_assignment_before_it_asks_for_a_route)
{
    V2(Resource) topic = messaging_resource("T"), group = messaging_resource("New");
    V2(QueryAssignmentRequest) req = APACHE__ROCKETMQ__V2__QUERY_ASSIGNMENT_REQUEST__INIT;
    topic.resource_namespace = (char *)"space"; /* it adopts what comes back */
    req.topic = &topic;
    req.group = &group;
    V2(QueryAssignmentResponse) *reply =
        messaging_call(f.client, PROTO_QUERY_ASSIGNMENT, &req.base,
                       &apache__rocketmq__v2__query_assignment_response__descriptor);
    ck_assert_int_eq(reply->status->code, CODE(OK));
    ck_assert_uint_ge(reply->n_assignments, 1);
    const V2(MessageQueue) *q = reply->assignments[0]->message_queue;
    ck_assert_str_eq(q->topic->resource_namespace, "space");
    ck_assert_int_eq(q->permission, APACHE__ROCKETMQ__V2__PERMISSION__READ_WRITE);
    messaging_free(reply);
}
END_TEST

START_TEST(cpp_sends_its_settings_again_and_again_until_they_are_answered)
{
    struct client_stream *streams[3];
    for (int i = 0; i < 3; i++) {
        V2(TelemetryCommand) *reply = messaging_tell_consumer(
            f.client, &streams[i], APACHE__ROCKETMQ__V2__CLIENT_TYPE__PUSH_CONSUMER, "G");
        ck_assert_int_eq(reply->status->code, CODE(OK));
        messaging_free(reply);
    }
    for (int i = 0; i < 3; i++)
        client_stream_close(streams[i]);
}
END_TEST

START_TEST(cpp_pushes_without_a_polling_time_and_with_both_renewal_and_invisible_time)
{
    char handle[256];
    struct messaging_receive r = pushed;
    r.polling_ms = -1;
    r.timeout_ms = 8000; /* await and request timeout */
    r.invisible_ms = 1;  /* below the minimum: renewal wins, it is not looked at */
    r.attempt_id = "5f0e0c3a";
    messaging_send_ok(f.client, "T", NULL, "x");
    receive_one(&r, 1, handle);
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", handle), CODE(OK));
}
END_TEST

START_TEST(cpp_never_sees_ok_without_a_message)
{
    struct messaging_batch b;
    struct messaging_receive r = pushed;
    r.polling_ms = 0;
    r.timeout_ms = 400;
    messaging_receive(f.client, &r, &b);
    ck_assert_int_eq(b.code, CODE(MESSAGE_NOT_FOUND));
    ck_assert_uint_eq(b.n, 0);
}
END_TEST

START_TEST(cpp_forwards_to_the_dead_letters_without_a_handle_and_is_refused)
{
    ck_assert_int_eq(messaging_forward(f.client, "T", "G", ""), CODE(INVALID_RECEIPT_HANDLE));
}
END_TEST

START_TEST(cpp_declares_a_compressed_body_as_gzip_and_gets_it_back_as_it_was)
{
    static const char zlib[] = "\x78\x9c not really";
    struct messaging_batch b;
    struct messaging_message m = {.topic = "T", .body = zlib, .is_gzip = true};
    messaging_free(messaging_send(f.client, &m, 1));
    messaging_receive(f.client, &pushed, &b);
    ck_assert_uint_eq(b.n, 1);
    ck_assert(messaging_body_is(messaging_at(&b, 0), zlib));
    ck_assert_int_eq(messaging_at(&b, 0)->system_properties->body_encoding,
                     APACHE__ROCKETMQ__V2__ENCODING__GZIP);
    messaging_batch_free(&b);
}
END_TEST

START_TEST(cpp_leaves_without_a_word_and_comes_back_under_its_id)
{
    char handle[256];
    struct client *again = messaging_connect(f.broker.endpoint, "quirky");
    ck_assert_int_eq(beat(f.client, APACHE__ROCKETMQ__V2__CLIENT_TYPE__PUSH_CONSUMER, "G"),
                     CODE(OK));
    messaging_send_ok(f.client, "T", NULL, "x");
    receive_one(&pushed, 1, handle);
    ck_assert_int_eq(beat(again, APACHE__ROCKETMQ__V2__CLIENT_TYPE__PUSH_CONSUMER, "G"), CODE(OK));
    ck_assert_int_eq(messaging_ack(again, "T", "G", handle), CODE(OK)); /* on another connection */
    client_close(again);
}
END_TEST

/* ---- C# ---- */

START_TEST(csharp_opens_its_lost_stream_never_again_and_lives_by_heartbeats)
{
    char handle[256];
    struct client_stream *stream;
    V2(TelemetryCommand) *reply = messaging_tell_consumer(
        f.client, &stream, APACHE__ROCKETMQ__V2__CLIENT_TYPE__PUSH_CONSUMER, "G");
    messaging_free(reply);
    client_stream_close(stream);
    ck_assert_int_eq(beat(f.client, APACHE__ROCKETMQ__V2__CLIENT_TYPE__PUSH_CONSUMER, "G"),
                     CODE(OK));
    messaging_send_ok(f.client, "T", NULL, "x");
    receive_one(&pushed, 1, handle);
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", handle), CODE(OK));
}
END_TEST

START_TEST(csharp_goes_on_without_settings_and_is_put_on_record_by_its_heartbeat)
{
    char handle[256];
    messaging_send_ok(f.client, "T", NULL, "x");
    ck_assert_int_eq(beat(f.client, APACHE__ROCKETMQ__V2__CLIENT_TYPE__PUSH_CONSUMER, "G"),
                     CODE(OK));
    receive_one(&pushed, 1, handle);
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", handle), CODE(OK));
}
END_TEST

START_TEST(csharp_receives_again_beside_a_receive_that_still_waits)
{
    enum { N_SIDE = 4, N = 8 };
    static const char *const attempts[N_SIDE] = {"a", "b", "c", "d"};
    struct client_stream *waiting[N_SIDE];
    struct messaging_receive r = pushed;
    struct messaging_batch b;
    size_t n = 0;
    r.polling_ms = 5000;
    for (int i = 0; i < N_SIDE; i++) {
        r.attempt_id = attempts[i];
        waiting[i] = messaging_receive_start(f.client, &r);
    }
    for (int i = 0; i < N; i++)
        messaging_send_ok(f.client, "T", NULL, "x");
    for (int i = 0; i < N_SIDE; i++) {
        messaging_receive_end(waiting[i], &b);
        n += b.n;
        messaging_batch_free(&b);
    }
    while (n < N) {
        messaging_receive(f.client, &r, &b);
        ck_assert_msg(b.code == CODE(OK), "%zu of 8 came: %s", n, b.text);
        n += b.n;
        messaging_batch_free(&b);
    }
    ck_assert_uint_eq(n, N); /* each once */
}
END_TEST

START_TEST(csharp_reads_digest_and_birth_without_asking_whether_they_are_there)
{
    struct messaging_batch b;
    messaging_send_ok(f.client, "T", NULL, "x");
    messaging_receive(f.client, &pushed, &b);
    const V2(SystemProperties) *s = messaging_at(&b, 0)->system_properties;
    ck_assert_ptr_nonnull(s->body_digest);
    ck_assert_ptr_nonnull(s->born_timestamp);
    ck_assert_str_ne(s->born_host, "");
    ck_assert_ptr_nonnull(messaging_at(&b, 0)->topic);
    messaging_batch_free(&b);
}
END_TEST

/* ---- others ---- */

START_TEST(rust_gives_a_receive_the_very_deadline_it_asks_to_wait_for)
{
    struct messaging_batch b;
    struct messaging_receive r = {
        .topic = "T", .group = "G", .invisible_ms = 10000, .polling_ms = 5000, .timeout_ms = 4990};
    messaging_receive(f.client, &r, &b);
    ck_assert_int_eq(b.end_status, CLIENT_OK);
    ck_assert_int_eq(b.code, CODE(MESSAGE_NOT_FOUND));
}
END_TEST

START_TEST(go_beats_once_without_a_client_id_while_its_stream_is_broken)
{
    struct client *nameless = messaging_connect(f.broker.endpoint, "");
    ck_assert_int_eq(beat(nameless, 0, NULL), CODE(CLIENT_ID_REQUIRED));
    ck_assert_int_eq(beat(nameless, 0, NULL), CODE(CLIENT_ID_REQUIRED)); /* the same connection */
    client_close(nameless);
}
END_TEST

START_TEST(go_says_goodbye_for_a_producer_with_a_group_without_name)
{
    V2(Resource) group = messaging_resource("");
    V2(NotifyClientTerminationRequest) req =
        APACHE__ROCKETMQ__V2__NOTIFY_CLIENT_TERMINATION_REQUEST__INIT;
    req._group_case = APACHE__ROCKETMQ__V2__NOTIFY_CLIENT_TERMINATION_REQUEST___GROUP_GROUP;
    req.group = &group;
    ck_assert_int_eq(
        messaging_code(f.client, PROTO_NOTIFY_TERMINATION, &req.base,
                       &apache__rocketmq__v2__notify_client_termination_response__descriptor),
        CODE(OK));
}
END_TEST

START_TEST(node_hands_a_message_back_with_a_change_to_zero)
{
    char handle[256], fresh[256], next[256];
    messaging_send_ok(f.client, "T", NULL, "x");
    receive_one(&pushed, 1, handle);
    ck_assert_int_eq(messaging_change(f.client, "T", "G", handle, 0, fresh), CODE(OK));
    ck_assert_str_ne(fresh, "");
    receive_one(&pushed, 2, next);
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", next), CODE(OK));
}
END_TEST

/* ---- streams and ids ---- */

START_TEST(a_stream_half_closed_after_the_reply_leaves_its_settings)
{
    struct err e;
    struct span bytes;
    struct client_stream *stream;
    V2(TelemetryCommand) *reply = messaging_tell_consumer(
        f.client, &stream, APACHE__ROCKETMQ__V2__CLIENT_TYPE__PUSH_CONSUMER, "G");
    messaging_free(reply);
    ck_assert_int_eq(client_stream_half_close(stream, &e), 0);
    ck_assert_int_eq(client_stream_next(stream, MESSAGING_CALL_MS, &bytes), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_status(stream, /* ret_text = */ NULL), CLIENT_OK);
    client_stream_close(stream);
    ck_assert_int_eq(beat(f.client, 0, NULL), CODE(OK)); /* known: no type is asked for */
}
END_TEST

START_TEST(an_id_goes_from_consumer_to_producer_and_back)
{
    V2(Publishing) publishing = APACHE__ROCKETMQ__V2__PUBLISHING__INIT;
    V2(Settings) settings = APACHE__ROCKETMQ__V2__SETTINGS__INIT;
    settings.pub_sub_case = APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_PUBLISHING;
    settings.publishing = &publishing;
    for (int i = 0; i < 3; i++) {
        struct client_stream *as_consumer, *as_producer;
        V2(TelemetryCommand) *reply = messaging_tell_consumer(f.client, &as_consumer, 0, "G");
        ck_assert_int_eq(reply->settings->pub_sub_case,
                         APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_SUBSCRIPTION);
        messaging_free(reply);
        reply = messaging_tell_settings(f.client, &as_producer, &settings);
        ck_assert_int_eq(reply->settings->pub_sub_case,
                         APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_PUBLISHING);
        messaging_free(reply);
        client_stream_close(as_consumer);
        client_stream_close(as_producer);
    }
    messaging_send_ok(f.client, "T", NULL, "x");
}
END_TEST

START_TEST(two_clients_of_one_id_hold_messages_until_both_are_gone)
{
    char handle[256];
    struct client *twin = messaging_connect(f.broker.endpoint, "quirky");
    ck_assert_int_eq(beat(f.client, APACHE__ROCKETMQ__V2__CLIENT_TYPE__PUSH_CONSUMER, "G"),
                     CODE(OK));
    ck_assert_int_eq(beat(twin, APACHE__ROCKETMQ__V2__CLIENT_TYPE__PUSH_CONSUMER, "G"), CODE(OK));
    messaging_send_ok(f.client, "T", NULL, "x");
    receive_one(&pushed, 1, handle);
    client_close(twin); /* its connection is not the client */
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", handle), CODE(OK));
}
END_TEST

START_TEST(settings_of_neither_side_and_of_an_illegal_topic_end_the_stream)
{
    struct client_stream *stream;
    V2(Resource) topic = messaging_resource("no way");
    V2(Resource) *topics[] = {&topic};
    V2(Publishing) publishing = APACHE__ROCKETMQ__V2__PUBLISHING__INIT;
    V2(Settings) settings = APACHE__ROCKETMQ__V2__SETTINGS__INIT;
    ck_assert_ptr_null(messaging_tell_settings(f.client, &stream, &settings));
    ck_assert_int_eq(client_stream_status(stream, NULL), 3); /* INVALID_ARGUMENT */
    client_stream_close(stream);
    publishing.topics = topics;
    publishing.n_topics = 1;
    settings.pub_sub_case = APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_PUBLISHING;
    settings.publishing = &publishing;
    ck_assert_ptr_null(messaging_tell_settings(f.client, &stream, &settings));
    ck_assert_int_eq(client_stream_status(stream, NULL), 3);
    client_stream_close(stream);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("quirks");
    TCase *tc = tcase_create("quirks");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, cpp_asks_for_an_assignment_before_it_asks_for_a_route);
    tcase_add_test(tc, cpp_sends_its_settings_again_and_again_until_they_are_answered);
    tcase_add_test(tc, cpp_pushes_without_a_polling_time_and_with_both_renewal_and_invisible_time);
    tcase_add_test(tc, cpp_never_sees_ok_without_a_message);
    tcase_add_test(tc, cpp_forwards_to_the_dead_letters_without_a_handle_and_is_refused);
    tcase_add_test(tc, cpp_declares_a_compressed_body_as_gzip_and_gets_it_back_as_it_was);
    tcase_add_test(tc, cpp_leaves_without_a_word_and_comes_back_under_its_id);
    tcase_add_test(tc, csharp_opens_its_lost_stream_never_again_and_lives_by_heartbeats);
    tcase_add_test(tc, csharp_goes_on_without_settings_and_is_put_on_record_by_its_heartbeat);
    tcase_add_test(tc, csharp_receives_again_beside_a_receive_that_still_waits);
    tcase_add_test(tc, csharp_reads_digest_and_birth_without_asking_whether_they_are_there);
    tcase_add_test(tc, rust_gives_a_receive_the_very_deadline_it_asks_to_wait_for);
    tcase_add_test(tc, go_beats_once_without_a_client_id_while_its_stream_is_broken);
    tcase_add_test(tc, go_says_goodbye_for_a_producer_with_a_group_without_name);
    tcase_add_test(tc, node_hands_a_message_back_with_a_change_to_zero);
    tcase_add_test(tc, a_stream_half_closed_after_the_reply_leaves_its_settings);
    tcase_add_test(tc, an_id_goes_from_consumer_to_producer_and_back);
    tcase_add_test(tc, two_clients_of_one_id_hold_messages_until_both_are_gone);
    tcase_add_test(tc, settings_of_neither_side_and_of_an_illegal_topic_end_the_stream);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
