/* Writes the responses of ReceiveMessage. A message goes out as a head, written here, and its body,
 * which stays where it is: the body is the last field of the last field. Each part is written by
 * one function, which only counts when it has no buffer: sizes and bytes cannot disagree. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include <assert.h>

#include "proto/wire.h"

/* Where bytes go; counts them. */
struct sink {
    uint8_t *buf; /* NULL: only counts */
    size_t n;
};

static void put_varint(struct sink *s, uint64_t value)
{
    const unsigned n_bits = 64 - (unsigned)__builtin_clzll(value | 1);
    const size_t n_bytes = (n_bits + 6) / 7;
    if (s->buf) {
        uint8_t *at = s->buf + s->n;
        for (; value >= 0x80; value >>= 7)
            *at++ = (uint8_t)(value | 0x80);
        *at = (uint8_t)value;
    }
    s->n += n_bytes;
}

static void put_head(struct sink *s, unsigned number, uint64_t len)
{
    put_varint(s, WIRE_KEY(number, WIRE_BYTES));
    put_varint(s, len);
}

/* A string that is written even when empty. */
static void put_present(struct sink *s, unsigned number, struct span text)
{
    put_head(s, number, text.len);
    if (s->buf && text.len > 0)
        memcpy(s->buf + s->n, text.ptr, text.len);
    s->n += text.len;
}

static void put_string(struct sink *s, unsigned number, struct span text)
{
    if (text.len > 0)
        put_present(s, number, text);
}

/* A number that is written even when 0; a negative one takes ten bytes, int32 too. */
static void put_present_number(struct sink *s, unsigned number, int64_t value)
{
    put_varint(s, WIRE_KEY(number, WIRE_VARINT));
    put_varint(s, (uint64_t)value);
}

static void put_number(struct sink *s, unsigned number, int64_t value)
{
    if (value != 0)
        put_present_number(s, number, value);
}

static void put_seconds(struct sink *s, unsigned number, int64_t seconds, int64_t nanos)
{
    struct sink count = {0};
    put_number(&count, 1, seconds);
    put_number(&count, 2, nanos);
    put_head(s, number, count.n);
    put_number(s, 1, seconds);
    put_number(s, 2, nanos);
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
    put_string(&count, 1, first);
    put_string(&count, 2, second);
    put_head(s, number, count.n);
    put_string(s, 1, first);
    put_string(s, 2, second);
}

static void put_digest(struct sink *s, unsigned number, const struct proto_delivery *d)
{
    struct sink count = {0};
    put_number(&count, 1, d->digest_type);
    put_string(&count, 2, d->digest);
    put_head(s, number, count.n);
    put_number(s, 1, d->digest_type);
    put_string(s, 2, d->digest);
}

/* Fields 1 to 16: what every message has. */
static void put_system_always(struct sink *s, const struct proto_delivery *d)
{
    if (d->has & PROTO_HAS_TAG)
        put_present(s, 1, d->tag);
    for (size_t i = 0; i < d->n_keys; i++)
        put_present(s, 2, d->keys[i]);
    put_string(s, 3, d->message_id);
    put_digest(s, 4, d);
    put_number(s, 5, d->body_encoding);
    put_number(s, 6, d->message_type);
    put_timestamp(s, 7, d->born_ms);
    put_string(s, 8, d->born_host);
    put_timestamp(s, 9, d->store_ms);
    put_string(s, 10, d->store_host);
    if (d->has & PROTO_HAS_DELIVERY_TIMESTAMP)
        put_timestamp(s, 11, d->delivery_ms);
    put_present(s, 12, d->receipt_handle);
    put_number(s, 13, d->queue_id);
    put_present_number(s, 14, d->queue_off);
    if (d->has & PROTO_HAS_INVISIBLE_DURATION)
        put_duration(s, 15, d->invisible_ms);
    put_present_number(s, 16, d->delivery_attempt);
}

/* Fields 17 to 22: what some kinds of message have. */
static void put_system_by_kind(struct sink *s, const struct proto_delivery *d)
{
    if (d->has & PROTO_HAS_MESSAGE_GROUP)
        put_present(s, 17, d->message_group);
    if (d->has & PROTO_HAS_TRACE_CONTEXT)
        put_present(s, 18, d->trace_context);
    if (d->has & PROTO_HAS_RECOVERY_DURATION)
        put_duration(s, 19, d->recovery_ms);
    if (d->has & PROTO_HAS_DEAD_LETTER)
        put_pair(s, 20, d->dead_letter_topic, d->dead_letter_message_id);
    if (d->has & PROTO_HAS_LITE_TOPIC)
        put_present(s, 21, d->lite_topic);
    if (d->has & PROTO_HAS_PRIORITY)
        put_present_number(s, 22, d->priority);
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
    put_head(s, 3, system_bytes);
    if (s->buf)
        put_system(s, d);
    else
        s->n += system_bytes;
    if (d->body_len > 0)
        put_head(s, 4, d->body_len);
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
    put_head(&s, 2, sizes.message + d->body_len);
    return s.n + sizes.message;
}

size_t proto_delivery_encode(const struct proto_delivery *d, uint8_t *buf)
{
    const struct sizes sizes = measure(d);
    struct sink s = {.buf = buf};
    put_head(&s, 2, sizes.message + d->body_len);
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
    put_number(&count, 1, code);
    put_string(&count, 2, cut);
    put_head(&s, 1, count.n);
    put_number(&s, 1, code);
    put_string(&s, 2, cut);
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
