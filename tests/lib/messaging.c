/* The messaging service as a raw client sees it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/messaging.h"

#include <check.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "tests/lib/packed.h"

static Google__Protobuf__Duration duration(int64_t ms)
{
    Google__Protobuf__Duration d = GOOGLE__PROTOBUF__DURATION__INIT;
    d.seconds = ms / 1000;
    d.nanos = (int32_t)(ms % 1000) * 1000000;
    return d;
}

static V2(Resource) resource(const char *name)
{
    V2(Resource) r = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    r.name = (char *)name;
    return r;
}

static void *unpack(const ProtobufCMessageDescriptor *type, struct span bytes)
{
    struct err e = {0};
    ProtobufCMessage *message = NULL;
    int rc = proto_unpack(type, &bytes, 1, /* max_bytes = */ 64 * 1024 * 1024, &message, &e);
    ck_assert_msg(rc == 0, "unpack a reply: %s", e.msg);
    return message;
}

static struct client *connect_with(const struct client_options *opt)
{
    struct err e = {0};
    struct client *c = NULL;
    ck_assert_msg(client_open(&c, opt, &e) == 0, "%s", e.msg);
    client_connect(c, MESSAGING_CONNECT_MS);
    return c;
}

struct client *messaging_connect(const char *endpoint, const char *client_id)
{
    return connect_with(&(struct client_options){.endpoint = endpoint, .client_id = client_id});
}

struct client *messaging_connect_tls(const char *endpoint, const char *client_id)
{
    return connect_with(
        &(struct client_options){.endpoint = endpoint, .client_id = client_id, .tls = true});
}

static void *call(struct client *c, const char *path, const ProtobufCMessage *request,
                  const ProtobufCMessageDescriptor *reply_type, struct err *e)
{
    uint8_t *reply = NULL;
    size_t len = 0;
    struct span bytes = packed(request);
    int rc = client_call(c, path, bytes, MESSAGING_CALL_MS, &reply, &len, e);
    void *message = rc ? NULL : unpack(reply_type, span_of(reply, len));
    free((void *)bytes.ptr);
    free(reply);
    return message;
}

void *messaging_call(struct client *c, const char *path, const ProtobufCMessage *request,
                     const ProtobufCMessageDescriptor *reply_type)
{
    struct err e = {0};
    void *message = call(c, path, request, reply_type, &e);
    ck_assert_msg(message, "%s: %s", path, e.msg);
    return message;
}

void *messaging_try_call(struct client *c, const char *path, const ProtobufCMessage *request,
                         const ProtobufCMessageDescriptor *reply_type)
{
    struct err ignored;
    return call(c, path, request, reply_type, &ignored);
}

int32_t messaging_code(struct client *c, const char *path, const ProtobufCMessage *request,
                       const ProtobufCMessageDescriptor *reply_type)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(reply_type, "status");
    ck_assert_ptr_nonnull(field);
    uint8_t *reply = messaging_call(c, path, request, reply_type);
    const V2(Status) *status = *(V2(Status) **)(void *)(reply + field->offset);
    ck_assert_ptr_nonnull(status);
    ck_assert_uint_gt(strlen(status->message), 0);
    int32_t code = (int32_t)status->code;
    messaging_free(reply);
    return code;
}

static void keep_status(void *arg, const struct client_reply *reply)
{
    *(int *)arg = reply->status;
}

int messaging_grpc_status(struct client *c, const char *path, struct span request)
{
    struct err e;
    int status = -1;
    ck_assert_int_eq(client_start(c, path, request, MESSAGING_CALL_MS, keep_status, &status, &e),
                     0);
    while (status < 0)
        (void)client_poll(c, CLIENT_FOREVER);
    return status;
}

V2(Resource) messaging_resource(const char *name)
{
    return resource(name);
}

void messaging_free(void *message)
{
    protobuf_c_message_free_unpacked(message, NULL);
}

/* ---- topics ---- */

static void create(struct client *c, Sluice__V1__Topic *topic)
{
    Sluice__V1__CreateTopicRequest req = SLUICE__V1__CREATE_TOPIC_REQUEST__INIT;
    req.topic = topic;
    Sluice__V1__CreateTopicResponse *reply = messaging_call(
        c, PROTO_CREATE_TOPIC, &req.base, &sluice__v1__create_topic_response__descriptor);
    ck_assert_msg(reply->code == CODE(OK), "%s", reply->message);
    messaging_free(reply);
}

