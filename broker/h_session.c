/* Telemetry, Heartbeat, NotifyClientTermination (rocketmq-grpc 6.3, 6.13): what clients say about
 * themselves. A client that never said anything is served with defaults. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/handler.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "broker/settings.h"

/* An open telemetry stream, kept so that a stop can complete it. The call's data. */
struct stream {
    struct stream *prev, *next; /* guarded by broker.stream_lock */
    struct rpc_call *call;      /* lives as long: removed in on_end */
};

/* ---- the list of streams ---- */

void h_session_telemetry_open(void *ctx, struct rpc_call *call)
{
    struct broker *b = ctx;
    struct stream *s = calloc(1, sizeof *s);
    if (!s) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "no memory for the stream");
        return;
    }
    s->call = call;
    lock_take(&b->stream_lock);
    s->next = b->streams;
    if (s->next)
        s->next->prev = s;
    b->streams = s;
    lock_drop(&b->stream_lock);
    rpc_set_data(call, s);
    /* seq_cst: see the field. A stream that a stop did not find in the list sees the stop here. */
    if (atomic_load_explicit(&b->is_stopping, memory_order_seq_cst))
        rpc_finish(call, RPC_OK, /* text = */ NULL);
}

void h_session_telemetry_end(void *ctx, struct rpc_call *call, enum rpc_end end)
{
    struct broker *b = ctx;
    struct stream *s = rpc_data(call);
    (void)end; /* the session outlives its streams, however they end */
    if (!s)
        return;
    lock_take(&b->stream_lock);
    if (s->next)
        s->next->prev = s->prev;
    if (s->prev)
        s->prev->next = s->next;
    else
        b->streams = s->next;
    lock_drop(&b->stream_lock);
    free(s);
}

void h_session_end_streams(struct broker *b)
{
    lock_take(&b->stream_lock);
    for (struct stream *s = b->streams; s; s = s->next)
        rpc_finish(s->call, RPC_OK, /* text = */ NULL);
    lock_drop(&b->stream_lock);
}

/* ---- Telemetry ---- */

/* Empty when memory is out: the blob is of use to later commands only. */
static struct span blob_of(uint8_t **ret_buf, const V2(Settings) *settings)
{
    struct err e;
    size_t len = 0;
    if (proto_pack(&settings->base, ret_buf, &len, &e))
        return (struct span){0};
    return span_of(*ret_buf, len);
}

static size_t list_topics(const V2(Settings) *s, struct span *topics, size_t max)
{
    size_t n = 0;
    if (s->pub_sub_case == APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_PUBLISHING) {
        for (size_t i = 0; i < s->publishing->n_topics && n < max; i++)
            topics[n++] = handler_name(s->publishing->topics[i]);
        return n;
    }
    for (size_t i = 0; i < s->subscription->n_subscriptions && n < max; i++)
        topics[n++] = handler_name(s->subscription->subscriptions[i]->topic);
    return n;
}

/* Puts the settings on record, for all streams and calls of this client. */
static int remember(struct broker *b, struct span client_id, const V2(Settings) *settings,
                    struct status *st)
{
    struct err e;
    uint8_t *blob = NULL;
    struct span *topics = calloc(SESSION_TOPICS_MAX, sizeof topics[0]);
    if (!topics)
        return status_set(st, CODE(TOO_MANY_REQUESTS), "no memory for the settings");
    struct session session = {
        .client_id = client_id,
        .blob = blob_of(&blob, settings),
        .client_type = settings->_client_type_case ? (int32_t)settings->client_type : 0,
        .group = settings_group(settings),
        .is_consumer =
            settings->pub_sub_case == APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_SUBSCRIPTION,
        .topics = topics,
        .n_topics = list_topics(settings, topics, SESSION_TOPICS_MAX),
    };
    int rc = session_put(b->sessions, &session, handler_now_ms(b), &e);
    free(topics);
    free(blob);
    return rc ? status_of_err(st, &e) : 0;
}

static void send_command(struct rpc_call *call, struct status *st, V2(Settings) *settings)
{
    V2(Status) status = handler_status(st);
    V2(TelemetryCommand) command = APACHE__ROCKETMQ__V2__TELEMETRY_COMMAND__INIT;
    command._status_case = APACHE__ROCKETMQ__V2__TELEMETRY_COMMAND___STATUS_STATUS;
    command.status = &status;
    if (settings) {
        command.command_case = APACHE__ROCKETMQ__V2__TELEMETRY_COMMAND__COMMAND_SETTINGS;
        command.settings = settings;
    }
    (void)handler_send(call, &command.base); /* a failure has finished the call */
}

/* Bad settings end the stream; clients show the text. */
static void refuse_settings(struct rpc_call *call, const struct status *st)
{
    char text[STATUS_TEXT_BYTES + 64];
    (void)snprintf(text, sizeof text, "process client telemetryCommand failed. %s", st->text);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
            *p = '?';
    bool is_clients_fault = st->code >= 40000 && st->code < 50000;
    rpc_finish(call, is_clients_fault ? RPC_INVALID_ARGUMENT : RPC_INTERNAL, text);
}

