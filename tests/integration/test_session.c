/* QueryRoute, QueryAssignment, Telemetry, Heartbeat and NotifyClientTermination against a real
 * sluiced: what clients need before they do anything. */
/* SPDX-License-Identifier: Apache-2.0 */
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
    f.store = tmpdir_make();
    broker_child_start(&f.broker, f.store, args);
    f.client = messaging_connect(f.broker.endpoint, "session");
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 4);
}

static void setup(void)
{
    start(NULL);
}

/* A broker that hides a push client's messages for a second at a time. */
static void setup_brief(void)
{
    static const char *const args[] = {"--set", "defaultInvisibleTimeMillis=1000", "--set",
                                       "minLongPollingMillis=500", NULL};
    start(args);
}

static void teardown(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    tmpdir_remove(f.store);
}

static V2(Resource) resource(const char *name)
{
    V2(Resource) r = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    r.name = (char *)name;
    r.resource_namespace = (char *)"space";
    return r;
}

/* ---- routes ---- */

static V2(QueryRouteResponse) *route_of(const char *topic_name, V2(Endpoints) *endpoints)
{
    V2(Resource) topic = resource(topic_name);
    V2(QueryRouteRequest) req = APACHE__ROCKETMQ__V2__QUERY_ROUTE_REQUEST__INIT;
    req.topic = &topic;
    req.endpoints = endpoints;
    return messaging_call(f.client, PROTO_QUERY_ROUTE, &req.base,
                          &apache__rocketmq__v2__query_route_response__descriptor);
}

START_TEST(a_route_has_every_queue_with_the_address_as_asked)
{
    V2(Address) address = APACHE__ROCKETMQ__V2__ADDRESS__INIT;
    V2(Address) *addresses[] = {&address};
    V2(Endpoints) endpoints = APACHE__ROCKETMQ__V2__ENDPOINTS__INIT;
    address.host = (char *)"behind.nat";
    address.port = 4711;
    endpoints.scheme = APACHE__ROCKETMQ__V2__ADDRESS_SCHEME__DOMAIN_NAME;
    endpoints.addresses = addresses;
    endpoints.n_addresses = 1;
    V2(QueryRouteResponse) *reply = route_of("T", &endpoints);
    ck_assert_int_eq(reply->status->code, CODE(OK));
    ck_assert_uint_eq(reply->n_message_queues, 4);
    for (int i = 0; i < 4; i++) {
        const V2(MessageQueue) *q = reply->message_queues[i];
        ck_assert_int_eq(q->id, i);
        ck_assert_str_eq(q->topic->name, "T");
        ck_assert_str_eq(q->topic->resource_namespace, "space");
        ck_assert_int_eq(q->permission, APACHE__ROCKETMQ__V2__PERMISSION__READ_WRITE);
        ck_assert_int_eq(q->broker->id, 0);
        ck_assert_str_eq(q->broker->name, "broker-a");
        ck_assert_uint_eq(q->broker->endpoints->n_addresses, 1);
        ck_assert_str_eq(q->broker->endpoints->addresses[0]->host, "behind.nat");
        ck_assert_int_eq(q->broker->endpoints->addresses[0]->port, 4711);
        ck_assert_uint_eq(q->n_accept_message_types, 1);
        ck_assert_int_eq(q->accept_message_types[0], APACHE__ROCKETMQ__V2__MESSAGE_TYPE__NORMAL);
    }
    messaging_free(reply);
}
END_TEST

START_TEST(a_route_asked_for_without_an_address_has_the_broker_s_own)
{
    V2(QueryRouteResponse) *reply = route_of("T", /* endpoints = */ NULL);
    const V2(Endpoints) *e = reply->message_queues[0]->broker->endpoints;
    ck_assert_str_eq(e->addresses[0]->host, "127.0.0.1");
    ck_assert_int_eq(e->addresses[0]->port, atoi(strrchr(f.broker.endpoint, ':') + 1));
    ck_assert_int_eq(e->scheme, APACHE__ROCKETMQ__V2__ADDRESS_SCHEME__IPv4);
    messaging_free(reply);
}
END_TEST

