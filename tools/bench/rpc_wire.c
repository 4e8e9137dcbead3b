/* Requests are encoded with protobuf-c, beforehand. What has to be done for each call is done by
 * hand: finding the receipt handle of a message, and putting handles into an ack. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/rpc_wire.h"

#include <string.h>

#include "base/io.h"
#include "proto/proto.h"
#include "tools/receive_request.h"

enum {
    INVISIBLE_MS = 60000,
    POLL_MS = 5000,
    /* field numbers of ReceiveMessageResponse, Message, SystemProperties, AckMessageRequest */
    FIELD_MESSAGE = 2,
    FIELD_SYSTEM = 3,
    FIELD_BODY = 4,
    FIELD_MESSAGE_ID = 3,
    FIELD_HANDLE = 12,
    FIELD_GROUP = 1,
    FIELD_TOPIC = 2,
    FIELD_ENTRY = 3,
    TYPE_VARINT = 0,
    TYPE_FIXED64 = 1,
    TYPE_BYTES = 2,
    TYPE_FIXED32 = 5,
};

/* ---- made beforehand ---- */

static int pack(const ProtobufCMessage *msg, struct span *ret_request, struct err *e)
{
    uint8_t *bytes;
    size_t len;
    int rc = proto_pack(msg, &bytes, &len, e);
    if (rc == 0)
        *ret_request = span_of(bytes, len);
    return rc;
}

static void fill_system(Apache__Rocketmq__V2__SystemProperties *sys, int queue, char *id)
{
    static char key[] = "key-0000";
    static char *keys[] = {key};
    static Google__Protobuf__Timestamp born = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    born.seconds = (int64_t)(io_posix()->now_ms(io_posix()) / 1000);
    sys->_tag_case = APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES___TAG_TAG;
    sys->tag = (char *)"TagA";
    sys->keys = keys;
    sys->n_keys = 1;
    sys->message_id = id;
    sys->body_encoding = APACHE__ROCKETMQ__V2__ENCODING__IDENTITY;
    sys->message_type = APACHE__ROCKETMQ__V2__MESSAGE_TYPE__NORMAL;
    sys->born_timestamp = &born;
    sys->born_host = (char *)"127.0.0.1";
    sys->queue_id = queue;
}

int rpc_wire_publish(const struct rpc_wire_publish *p, int queue, struct span *ret_request,
                     struct err *e)
{
    char ids[WIRE_BATCH][MESSAGE_ID_DIGITS + 1];
    Apache__Rocketmq__V2__Resource resource = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    Apache__Rocketmq__V2__SystemProperties sys[WIRE_BATCH];
    Apache__Rocketmq__V2__Message message[WIRE_BATCH];
    Apache__Rocketmq__V2__Message *messages[WIRE_BATCH];
    Apache__Rocketmq__V2__SendMessageRequest request =
        APACHE__ROCKETMQ__V2__SEND_MESSAGE_REQUEST__INIT;
    resource.name = (char *)p->topic;
    for (size_t i = 0; i < p->n; i++) {
        apache__rocketmq__v2__system_properties__init(&sys[i]);
        apache__rocketmq__v2__message__init(&message[i]);
        message_id_make(p->ids, ids[i]);
        fill_system(&sys[i], queue, ids[i]);
        message[i].topic = &resource;
        message[i].system_properties = &sys[i];
        message[i].body = (ProtobufCBinaryData){.data = (uint8_t *)p->body.ptr, .len = p->body.len};
        messages[i] = &message[i];
    }
    request.messages = messages;
    request.n_messages = p->n;
    return pack(&request.base, ret_request, e);
}

int rpc_wire_receive(const struct rpc_wire_receive *r, struct span *ret_request, struct err *e)
{
    struct receive_request receive;
    const struct receive_wanted wanted = {.group = r->group,
                                          .topic = r->topic,
                                          .broker = r->broker,
                                          .queue_id = r->queue,
                                          .expression = "*",
                                          .max = WIRE_BATCH,
                                          .invisible_ms = INVISIBLE_MS,
                                          .poll_ms = POLL_MS};
    receive_request_make(&receive, &wanted);
    return pack(&receive.request.base, ret_request, e);
}

/* The body is the last field of the only message, so it ends the request. */
void rpc_wire_set_stamp(struct span request, size_t body_bytes, uint64_t ns)
{
    be64_put((uint8_t *)request.ptr + request.len - body_bytes, ns);
}

