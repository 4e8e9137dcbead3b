/* Every status that a call can be answered with and that no other test asks for, against a real
 * sluiced (docs/testing.md has the whole table). */
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

static void start(const char *const *args)
{
    broker_child_start(&f.broker, f.store, args);
    f.client = messaging_connect(f.broker.endpoint, "asker");
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
}

static void setup(void)
{
    f.store = tmpdir_make();
    start(/* args = */ NULL);
}

static void teardown(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    tmpdir_remove(f.store);
}

static void restart(const char *const *args)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    start(args);
}

/* ---- the calls, each by its names ---- */

static int32_t route(struct client *c, const char *topic_name, const char *group_name)
{
    (void)group_name;
    V2(Resource) topic = messaging_resource(topic_name);
    V2(QueryRouteRequest) req = APACHE__ROCKETMQ__V2__QUERY_ROUTE_REQUEST__INIT;
    req.topic = &topic;
    return messaging_code(c, PROTO_QUERY_ROUTE, &req.base,
                          &apache__rocketmq__v2__query_route_response__descriptor);
}

static int32_t assignment(struct client *c, const char *topic_name, const char *group_name)
{
    V2(Resource) topic = messaging_resource(topic_name), group = messaging_resource(group_name);
    V2(QueryAssignmentRequest) req = APACHE__ROCKETMQ__V2__QUERY_ASSIGNMENT_REQUEST__INIT;
    req.topic = &topic;
    req.group = &group;
    return messaging_code(c, PROTO_QUERY_ASSIGNMENT, &req.base,
                          &apache__rocketmq__v2__query_assignment_response__descriptor);
}

static int32_t publish(struct client *c, const char *topic_name, const char *group_name)
{
    (void)group_name;
    struct messaging_message m = {.topic = topic_name, .body = "x"};
    V2(SendMessageResponse) *reply = messaging_send(c, &m, 1);
    int32_t code = (int32_t)reply->status->code;
    messaging_free(reply);
    return code;
}

static int32_t receive(struct client *c, const char *topic_name, const char *group_name)
{
    struct messaging_batch b;
    struct messaging_receive r = {.topic = topic_name,
                                  .group = group_name,
                                  .invisible_ms = 10000,
                                  .polling_ms = 0,
                                  .timeout_ms = 300};
    messaging_receive(c, &r, &b);
    ck_assert(b.has_time); /* last, whatever the status */
    messaging_batch_free(&b);
    return b.code;
}

static int32_t ack(struct client *c, const char *topic_name, const char *group_name)
{
    V2(Resource) topic = messaging_resource(topic_name), group = messaging_resource(group_name);
    V2(AckMessageEntry) entry = APACHE__ROCKETMQ__V2__ACK_MESSAGE_ENTRY__INIT;
    V2(AckMessageEntry) *entries[] = {&entry};
    V2(AckMessageRequest) req = APACHE__ROCKETMQ__V2__ACK_MESSAGE_REQUEST__INIT;
    req.topic = &topic;
    req.group = &group;
    req.entries = entries;
    req.n_entries = 1;
    return messaging_code(c, PROTO_ACK_MESSAGE, &req.base,
                          &apache__rocketmq__v2__ack_message_response__descriptor);
}

static int32_t change(struct client *c, const char *topic_name, const char *group_name)
{
    return messaging_change(c, topic_name, group_name, "", 0, /* ret_handle = */ NULL);
}

static int32_t forward(struct client *c, const char *topic_name, const char *group_name)
{
    return messaging_forward(c, topic_name, group_name, "");
}

static int32_t beat(struct client *c, const char *topic_name, const char *group_name)
{
    (void)topic_name;
    V2(Resource) group = messaging_resource(group_name);
    V2(HeartbeatRequest) req = APACHE__ROCKETMQ__V2__HEARTBEAT_REQUEST__INIT;
    req.client_type = APACHE__ROCKETMQ__V2__CLIENT_TYPE__SIMPLE_CONSUMER;
    req._group_case = APACHE__ROCKETMQ__V2__HEARTBEAT_REQUEST___GROUP_GROUP;
    req.group = &group;
    return messaging_code(c, PROTO_HEARTBEAT, &req.base,
                          &apache__rocketmq__v2__heartbeat_response__descriptor);
}