void messaging_create_topic(struct client *c, const char *name, Sluice__V1__TopicType type,
                            int queues)
{
    Sluice__V1__Topic topic = SLUICE__V1__TOPIC__INIT;
    topic.name = (char *)name;
    topic.type = type;
    topic.read_queues = queues;
    create(c, &topic);
}

void messaging_create_topic_for(struct client *c, const char *name, int perm)
{
    Sluice__V1__Topic topic = SLUICE__V1__TOPIC__INIT;
    topic.name = (char *)name;
    topic.read_queues = 1;
    topic.perm = perm;
    create(c, &topic);
}

void messaging_create_group(struct client *c, const char *name, bool fifo, int max_attempts)
{
    Sluice__V1__Group group = SLUICE__V1__GROUP__INIT;
    Sluice__V1__CreateGroupRequest req = SLUICE__V1__CREATE_GROUP_REQUEST__INIT;
    group.name = (char *)name;
    group.fifo = fifo;
    group.max_attempts = max_attempts;
    req.group = &group;
    Sluice__V1__CreateGroupResponse *reply = messaging_call(
        c, PROTO_CREATE_GROUP, &req.base, &sluice__v1__create_group_response__descriptor);
    ck_assert_msg(reply->code == CODE(OK), "%s", reply->message);
    messaging_free(reply);
}

/* ---- sending ---- */

enum { PROPERTIES_MAX = 200 };

/* One message in generated form, with what it points to. */
struct outgoing {
    V2(Message__UserPropertiesEntry) properties[PROPERTIES_MAX];
    V2(Message__UserPropertiesEntry) *property_list[PROPERTIES_MAX];
    char keys[PROPERTIES_MAX][8];
    char *key; /* the message's */
    V2(Message) message;
    V2(Message) *pointer;
    V2(Resource) topic;
    V2(SystemProperties) system;
    char id[32];
};

static V2(MessageType) type_of(const struct messaging_message *m)
{
    if (m->type)
        return m->type;
    return m->group ? APACHE__ROCKETMQ__V2__MESSAGE_TYPE__FIFO
                    : APACHE__ROCKETMQ__V2__MESSAGE_TYPE__NORMAL;
}

static void fill_properties(struct outgoing *o, size_t n, const char *value)
{
    ck_assert_uint_le(n, PROPERTIES_MAX);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(o->keys[i], sizeof o->keys[i], "p%zu", i);
        o->properties[i] = (V2(Message__UserPropertiesEntry))
            APACHE__ROCKETMQ__V2__MESSAGE__USER_PROPERTIES_ENTRY__INIT;
        o->properties[i].key = o->keys[i];
        o->properties[i].value = (char *)value;
        o->property_list[i] = &o->properties[i];
    }
    o->message.user_properties = o->property_list;
    o->message.n_user_properties = n;
}

static void fill(struct outgoing *o, const struct messaging_message *m)
{
    static _Atomic unsigned next_id; /* relaxed: any number that no other has */
    V2(SystemProperties) *s = &o->system;
    *s = (V2(SystemProperties))APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES__INIT;
    o->message = (V2(Message))APACHE__ROCKETMQ__V2__MESSAGE__INIT;
    o->pointer = &o->message;
    o->topic = resource(m->topic);
    (void)snprintf(o->id, sizeof o->id, "TEST%08X",
                   atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed));
    s->message_id = m->id ? (char *)m->id : o->id;
    s->message_type = type_of(m);
    s->body_encoding = m->is_gzip ? APACHE__ROCKETMQ__V2__ENCODING__GZIP
                                  : APACHE__ROCKETMQ__V2__ENCODING__IDENTITY;
    if (m->tag) {
        s->_tag_case = APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES___TAG_TAG;
        s->tag = (char *)m->tag;
    }
    if (m->group) {
        s->_message_group_case =
            APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES___MESSAGE_GROUP_MESSAGE_GROUP;
        s->message_group = (char *)m->group;
    }
    if (m->key) {
        o->key = (char *)m->key;
        s->keys = &o->key;
        s->n_keys = 1;
    }
    fill_properties(o, m->n_properties, m->value ? m->value : "v");
    o->message.topic = &o->topic;
    o->message.system_properties = s;
    o->message.body.data = (uint8_t *)m->body;
    o->message.body.len = m->body_len || !m->body ? m->body_len : strlen(m->body);
}

