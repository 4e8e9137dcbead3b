/* The wire contract: generated messages, the names of the calls, and the zero-copy codecs of the
 * hot path. The only header of proto/ that other folders include. docs/wire.md explains the codecs.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_PROTO_H
#define PROTO_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <apache/rocketmq/v2/definition.pb-c.h>
#include <apache/rocketmq/v2/service.pb-c.h>
#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <protobuf-c/protobuf-c.h>
#include <sluice/v1/admin.pb-c.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

/* ---- the calls, as rpc_method.path wants them ---- */

#define PROTO_MESSAGING "/apache.rocketmq.v2.MessagingService/"
#define PROTO_QUERY_ROUTE PROTO_MESSAGING "QueryRoute"
#define PROTO_HEARTBEAT PROTO_MESSAGING "Heartbeat"
#define PROTO_SEND_MESSAGE PROTO_MESSAGING "SendMessage"
#define PROTO_QUERY_ASSIGNMENT PROTO_MESSAGING "QueryAssignment"
#define PROTO_RECEIVE_MESSAGE PROTO_MESSAGING "ReceiveMessage"
#define PROTO_ACK_MESSAGE PROTO_MESSAGING "AckMessage"
#define PROTO_FORWARD_TO_DLQ PROTO_MESSAGING "ForwardMessageToDeadLetterQueue"
#define PROTO_PULL_MESSAGE PROTO_MESSAGING "PullMessage"
#define PROTO_UPDATE_OFFSET PROTO_MESSAGING "UpdateOffset"
#define PROTO_GET_OFFSET PROTO_MESSAGING "GetOffset"
#define PROTO_QUERY_OFFSET PROTO_MESSAGING "QueryOffset"
#define PROTO_END_TRANSACTION PROTO_MESSAGING "EndTransaction"
#define PROTO_TELEMETRY PROTO_MESSAGING "Telemetry"
#define PROTO_NOTIFY_TERMINATION PROTO_MESSAGING "NotifyClientTermination"
#define PROTO_CHANGE_INVISIBLE PROTO_MESSAGING "ChangeInvisibleDuration"
#define PROTO_RECALL_MESSAGE PROTO_MESSAGING "RecallMessage"
#define PROTO_SYNC_LITE PROTO_MESSAGING "SyncLiteSubscription"

#define PROTO_ADMIN "/sluice.v1.Admin/"
#define PROTO_CREATE_TOPIC PROTO_ADMIN "CreateTopic"
#define PROTO_LIST_TOPICS PROTO_ADMIN "ListTopics"
#define PROTO_GET_TOPIC PROTO_ADMIN "GetTopic"
#define PROTO_DELETE_TOPIC PROTO_ADMIN "DeleteTopic"
#define PROTO_CREATE_GROUP PROTO_ADMIN "CreateGroup"
#define PROTO_LIST_GROUPS PROTO_ADMIN "ListGroups"
#define PROTO_GET_GROUP PROTO_ADMIN "GetGroup"
#define PROTO_DELETE_GROUP PROTO_ADMIN "DeleteGroup"
#define PROTO_SEEK_GROUP PROTO_ADMIN "SeekGroup"
#define PROTO_GET_MEMORY PROTO_ADMIN "GetMemory"
#define PROTO_GET_STATS PROTO_ADMIN "GetStats"
#define PROTO_FIND_MESSAGES PROTO_ADMIN "FindMessages"
#define PROTO_GET_ACTIVITY PROTO_ADMIN "GetActivity"

/* ---- whole messages, through protobuf-c ---- */

enum {
    PROTO_UNPACK_MAX_BYTES = 1 << 20, /* what a request that is not a SendMessage may have */
    PROTO_UNPACK_MAX_FIELDS = 16384,  /* of one message, those of its parts included */
    PROTO_UNPACK_MAX_DEPTH = 16,      /* of messages in messages */
};

/* Decodes one message that came in slices. Beyond what protobuf-c checks, every string is UTF-8
 * without a NUL, so it is safe as a C string. `max_bytes` 0: PROTO_UNPACK_MAX_BYTES. ERR_TOOBIG:
 * over that or over one of the limits above; ERR_INVAL: malformed (says what and at which byte).
 * The result is freed with protobuf_c_message_free_unpacked(msg, NULL). */
int proto_unpack(const ProtobufCMessageDescriptor *type, const struct span *slices, size_t n_slices,
                 size_t max_bytes, ProtobufCMessage **ret_msg, struct err *e) MUST_CHECK;