/* ---- replies ---- */

bool rpc_wire_is_ok(struct span reply)
{
    /* field 1: a Status whose first field is the code 20,000 */
    static const uint8_t ok[] = {0x08, 0xa0, 0x9c, 0x01};
    return reply.len >= 2 + sizeof ok && reply.ptr[0] == 0x0a &&
           memcmp(reply.ptr + 2, ok, sizeof ok) == 0;
}

static uint64_t read_varint(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(r);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    r->bad = true;
    return 0;
}

/* The next field; its bytes when it has any. False at the end. */
static bool next_field(struct reader *r, unsigned *ret_number, struct span *ret_bytes)
{
    if (r->left == 0 || r->bad)
        return false;
    uint64_t key = read_varint(r);
    *ret_number = (unsigned)(key >> 3);
    *ret_bytes = (struct span){0};
    switch (key & 7) {
    case TYPE_VARINT:
        (void)read_varint(r);
        break;
    case TYPE_FIXED64:
        (void)reader_take(r, 8);
        break;
    case TYPE_BYTES:
        *ret_bytes = reader_take(r, read_varint(r));
        break;
    case TYPE_FIXED32:
        (void)reader_take(r, 4);
        break;
    default:
        r->bad = true;
    }
    return !r->bad;
}

static struct span find_field(struct span in, unsigned wanted)
{
    struct reader r = reader_of(in);
    unsigned number;
    struct span bytes;
    while (next_field(&r, &number, &bytes))
        if (number == wanted)
            return bytes;
    return (struct span){0};
}

bool rpc_wire_message(struct span reply, struct span *ret_message_id, struct span *ret_handle)
{
    struct span message = find_field(reply, FIELD_MESSAGE);
    struct span sys = find_field(message, FIELD_SYSTEM);
    *ret_message_id = find_field(sys, FIELD_MESSAGE_ID);
    *ret_handle = find_field(sys, FIELD_HANDLE);
    return ret_handle->len > 0;
}

bool rpc_wire_stamp(struct span reply, uint64_t *ret_ns)
{
    struct span body = find_field(find_field(reply, FIELD_MESSAGE), FIELD_BODY);
    if (body.len < sizeof *ret_ns)
        return false;
    *ret_ns = be64_get(body.ptr);
    return true;
}

/* ---- acks ---- */

static size_t varint_size(size_t value)
{
    size_t n = 1;
    for (; value >= 0x80; value >>= 7)
        n++;
    return n;
}

static void put_varint(struct rpc_wire_ack *ack, size_t value)
{
    for (; value >= 0x80; value >>= 7)
        ack->bytes[ack->len++] = (uint8_t)(value | 0x80);
    ack->bytes[ack->len++] = (uint8_t)value;
}

static void put_head(struct rpc_wire_ack *ack, unsigned number, size_t len)
{
    put_varint(ack, number << 3 | TYPE_BYTES);
    put_varint(ack, len);
}

static size_t field_size(struct span s)
{
    return 1 + varint_size(s.len) + s.len;
}

static void put_field(struct rpc_wire_ack *ack, unsigned number, struct span s)
{
    put_head(ack, number, s.len);
    memcpy(ack->bytes + ack->len, s.ptr, s.len);
    ack->len += s.len;
}

/* A Resource: its name is field 2. */
static void put_resource(struct rpc_wire_ack *ack, unsigned number, const char *name)
{
    struct span text = span_str(name);
    put_head(ack, number, field_size(text));
    put_field(ack, 2, text);
}

void rpc_wire_ack_begin(struct rpc_wire_ack *ack, const char *group, const char *topic)
{
    ack->len = 0;
    ack->n = 0;
    put_resource(ack, FIELD_GROUP, group); /* names are shorter than 256 bytes */
    put_resource(ack, FIELD_TOPIC, topic);
}

bool rpc_wire_ack_add(struct rpc_wire_ack *ack, struct span message_id, struct span handle)
{
    enum { HEAD_MAX = 16 };
    size_t len = field_size(message_id) + field_size(handle);
    if (ack->len + len + HEAD_MAX > sizeof ack->bytes)
        return false;
    put_head(ack, FIELD_ENTRY, len);
    put_field(ack, 1, message_id);
    put_field(ack, 2, handle);
    ack->n++;
    return true;
}