static V2(SendMessageResponse) *send_all(struct client *c, const struct messaging_message *messages,
                                         size_t n, struct err *e)
{
    struct outgoing *all = calloc(n + 1, sizeof all[0]);
    V2(Message) **list = calloc(n + 1, sizeof(V2(Message) *));
    V2(SendMessageRequest) req = APACHE__ROCKETMQ__V2__SEND_MESSAGE_REQUEST__INIT;
    for (size_t i = 0; i < n; i++) {
        fill(&all[i], &messages[i]);
        list[i] = all[i].pointer;
    }
    req.messages = list;
    req.n_messages = n;
    V2(SendMessageResponse) *reply =
        call(c, PROTO_SEND_MESSAGE, &req.base,
             &apache__rocketmq__v2__send_message_response__descriptor, e);
    free(list);
    free(all);
    return reply;
}

V2(SendMessageResponse) *messaging_try_send(struct client *c,
                                            const struct messaging_message *messages, size_t n)
{
    struct err e;
    return send_all(c, messages, n, &e);
}

V2(SendMessageResponse) *messaging_send(struct client *c, const struct messaging_message *messages,
                                        size_t n)
{
    struct err e = {0};
    V2(SendMessageResponse) *reply = send_all(c, messages, n, &e);
    ck_assert_msg(reply, "a send was not answered: %s", e.msg);
    return reply;
}

void messaging_send_ok(struct client *c, const char *topic, const char *tag, const char *body)
{
    struct messaging_message m = {.topic = topic, .tag = tag, .body = body};
    V2(SendMessageResponse) *reply = messaging_send(c, &m, 1);
    ck_assert_msg(reply->status->code == CODE(OK), "%s", reply->status->message);
    messaging_free(reply);
}

/* ---- receiving ---- */

static void set_polling(V2(ReceiveMessageRequest) *req, int64_t ms, Google__Protobuf__Duration *d)
{
    if (ms < 0)
        return;
    req->_long_polling_timeout_case =
        APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_REQUEST___LONG_POLLING_TIMEOUT_LONG_POLLING_TIMEOUT;
    req->long_polling_timeout = d;
}

struct span messaging_receive_bytes(const struct messaging_receive *r)
{
    V2(Resource) topic = resource(r->topic), group = resource(r->group);
    V2(MessageQueue) queue = APACHE__ROCKETMQ__V2__MESSAGE_QUEUE__INIT;
    V2(FilterExpression) filter = APACHE__ROCKETMQ__V2__FILTER_EXPRESSION__INIT;
    V2(ReceiveMessageRequest) req = APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_REQUEST__INIT;
    Google__Protobuf__Duration invisible = duration(r->invisible_ms);
    Google__Protobuf__Duration polling = duration(r->polling_ms);
    queue.topic = &topic;
    filter.type = APACHE__ROCKETMQ__V2__FILTER_TYPE__TAG;
    filter.expression = (char *)(r->filter ? r->filter : "*");
    req.group = &group;
    req.message_queue = &queue;
    req.filter_expression = &filter;
    req.batch_size = r->batch ? r->batch : 32;
    req.auto_renew = r->auto_renew;
    if (r->invisible_ms) {
        req._invisible_duration_case =
            APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_REQUEST___INVISIBLE_DURATION_INVISIBLE_DURATION;
        req.invisible_duration = &invisible;
    }
    set_polling(&req, r->polling_ms, &polling);
    if (r->attempt_id) {
        req._attempt_id_case =
            APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_REQUEST___ATTEMPT_ID_ATTEMPT_ID;
        req.attempt_id = (char *)r->attempt_id;
    }
    return packed(&req.base);
}

/* NULL: the connection is lost. Frees the bytes. */
static struct client_stream *start_bytes(struct client *c, struct span bytes, uint64_t timeout_ms)
{
    struct err ignored;
    struct client_stream *s = NULL;
    ck_assert_int_eq(client_stream_open(&s, c, PROTO_RECEIVE_MESSAGE, timeout_ms, &ignored), 0);
    if (client_stream_send(s, bytes, &ignored) || client_stream_half_close(s, &ignored)) {
        client_stream_close(s);
        s = NULL;
    }
    free((void *)bytes.ptr);
    return s;
}

static struct client_stream *try_start(struct client *c, const struct messaging_receive *r)
{
    return start_bytes(c, messaging_receive_bytes(r),
                       r->timeout_ms ? r->timeout_ms : (uint64_t)r->polling_ms + 5000);
}

struct client_stream *messaging_receive_start(struct client *c, const struct messaging_receive *r)
{
    struct client_stream *s = try_start(c, r);
    ck_assert_msg(s, "a receive cannot be started");
    return s;
}

