/* Reads the messages of a SendMessageRequest where they lie. A body is never copied: its pieces are
 * runs of the request's slices. A string is such a run too, unless it straddles slices; then it is
 * copied once, into memory the walker owns. Repeated fields follow proto3: of a number or string
 * the last one counts, messages are merged. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include <stdlib.h>

#include "proto/request.h"

static const char REQUEST[] = "SendMessageRequest";

/* A Timestamp or Duration as far as it has been read. */
struct stamp {
    int64_t seconds;
    int32_t nanos;
};

struct proto_send {
    struct request req;
    size_t n_messages;               /* found so far */
    struct request_array keys;       /* struct span */
    struct request_array properties; /* struct proto_property */
    struct request_array body;       /* struct span */
    struct request_array messages;   /* struct proto_message; of proto_send_read */
    /* where the message being read begins in those three: 0 but for proto_send_read */
    size_t first_key, first_property, first_body;
    /* of the message being read */
    struct proto_message msg;
    struct stamp born, delivery, recovery;
    struct proto_property entry; /* of the map entry being read */
    struct stamp *stamp;         /* the one being read */
};

int proto_send_new(struct proto_send **ret_send, const struct span *slices, size_t n_slices,
                   struct err *e)
{
    struct proto_send *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "decode %s", REQUEST);
    s->req = (struct request){.type = REQUEST, .wire = wire_of(slices, n_slices)};
    *ret_send = s;
    return 0;
}

void proto_send_free(struct proto_send *s)
{
    if (!s)
        return;
    request_fini(&s->req);
    free(s->messages.items);
    free(s->keys.items);
    free(s->properties.items);
    free(s->body.items);
    free(s);
}

static int read_topic(void *ctx, const struct wire_field *f, struct err *e)
{
    struct proto_send *s = ctx;
    switch (f->key) {
    case WIRE_KEY(1, WIRE_BYTES):
        return request_string(&s->req, f, &s->msg.topic_namespace, e);
    case WIRE_KEY(2, WIRE_BYTES):
        return request_string(&s->req, f, &s->msg.topic, e);
    default:
        wire_skip(&s->req.wire, f);
        return 0;
    }
}

static int read_entry(void *ctx, const struct wire_field *f, struct err *e)
{
    struct proto_send *s = ctx;
    switch (f->key) {
    case WIRE_KEY(1, WIRE_BYTES):
        return request_string(&s->req, f, &s->entry.key, e);
    case WIRE_KEY(2, WIRE_BYTES):
        return request_string(&s->req, f, &s->entry.value, e);
    default:
        wire_skip(&s->req.wire, f);
        return 0;
    }
}

static struct proto_property *find_property(const struct proto_send *s, struct span key)
{
    struct proto_property *properties = s->properties.items;
    for (size_t i = s->first_property; i < s->properties.n; i++)
        if (span_equal(properties[i].key, key))
            return &properties[i];
    return NULL;
}

static int read_property(struct proto_send *s, const struct wire_field *f, struct err *e)
{
    s->entry = (struct proto_property){0};
    const int rc = request_part(&s->req, f, read_entry, s, e);
    if (rc)
        return rc;
    struct proto_property *place = find_property(s, s->entry.key);
    if (!place && s->properties.n - s->first_property == PROTO_SEND_MAX_PROPERTIES)
        return err_set(e, ERR_TOOBIG, "message %zu has over %d user properties", s->n_messages,
                       PROTO_SEND_MAX_PROPERTIES);
    if (!place)
        place = request_array_add(&s->properties, sizeof *place);
    if (!place)
        return err_set(e, ERR_NOMEM, "decode user properties");
    *place = s->entry;
    return 0;
}

static int read_key(struct proto_send *s, const struct wire_field *f, struct err *e)
{
    if (s->keys.n - s->first_key == PROTO_SEND_MAX_KEYS)
        return err_set(e, ERR_TOOBIG, "message %zu has over %d keys", s->n_messages,
                       PROTO_SEND_MAX_KEYS);
    struct span key;
    const int rc = request_string(&s->req, f, &key, e);
    if (rc)
        return rc;
    struct span *place = request_array_add(&s->keys, sizeof *place);
    if (!place)
        return err_set(e, ERR_NOMEM, "decode keys");
    *place = key;
    return 0;
}