START_TEST(the_route_of_an_unknown_topic_is_not_found)
{
    V2(QueryRouteResponse) *reply = route_of("Nowhere", /* endpoints = */ NULL);
    ck_assert_int_eq(reply->status->code, CODE(TOPIC_NOT_FOUND));
    ck_assert_ptr_nonnull(strstr(reply->status->message, "CODE: 17  DESC: No topic route info"));
    messaging_free(reply);
    reply = route_of("%%bad name", /* endpoints = */ NULL);
    ck_assert_int_eq(reply->status->code, CODE(ILLEGAL_TOPIC));
    messaging_free(reply);
}
END_TEST

static V2(QueryAssignmentResponse) *assignment_of(const char *topic_name, const char *group_name)
{
    V2(Resource) topic = resource(topic_name), group = resource(group_name);
    V2(QueryAssignmentRequest) req = APACHE__ROCKETMQ__V2__QUERY_ASSIGNMENT_REQUEST__INIT;
    req.topic = &topic;
    req.group = &group;
    return messaging_call(f.client, PROTO_QUERY_ASSIGNMENT, &req.base,
                          &apache__rocketmq__v2__query_assignment_response__descriptor);
}

START_TEST(a_plain_group_is_assigned_the_topic_and_an_orderly_one_its_queues)
{
    V2(QueryAssignmentResponse) *reply = assignment_of("T", "Plain");
    ck_assert_int_eq(reply->status->code, CODE(OK));
    ck_assert_uint_eq(reply->n_assignments, 1);
    ck_assert_int_eq(reply->assignments[0]->message_queue->id, -1);
    messaging_free(reply);
    messaging_create_group(f.client, "Orderly", /* fifo = */ true, /* max_attempts = */ 5);
    reply = assignment_of("T", "Orderly");
    ck_assert_uint_eq(reply->n_assignments, 4);
    ck_assert_int_eq(reply->assignments[3]->message_queue->id, 3);
    messaging_free(reply);
}
END_TEST

/* ---- settings ---- */

START_TEST(a_producer_is_answered_with_backoff_and_limits)
{
    struct client_stream *stream = NULL;
    V2(Resource) topic = resource("T");
    V2(Resource) *topics[] = {&topic};
    V2(Publishing) publishing = APACHE__ROCKETMQ__V2__PUBLISHING__INIT;
    V2(Settings) settings = APACHE__ROCKETMQ__V2__SETTINGS__INIT;
    publishing.topics = topics;
    publishing.n_topics = 1;
    settings.pub_sub_case = APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_PUBLISHING;
    settings.publishing = &publishing;
    V2(TelemetryCommand) *reply = messaging_tell_settings(f.client, &stream, &settings);
    ck_assert_ptr_nonnull(reply);
    ck_assert_int_eq(reply->status->code, CODE(OK));
    const V2(Settings) *s = reply->settings;
    ck_assert_int_eq(s->pub_sub_case, APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_PUBLISHING);
    ck_assert_int_eq(s->publishing->max_body_size, 4194304);
    ck_assert(s->publishing->validate_message_type);
    ck_assert_str_eq(s->publishing->topics[0]->name, "T");
    ck_assert_int_eq(s->backoff_policy->max_attempts, 3);
    ck_assert_int_eq(s->backoff_policy->strategy_case,
                     APACHE__ROCKETMQ__V2__RETRY_POLICY__STRATEGY_EXPONENTIAL_BACKOFF);
    ck_assert_int_eq(s->backoff_policy->exponential_backoff->initial->nanos, 10000000);
    ck_assert_int_eq(s->backoff_policy->exponential_backoff->max->seconds, 1);
    ck_assert(!s->metric->on);
    messaging_free(reply);
    client_stream_close(stream);
}
END_TEST

static V2(TelemetryCommand) *tell_subscription(struct client_stream **ret_stream, const char *group)
{
    return messaging_tell_consumer(f.client, ret_stream,
                                   APACHE__ROCKETMQ__V2__CLIENT_TYPE__PUSH_CONSUMER, group);
}

