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

/* One run of all slices: a copy that the caller frees, or NULL. */
static uint8_t *flatten(const struct span *slices, size_t n_slices, size_t total)
{
    uint8_t *flat = malloc(total + 1);
    size_t at = 0;
    for (size_t i = 0; flat && i < n_slices; i++) {
        if (slices[i].len > 0)
            memcpy(flat + at, slices[i].ptr, slices[i].len);
        at += slices[i].len;
    }
    return flat;
}

int proto_unpack(const ProtobufCMessageDescriptor *type, const struct span *slices, size_t n_slices,
                 size_t max_bytes, ProtobufCMessage **ret_msg, struct err *e)
{
    const size_t total = total_bytes(slices, n_slices);
    const size_t max = max_bytes ? max_bytes : PROTO_UNPACK_MAX_BYTES;
    if (total > max)
        return err_set(e, ERR_TOOBIG, "decode %s: %zu bytes, over %zu", type->short_name, total,
                       max);
    const int rc = check_message(type, slices, n_slices, e);
    if (rc)
        return rc;
    uint8_t *flat = n_slices == 1 ? NULL : flatten(slices, n_slices, total);
    if (n_slices != 1 && !flat)
        return err_set(e, ERR_NOMEM, "decode %s", type->short_name);
    ProtobufCMessage *msg =
        protobuf_c_message_unpack(type, NULL, total, flat ? flat : slices[0].ptr);
    free(flat);
    if (!msg)
        return err_set(e, ERR_INVAL, "decode %s: malformed", type->short_name);
    *ret_msg = msg;
    return 0;
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
