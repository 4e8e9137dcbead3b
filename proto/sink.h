/* Writes protobuf fields from the last one to the first. The length of a message, which stands
 * before its fields, is then known when it is written: nothing is measured beforehand. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_SINK_H
#define PROTO_SINK_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/wire.h"

/* Room that is filled from its end. Its user knows that there is enough. */
struct sink {
    uint8_t *begin;
    uint8_t *at; /* the first byte written */
    uint8_t *end;
};

static inline struct sink sink_of(uint8_t *buf, size_t room)
{
    return (struct sink){.begin = buf, .at = buf + room, .end = buf + room};
}

/* What was written. */
static inline struct span sink_bytes(const struct sink *s)
{
    return span_of(s->at, (size_t)(s->end - s->at));
}

/* The place of `n` bytes before what was written. */
static inline uint8_t *sink_take(struct sink *s, size_t n)
{
    assert(n <= (size_t)(s->at - s->begin));
    s->at -= n;
    return s->at;
}

static inline void sink_varint(struct sink *s, uint64_t value)
{
    if (value < 0x80) { /* nearly every one */
        *sink_take(s, 1) = (uint8_t)value;
        return;
    }
    const unsigned n_bits = 64 - (unsigned)__builtin_clzll(value);
    uint8_t *at = sink_take(s, (n_bits + 6) / 7);
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at = (uint8_t)value;
}

/* The key and the length of a field of bytes, which were written. */
static inline void sink_head(struct sink *s, unsigned number, uint64_t len)
{
    sink_varint(s, len);
    sink_varint(s, WIRE_KEY(number, WIRE_BYTES));
}

/* Makes a message of the fields written since the sink stood at `end`. */
static inline void sink_message(struct sink *s, unsigned number, const uint8_t *end)
{
    sink_head(s, number, (size_t)(end - s->at));
}

/* Written even when empty. */
static inline void sink_present(struct sink *s, unsigned number, struct span text)
{
    uint8_t *at = sink_take(s, text.len);
    if (text.len > 0)
        memcpy(at, text.ptr, text.len);
    sink_head(s, number, text.len);
}

/* Not written when empty. */
static inline void sink_string(struct sink *s, unsigned number, struct span text)
{
    if (text.len > 0)
        sink_present(s, number, text);
}

/* Written even when 0; a negative number takes ten bytes, an int32 too. */
static inline void sink_present_number(struct sink *s, unsigned number, int64_t value)
{
    sink_varint(s, (uint64_t)value);
    sink_varint(s, WIRE_KEY(number, WIRE_VARINT));
}

/* Not written when 0. */
static inline void sink_number(struct sink *s, unsigned number, int64_t value)
{
    if (value != 0)
        sink_present_number(s, number, value);
}

/* A Status: its code and text. */
static inline void sink_status(struct sink *s, unsigned number, int32_t code, struct span text)
{
    const uint8_t *end = s->at;
    sink_string(s, 2, text);
    sink_number(s, 1, code);
    sink_message(s, number, end);
}

#endif
