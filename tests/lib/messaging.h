/* The messaging service as a raw client sees it: one call a function, replies as generated
 * messages. A failure of the transport fails the test. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_MESSAGING_H
#define TESTS_LIB_MESSAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/proto.h"
#include "tools/client.h"

#define V2(name) Apache__Rocketmq__V2__##name
#define CODE(name) APACHE__ROCKETMQ__V2__CODE__##name

enum {
    MESSAGING_CALL_MS = 30000,
    MESSAGING_CONNECT_MS = 1000, /* with a broker that cannot be reached */
    MESSAGING_BATCH_MAX = 64
};

/* Connects, trying again where that fails: C-core 1.51 takes a connection under way for a refused
 * one when it finds errno changed (see client_connect). Closed with client_close. */
struct client *messaging_connect(const char *endpoint, const char *client_id);

/* The same over TLS, to the same port. */
struct client *messaging_connect_tls(const char *endpoint, const char *client_id);

/* A unary call: the reply, freed with messaging_free. */
void *messaging_call(struct client *c, const char *path, const ProtobufCMessage *request,
                     const ProtobufCMessageDescriptor *reply_type);

void messaging_free(void *message); /* NULL is fine */

/* The code of a call whose reply has a status. */
int32_t messaging_code(struct client *c, const char *path, const ProtobufCMessage *request,
                       const ProtobufCMessageDescriptor *reply_type);

/* The gRPC status of a call with these bytes as its request. */
int messaging_grpc_status(struct client *c, const char *path, struct span request);

/* A resource of this name. */
V2(Resource) messaging_resource(const char *name);

/* The same with a broker that may be killed under it: NULL when no reply came. */
void *messaging_try_call(struct client *c, const char *path, const ProtobufCMessage *request,
                         const ProtobufCMessageDescriptor *reply_type);

/* ---- topics ---- */

void messaging_create_topic(struct client *c, const char *name, Sluice__V1__TopicType type,
                            int queues);
/* Makes one with these permissions (2 write, 4 read). */
void messaging_create_topic_for(struct client *c, const char *name, int perm);
void messaging_create_group(struct client *c, const char *name, bool fifo, int max_attempts);

/* ---- sending ---- */

/* A message to be sent; zero is absent. */
struct messaging_message {
    const char *topic;
    const char *tag;
    const char *key;
    const char *group; /* message group */
    const char *id;    /* NULL: one is made */
    const char *body;
    size_t body_len;      /* 0: strlen(body) */
    size_t n_properties;  /* user properties p0, p1, ... */
    const char *value;    /* of each of these; NULL: "v" */
    V2(MessageType) type; /* 0: NORMAL, or FIFO with a group */
    bool is_gzip;         /* declared as such */
};

/* Sends `n` messages in one request. */
V2(SendMessageResponse) *messaging_send(struct client *c, const struct messaging_message *messages,
                                        size_t n);

/* The same; NULL when no reply came. */
V2(SendMessageResponse) *messaging_try_send(struct client *c,
                                            const struct messaging_message *messages, size_t n);

/* Sends one that must be accepted. */
void messaging_send_ok(struct client *c, const char *topic, const char *tag, const char *body);

/* ---- receiving ---- */

struct messaging_receive {
    const char *topic;
    const char *group;
    const char *filter;   /* NULL: everything */
    int batch;            /* 0: 32 */
    int64_t invisible_ms; /* 0: absent */
    int64_t polling_ms;   /* negative: absent */
    bool auto_renew;
    const char *attempt_id; /* NULL: absent */
    uint64_t timeout_ms;    /* the client's deadline; 0: polling + 5 s */
};

/* What one receive brought. */
struct messaging_batch {
    int32_t code;
    char text[512];
    V2(ReceiveMessageResponse) *messages[MESSAGING_BATCH_MAX]; /* each holds a message */
    size_t n;
    bool has_time;  /* the delivery timestamp came last */
    int end_status; /* gRPC's */
    uint64_t took_ms;
};

/* The request of a receive, to be freed. */
struct span messaging_receive_bytes(const struct messaging_receive *r);

/* Starts a receive; its end is messaging_receive_end's. */
struct client_stream *messaging_receive_start(struct client *c, const struct messaging_receive *r);

void messaging_receive_end(struct client_stream *s, struct messaging_batch *ret);

/* Both. */
void messaging_receive(struct client *c, const struct messaging_receive *r,
                       struct messaging_batch *ret);

/* The same with a broker that may be killed under it: false when the stream did not end with OK;
 * what came before is in `ret` all the same. */
bool messaging_try_receive(struct client *c, const struct messaging_receive *r,
                           struct messaging_batch *ret);

/* A receive with this very request. */
void messaging_receive_raw(struct client *c, const V2(ReceiveMessageRequest) *req,
                           uint64_t timeout_ms, struct messaging_batch *ret);

void messaging_batch_free(struct messaging_batch *b);

/* The i-th message. */
const V2(Message) *messaging_at(const struct messaging_batch *b, size_t i);

/* Whether its body is this text. */
bool messaging_body_is(const V2(Message) *m, const char *text);

/* ---- what clients say about themselves ---- */

/* Opens a telemetry stream, sends the command, and gives the first that comes back, to be freed;
 * NULL: the stream ended. `*ret_stream` is closed with client_stream_close. */
V2(TelemetryCommand) *messaging_tell(struct client *c, struct client_stream **ret_stream,
                                     const V2(TelemetryCommand) *command);

/* The same with settings. */
V2(TelemetryCommand) *messaging_tell_settings(struct client *c, struct client_stream **ret_stream,
                                              V2(Settings) *settings);

/* The same with those of a consumer of this group; `type` may be 0. */
V2(TelemetryCommand) *messaging_tell_consumer(struct client *c, struct client_stream **ret_stream,
                                              V2(ClientType) type, const char *group);

/* ---- what becomes of a delivery: the entry's code ---- */

int32_t messaging_ack(struct client *c, const char *topic, const char *group, const char *handle);

/* Acks `n` messages (up to MESSAGING_BATCH_MAX) of a batch in one request; NULL when no reply came.
 */
V2(AckMessageResponse) *messaging_try_ack(struct client *c, const char *topic, const char *group,
                                          const V2(Message) *const *messages, size_t n);

/* `ret_handle` (may be NULL) receives the new handle. */
int32_t messaging_change(struct client *c, const char *topic, const char *group, const char *handle,
                         int64_t invisible_ms, char ret_handle[256]);

/* ForwardMessageToDeadLetterQueue: the reply's code. */
int32_t messaging_forward(struct client *c, const char *topic, const char *group,
                          const char *handle);

#endif
