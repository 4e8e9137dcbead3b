/* Reads AckMessageRequest in place, and writes its response. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include <stdlib.h>

#include "proto/request.h"
#include "proto/sink.h"

struct proto_ack {
    struct request req;
    struct request_array entries; /* struct proto_ack_entry */
    struct span group, topic;
    struct span *name;             /* of the resource being read */
    struct proto_ack_entry *entry; /* being read */
};

int proto_ack_new(struct proto_ack **ret_ack, struct err *e)
{
    struct proto_ack *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(e, ERR_NOMEM, "make a reader of acknowledgements");
    a->req.type = "AckMessageRequest";
    *ret_ack = a;
    return 0;
}

void proto_ack_forget(struct proto_ack *a)
{
    request_forget(&a->req);
    request_array_forget(&a->entries, sizeof(struct proto_ack_entry));
}

void proto_ack_free(struct proto_ack *a)
{
    if (!a)
        return;
    request_fini(&a->req);
    free(a->entries.items);
    free(a);
}

/* ---- reading ---- */

static int read_resource(void *ctx, const struct wire_field *f, struct err *e)
{
    struct proto_ack *a = ctx;
    if (f->key == WIRE_KEY(2, WIRE_BYTES))
        return request_string(&a->req, f, a->name, e);
    struct span resource_namespace; /* checked, and without a meaning here */
    if (f->key == WIRE_KEY(1, WIRE_BYTES))
        return request_string(&a->req, f, &resource_namespace, e);
    wire_skip(&a->req.wire, f);
    return 0;
}

static int read_entry(void *ctx, const struct wire_field *f, struct err *e)
{
    struct proto_ack *a = ctx;
    struct span lite_topic; /* checked only: such topics are not served */
    switch (f->key) {
    case WIRE_KEY(1, WIRE_BYTES):
        return request_string(&a->req, f, &a->entry->message_id, e);
    case WIRE_KEY(2, WIRE_BYTES):
        return request_string(&a->req, f, &a->entry->receipt_handle, e);
    case WIRE_KEY(3, WIRE_BYTES):
        return request_string(&a->req, f, &lite_topic, e);
    default:
        wire_skip(&a->req.wire, f);
        return 0;
    }
}

static int add_entry(struct proto_ack *a, const struct wire_field *f, struct err *e)
{
    if (a->entries.n == PROTO_ACK_MAX_ENTRIES)
        return err_set(e, ERR_TOOBIG, "request has over %d entries", PROTO_ACK_MAX_ENTRIES);
    a->entry = request_array_add(&a->entries, sizeof *a->entry);
    if (!a->entry)
        return err_set(e, ERR_NOMEM, "decode %s", a->req.type);
    *a->entry = (struct proto_ack_entry){0};
    return request_part(&a->req, f, read_entry, a, e);
}

static int read_field(struct proto_ack *a, const struct wire_field *f, struct err *e)
{
    switch (f->key) {
    case WIRE_KEY(1, WIRE_BYTES):
        a->name = &a->group;
        return request_part(&a->req, f, read_resource, a, e);
    case WIRE_KEY(2, WIRE_BYTES):
        a->name = &a->topic;
        return request_part(&a->req, f, read_resource, a, e);
    case WIRE_KEY(3, WIRE_BYTES):
        return add_entry(a, f, e);
    default:
        wire_skip(&a->req.wire, f);
        return 0;
    }
}

int proto_ack_read(struct proto_ack *a, const struct span *slices, size_t n_slices,
                   struct proto_ack_request *ret, struct err *e)
{
    struct wire_field f;
    proto_ack_forget(a);
    request_begin(&a->req, slices, n_slices);
    a->group = a->topic = (struct span){0};
    if (a->req.wire.end > PROTO_UNPACK_MAX_BYTES)
        return err_set(e, ERR_TOOBIG, "%s has %zu bytes, the limit is %d", a->req.type,
                       a->req.wire.end, PROTO_UNPACK_MAX_BYTES);
    while (wire_next(&a->req.wire, &f)) {
        const int rc = read_field(a, &f, e);
        if (rc)
            return rc;
    }
    if (a->req.wire.bad)
        return request_err(&a->req, e);
    *ret = (struct proto_ack_request){
        .group = a->group, .topic = a->topic, .entries = a->entries.items, .n = a->entries.n};
    return 0;
}

/* ---- the response ---- */

/* Of what one result takes besides its texts: keys and numbers of at most eleven bytes. */
enum { RESULT_BYTES = 88 };

static void put_result(struct sink *s, const struct proto_ack_result *r)
{
    const uint8_t *end = s->at;
    sink_status(s, 3, r->code, r->text);
    sink_string(s, 2, r->entry.receipt_handle);
    sink_string(s, 1, r->entry.message_id);
    sink_message(s, 2, end);
}

size_t proto_ack_reply_room(const struct proto_ack_reply *reply)
{
    size_t n = RESULT_BYTES + reply->overall.text.len;
    for (size_t i = 0; i < reply->n; i++) {
        const struct proto_ack_result *r = &reply->results[i];
        n += RESULT_BYTES + r->text.len + r->entry.message_id.len + r->entry.receipt_handle.len;
    }
    return n;
}

struct span proto_ack_reply(const struct proto_ack_reply *reply, uint8_t *buf, size_t room)
{
    struct sink s = sink_of(buf, room);
    for (size_t i = reply->n; i-- > 0;)
        put_result(&s, &reply->results[i]);
    sink_status(&s, 1, reply->overall.code, reply->overall.text);
    return sink_bytes(&s);
}