static void take(struct messaging_batch *b, V2(ReceiveMessageResponse) *r)
{
    ck_assert_msg(!b->has_time, "something came after the delivery timestamp");
    if (r->content_case == APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_RESPONSE__CONTENT_STATUS) {
        ck_assert_msg(b->code == 0, "two statuses came");
        b->code = (int32_t)r->status->code;
        (void)snprintf(b->text, sizeof b->text, "%s", r->status->message);
    } else if (r->content_case == APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_RESPONSE__CONTENT_MESSAGE) {
        ck_assert_msg(b->code == CODE(OK), "a message came before the status");
        ck_assert_uint_lt(b->n, MESSAGING_BATCH_MAX);
        b->messages[b->n++] = r;
        return;
    } else {
        b->has_time = true;
    }
    messaging_free(r);
}

void messaging_receive_end(struct client_stream *s, struct messaging_batch *ret)
{
    struct io *io = io_posix();
    uint64_t started_ns = io->mono_ns(io);
    struct span bytes;
    enum client_next next;
    *ret = (struct messaging_batch){0};
    while ((next = client_stream_next(s, MESSAGING_CALL_MS, &bytes)) == CLIENT_MESSAGE)
        take(ret, unpack(&apache__rocketmq__v2__receive_message_response__descriptor, bytes));
    ck_assert_msg(next == CLIENT_ENDED, "the receive does not end");
    ret->end_status = client_stream_status(s, /* ret_text = */ NULL);
    ret->took_ms = (io->mono_ns(io) - started_ns) / 1000000;
    client_stream_close(s);
}

void messaging_receive(struct client *c, const struct messaging_receive *r,
                       struct messaging_batch *ret)
{
    messaging_receive_end(messaging_receive_start(c, r), ret);
}

void messaging_receive_raw(struct client *c, const V2(ReceiveMessageRequest) *req,
                           uint64_t timeout_ms, struct messaging_batch *ret)
{
    struct client_stream *s = start_bytes(c, packed(&req->base), timeout_ms);
    ck_assert_msg(s, "a receive cannot be started");
    messaging_receive_end(s, ret);
}

bool messaging_try_receive(struct client *c, const struct messaging_receive *r,
                           struct messaging_batch *ret)
{
    struct client_stream *s = try_start(c, r);
    *ret = (struct messaging_batch){0};
    if (!s)
        return false;
    messaging_receive_end(s, ret);
    return ret->end_status == CLIENT_OK;
}

void messaging_batch_free(struct messaging_batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        messaging_free(b->messages[i]);
    b->n = 0;
}

const V2(Message) *messaging_at(const struct messaging_batch *b, size_t i)
{
    ck_assert_uint_lt(i, b->n);
    return b->messages[i]->message;
}

bool messaging_body_is(const V2(Message) *m, const char *text)
{
    return m->body.len == strlen(text) && memcmp(m->body.data, text, m->body.len) == 0;
}

/* ---- what clients say about themselves ---- */

V2(TelemetryCommand) *messaging_tell(struct client *c, struct client_stream **ret_stream,
                                     const V2(TelemetryCommand) *command)
{
    struct err e;
    struct span reply, bytes = packed(&command->base);
    ck_assert_int_eq(client_stream_open(ret_stream, c, PROTO_TELEMETRY, CLIENT_FOREVER, &e), 0);
    ck_assert_int_eq(client_stream_send(*ret_stream, bytes, &e), 0);
    free((void *)bytes.ptr);
    if (client_stream_next(*ret_stream, MESSAGING_CALL_MS, &reply) != CLIENT_MESSAGE)
        return NULL;
    return unpack(&apache__rocketmq__v2__telemetry_command__descriptor, reply);
}

V2(TelemetryCommand) *messaging_tell_settings(struct client *c, struct client_stream **ret_stream,
                                              V2(Settings) *settings)
{
    V2(TelemetryCommand) command = APACHE__ROCKETMQ__V2__TELEMETRY_COMMAND__INIT;
    command.command_case = APACHE__ROCKETMQ__V2__TELEMETRY_COMMAND__COMMAND_SETTINGS;
    command.settings = settings;
    return messaging_tell(c, ret_stream, &command);
}

V2(TelemetryCommand) *messaging_tell_consumer(struct client *c, struct client_stream **ret_stream,
                                              V2(ClientType) type, const char *group)
{
    V2(Resource) name = resource(group);
    V2(Subscription) subscription = APACHE__ROCKETMQ__V2__SUBSCRIPTION__INIT;
    V2(Settings) settings = APACHE__ROCKETMQ__V2__SETTINGS__INIT;
    subscription._group_case = APACHE__ROCKETMQ__V2__SUBSCRIPTION___GROUP_GROUP;
    subscription.group = &name;
    if (type)
        settings._client_type_case = APACHE__ROCKETMQ__V2__SETTINGS___CLIENT_TYPE_CLIENT_TYPE;
    settings.client_type = type;
    settings.pub_sub_case = APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_SUBSCRIPTION;
    settings.subscription = &subscription;
    return messaging_tell_settings(c, ret_stream, &settings);
}

