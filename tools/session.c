/* Tells the broker what a consumer subscribes to, and that it leaves. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/session.h"

#include <stdlib.h>

#include "proto/proto.h"
#include "tools/wire.h"

enum { ANSWER_WAIT_MS = 10000 };

struct session {
    struct client *client;
    struct session_options opt;
    struct client_stream *stream; /* of telemetry, open as long as the session */
};

static int read_answer(struct session *s, struct err *e)
{
    struct span bytes;
    switch (client_stream_next(s->stream, ANSWER_WAIT_MS, &bytes)) {
    case CLIENT_MESSAGE:
        break;
    case CLIENT_ENDED: {
        const char *text;
        int status = client_stream_status(s->stream, &text);
        return client_error(s->client, PROTO_TELEMETRY, status, text, e);
    }
    case CLIENT_WAITING:
        return err_set(e, ERR_IO, "wait for the broker at '%s': no answer to the settings",
                       client_endpoint(s->client));
    }
    ProtobufCMessage *msg;
    int rc = wire_unpack(bytes, &apache__rocketmq__v2__telemetry_command__descriptor, &msg, e);
    if (rc < 0)
        return rc;
    const Apache__Rocketmq__V2__TelemetryCommand *command =
        (Apache__Rocketmq__V2__TelemetryCommand *)msg;
    rc = command->_status_case ? wire_check_status(command->status, e) : 0;
    wire_free(msg);
    return rc;
}

static int send_settings(struct session *s, struct err *e)
{
    Apache__Rocketmq__V2__Resource topic = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    Apache__Rocketmq__V2__Resource group = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    Apache__Rocketmq__V2__FilterExpression filter = APACHE__ROCKETMQ__V2__FILTER_EXPRESSION__INIT;
    Apache__Rocketmq__V2__SubscriptionEntry entry = APACHE__ROCKETMQ__V2__SUBSCRIPTION_ENTRY__INIT;
    Apache__Rocketmq__V2__SubscriptionEntry *entries[] = {&entry};
    Apache__Rocketmq__V2__Subscription subscription = APACHE__ROCKETMQ__V2__SUBSCRIPTION__INIT;
    Apache__Rocketmq__V2__UA agent = APACHE__ROCKETMQ__V2__UA__INIT;
    Apache__Rocketmq__V2__Settings settings = APACHE__ROCKETMQ__V2__SETTINGS__INIT;
    Apache__Rocketmq__V2__TelemetryCommand command = APACHE__ROCKETMQ__V2__TELEMETRY_COMMAND__INIT;

    topic.name = (char *)s->opt.topic;
    group.name = (char *)s->opt.group;
    filter.type = APACHE__ROCKETMQ__V2__FILTER_TYPE__TAG;
    filter.expression = (char *)s->opt.expression;
    entry.topic = &topic;
    entry.expression = &filter;
    subscription._group_case = APACHE__ROCKETMQ__V2__SUBSCRIPTION___GROUP_GROUP;
    subscription.group = &group;
    subscription.subscriptions = entries;
    subscription.n_subscriptions = 1;
    agent.language = APACHE__ROCKETMQ__V2__LANGUAGE__CPP;
    agent.version = (char *)"5.1.0";
    settings._client_type_case = APACHE__ROCKETMQ__V2__SETTINGS___CLIENT_TYPE_CLIENT_TYPE;
    settings.client_type = APACHE__ROCKETMQ__V2__CLIENT_TYPE__SIMPLE_CONSUMER;
    settings.pub_sub_case = APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_SUBSCRIPTION;
    settings.subscription = &subscription;
    settings.user_agent = &agent;
    command.command_case = APACHE__ROCKETMQ__V2__TELEMETRY_COMMAND__COMMAND_SETTINGS;
    command.settings = &settings;
    return wire_send(s->stream, &command.base, e);
}

static int open_stream(struct session *s, struct err *e)
{
    int rc = client_stream_open(&s->stream, s->client, PROTO_TELEMETRY, CLIENT_FOREVER, e);
    if (rc == 0)
        rc = send_settings(s, e);
    if (rc == 0 || rc == ERR_CLOSED) /* what ended it is in the answer */
        rc = read_answer(s, e);
    return rc;
}

int session_open(struct session **ret_session, struct client *c, const struct session_options *opt,
                 struct err *e)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "make a session");
    s->client = c;
    s->opt = *opt;
    int rc = open_stream(s, e);
    if (rc < 0) {
        client_stream_close(s->stream);
        free(s);
        return err_wrap(e, "subscribe to topic '%s'", opt->topic);
    }
    *ret_session = s;
    return 0;
}

static int say_goodbye(struct session *s, struct err *e)
{
    Apache__Rocketmq__V2__Resource group = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    Apache__Rocketmq__V2__NotifyClientTerminationRequest request =
        APACHE__ROCKETMQ__V2__NOTIFY_CLIENT_TERMINATION_REQUEST__INIT;
    group.name = (char *)s->opt.group;
    request._group_case = APACHE__ROCKETMQ__V2__NOTIFY_CLIENT_TERMINATION_REQUEST___GROUP_GROUP;
    request.group = &group;
    ProtobufCMessage *msg;
    int rc =
        wire_call(s->client, PROTO_NOTIFY_TERMINATION, &request.base,
                  &apache__rocketmq__v2__notify_client_termination_response__descriptor, &msg, e);
    if (rc < 0)
        return rc;
    wire_free(msg); /* whatever it says, we are gone */
    return 0;
}

int session_close(struct session *s, struct err *e)
{
    if (!s)
        return 0;
    int rc = say_goodbye(s, e);
    client_stream_close(s->stream);
    free(s);
    return rc;
}