static int32_t terminate(struct client *c, const char *topic_name, const char *group_name)
{
    (void)topic_name;
    (void)group_name;
    V2(NotifyClientTerminationRequest) req =
        APACHE__ROCKETMQ__V2__NOTIFY_CLIENT_TERMINATION_REQUEST__INIT;
    return messaging_code(c, PROTO_NOTIFY_TERMINATION, &req.base,
                          &apache__rocketmq__v2__notify_client_termination_response__descriptor);
}

enum { HAS_TOPIC = 1, HAS_GROUP = 2, MAKES_NONE = 4 };

static const struct {
    const char *name;
    int32_t (*call)(struct client *c, const char *topic, const char *group);
    int has;
} calls[] = {
    {"QueryRoute", route, HAS_TOPIC},
    {"QueryAssignment", assignment, HAS_TOPIC | HAS_GROUP},
    {"SendMessage", publish, HAS_TOPIC},
    {"ReceiveMessage", receive, HAS_TOPIC | HAS_GROUP},
    {"AckMessage", ack, HAS_TOPIC | HAS_GROUP | MAKES_NONE},
    {"ChangeInvisibleDuration", change, HAS_TOPIC | HAS_GROUP | MAKES_NONE},
    {"ForwardMessageToDeadLetterQueue", forward, HAS_TOPIC | HAS_GROUP | MAKES_NONE},
    {"Heartbeat", beat, HAS_GROUP},
    {"NotifyClientTermination", terminate, 0},
};

enum { N_CALLS = sizeof calls / sizeof calls[0] };

static void expect(size_t i, const char *topic, const char *group, int32_t code)
{
    struct client *stranger = messaging_connect(f.broker.endpoint, /* client_id = */ NULL);
    int32_t got = calls[i].call(stranger, topic, group);
    ck_assert_msg(got == code, "%s of '%.20s' by '%.20s': %d, not %d", calls[i].name, topic, group,
                  got, code);
    client_close(stranger);
}

/* ---- who asks ---- */

START_TEST(every_call_asks_for_a_client_id)
{
    struct client *nameless = messaging_connect(f.broker.endpoint, "  ");
    for (size_t i = 0; i < N_CALLS; i++) {
        int32_t code = calls[i].call(nameless, "T", "G");
        ck_assert_msg(code == CODE(CLIENT_ID_REQUIRED), "%s: %d", calls[i].name, code);
    }
    client_close(nameless);
}
END_TEST

START_TEST(a_client_never_heard_of_is_served_by_every_call)
{
    for (size_t i = 0; i < N_CALLS; i++) {
        bool has_handle = calls[i].has & MAKES_NONE;
        int32_t code = calls[i].call == receive ? CODE(OK) /* what SendMessage sent */
                       : has_handle             ? CODE(INVALID_RECEIPT_HANDLE)
                                                : CODE(OK);
        expect(i, "T", "G", code);
    }
}
END_TEST

/* ---- names ---- */

static char *long_name(size_t len)
{
    char *name = malloc(len + 1);
    ck_assert_ptr_nonnull(name);
    memset(name, 'n', len);
    name[len] = '\0';
    return name;
}

START_TEST(an_illegal_topic_is_one_to_every_call_that_names_it)
{
    static const char *const names[] = {"",
                                        "no way",
                                        "a.b",
                                        "ä",
                                        "TBW102",
                                        "SCHEDULE_TOPIC_XXXX",
                                        "RMQ_SYS_TRANS_HALF_TOPIC",
                                        "rmq_sys_wheel_timer"};
    for (size_t i = 0; i < N_CALLS; i++)
        for (size_t n = 0; n < sizeof names / sizeof names[0] && calls[i].has & HAS_TOPIC; n++)
            expect(i, names[n], "G", CODE(ILLEGAL_TOPIC));
}
END_TEST