static int read_body(struct proto_send *s, const struct wire_field *f, struct err *e)
{
    s->body.n = s->first_body;
    for (size_t left = f->value; left > 0;) {
        const struct span run = wire_run(&s->req.wire, left);
        struct span *place = request_array_add(&s->body, sizeof *place);
        if (!place)
            return err_set(e, ERR_NOMEM, "decode the pieces of a body");
        *place = run;
        left -= run.len;
    }
    s->msg.body_len = f->value;
    return 0;
}

static int read_stamp_field(void *ctx, const struct wire_field *f, struct err *e)
{
    struct proto_send *s = ctx;
    (void)e;
    if (f->key == WIRE_KEY(1, WIRE_VARINT))
        s->stamp->seconds = (int64_t)f->value;
    else if (f->key == WIRE_KEY(2, WIRE_VARINT))
        s->stamp->nanos = (int32_t)(uint32_t)f->value;
    else
        wire_skip(&s->req.wire, f);
    return 0;
}

static int read_stamp(struct proto_send *s, const struct wire_field *f, struct stamp *stamp,
                      uint32_t has, struct err *e)
{
    s->msg.has |= has;
    s->stamp = stamp;
    return request_part(&s->req, f, read_stamp_field, s, e);
}

static int read_optional(struct proto_send *s, const struct wire_field *f, struct span *ret,
                         uint32_t has, struct err *e)
{
    s->msg.has |= has;
    return request_string(&s->req, f, ret, e);
}

/* int32 and enums travel as 64 bits; the low ones count. */
static int read_number(const struct wire_field *f, int32_t *ret)
{
    *ret = (int32_t)(uint32_t)f->value;
    return 0;
}

static int read_system_field(void *ctx, const struct wire_field *f, struct err *e)
{
    struct proto_send *s = ctx;
    struct proto_message *m = &s->msg;
    switch (f->key) {
    case WIRE_KEY(1, WIRE_BYTES):
        return read_optional(s, f, &m->tag, PROTO_HAS_TAG, e);
    case WIRE_KEY(2, WIRE_BYTES):
        return read_key(s, f, e);
    case WIRE_KEY(3, WIRE_BYTES):
        return request_string(&s->req, f, &m->message_id, e);
    case WIRE_KEY(5, WIRE_VARINT):
        return read_number(f, &m->body_encoding);
    case WIRE_KEY(6, WIRE_VARINT):
        return read_number(f, &m->message_type);
    case WIRE_KEY(7, WIRE_BYTES):
        return read_stamp(s, f, &s->born, PROTO_HAS_BORN_TIMESTAMP, e);
    case WIRE_KEY(8, WIRE_BYTES):
        return request_string(&s->req, f, &m->born_host, e);
    case WIRE_KEY(11, WIRE_BYTES):
        return read_stamp(s, f, &s->delivery, PROTO_HAS_DELIVERY_TIMESTAMP, e);
    case WIRE_KEY(13, WIRE_VARINT):
        return read_number(f, &m->queue_id);
    case WIRE_KEY(17, WIRE_BYTES):
        return read_optional(s, f, &m->message_group, PROTO_HAS_MESSAGE_GROUP, e);
    case WIRE_KEY(18, WIRE_BYTES):
        return read_optional(s, f, &m->trace_context, PROTO_HAS_TRACE_CONTEXT, e);
    case WIRE_KEY(19, WIRE_BYTES):
        return read_stamp(s, f, &s->recovery, PROTO_HAS_RECOVERY_DURATION, e);
    case WIRE_KEY(21, WIRE_BYTES):
        return read_optional(s, f, &m->lite_topic, PROTO_HAS_LITE_TOPIC, e);
    case WIRE_KEY(22, WIRE_VARINT):
        m->has |= PROTO_HAS_PRIORITY;
        return read_number(f, &m->priority);
    default:
        wire_skip(&s->req.wire, f);
        return 0;
    }
}

static int read_message_field(void *ctx, const struct wire_field *f, struct err *e)
{
    struct proto_send *s = ctx;
    switch (f->key) {
    case WIRE_KEY(1, WIRE_BYTES):
        return request_part(&s->req, f, read_topic, s, e);
    case WIRE_KEY(2, WIRE_BYTES):
        return read_property(s, f, e);
    case WIRE_KEY(3, WIRE_BYTES):
        return request_part(&s->req, f, read_system_field, s, e);
    case WIRE_KEY(4, WIRE_BYTES):
        return read_body(s, f, e);
    default:
        wire_skip(&s->req.wire, f);
        return 0;
    }
}