START_TEST(a_consumer_is_answered_with_retries_batch_and_polling_time)
{
    struct client_stream *stream = NULL;
    V2(TelemetryCommand) *reply = tell_subscription(&stream, "G");
    ck_assert_ptr_nonnull(reply);
    const V2(Settings) *s = reply->settings;
    ck_assert_int_eq(s->pub_sub_case, APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_SUBSCRIPTION);
    ck_assert_int_eq(s->subscription->receive_batch_size, 32);
    ck_assert_int_eq(s->subscription->long_polling_timeout->seconds, 20);
    ck_assert_int_eq(s->subscription->max_lite_topic_size, 64);
    ck_assert_int_gt(s->subscription->lite_subscription_quota, 0);
    ck_assert(!s->subscription->fifo);
    ck_assert_int_eq(s->backoff_policy->max_attempts, 17);
    const V2(CustomizedBackoff) *backoff = s->backoff_policy->customized_backoff;
    ck_assert_uint_eq(backoff->n_next, 18);
    ck_assert_int_eq(backoff->next[0]->seconds, 1);
    ck_assert_int_eq(backoff->next[17]->seconds, 7200);
    messaging_free(reply);
    client_stream_close(stream);
}
END_TEST

START_TEST(an_orderly_group_is_told_so)
{
    struct client_stream *stream = NULL;
    messaging_create_group(f.client, "Orderly", /* fifo = */ true, /* max_attempts = */ 5);
    V2(TelemetryCommand) *reply = tell_subscription(&stream, "Orderly");
    ck_assert(reply->settings->subscription->fifo);
    ck_assert_int_eq(reply->settings->backoff_policy->max_attempts, 5);
    messaging_free(reply);
    client_stream_close(stream);
}
END_TEST

START_TEST(settings_with_an_illegal_group_end_the_stream)
{
    struct client_stream *stream = NULL;
    const char *text = NULL;
    ck_assert_ptr_null(tell_subscription(&stream, "no way"));
    ck_assert_int_eq(client_stream_status(stream, &text), 3);
    ck_assert_ptr_nonnull(strstr(text, "process client telemetryCommand failed"));
    client_stream_close(stream);
}
END_TEST

START_TEST(a_nameless_client_is_told_so_and_its_stream_completed)
{
    struct span bytes;
    struct client_stream *stream = NULL;
    struct client *nameless = messaging_connect(f.broker.endpoint, " ");
    V2(TelemetryCommand) empty = APACHE__ROCKETMQ__V2__TELEMETRY_COMMAND__INIT;
    V2(TelemetryCommand) *reply = messaging_tell(nameless, &stream, &empty);
    ck_assert_ptr_nonnull(reply);
    ck_assert_int_eq(reply->status->code, CODE(CLIENT_ID_REQUIRED));
    ck_assert_int_eq(client_stream_next(stream, MESSAGING_CALL_MS, &bytes), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_status(stream, NULL), CLIENT_OK);
    messaging_free(reply);
    client_stream_close(stream);
    client_close(nameless);
}
END_TEST

/* ---- heartbeats ---- */

static int32_t beat(V2(ClientType) type, const char *group_name)
{
    V2(Resource) group = resource(group_name);
    V2(HeartbeatRequest) req = APACHE__ROCKETMQ__V2__HEARTBEAT_REQUEST__INIT;
    req.client_type = type;
    req._group_case = APACHE__ROCKETMQ__V2__HEARTBEAT_REQUEST___GROUP_GROUP;
    req.group = &group;
    V2(HeartbeatResponse) *reply =
        messaging_call(f.client, PROTO_HEARTBEAT, &req.base,
                       &apache__rocketmq__v2__heartbeat_response__descriptor);
    int32_t code = (int32_t)reply->status->code;
    messaging_free(reply);
    return code;
}

START_TEST(a_heartbeat_puts_an_unknown_client_on_record)
{
    ck_assert_int_eq(beat(APACHE__ROCKETMQ__V2__CLIENT_TYPE__CLIENT_TYPE_UNSPECIFIED, "G"),
                     CODE(UNRECOGNIZED_CLIENT_TYPE));
    ck_assert_int_eq(beat(APACHE__ROCKETMQ__V2__CLIENT_TYPE__SIMPLE_CONSUMER, "no way"),
                     CODE(ILLEGAL_CONSUMER_GROUP));
    ck_assert_int_eq(beat(APACHE__ROCKETMQ__V2__CLIENT_TYPE__SIMPLE_CONSUMER, "G"), CODE(OK));
    ck_assert_int_eq(beat(APACHE__ROCKETMQ__V2__CLIENT_TYPE__CLIENT_TYPE_UNSPECIFIED, "G"),
                     CODE(OK)); /* known by now */
}
END_TEST

