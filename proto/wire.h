/* A cursor over a protobuf message that lies in slices. It never flattens: a number or a string may
 * straddle any boundary, and every length is checked against what is left before it is used. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/* Groups (3 and 4) belong to proto2 and are refused. */
enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* A field's number and type as they are encoded; what a reader switches on, so that a known number
 * with a foreign type is an unknown field. */
#define WIRE_KEY(number, type) ((uint32_t)(number) << 3 | (uint32_t)(type))

struct wire {
    const uint8_t *at;        /* next byte */
    const uint8_t *stop;      /* how far it may be read without a look at the rest of this */
    const uint8_t *slice_end; /* of the slice being read */
    const struct span *slice;
    size_t slice_end_pos; /* bytes from the beginning to slice_end */
    size_t end;           /* and to the end of the message being read */
    const char *bad;      /* what is malformed; NULL: nothing so far */
};

/* Bytes read since wire_of. */
static inline size_t wire_pos(const struct wire *w)
{
    return w->slice_end_pos - (size_t)(w->slice_end - w->at);
}

struct wire_field {
    uint32_t key;
    uint64_t value; /* the number; WIRE_BYTES: the length of what is to be read next */
};

struct wire wire_of(const struct span *slices, size_t n_slices);

/* The next field of the message being read. False at its end, and when malformed (`bad` is set).
 * The bytes of a WIRE_BYTES field must be read by one of the calls below before the next one. */
bool wire_next(struct wire *w, struct wire_field *ret);

/* The longest run of at most `max` bytes in one slice; `max` is at least 1 and at most what is
 * left.*/
struct span wire_run(struct wire *w, size_t max);

/* Passes over a field's bytes; nothing for a number. */
void wire_skip(struct wire *w, const struct wire_field *f);

/* Begins to read a field's bytes as a message and ends it again, wherever it stands: `outer` is
 * what wire_enter returned. Between them wire_next ends at the end of the inner message. */
size_t wire_enter(struct wire *w, const struct wire_field *f);
void wire_leave(struct wire *w, size_t outer);

/* States the cause for a malformed message of this type. Returns ERR_INVAL. */
int wire_err(const struct wire *w, const char *type, struct err *e);

#endif