static void take_settings(struct broker *b, struct rpc_call *call, struct span client_id,
                          const V2(Settings) *settings)
{
    struct status st;
    struct group_info group;
    struct span name = settings_group(settings);
    int rc = settings_check(settings, &st);
    if (!rc && name.len > 0)
        rc = handler_group(b, name, &group, &st);
    if (!rc)
        rc = remember(b, client_id, settings, &st);
    if (rc) {
        refuse_settings(call, &st);
        return;
    }
    struct settings_reply reply;
    settings_answer(settings, &b->cfg, name.len > 0 ? &group : NULL, &reply);
    status_ok(&st);
    send_command(call, &st, &reply.settings);
}

void h_session_telemetry(void *ctx, struct rpc_call *call)
{
    struct broker *b = ctx;
    struct status st;
    struct span client_id;
    V2(TelemetryCommand) *command =
        handler_unpack(call, &apache__rocketmq__v2__telemetry_command__descriptor);
    if (!command)
        return;
    if (handler_client_id(b, call, &client_id, &st)) {
        send_command(call, &st, /* settings = */ NULL);
        rpc_finish(call, RPC_OK, /* text = */ NULL);
    } else if (command->command_case == APACHE__ROCKETMQ__V2__TELEMETRY_COMMAND__COMMAND_SETTINGS) {
        take_settings(b, call, client_id, command->settings);
    } /* answers to commands that this broker does not send: nothing to do */
}

/* ---- Heartbeat ---- */

/* A client that lost its stream and its session (C# opens none again) is put on record by what the
 * heartbeat itself says. */
static int adopt(struct broker *b, struct span client_id, const V2(HeartbeatRequest) *req,
                 struct status *st)
{
    struct err e;
    struct group_info group;
    bool is_producer = req->client_type == APACHE__ROCKETMQ__V2__CLIENT_TYPE__PRODUCER;
    struct span name = req->_group_case ? handler_name(req->group) : (struct span){0};
    if (req->client_type == 0)
        return status_set(st, CODE(UNRECOGNIZED_CLIENT_TYPE),
                          "cannot find client settings for this client");
    if (!is_producer && handler_group(b, name, &group, st))
        return ERR_INVAL;
    struct session session = {.client_id = client_id,
                              .client_type = (int32_t)req->client_type,
                              .group = is_producer ? (struct span){0} : name,
                              .is_consumer = !is_producer};
    int rc = session_put(b->sessions, &session, handler_now_ms(b), &e);
    return rc ? status_of_err(st, &e) : 0;
}

static void beat(struct broker *b, struct rpc_call *call, const V2(HeartbeatRequest) *req,
                 struct status *st)
{
    struct span client_id;
    if (handler_client_id(b, call, &client_id, st))
        return;
    const struct session *session = session_get(b->sessions, client_id, handler_now_ms(b));
    int rc = session ? 0 : adopt(b, client_id, req, st);
    session_release(session);
    if (!rc)
        status_ok(st);
}

void h_session_heartbeat(void *ctx, struct rpc_call *call)
{
    struct status st;
    V2(HeartbeatRequest) *req =
        handler_unpack(call, &apache__rocketmq__v2__heartbeat_request__descriptor);
    if (!req)
        return;
    beat(ctx, call, req, &st);
    V2(Status) status = handler_status(&st);
    V2(HeartbeatResponse) reply = APACHE__ROCKETMQ__V2__HEARTBEAT_RESPONSE__INIT;
    reply.status = &status;
    handler_reply(call, &reply.base);
}

/* ---- NotifyClientTermination ---- */

/* What the client still held under automatic renewal goes back to its group. */
static void forget(struct broker *b, struct span client_id)
{
    struct err e;
    if (!session_drop(b->sessions, client_id))
        return;
    if (keeper_post(b->keeper, broker_renew_leases, b, &e))
        log_warn("%s, ignoring: the next round does it", e.msg);
}

void h_session_termination(void *ctx, struct rpc_call *call)
{
    struct broker *b = ctx;
    struct status st;
    struct span client_id;
    V2(NotifyClientTerminationRequest) *req =
        handler_unpack(call, &apache__rocketmq__v2__notify_client_termination_request__descriptor);
    if (!req)
        return;
    if (!handler_client_id(b, call, &client_id, &st)) {
        forget(b, client_id);
        status_ok(&st);
    }
    V2(Status) status = handler_status(&st);
    V2(NotifyClientTerminationResponse) reply =
        APACHE__ROCKETMQ__V2__NOTIFY_CLIENT_TERMINATION_RESPONSE__INIT;
    reply.status = &status;
    handler_reply(call, &reply.base);
}