/* The same in memory of an arena, which the result goes with: there is nothing to free. */
int proto_unpack_in(struct arena *arena, const ProtobufCMessageDescriptor *type,
                    const struct span *slices, size_t n_slices, ProtobufCMessage **ret_msg,
                    struct err *e) MUST_CHECK;

/* Encodes into memory the caller frees; never NULL, also for an empty message. */
int proto_pack(const ProtobufCMessage *msg, uint8_t **ret_buf, size_t *ret_len,
               struct err *e) MUST_CHECK;

/* Whether the text is well-formed UTF-8 (no surrogates, nothing over U+10FFFF, no long forms). */
bool proto_utf8_ok(struct span text);

/* ---- SendMessageRequest, read in place ---- */

struct proto_property {
    struct span key;
    struct span value;
};

/* Fields whose presence matters; bits of `has`. */
enum {
    PROTO_HAS_TAG = 1 << 0,
    PROTO_HAS_MESSAGE_GROUP = 1 << 1,
    PROTO_HAS_TRACE_CONTEXT = 1 << 2,
    PROTO_HAS_LITE_TOPIC = 1 << 3,
    PROTO_HAS_PRIORITY = 1 << 4,
    PROTO_HAS_BORN_TIMESTAMP = 1 << 5,
    PROTO_HAS_DELIVERY_TIMESTAMP = 1 << 6,
    PROTO_HAS_RECOVERY_DURATION = 1 << 7,
    PROTO_HAS_DEAD_LETTER = 1 << 8,        /* delivery only */
    PROTO_HAS_INVISIBLE_DURATION = 1 << 9, /* delivery only */
};

/* One message of a publish request. A field that was absent is an empty span or 0. Every string is
 * UTF-8, and may hold control characters, NUL too. */
struct proto_message {
    uint32_t has;                /* PROTO_HAS_* */
    struct span topic;           /* the resource's name */
    struct span topic_namespace; /* the resource's namespace */
    struct span message_id;
    struct span tag;
    const struct span *keys;
    size_t n_keys;
    const struct proto_property *properties; /* no key twice: the last one counts */
    size_t n_properties;
    struct span message_group;
    struct span trace_context;
    struct span lite_topic;
    struct span born_host;
    int32_t body_encoding; /* Apache__Rocketmq__V2__Encoding, or a number we do not know */
    int32_t message_type;  /* Apache__Rocketmq__V2__MessageType, or a number we do not know */
    int32_t queue_id;
    int32_t priority;
    int64_t born_ms; /* times are brought into the years 1 to 9999 */
    int64_t delivery_ms;
    int64_t recovery_ms;     /* orphaned_transaction_recovery_duration */
    const struct span *body; /* pieces: the request's slices themselves */
    size_t n_body;
    size_t body_len;
};

enum {
    PROTO_SEND_MAX_MESSAGES = 1024,  /* of one request */
    PROTO_SEND_MAX_KEYS = 1024,      /* of one message */
    PROTO_SEND_MAX_PROPERTIES = 256, /* of one message; the broker's own limit is lower */
};

/* Walks the messages of a request, one at a time. */
struct proto_send;

/* The slices and what they point to must outlive the walker. */
int proto_send_new(struct proto_send **ret_send, const struct span *slices, size_t n_slices,
                   struct err *e) MUST_CHECK;

/* The next message; `*ret_found` false: there is none. Its strings stay valid until
 * proto_send_free; its arrays (keys, properties, body) until the next call. Unknown fields, and
 * those only a server sets, are passed over. ERR_INVAL: malformed (says what and at which byte);
 * ERR_TOOBIG: over one of the limits above; after an error the walker is only good to be freed. */
int proto_send_next(struct proto_send *send, struct proto_message *ret_msg, bool *ret_found,
                    struct err *e) MUST_CHECK;

/* Reads a whole request with a walker that may have read others: its messages, all valid until it
 * is used again. The bytes of the slices must outlive that, the array `slices` too. Errors as
 * above. */
int proto_send_read(struct proto_send *send, const struct span *slices, size_t n_slices,
                    const struct proto_message **ret_messages, size_t *ret_n,
                    struct err *e) MUST_CHECK;

/* Forgets what was read; keeps memory for the next request, but no more than a usual one needs. */
void proto_send_forget(struct proto_send *send);

void proto_send_free(struct proto_send *send); /* NULL is fine */

/* ---- SendMessageResponse ---- */

/* What became of one message. Empty and zero fields are left out. */
struct proto_result {
    int32_t code; /* Apache__Rocketmq__V2__Code */
    struct span text;
    struct span message_id;
    int64_t queue_off;
};

