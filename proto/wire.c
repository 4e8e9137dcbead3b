/* The cursor over a message in slices. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include <assert.h>

enum { MAX_VARINT_BYTES = 10 };

/* What may be read at once: to the end of the slice, or of the message if that comes first. */
static void set_stop(struct wire *w)
{
    const size_t left = w->end - wire_pos(w);
    const size_t in_slice = (size_t)(w->slice_end - w->at);
    w->stop = w->at + (left < in_slice ? left : in_slice);
}

static void begin_slice(struct wire *w)
{
    w->at = w->slice->ptr;
    w->slice_end = w->slice->ptr + w->slice->len;
    w->slice_end_pos += w->slice->len;
    set_stop(w);
}

struct wire wire_of(const struct span *slices, size_t n_slices)
{
    struct wire w = {.slice = slices};
    for (size_t i = 0; i < n_slices; i++)
        w.end += slices[i].len;
    if (n_slices > 0)
        begin_slice(&w);
    return w;
}

/* Whether the message being read ends here; if not, there is a byte at w->at. */
static bool is_at_end(struct wire *w)
{
    while (w->at == w->stop) {
        if (wire_pos(w) == w->end)
            return true;
        w->slice++;
        begin_slice(w);
    }
    return false;
}

struct span wire_run(struct wire *w, size_t max)
{
    const bool is_over = is_at_end(w);
    assert(max > 0 && !is_over);
    (void)is_over; /* looked at in debug builds only */
    const size_t in_run = (size_t)(w->stop - w->at);
    const struct span run = span_of(w->at, max < in_run ? max : in_run);
    w->at += run.len;
    return run;
}

static bool refuse(struct wire *w, const char *why)
{
    w->bad = why;
    return false;
}

/* Any number, wherever it straddles. */
static bool read_long_varint(struct wire *w, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < MAX_VARINT_BYTES; i++) {
        if (is_at_end(w))
            return refuse(w, "number cut off");
        const uint8_t byte = *w->at++;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return refuse(w, "number longer than 10 bytes");
}

/* Nearly every number is one byte, or two, and in one slice. */
static inline bool read_varint(struct wire *w, uint64_t *ret)
{
    const uint8_t *at = w->at;
    if (w->stop - at >= 2 && at[0] >= 0x80 && at[1] < 0x80) {
        *ret = (uint64_t)(at[0] & 0x7f) | (uint64_t)at[1] << 7;
        w->at = at + 2;
        return true;
    }
    if (at == w->stop || *at >= 0x80)
        return read_long_varint(w, ret);
    *ret = *at;
    w->at = at + 1;
    return true;
}

static bool read_fixed(struct wire *w, unsigned n_bytes, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n_bytes; i++) {
        if (is_at_end(w))
            return refuse(w, "number cut off");
        value |= (uint64_t)*w->at++ << (8 * i);
    }
    *ret = value;
    return true;
}

static bool read_length(struct wire *w, uint64_t *ret)
{
    uint64_t len;
    if (!read_varint(w, &len))
        return false;
    if (len > w->end - wire_pos(w))
        return refuse(w, "length goes past the end");
    *ret = len;
    return true;
}

bool wire_next(struct wire *w, struct wire_field *ret)
{
    if (w->bad || is_at_end(w))
        return false;
    uint64_t key;
    if (!read_varint(w, &key))
        return false;
    if (key > UINT32_MAX || key >> 3 == 0)
        return refuse(w, "illegal field number");
    ret->key = (uint32_t)key;
    switch (key & 7) {
    case WIRE_VARINT:
        return read_varint(w, &ret->value);
    case WIRE_FIXED64:
        return read_fixed(w, 8, &ret->value);
    case WIRE_BYTES:
        return read_length(w, &ret->value);
    case WIRE_FIXED32:
        return read_fixed(w, 4, &ret->value);
    default:
        return refuse(w, "illegal wire type");
    }
}

void wire_skip(struct wire *w, const struct wire_field *f)
{
    if ((f->key & 7) != WIRE_BYTES)
        return;
    size_t n = f->value;
    while (n > 0)
        n -= wire_run(w, n).len;
}

size_t wire_enter(struct wire *w, const struct wire_field *f)
{
    const size_t outer = w->end;
    w->end = wire_pos(w) + f->value;
    set_stop(w);
    return outer;
}

void wire_leave(struct wire *w, size_t outer)
{
    if (w->bad)
        return;
    while (!is_at_end(w))
        w->at = w->stop;
    w->end = outer;
    set_stop(w);
}

int wire_err(const struct wire *w, const char *type, struct err *e)
{
    return err_set(e, ERR_INVAL, "decode %s: %s at byte %zu", type, w->bad, wire_pos(w));
}