START_TEST(an_illegal_group_is_one_to_every_call_that_names_it)
{
    static const char *const names[] = {"", "no way", "a/b", "CID_RMQ_SYS_x"};
    for (size_t i = 0; i < N_CALLS; i++)
        for (size_t n = 0; n < sizeof names / sizeof names[0] && calls[i].has & HAS_GROUP; n++)
            expect(i, "T", names[n], CODE(ILLEGAL_CONSUMER_GROUP));
}
END_TEST

START_TEST(a_topic_s_name_may_have_127_characters_and_a_group_s_120)
{
    char *topic = long_name(127), *too_long_topic = long_name(128);
    char *group = long_name(120), *too_long_group = long_name(121);
    messaging_create_topic(f.client, topic, SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    ck_assert_int_eq(publish(f.client, topic, NULL), CODE(OK));
    ck_assert_int_eq(receive(f.client, topic, group), CODE(OK));
    ck_assert_int_eq(publish(f.client, too_long_topic, NULL), CODE(ILLEGAL_TOPIC));
    ck_assert_int_eq(receive(f.client, topic, too_long_group), CODE(ILLEGAL_CONSUMER_GROUP));
    free(topic);
    free(too_long_topic);
    free(group);
    free(too_long_group);
}
END_TEST

START_TEST(an_unknown_topic_is_not_found_and_its_handles_are_invalid)
{
    for (size_t i = 0; i < N_CALLS; i++)
        if (calls[i].has & HAS_TOPIC)
            expect(i, "Nowhere", "G",
                   calls[i].has & MAKES_NONE ? CODE(INVALID_RECEIPT_HANDLE)
                                             : CODE(TOPIC_NOT_FOUND));
}
END_TEST

START_TEST(an_unknown_group_is_not_found_when_groups_are_not_made_on_first_use)
{
    static const char *const args[] = {"--set", "autoCreateSubscriptionGroup=false", NULL};
    struct client_stream *stream;
    const char *text = NULL;
    restart(args);
    for (size_t i = 0; i < N_CALLS; i++)
        if (calls[i].has & HAS_GROUP)
            expect(i, "T", "Nobody",
                   calls[i].has & MAKES_NONE ? CODE(INVALID_RECEIPT_HANDLE)
                                             : CODE(CONSUMER_GROUP_NOT_FOUND));
    ck_assert_ptr_null(messaging_tell_consumer(f.client, &stream, 0, "Nobody"));
    ck_assert_int_eq(client_stream_status(stream, &text), 3); /* INVALID_ARGUMENT */
    ck_assert_ptr_nonnull(strstr(text, "Nobody"));
    client_stream_close(stream);
}
END_TEST

/* ---- forbidden, too many ---- */

START_TEST(a_topic_without_the_permission_is_forbidden)
{
    messaging_create_topic_for(f.client, "WriteOnly", 2);
    messaging_create_topic_for(f.client, "ReadOnly", 4);
    ck_assert_int_eq(publish(f.client, "ReadOnly", NULL), CODE(FORBIDDEN));
    ck_assert_int_eq(publish(f.client, "WriteOnly", NULL), CODE(OK));
    ck_assert_int_eq(receive(f.client, "WriteOnly", "G"), CODE(FORBIDDEN));
    ck_assert_int_eq(assignment(f.client, "WriteOnly", "G"), CODE(FORBIDDEN));
    ck_assert_int_eq(receive(f.client, "ReadOnly", "G"), CODE(MESSAGE_NOT_FOUND));
    ck_assert_int_eq(assignment(f.client, "ReadOnly", "G"), CODE(OK));
    ck_assert_int_eq(route(f.client, "WriteOnly", NULL), CODE(OK)); /* it says which */
}
END_TEST

START_TEST(a_group_that_may_not_consume_is_forbidden)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    char *config = tmpdir_path(f.store, "config");
    tmpdir_put(config, "subscriptionGroup.json",
               "{\"subscriptionGroupTable\":{\"Off\":{\"groupName\":\"Off\","
               "\"consumeEnable\":false}}}");
    free(config);
    start(/* args = */ NULL);
    ck_assert_int_eq(receive(f.client, "T", "Off"), CODE(FORBIDDEN));
    ck_assert_int_eq(receive(f.client, "T", "On"), CODE(MESSAGE_NOT_FOUND));
}
END_TEST