/* ---- what becomes of a delivery ---- */

int32_t messaging_ack(struct client *c, const char *topic, const char *group, const char *handle)
{
    V2(Resource) t = resource(topic), g = resource(group);
    V2(AckMessageEntry) entry = APACHE__ROCKETMQ__V2__ACK_MESSAGE_ENTRY__INIT;
    V2(AckMessageEntry) *entries[] = {&entry};
    V2(AckMessageRequest) req = APACHE__ROCKETMQ__V2__ACK_MESSAGE_REQUEST__INIT;
    entry.receipt_handle = (char *)handle;
    req.topic = &t;
    req.group = &g;
    req.entries = entries;
    req.n_entries = 1;
    V2(AckMessageResponse) *reply = messaging_call(
        c, PROTO_ACK_MESSAGE, &req.base, &apache__rocketmq__v2__ack_message_response__descriptor);
    int32_t code = (int32_t)reply->status->code;
    ck_assert_uint_eq(reply->n_entries, 1);
    ck_assert_int_eq(reply->entries[0]->status->code, reply->status->code);
    messaging_free(reply);
    return code;
}

V2(AckMessageResponse) *messaging_try_ack(struct client *c, const char *topic, const char *group,
                                          const V2(Message) *const *messages, size_t n)
{
    V2(Resource) t = resource(topic), g = resource(group);
    V2(AckMessageEntry) entries[MESSAGING_BATCH_MAX];
    V2(AckMessageEntry) *list[MESSAGING_BATCH_MAX];
    V2(AckMessageRequest) req = APACHE__ROCKETMQ__V2__ACK_MESSAGE_REQUEST__INIT;
    ck_assert_uint_le(n, MESSAGING_BATCH_MAX);
    for (size_t i = 0; i < n; i++) {
        entries[i] = (V2(AckMessageEntry))APACHE__ROCKETMQ__V2__ACK_MESSAGE_ENTRY__INIT;
        entries[i].message_id = messages[i]->system_properties->message_id;
        entries[i].receipt_handle = messages[i]->system_properties->receipt_handle;
        list[i] = &entries[i];
    }
    req.topic = &t;
    req.group = &g;
    req.entries = list;
    req.n_entries = n;
    return messaging_try_call(c, PROTO_ACK_MESSAGE, &req.base,
                              &apache__rocketmq__v2__ack_message_response__descriptor);
}

int32_t messaging_change(struct client *c, const char *topic, const char *group, const char *handle,
                         int64_t invisible_ms, char ret_handle[256])
{
    V2(Resource) t = resource(topic), g = resource(group);
    Google__Protobuf__Duration invisible = duration(invisible_ms);
    V2(ChangeInvisibleDurationRequest) req =
        APACHE__ROCKETMQ__V2__CHANGE_INVISIBLE_DURATION_REQUEST__INIT;
    req.topic = &t;
    req.group = &g;
    req.receipt_handle = (char *)handle;
    req.invisible_duration = &invisible;
    V2(ChangeInvisibleDurationResponse) *reply =
        messaging_call(c, PROTO_CHANGE_INVISIBLE, &req.base,
                       &apache__rocketmq__v2__change_invisible_duration_response__descriptor);
    int32_t code = (int32_t)reply->status->code;
    if (ret_handle)
        (void)snprintf(ret_handle, 256, "%s", reply->receipt_handle);
    messaging_free(reply);
    return code;
}

int32_t messaging_forward(struct client *c, const char *topic, const char *group,
                          const char *handle)
{
    V2(Resource) t = resource(topic), g = resource(group);
    V2(ForwardMessageToDeadLetterQueueRequest) req =
        APACHE__ROCKETMQ__V2__FORWARD_MESSAGE_TO_DEAD_LETTER_QUEUE_REQUEST__INIT;
    req.topic = &t;
    req.group = &g;
    req.receipt_handle = (char *)handle;
    V2(ForwardMessageToDeadLetterQueueResponse) *reply = messaging_call(
        c, PROTO_FORWARD_TO_DLQ, &req.base,
        &apache__rocketmq__v2__forward_message_to_dead_letter_queue_response__descriptor);
    int32_t code = (int32_t)reply->status->code;
    messaging_free(reply);
    return code;
}
