/* Writes the responses of ReceiveMessage. A message goes out as a head, written here, and its body,
 * which stays where it is: the body is the last field of the last field. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include "proto/sink.h"
#include "proto/wire.h"

/* Of a field: its key, and a number or a length. */
enum { FIELD_BYTES = 12 };

/* Of a delivery, but for keys and properties: the functions below have 42. */
enum { N_FIELDS = 48 };

static void put_seconds(struct sink *s, unsigned number, int64_t seconds, int64_t nanos)
{
    const uint8_t *end = s->at;
    sink_number(s, 2, nanos);
    sink_number(s, 1, seconds);
    sink_message(s, number, end);
}

/* A Timestamp's nanos count forward, also before 1970. */
static void put_timestamp(struct sink *s, unsigned number, int64_t ms)
{
    const int64_t borrow = ms % 1000 < 0;
    put_seconds(s, number, ms / 1000 - borrow, (ms % 1000 + borrow * 1000) * 1000000);
}

/* A Duration's nanos have its sign. */
static void put_duration(struct sink *s, unsigned number, int64_t ms)
{
    put_seconds(s, number, ms / 1000, ms % 1000 * 1000000);
}

static void put_pair(struct sink *s, unsigned number, struct span first, struct span second)
{
    const uint8_t *end = s->at;
    sink_string(s, 2, second);
    sink_string(s, 1, first);
    sink_message(s, number, end);
}

static void put_digest(struct sink *s, unsigned number, const struct proto_delivery *d)
{
    const uint8_t *end = s->at;
    sink_string(s, 2, d->digest);
    sink_number(s, 1, d->digest_type);
    sink_message(s, number, end);
}

/* Fields 22 to 17: what some kinds of message have. */
static void put_system_by_kind(struct sink *s, const struct proto_delivery *d)
{
    if (d->has & PROTO_HAS_PRIORITY)
        sink_present_number(s, 22, d->priority);
    if (d->has & PROTO_HAS_LITE_TOPIC)
        sink_present(s, 21, d->lite_topic);
    if (d->has & PROTO_HAS_DEAD_LETTER)
        put_pair(s, 20, d->dead_letter_topic, d->dead_letter_message_id);
    if (d->has & PROTO_HAS_RECOVERY_DURATION)
        put_duration(s, 19, d->recovery_ms);
    if (d->has & PROTO_HAS_TRACE_CONTEXT)
        sink_present(s, 18, d->trace_context);
    if (d->has & PROTO_HAS_MESSAGE_GROUP)
        sink_present(s, 17, d->message_group);
}

/* Fields 16 to 1: what every message has. */
static void put_system_always(struct sink *s, const struct proto_delivery *d)
{
    sink_present_number(s, 16, d->delivery_attempt);
    if (d->has & PROTO_HAS_INVISIBLE_DURATION)
        put_duration(s, 15, d->invisible_ms);
    sink_present_number(s, 14, d->queue_off);
    sink_number(s, 13, d->queue_id);
    sink_present(s, 12, d->receipt_handle);
    if (d->has & PROTO_HAS_DELIVERY_TIMESTAMP)
        put_timestamp(s, 11, d->delivery_ms);
    sink_string(s, 10, d->store_host);
    put_timestamp(s, 9, d->store_ms);
    sink_string(s, 8, d->born_host);
    put_timestamp(s, 7, d->born_ms);
    sink_number(s, 6, d->message_type);
    sink_number(s, 5, d->body_encoding);
    put_digest(s, 4, d);
    sink_string(s, 3, d->message_id);
    for (size_t i = d->n_keys; i-- > 0;)
        sink_present(s, 2, d->keys[i]);
    if (d->has & PROTO_HAS_TAG)
        sink_present(s, 1, d->tag);
}

static void put_system(struct sink *s, unsigned number, const struct proto_delivery *d)
{
    const uint8_t *end = s->at;
    put_system_by_kind(s, d);
    put_system_always(s, d);
    sink_message(s, number, end);
}

size_t proto_delivery_room(const struct proto_delivery *d)
{
    size_t n = N_FIELDS * FIELD_BYTES + d->topic.len + d->topic_namespace.len + d->message_id.len +
               d->tag.len + d->digest.len + d->born_host.len + d->store_host.len +
               d->receipt_handle.len + d->message_group.len + d->trace_context.len +
               d->dead_letter_topic.len + d->dead_letter_message_id.len + d->lite_topic.len;
    for (size_t i = 0; i < d->n_keys; i++)
        n += FIELD_BYTES + d->keys[i].len;
    for (size_t i = 0; i < d->n_properties; i++)
        n += 3 * FIELD_BYTES + d->properties[i].key.len + d->properties[i].value.len;
    return n;
}

struct span proto_delivery_encode(const struct proto_delivery *d, uint8_t *buf, size_t room)
{
    struct sink s = sink_of(buf, room);
    if (d->body_len > 0)
        sink_head(&s, 4, d->body_len);
    put_system(&s, 3, d);
    for (size_t i = d->n_properties; i-- > 0;)
        put_pair(&s, 2, d->properties[i].key, d->properties[i].value);
    put_pair(&s, 1, d->topic_namespace, d->topic);
    sink_head(&s, 2, sink_bytes(&s).len + d->body_len);
    return sink_bytes(&s);
}

/* The longest start of the text that fits and does not end inside a character. */
static struct span cut_text(struct span text, size_t max)
{
    if (text.len <= max)
        return text;
    while (max > 0 && (text.ptr[max] & 0xc0) == 0x80)
        max--;
    return span_of(text.ptr, max);
}

struct span proto_receive_status(uint8_t buf[PROTO_RECEIVE_STATUS_BYTES], int32_t code,
                                 struct span text)
{
    struct sink s = sink_of(buf, PROTO_RECEIVE_STATUS_BYTES);
    sink_status(&s, 1, code, cut_text(text, PROTO_STATUS_TEXT_BYTES));
    return sink_bytes(&s);
}

struct span proto_receive_time(uint8_t buf[PROTO_RECEIVE_TIME_BYTES], int64_t ms)
{
    struct sink s = sink_of(buf, PROTO_RECEIVE_TIME_BYTES);
    put_timestamp(&s, 3, ms);
    return sink_bytes(&s);
}