START_TEST(a_group_or_topic_too_many_is_too_many_requests)
{
    static const char *const args[] = {"--set",       "maxGroups=1", "--set",
                                       "maxTopics=1", "--set",       "autoCreateTopicEnable=true",
                                       NULL};
    restart(args);
    ck_assert_int_eq(receive(f.client, "T", "First"), CODE(MESSAGE_NOT_FOUND));
    for (size_t i = 0; i < N_CALLS; i++) {
        if (calls[i].has & MAKES_NONE)
            continue;
        if (calls[i].has & HAS_GROUP)
            expect(i, "T", "Second", CODE(TOO_MANY_REQUESTS));
        if (calls[i].has & HAS_TOPIC)
            expect(i, "Second", "First", CODE(TOO_MANY_REQUESTS));
    }
}
END_TEST

/* ---- not served ---- */

START_TEST(calls_that_are_not_served_are_unimplemented)
{
    static const char *const paths[] = {PROTO_PULL_MESSAGE,
                                        PROTO_UPDATE_OFFSET,
                                        PROTO_GET_OFFSET,
                                        PROTO_QUERY_OFFSET,
                                        PROTO_END_TRANSACTION,
                                        PROTO_RECALL_MESSAGE,
                                        PROTO_SYNC_LITE,
                                        "/apache.rocketmq.v2.MessagingService/NoSuchThing",
                                        "/grpc.health.v1.Health/Check",
                                        "/"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        ck_assert_int_eq(messaging_grpc_status(f.client, paths[i], (struct span){0}),
                         CLIENT_UNIMPLEMENTED);
}
END_TEST

START_TEST(an_sql_filter_is_not_implemented)
{
    V2(Resource) topic = messaging_resource("T"), group = messaging_resource("G");
    V2(MessageQueue) queue = APACHE__ROCKETMQ__V2__MESSAGE_QUEUE__INIT;
    V2(FilterExpression) filter = APACHE__ROCKETMQ__V2__FILTER_EXPRESSION__INIT;
    V2(ReceiveMessageRequest) req = APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_REQUEST__INIT;
    struct messaging_batch b;
    queue.topic = &topic;
    filter.type = APACHE__ROCKETMQ__V2__FILTER_TYPE__SQL;
    filter.expression = (char *)"a > 1";
    req.group = &group;
    req.message_queue = &queue;
    req.filter_expression = &filter;
    req.auto_renew = true;
    messaging_receive_raw(f.client, &req, /* timeout_ms = */ 6000, &b);
    ck_assert_int_eq(b.code, CODE(NOT_IMPLEMENTED));
    ck_assert(b.has_time);
}
END_TEST

/* ---- batches ---- */

START_TEST(a_batch_says_what_its_messages_have_in_common)
{
    struct messaging_message both_bad[] = {{.topic = "T", .tag = "a|b", .body = "1"},
                                           {.topic = "T", .tag = "c|d", .body = "2"}};
    struct messaging_message two_ways[] = {{.topic = "T", .tag = "a|b", .body = "1"},
                                           {.topic = "T", .key = " ", .body = "2"}};
    V2(SendMessageResponse) *reply = messaging_send(f.client, both_bad, 2);
    ck_assert_int_eq(reply->status->code, CODE(ILLEGAL_MESSAGE_TAG));
    ck_assert_uint_eq(reply->n_entries, 2);
    messaging_free(reply);
    reply = messaging_send(f.client, two_ways, 2);
    ck_assert_int_eq(reply->status->code, CODE(MULTIPLE_RESULTS));
    ck_assert_int_eq(reply->entries[0]->status->code, CODE(ILLEGAL_MESSAGE_TAG));
    ck_assert_int_eq(reply->entries[1]->status->code, CODE(ILLEGAL_MESSAGE_KEY));
    messaging_free(reply);
}
END_TEST

START_TEST(an_id_or_property_that_is_no_text_is_refused)
{
    static const struct {
        struct messaging_message m;
        int32_t code;
    } cases[] = {
        {{.topic = "T", .body = "x", .id = " "}, CODE(ILLEGAL_MESSAGE_ID)},
        {{.topic = "T", .body = "x", .id = "a\nb"}, CODE(ILLEGAL_MESSAGE_ID)},
        {{.topic = "T", .body = "x", .id = "a b"}, CODE(OK)},
        {{.topic = "T", .body = "x", .n_properties = 1, .value = "\x01"},
         CODE(ILLEGAL_MESSAGE_PROPERTY_KEY)},
        {{.topic = "T", .body = "x", .n_properties = 1, .value = " "}, CODE(OK)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        V2(SendMessageResponse) *reply = messaging_send(f.client, &cases[i].m, 1);
        ck_assert_msg(reply->status->code == (uint32_t)cases[i].code, "case %zu: %u", i,
                      (unsigned)reply->status->code);
        messaging_free(reply);
    }
}
END_TEST

START_TEST(a_changed_invisible_time_is_at_most_twelve_hours)
{
    enum { LONGEST_MS = 12 * 3600 * 1000 };
    struct messaging_batch b;
    struct messaging_receive r = {
        .topic = "T", .group = "G", .invisible_ms = LONGEST_MS, .polling_ms = 5000};
    char handle[256];
    messaging_send_ok(f.client, "T", NULL, "x");
    messaging_receive(f.client, &r, &b);
    ck_assert_uint_eq(b.n, 1);
    (void)snprintf(handle, sizeof handle, "%s",
                   messaging_at(&b, 0)->system_properties->receipt_handle);
    messaging_batch_free(&b);
    ck_assert_int_eq(messaging_change(f.client, "T", "G", handle, LONGEST_MS + 1, NULL),
                     CODE(ILLEGAL_INVISIBLE_TIME));
    ck_assert_int_eq(messaging_change(f.client, "T", "G", handle, -1, NULL),
                     CODE(ILLEGAL_INVISIBLE_TIME));
    ck_assert_int_eq(messaging_change(f.client, "T", "G", handle, LONGEST_MS, NULL), CODE(OK));
    r.invisible_ms = LONGEST_MS + 1;
    messaging_receive(f.client, &r, &b);
    ck_assert_int_eq(b.code, CODE(ILLEGAL_INVISIBLE_TIME));
    r.invisible_ms = 9999;
    messaging_receive(f.client, &r, &b);
    ck_assert_int_eq(b.code, CODE(ILLEGAL_INVISIBLE_TIME));
}
END_TEST

static V2(AckMessageResponse) *ack_handles(char *const *handles, size_t n)
{
    V2(Resource) topic = messaging_resource("T"), group = messaging_resource("G");
    V2(AckMessageEntry) entries[4];
    V2(AckMessageEntry) *list[4];
    V2(AckMessageRequest) req = APACHE__ROCKETMQ__V2__ACK_MESSAGE_REQUEST__INIT;
    for (size_t i = 0; i < n; i++) {
        entries[i] = (V2(AckMessageEntry))APACHE__ROCKETMQ__V2__ACK_MESSAGE_ENTRY__INIT;
        entries[i].message_id = (char *)"ID";
        entries[i].receipt_handle = handles[i];
        list[i] = &entries[i];
    }
    req.topic = &topic;
    req.group = &group;
    req.entries = list;
    req.n_entries = n;
    return messaging_call(f.client, PROTO_ACK_MESSAGE, &req.base,
                          &apache__rocketmq__v2__ack_message_response__descriptor);
}

START_TEST(a_batch_of_acks_is_answered_one_by_one)
{
    struct messaging_batch b, b2;
    struct messaging_receive r = {
        .topic = "T", .group = "G", .invisible_ms = 10000, .polling_ms = 5000};
    struct messaging_receive r2 = r;
    r2.group = "H";
    messaging_send_ok(f.client, "T", NULL, "x");
    messaging_receive(f.client, &r, &b);
    messaging_receive(f.client, &r2, &b2);
    char *good = messaging_at(&b, 0)->system_properties->receipt_handle;
    char *foreign = messaging_at(&b2, 0)->system_properties->receipt_handle;
    char *const mixed[] = {good, (char *)"made up", good};
    char *const worse[] = {good, (char *)"made up", foreign};
    char *const bad[] = {(char *)"made up", (char *)""};
    V2(AckMessageResponse) *reply = ack_handles(mixed, 3);
    ck_assert_int_eq(reply->status->code, CODE(MULTIPLE_RESULTS));
    ck_assert_uint_eq(reply->n_entries, 3);
    ck_assert_int_eq(reply->entries[0]->status->code, CODE(OK));
    ck_assert_str_eq(reply->entries[0]->receipt_handle, good);
    ck_assert_str_eq(reply->entries[0]->message_id, "ID");
    ck_assert_int_eq(reply->entries[1]->status->code, CODE(INVALID_RECEIPT_HANDLE));
    ck_assert_int_eq(reply->entries[2]->status->code, CODE(OK)); /* again is as good as once */
    messaging_free(reply);
    reply = ack_handles(worse, 3);
    ck_assert_str_ne(reply->entries[1]->status->message, reply->entries[2]->status->message);
    ck_assert_str_eq(reply->status->message, reply->entries[1]->status->message);
    messaging_free(reply);
    reply = ack_handles(bad, 2);
    ck_assert_int_eq(reply->status->code, CODE(INVALID_RECEIPT_HANDLE));
    messaging_free(reply);
    reply = ack_handles(NULL, 0);
    ck_assert_int_eq(reply->status->code, CODE(INTERNAL_SERVER_ERROR));
    ck_assert_uint_eq(reply->n_entries, 0);
    messaging_free(reply);
    messaging_batch_free(&b);
    messaging_batch_free(&b2);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("status");
    TCase *tc = tcase_create("status");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_call_asks_for_a_client_id);
    tcase_add_test(tc, a_client_never_heard_of_is_served_by_every_call);
    tcase_add_test(tc, an_illegal_topic_is_one_to_every_call_that_names_it);
    tcase_add_test(tc, an_illegal_group_is_one_to_every_call_that_names_it);
    tcase_add_test(tc, a_topic_s_name_may_have_127_characters_and_a_group_s_120);
    tcase_add_test(tc, an_unknown_topic_is_not_found_and_its_handles_are_invalid);
    tcase_add_test(tc, an_unknown_group_is_not_found_when_groups_are_not_made_on_first_use);
    tcase_add_test(tc, a_topic_without_the_permission_is_forbidden);
    tcase_add_test(tc, a_group_that_may_not_consume_is_forbidden);
    tcase_add_test(tc, a_group_or_topic_too_many_is_too_many_requests);
    tcase_add_test(tc, calls_that_are_not_served_are_unimplemented);
    tcase_add_test(tc, an_sql_filter_is_not_implemented);
    tcase_add_test(tc, an_id_or_property_that_is_no_text_is_refused);
    tcase_add_test(tc, a_changed_invisible_time_is_at_most_twelve_hours);
    tcase_add_test(tc, a_batch_says_what_its_messages_have_in_common);
    tcase_add_test(tc, a_batch_of_acks_is_answered_one_by_one);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
