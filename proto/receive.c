/* Writes the responses of ReceiveMessage. A message goes out as a head, written here, and its body,
 * which stays where it is: the body is the last field of the last field. Each part is written by
 * one function, which only counts when it has no buffer: sizes and bytes cannot disagree. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include <assert.h>

#include "proto/sink.h"
#include "proto/wire.h"

static void put_seconds(struct sink *s, unsigned number, int64_t seconds, int64_t nanos)
{
    struct sink count = {0};
    sink_number(&count, 1, seconds);
    sink_number(&count, 2, nanos);
    sink_head(s, number, count.n);
    sink_number(s, 1, seconds);
    sink_number(s, 2, nanos);
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
    struct sink count = {0};
    sink_string(&count, 1, first);
    sink_string(&count, 2, second);
    sink_head(s, number, count.n);
    sink_string(s, 1, first);
    sink_string(s, 2, second);
}

static void put_digest(struct sink *s, unsigned number, const struct proto_delivery *d)
{
    struct sink count = {0};
    sink_number(&count, 1, d->digest_type);
    sink_string(&count, 2, d->digest);
    sink_head(s, number, count.n);
    sink_number(s, 1, d->digest_type);
    sink_string(s, 2, d->digest);
}

/* Fields 1 to 16: what every message has. */
static void put_system_always(struct sink *s, const struct proto_delivery *d)
{
    if (d->has & PROTO_HAS_TAG)
        sink_present(s, 1, d->tag);
    for (size_t i = 0; i < d->n_keys; i++)
        sink_present(s, 2, d->keys[i]);
    sink_string(s, 3, d->message_id);
    put_digest(s, 4, d);
    sink_number(s, 5, d->body_encoding);
    sink_number(s, 6, d->message_type);
    put_timestamp(s, 7, d->born_ms);
    sink_string(s, 8, d->born_host);
    put_timestamp(s, 9, d->store_ms);
    sink_string(s, 10, d->store_host);
    if (d->has & PROTO_HAS_DELIVERY_TIMESTAMP)
        put_timestamp(s, 11, d->delivery_ms);
    sink_present(s, 12, d->receipt_handle);
    sink_number(s, 13, d->queue_id);
    sink_present_number(s, 14, d->queue_off);
    if (d->has & PROTO_HAS_INVISIBLE_DURATION)
        put_duration(s, 15, d->invisible_ms);
    sink_present_number(s, 16, d->delivery_attempt);
}

/* Fields 17 to 22: what some kinds of message have. */
static void put_system_by_kind(struct sink *s, const struct proto_delivery *d)
{
    if (d->has & PROTO_HAS_MESSAGE_GROUP)
        sink_present(s, 17, d->message_group);
    if (d->has & PROTO_HAS_TRACE_CONTEXT)
        sink_present(s, 18, d->trace_context);
    if (d->has & PROTO_HAS_RECOVERY_DURATION)
        put_duration(s, 19, d->recovery_ms);
    if (d->has & PROTO_HAS_DEAD_LETTER)
        put_pair(s, 20, d->dead_letter_topic, d->dead_letter_message_id);
    if (d->has & PROTO_HAS_LITE_TOPIC)
        sink_present(s, 21, d->lite_topic);
    if (d->has & PROTO_HAS_PRIORITY)
        sink_present_number(s, 22, d->priority);
}

static void put_system(struct sink *s, const struct proto_delivery *d)
{
    put_system_always(s, d);
    put_system_by_kind(s, d);
}

/* The Message up to the first byte of its body. */
static void put_message_head(struct sink *s, const struct proto_delivery *d, size_t system_bytes)
{
    put_pair(s, 1, d->topic_namespace, d->topic);
    for (size_t i = 0; i < d->n_properties; i++)
        put_pair(s, 2, d->properties[i].key, d->properties[i].value);
    sink_head(s, 3, system_bytes);
    if (s->buf)
        put_system(s, d);
    else
        s->n += system_bytes;
    if (d->body_len > 0)
        sink_head(s, 4, d->body_len);
}

struct sizes {
    size_t system;  /* of SystemProperties */
    size_t message; /* of the Message before its body */
};

static struct sizes measure(const struct proto_delivery *d)
{
    struct sink system = {0}, message = {0};
    put_system(&system, d);
    put_message_head(&message, d, system.n);
    return (struct sizes){.system = system.n, .message = message.n};
}

size_t proto_delivery_size(const struct proto_delivery *d)
{
    const struct sizes sizes = measure(d);
    struct sink s = {0};
    sink_head(&s, 2, sizes.message + d->body_len);
    return s.n + sizes.message;
}

size_t proto_delivery_encode(const struct proto_delivery *d, uint8_t *buf)
{
    const struct sizes sizes = measure(d);
    struct sink s = {.buf = buf};
    sink_head(&s, 2, sizes.message + d->body_len);
    put_message_head(&s, d, sizes.system);
    return s.n;
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

size_t proto_receive_status(uint8_t buf[PROTO_RECEIVE_STATUS_BYTES], int32_t code, struct span text)
{
    const struct span cut = cut_text(text, PROTO_STATUS_TEXT_BYTES);
    struct sink count = {0}, s = {.buf = buf};
    sink_number(&count, 1, code);
    sink_string(&count, 2, cut);
    sink_head(&s, 1, count.n);
    sink_number(&s, 1, code);
    sink_string(&s, 2, cut);
    assert(s.n <= PROTO_RECEIVE_STATUS_BYTES);
    return s.n;
}

size_t proto_receive_time(uint8_t buf[PROTO_RECEIVE_TIME_BYTES], int64_t ms)
{
    struct sink s = {.buf = buf};
    put_timestamp(&s, 3, ms);
    assert(s.n <= PROTO_RECEIVE_TIME_BYTES);
    return s.n;
}
