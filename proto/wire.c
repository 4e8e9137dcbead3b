/* The cursor over a message in slices. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include <assert.h>

enum { MAX_VARINT_BYTES = 10 };

struct wire wire_of(const struct span *slices, size_t n_slices)
{
    struct wire w = {.slice = slices};
    for (size_t i = 0; i < n_slices; i++)
        w.left += slices[i].len;
    return w;
}

struct span wire_run(struct wire *w, size_t max)
{
    assert(max > 0 && max <= w->left);
    while (w->at == w->slice->len) {
        w->slice++;
        w->at = 0;
    }
    const size_t in_slice = w->slice->len - w->at;
    const struct span run = span_of(w->slice->ptr + w->at, max < in_slice ? max : in_slice);
    w->at += run.len;
    w->left -= run.len;
    w->pos += run.len;
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
        if (w->left == 0)
            return refuse(w, "number cut off");
        const uint8_t byte = *wire_run(w, 1).ptr;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return refuse(w, "number longer than 10 bytes");
}

/* Nearly every number is one byte, and not the first of its slice. */
static bool read_varint(struct wire *w, uint64_t *ret)
{
    if (w->left == 0 || w->at == w->slice->len || w->slice->ptr[w->at] >= 0x80)
        return read_long_varint(w, ret);
    *ret = w->slice->ptr[w->at];
    w->at++;
    w->left--;
    w->pos++;
    return true;
}

static bool read_fixed(struct wire *w, unsigned n_bytes, uint64_t *ret)
{
    if (w->left < n_bytes)
        return refuse(w, "number cut off");
    uint64_t value = 0;
    for (unsigned i = 0; i < n_bytes; i++)
        value |= (uint64_t)*wire_run(w, 1).ptr << (8 * i);
    *ret = value;
    return true;
}

static bool read_length(struct wire *w, uint64_t *ret)
{
    uint64_t len;
    if (!read_varint(w, &len))
        return false;
    if (len > w->left)
        return refuse(w, "length goes past the end");
    *ret = len;
    return true;
}

bool wire_next(struct wire *w, struct wire_field *ret)
{
    if (w->bad || w->left == 0)
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
    const size_t outer = w->left - f->value;
    w->left = f->value;
    return outer;
}

void wire_leave(struct wire *w, size_t outer)
{
    if (w->bad)
        return;
    while (w->left > 0)
        (void)wire_run(w, w->left);
    w->left = outer;
}

int wire_err(const struct wire *w, const char *type, struct err *e)
{
    return err_set(e, ERR_INVAL, "decode %s: %s at byte %zu", type, w->bad, w->pos);
}
