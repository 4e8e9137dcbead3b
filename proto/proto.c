/* Whole messages through protobuf-c, with the checks it does not make: sizes, counts, depth and
 * UTF-8 are settled on the slices before it sees a byte. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include <stdlib.h>

#include "proto/utf8.h"
#include "proto/wire.h"

/* A message being checked and, behind it, the one that holds it. */
struct level {
    const ProtobufCMessageDescriptor *type;
    size_t outer;
};

struct check {
    struct wire wire;
    struct level levels[PROTO_UNPACK_MAX_DEPTH];
    size_t depth; /* levels in use */
    size_t n_fields;
};

/* A NUL would cut the C string that protobuf-c makes. */
static void check_string(struct wire *w, const struct wire_field *f)
{
    struct utf8 u = {0};
    for (size_t left = f->value; left > 0;) {
        const struct span run = wire_run(w, left);
        left -= run.len;
        if (memchr(run.ptr, 0, run.len) || !utf8_feed(&u, run)) {
            w->bad = "string is not UTF-8 or holds a NUL";
            return;
        }
    }
    if (!utf8_at_end(&u))
        w->bad = "string is not UTF-8";
}

static int enter_part(struct check *c, const struct wire_field *f,
                      const ProtobufCMessageDescriptor *type, struct err *e)
{
    if (c->depth == PROTO_UNPACK_MAX_DEPTH)
        return err_set(e, ERR_TOOBIG, "decode %s: nested deeper than %d messages",
                       c->levels[0].type->short_name, PROTO_UNPACK_MAX_DEPTH);
    c->levels[c->depth++] = (struct level){.type = type, .outer = wire_enter(&c->wire, f)};
    return 0;
}

static int check_field(struct check *c, const struct wire_field *f, struct err *e)
{
    if (++c->n_fields > PROTO_UNPACK_MAX_FIELDS)
        return err_set(e, ERR_TOOBIG, "decode %s: over %d fields", c->levels[0].type->short_name,
                       PROTO_UNPACK_MAX_FIELDS);
    const ProtobufCMessageDescriptor *type = c->levels[c->depth - 1].type;
    const ProtobufCFieldDescriptor *field =
        (f->key & 7) == WIRE_BYTES ? protobuf_c_message_descriptor_get_field(type, f->key >> 3)
                                   : NULL;
    if (field && field->type == PROTOBUF_C_TYPE_MESSAGE)
        return enter_part(c, f, field->descriptor, e);
    if (field && field->type == PROTOBUF_C_TYPE_STRING)
        check_string(&c->wire, f);
    else
        wire_skip(&c->wire, f);
    return 0;
}

static int check_message(const ProtobufCMessageDescriptor *type, const struct span *slices,
                         size_t n_slices, struct err *e)
{
    struct check c = {.wire = wire_of(slices, n_slices), .levels = {{.type = type}}, .depth = 1};
    while (c.depth > 0) {
        struct wire_field f;
        while (wire_next(&c.wire, &f)) {
            const int rc = check_field(&c, &f, e);
            if (rc)
                return rc;
        }
        if (c.wire.bad)
            return wire_err(&c.wire, type->short_name, e);
        wire_leave(&c.wire, c.levels[--c.depth].outer);
    }
    return 0;
}

static size_t total_bytes(const struct span *slices, size_t n_slices)
{
    size_t total = 0;
    for (size_t i = 0; i < n_slices; i++)
        total += slices[i].len;
    return total;
}

/* A message to be decoded. */
struct coded {
    const ProtobufCMessageDescriptor *type;
    const struct span *slices;
    size_t n_slices;
    size_t max_bytes;
};

/* Of an arena, or from the heap when that is NULL. */
static void *take(void *arena, size_t bytes)
{
    return arena ? arena_take(arena, bytes) : malloc(bytes);
}

static void give_back(void *arena, void *place)
{
    if (!arena) /* else all of it goes at once */
        free(place);
}

/* One run of all slices: a copy, or NULL. */
static uint8_t *flatten(struct arena *arena, const struct coded *c, size_t total)
{
    uint8_t *flat = take(arena, total + 1);
    size_t at = 0;
    for (size_t i = 0; flat && i < c->n_slices; i++) {
        if (c->slices[i].len > 0)
            memcpy(flat + at, c->slices[i].ptr, c->slices[i].len);
        at += c->slices[i].len;
    }
    return flat;
}

static int unpack(struct arena *arena, const struct coded *c, ProtobufCMessage **ret_msg,
                  struct err *e)
{
    ProtobufCAllocator allocator = {take, give_back, arena};
    const size_t total = total_bytes(c->slices, c->n_slices);
    if (total > c->max_bytes)
        return err_set(e, ERR_TOOBIG, "decode %s: %zu bytes, over %zu", c->type->short_name, total,
                       c->max_bytes);
    const int rc = check_message(c->type, c->slices, c->n_slices, e);
    if (rc)
        return rc;
    uint8_t *flat = c->n_slices == 1 ? NULL : flatten(arena, c, total);
    if (c->n_slices != 1 && !flat)
        return err_set(e, ERR_NOMEM, "decode %s", c->type->short_name);
    ProtobufCMessage *msg =
        protobuf_c_message_unpack(c->type, &allocator, total, flat ? flat : c->slices[0].ptr);
    give_back(arena, flat);
    if (!msg)
        return err_set(e, ERR_INVAL, "decode %s: malformed", c->type->short_name);
    *ret_msg = msg;
    return 0;
}

int proto_unpack(const ProtobufCMessageDescriptor *type, const struct span *slices, size_t n_slices,
                 size_t max_bytes, ProtobufCMessage **ret_msg, struct err *e)
{
    const struct coded c = {type, slices, n_slices, max_bytes ? max_bytes : PROTO_UNPACK_MAX_BYTES};
    return unpack(/* arena = */ NULL, &c, ret_msg, e);
}

int proto_unpack_in(struct arena *arena, const ProtobufCMessageDescriptor *type,
                    const struct span *slices, size_t n_slices, ProtobufCMessage **ret_msg,
                    struct err *e)
{
    const struct coded c = {type, slices, n_slices, PROTO_UNPACK_MAX_BYTES};
    return unpack(arena, &c, ret_msg, e);
}

int proto_pack(const ProtobufCMessage *msg, uint8_t **ret_buf, size_t *ret_len, struct err *e)
{
    const size_t len = protobuf_c_message_get_packed_size(msg);
    uint8_t *buf = malloc(len + 1);
    if (!buf)
        return err_set(e, ERR_NOMEM, "encode %s", msg->descriptor->short_name);
    *ret_len = protobuf_c_message_pack(msg, buf);
    *ret_buf = buf;
    return 0;
}
