/* Protobuf messages over the client: pack, call, unpack, and what the broker's codes say. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_WIRE_H
#define TOOLS_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/proto.h"
#include "tools/client.h"
#include "tools/options.h"

enum {
    WIRE_TIMEOUT_MS = 10000, /* of a unary call */
    WIRE_PATIENCE_MS = 1000, /* with a broker that cannot be reached yet */
    WIRE_CODE_OK = APACHE__ROCKETMQ__V2__CODE__OK,
};

/* Makes a client for the broker that the options name, and connects it if it can. */
int wire_connect(struct client **ret_client, const struct options_broker *b,
                 struct err *e) MUST_CHECK;

/* Decodes a reply into `type`; freed with wire_free. ERR_CORRUPT: it is not one. */
int wire_unpack(struct span bytes, const ProtobufCMessageDescriptor *type,
                ProtobufCMessage **ret_msg, struct err *e) MUST_CHECK;

void wire_free(void *msg); /* an unpacked message; NULL is fine */

/* One unary call; the reply is freed with wire_free. The codes in it are the caller's to check. */
int wire_call(struct client *c, const char *path, const ProtobufCMessage *request,
              const ProtobufCMessageDescriptor *reply_type, ProtobufCMessage **ret_reply,
              struct err *e) MUST_CHECK;

/* Sends one message on a stream. ERR_CLOSED: the stream is over. */
int wire_send(struct client_stream *stream, const ProtobufCMessage *msg, struct err *e) MUST_CHECK;

/* 0 when `code` is OK; else an error such as "TOPIC_NOT_FOUND (40402): no such topic". The caller
 * wraps it with what it was doing. `text` may be NULL. */
int wire_check(int code, const char *text, struct err *e) MUST_CHECK;

/* The same of a status, which may be NULL. */
int wire_check_status(const Apache__Rocketmq__V2__Status *status, struct err *e) MUST_CHECK;

/* Asks for the topic's route: proves that it is there. The reply is freed with wire_free. */
int wire_query_route(struct client *c, const char *topic,
                     Apache__Rocketmq__V2__QueryRouteResponse **ret_route,
                     struct err *e) MUST_CHECK;

#endif