static int32_t terminate(void)
{
    V2(NotifyClientTerminationRequest) req =
        APACHE__ROCKETMQ__V2__NOTIFY_CLIENT_TERMINATION_REQUEST__INIT;
    V2(NotifyClientTerminationResponse) *reply =
        messaging_call(f.client, PROTO_NOTIFY_TERMINATION, &req.base,
                       &apache__rocketmq__v2__notify_client_termination_response__descriptor);
    int32_t code = (int32_t)reply->status->code;
    messaging_free(reply);
    return code;
}

START_TEST(what_a_terminated_client_held_under_renewal_comes_again_soon)
{
    struct messaging_batch b;
    struct messaging_receive r = {
        .topic = "T", .group = "G", .auto_renew = true, .polling_ms = 15000};
    ck_assert_int_eq(beat(APACHE__ROCKETMQ__V2__CLIENT_TYPE__PUSH_CONSUMER, "G"), CODE(OK));
    messaging_send_ok(f.client, "T", NULL, "x");
    messaging_receive(f.client, &r, &b);
    ck_assert_uint_eq(b.n, 1);
    messaging_batch_free(&b);
    ck_assert_int_eq(terminate(), CODE(OK));
    messaging_receive(f.client, &r, &b); /* the lease was for a minute */
    ck_assert_uint_eq(b.n, 1);
    ck_assert_int_eq(messaging_at(&b, 0)->system_properties->delivery_attempt, 2);
    messaging_batch_free(&b);
    ck_assert_int_eq(terminate(), CODE(OK)); /* an unknown client too */
}
END_TEST

START_TEST(what_a_client_holds_under_renewal_stays_hidden_while_it_is_heard_of)
{
    struct messaging_batch first, more;
    struct messaging_receive r = {
        .topic = "T", .group = "G", .auto_renew = true, .polling_ms = 15000};
    ck_assert_int_eq(beat(APACHE__ROCKETMQ__V2__CLIENT_TYPE__PUSH_CONSUMER, "G"), CODE(OK));
    messaging_send_ok(f.client, "T", NULL, "x");
    messaging_receive(f.client, &r, &first);
    ck_assert_uint_eq(first.n, 1);
    r.polling_ms = 4000; /* four times what it is hidden for */
    messaging_receive(f.client, &r, &more);
    ck_assert_int_eq(more.code, CODE(MESSAGE_NOT_FOUND));
    const char *handle = messaging_at(&first, 0)->system_properties->receipt_handle;
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", handle), CODE(OK));
    messaging_batch_free(&first);
    messaging_batch_free(&more);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("session");
    TCase *tc = tcase_create("session");
    TCase *brief = tcase_create("brief");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_route_has_every_queue_with_the_address_as_asked);
    tcase_add_test(tc, a_route_asked_for_without_an_address_has_the_broker_s_own);
    tcase_add_test(tc, the_route_of_an_unknown_topic_is_not_found);
    tcase_add_test(tc, a_plain_group_is_assigned_the_topic_and_an_orderly_one_its_queues);
    tcase_add_test(tc, a_producer_is_answered_with_backoff_and_limits);
    tcase_add_test(tc, a_consumer_is_answered_with_retries_batch_and_polling_time);
    tcase_add_test(tc, an_orderly_group_is_told_so);
    tcase_add_test(tc, settings_with_an_illegal_group_end_the_stream);
    tcase_add_test(tc, a_nameless_client_is_told_so_and_its_stream_completed);
    tcase_add_test(tc, a_heartbeat_puts_an_unknown_client_on_record);
    tcase_add_test(tc, what_a_terminated_client_held_under_renewal_comes_again_soon);
    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(brief, setup_brief, teardown);
    tcase_add_test(brief, what_a_client_holds_under_renewal_stays_hidden_while_it_is_heard_of);
    suite_add_tcase(suite, brief);
    return suite_run(suite);
}
