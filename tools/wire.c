/* Carries protobuf messages over the client and puts the broker's codes into words. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/wire.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int wire_connect(struct client **ret_client, const struct options_broker *b, struct err *e)
{
    const struct client_options opt = {.endpoint = b->endpoint, .tls = b->tls};
    client_silence_grpc();
    int rc = client_open(ret_client, &opt, e);
    if (rc == 0)
        client_connect(*ret_client, WIRE_PATIENCE_MS);
    return rc;
}

int wire_unpack(struct span bytes, const ProtobufCMessageDescriptor *type,
                ProtobufCMessage **ret_msg, struct err *e)
{
    ProtobufCMessage *msg =
        protobuf_c_message_unpack(type, /* allocator = */ NULL, bytes.len, bytes.ptr);
    if (!msg)
        return err_set(e, ERR_CORRUPT, "read the broker's '%s' of %zu bytes", type->short_name,
                       bytes.len);
    *ret_msg = msg;
    return 0;
}

void wire_free(void *msg)
{
    protobuf_c_message_free_unpacked(msg, /* allocator = */ NULL);
}

int wire_call(struct client *c, const char *path, const ProtobufCMessage *request,
              const ProtobufCMessageDescriptor *reply_type, ProtobufCMessage **ret_reply,
              struct err *e)
{
    uint8_t *bytes;
    size_t len;
    int rc = proto_pack(request, &bytes, &len, e);
    if (rc < 0)
        return rc;
    uint8_t *reply = NULL;
    size_t reply_len = 0;
    rc = client_call(c, path, span_of(bytes, len), WIRE_TIMEOUT_MS, &reply, &reply_len, e);
    free(bytes);
    if (rc < 0)
        return rc;
    rc = wire_unpack(span_of(reply, reply_len), reply_type, ret_reply, e);
    free(reply);
    return rc;
}

int wire_send(struct client_stream *stream, const ProtobufCMessage *msg, struct err *e)
{
    uint8_t *bytes;
    size_t len;
    int rc = proto_pack(msg, &bytes, &len, e);
    if (rc < 0)
        return rc;
    rc = client_stream_send(stream, span_of(bytes, len), e);
    free(bytes);
    return rc;
}

/* A broker's text may have several lines; an error of ours is one. */
static void make_one_line(char *text)
{
    for (char *at = text; (at = strpbrk(at, "\r\n\t")) != NULL; at++)
        *at = ' ';
}

int wire_check(int code, const char *text, struct err *e)
{
    if (code == WIRE_CODE_OK)
        return 0;
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&apache__rocketmq__v2__code__descriptor, code);
    const char *name = value ? value->name : "unknown code";
    int rc = code == APACHE__ROCKETMQ__V2__CODE__TOPIC_NOT_FOUND ||
                     code == APACHE__ROCKETMQ__V2__CODE__CONSUMER_GROUP_NOT_FOUND
                 ? ERR_NOTFOUND
                 : ERR_FAILED;
    if (code == APACHE__ROCKETMQ__V2__CODE__TOPIC_NOT_FOUND)
        text = "there is no such topic"; /* the one on the wire is RocketMQ's, with a link to its
                                            help */
    if (!text || !*text || strcmp(text, name) == 0)
        return err_set(e, rc, "%s (%d)", name, code);
    (void)err_set(e, rc, "%s (%d): %s", name, code, text);
    make_one_line(e->msg);
    return rc;
}

int wire_check_status(const Apache__Rocketmq__V2__Status *status, struct err *e)
{
    if (!status)
        return err_set(e, ERR_CORRUPT, "the broker's answer has no status");
    return wire_check((int)status->code, status->message, e);
}

int wire_query_route(struct client *c, const char *topic,
                     Apache__Rocketmq__V2__QueryRouteResponse **ret_route, struct err *e)
{
    Apache__Rocketmq__V2__Resource resource = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    Apache__Rocketmq__V2__QueryRouteRequest request =
        APACHE__ROCKETMQ__V2__QUERY_ROUTE_REQUEST__INIT;
    resource.name = (char *)topic;
    request.topic = &resource;
    ProtobufCMessage *msg = NULL;
    int rc = wire_call(c, PROTO_QUERY_ROUTE, &request.base,
                       &apache__rocketmq__v2__query_route_response__descriptor, &msg, e);
    if (rc < 0)
        return rc;
    Apache__Rocketmq__V2__QueryRouteResponse *route =
        (Apache__Rocketmq__V2__QueryRouteResponse *)msg;
    rc = wire_check_status(route->status, e);
    if (rc < 0) {
        wire_free(route);
        return err_wrap(e, "find topic '%s'", topic);
    }
    *ret_route = route;
    return 0;
}
