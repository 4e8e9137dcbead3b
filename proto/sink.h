/* Writes protobuf fields, or only counts their bytes: one function does both, so that sizes and
 * bytes cannot disagree. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_SINK_H
#define PROTO_SINK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/wire.h"

/* Where bytes go; counts them. */
struct sink {
    uint8_t *buf; /* NULL: only counts */
    size_t n;
};

static inline void sink_varint(struct sink *s, uint64_t value)
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

/* The key and the length of a field of bytes, which follow. */
static inline void sink_head(struct sink *s, unsigned number, uint64_t len)
{
    sink_varint(s, WIRE_KEY(number, WIRE_BYTES));
    sink_varint(s, len);
}

/* Written even when empty. */
static inline void sink_present(struct sink *s, unsigned number, struct span text)
{
    sink_head(s, number, text.len);
    if (s->buf && text.len > 0)
        memcpy(s->buf + s->n, text.ptr, text.len);
    s->n += text.len;
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
    sink_varint(s, WIRE_KEY(number, WIRE_VARINT));
    sink_varint(s, (uint64_t)value);
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
    struct sink count = {0};
    sink_number(&count, 1, code);
    sink_string(&count, 2, text);
    sink_head(s, number, count.n);
    sink_number(s, 1, code);
    sink_string(s, 2, text);
}

#endif