struct proto_reply {
    struct proto_result overall; /* its code and text */
    const struct proto_result *results;
    size_t n;
};

/* Bytes that are enough for the response. */
size_t proto_send_reply_room(const struct proto_reply *reply);

/* Writes the response at the end of `buf`. */
struct span proto_send_reply(const struct proto_reply *reply, uint8_t *buf, size_t room);

/* ---- AckMessage, read in place ---- */

enum { PROTO_ACK_MAX_ENTRIES = 4096 }; /* of one request */

struct proto_ack_entry {
    struct span message_id, receipt_handle; /* UTF-8; empty: absent */
};

struct proto_ack_request {
    struct span group, topic; /* the names of the resources */
    const struct proto_ack_entry *entries;
    size_t n;
};

/* Reads requests, one after the other; keeps its memory. */
struct proto_ack;

int proto_ack_new(struct proto_ack **ret_ack, struct err *e) MUST_CHECK;
void proto_ack_free(struct proto_ack *ack); /* NULL is fine */

/* Reads a whole request, valid until the next one or proto_ack_forget, as long as the slices are.
 * ERR_INVAL: malformed (says what and at which byte); ERR_TOOBIG: over PROTO_UNPACK_MAX_BYTES or
 * the limit above. */
int proto_ack_read(struct proto_ack *ack, const struct span *slices, size_t n_slices,
                   struct proto_ack_request *ret, struct err *e) MUST_CHECK;

/* Forgets what was read; keeps memory for the next request, but no more than a usual one needs. */
void proto_ack_forget(struct proto_ack *ack);

/* What became of one entry. Empty and zero fields are left out. */
struct proto_ack_result {
    int32_t code; /* Apache__Rocketmq__V2__Code */
    struct span text;
    struct proto_ack_entry entry;
};

struct proto_ack_reply {
    struct proto_ack_result overall; /* its code and text */
    const struct proto_ack_result *results;
    size_t n;
};

/* Bytes that are enough for the response. */
size_t proto_ack_reply_room(const struct proto_ack_reply *reply);

/* Writes the response at the end of `buf`. */
struct span proto_ack_reply(const struct proto_ack_reply *reply, uint8_t *buf, size_t room);

/* ---- ReceiveMessageResponse, written around the body ---- */

/* One message to be delivered. Fields without a PROTO_HAS_ bit are always written (queue_off 0
 * too), but for empty strings and zero numbers whose absence means the same. */
struct proto_delivery {
    uint32_t has; /* PROTO_HAS_* */
    struct span topic;
    struct span topic_namespace;
    struct span message_id;
    struct span tag;
    const struct span *keys;
    size_t n_keys;
    const struct proto_property *properties;
    size_t n_properties;
    int32_t digest_type; /* Apache__Rocketmq__V2__DigestType */
    struct span digest;  /* its checksum, as text */
    int32_t body_encoding;
    int32_t message_type;
    int64_t born_ms;
    struct span born_host;
    int64_t store_ms;
    struct span store_host;
    int64_t delivery_ms;
    struct span receipt_handle;
    int32_t queue_id;
    int64_t queue_off;
    int64_t invisible_ms;
    int32_t delivery_attempt;
    struct span message_group;
    struct span trace_context;
    int64_t recovery_ms;
    struct span dead_letter_topic;
    struct span dead_letter_message_id;
    struct span lite_topic;
    int32_t priority;
    uint64_t body_len; /* the body itself is not looked at */
};

/* Bytes that are enough for the response before the body. */
size_t proto_delivery_room(const struct proto_delivery *d);

/* Writes the head at the end of `buf`: everything but the body, which must follow it as the last
 * bytes of the response. */
struct span proto_delivery_encode(const struct proto_delivery *d, uint8_t *buf, size_t room);

enum {
    PROTO_STATUS_TEXT_BYTES = 400, /* a longer text is cut, between characters */
    PROTO_RECEIVE_STATUS_BYTES = PROTO_STATUS_TEXT_BYTES + 32,
    PROTO_RECEIVE_TIME_BYTES = 32,
};

/* The response that carries the status of a receive, at the end of `buf`. */
struct span proto_receive_status(uint8_t buf[PROTO_RECEIVE_STATUS_BYTES], int32_t code,
                                 struct span text);

/* The response that carries the time of delivery, the last one of a receive, at the end of `buf`.
 */
struct span proto_receive_time(uint8_t buf[PROTO_RECEIVE_TIME_BYTES], int64_t ms);

#endif