/* Brought into the years 1 to 9999, which is what a Timestamp may hold. */
static int64_t stamp_ms(struct stamp t)
{
    const int64_t first = -62135596800, last = 253402300799;
    const int64_t seconds = t.seconds < first ? first : t.seconds > last ? last : t.seconds;
    return seconds * 1000 + t.nanos / 1000000;
}

static void begin_message(struct proto_send *s)
{
    s->n_messages++;
    s->msg = (struct proto_message){0};
    s->born = s->delivery = s->recovery = (struct stamp){0};
    s->keys.n = s->first_key;
    s->properties.n = s->first_property;
    s->body.n = s->first_body;
}

static void end_message(struct proto_send *s, struct proto_message *ret)
{
    *ret = s->msg;
    ret->keys = s->keys.items;
    ret->n_keys = s->keys.n - s->first_key;
    ret->properties = s->properties.items;
    ret->n_properties = s->properties.n - s->first_property;
    ret->body = s->body.items;
    ret->n_body = s->body.n - s->first_body;
    ret->born_ms = stamp_ms(s->born);
    ret->delivery_ms = stamp_ms(s->delivery);
    ret->recovery_ms = stamp_ms(s->recovery);
}

int proto_send_next(struct proto_send *s, struct proto_message *ret_msg, bool *ret_found,
                    struct err *e)
{
    struct wire_field f;
    while (wire_next(&s->req.wire, &f)) {
        if (f.key != WIRE_KEY(1, WIRE_BYTES)) {
            wire_skip(&s->req.wire, &f);
            continue;
        }
        if (s->n_messages == PROTO_SEND_MAX_MESSAGES)
            return err_set(e, ERR_TOOBIG, "request has over %d messages", PROTO_SEND_MAX_MESSAGES);
        begin_message(s);
        const int rc = request_part(&s->req, &f, read_message_field, s, e);
        if (rc)
            return rc;
        end_message(s, ret_msg);
        *ret_found = true;
        return 0;
    }
    if (s->req.wire.bad)
        return request_err(&s->req, e);
    *ret_found = false;
    return 0;
}

/* ---- a whole request ---- */

void proto_send_forget(struct proto_send *s)
{
    request_forget(&s->req);
    request_array_forget(&s->messages, sizeof(struct proto_message));
    request_array_forget(&s->keys, sizeof(struct span));
    request_array_forget(&s->properties, sizeof(struct proto_property));
    request_array_forget(&s->body, sizeof(struct span));
    s->first_key = s->first_property = s->first_body = 0;
    s->n_messages = 0;
}

/* The arrays have moved while they grew: points each message at its own part. */
static void point_at_parts(struct proto_send *s)
{
    struct proto_message *messages = s->messages.items;
    const struct span *keys = s->keys.items, *body = s->body.items;
    const struct proto_property *properties = s->properties.items;
    for (size_t i = 0; i < s->messages.n; i++) {
        struct proto_message *m = &messages[i];
        m->keys = keys;
        m->properties = properties;
        m->body = body;
        keys = m->n_keys > 0 ? keys + m->n_keys : keys; /* there may be none at all */
        properties = m->n_properties > 0 ? properties + m->n_properties : properties;
        body = m->n_body > 0 ? body + m->n_body : body;
    }
}

int proto_send_read(struct proto_send *s, const struct span *slices, size_t n_slices,
                    const struct proto_message **ret_messages, size_t *ret_n, struct err *e)
{
    proto_send_forget(s);
    request_begin(&s->req, slices, n_slices);
    for (;;) {
        struct proto_message m;
        bool found = false;
        const int rc = proto_send_next(s, &m, &found, e);
        if (rc)
            return rc;
        if (!found)
            break;
        struct proto_message *place = request_array_add(&s->messages, sizeof *place);
        if (!place)
            return err_set(e, ERR_NOMEM, "decode %s", REQUEST);
        *place = m;
        s->first_key = s->keys.n;
        s->first_property = s->properties.n;
        s->first_body = s->body.n;
    }
    point_at_parts(s);
    *ret_messages = s->messages.items;
    *ret_n = s->messages.n;
    return 0;
}
