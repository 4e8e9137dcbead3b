/* The Admin service: messages by key and id. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "broker/bounds.h"
#include "broker/h_admin.h"

enum {
    RECORDS_MAX = 1000,
    BYTES_MAX = 4 << 20, /* of records in one reply, but for the first */
    ITEMS_MAX = 20000,   /* of the index: the housekeeper has other work */
};

/* What was found so far. */
struct finding {
    ProtobufCBinaryData *records; /* each owned */
    size_t n, max;
    size_t n_bytes;
    bool has_more, is_out_of_memory;
};

static int take(void *arg, const struct store_walk_item *item)
{
    struct finding *f = arg;
    size_t len = item->rec.raw.len;
    if (f->n == f->max || (f->n > 0 && f->n_bytes + len > BYTES_MAX)) {
        f->has_more = true;
        return 1;
    }
    uint8_t *copy = malloc(len);
    if (!copy) {
        f->is_out_of_memory = true;
        return 1;
    }
    memcpy(copy, item->rec.raw.ptr, len);
    f->records[f->n++] = (ProtobufCBinaryData){.data = copy, .len = len};
    f->n_bytes += len;
    return 0;
}

static int query_from_wire(const SV1(FindMessagesRequest) *req, struct store_query *ret,
                           struct status *st)
{
    struct store_query q = {.topic = span_str(req->topic),
                            .begin_ms = req->begin_ms,
                            .end_ms = req->end_ms,
                            .max_items = ITEMS_MAX};
    switch (req->by_case) {
    case SLUICE__V1__FIND_MESSAGES_REQUEST__BY_KEY:
        q.by = STORE_FIND_BY_KEY;
        q.key = span_str(req->key);
        break;
    case SLUICE__V1__FIND_MESSAGES_REQUEST__BY_UNIQUE_KEY:
        q.by = STORE_FIND_BY_UNIQUE_KEY;
        q.key = span_str(req->unique_key);
        break;
    case SLUICE__V1__FIND_MESSAGES_REQUEST__BY_ID:
        q.by = STORE_FIND_BY_ID;
        q.key = span_str(req->id);
        break;
    default:
        break;
    }
    if (q.key.len == 0)
        return status_set(st, CODE(BAD_REQUEST), "neither a key nor an id is given");
    if (q.by != STORE_FIND_BY_ID && q.topic.len == 0)
        return bounds_check_topic(q.topic, st);
    *ret = q;
    return 0;
}

static int find(struct broker *b, const struct store_query *q, struct finding *f, struct status *st)
{
    struct err e;
    struct store_find *find;
    enum store_query_end end = STORE_QUERY_ALL;
    int rc = store_find_open(&find, b->cfg.store_root, (uint32_t)b->cfg.index_slots, b->io, &e);
    if (rc == 0) {
        rc = store_query(find, q, take, f, &end, &e);
        store_find_close(find);
    }
    if (rc < 0)
        return status_of_err(st, &e);
    if (f->is_out_of_memory)
        return status_set(st, CODE(TOO_MANY_REQUESTS), "no memory for what was found");
    f->has_more |= end == STORE_QUERY_LIMIT;
    return 0;
}

static void find_messages(struct broker *b, const void *request, struct rpc_call *call)
{
    const SV1(FindMessagesRequest) *req = request;
    struct status st;
    struct store_query q;
    struct finding f = {.max = req->max > 0 && req->max < RECORDS_MAX ? (size_t)req->max
                                                                      : RECORDS_MAX};
    SV1(FindMessagesResponse) reply = SLUICE__V1__FIND_MESSAGES_RESPONSE__INIT;
    status_ok(&st);
    f.records = calloc(f.max, sizeof *f.records);
    int rc = f.records ? query_from_wire(req, &q, &st)
                       : status_set(&st, CODE(TOO_MANY_REQUESTS), "no memory for the call");
    if (!rc && find(b, &q, &f, &st) == 0) {
        reply.records = f.records;
        reply.n_records = f.n;
        reply.more = f.has_more;
    }
    reply.code = st.code;
    reply.message = st.text;
    handler_reply(call, &reply.base);
    for (size_t i = 0; i < f.n; i++)
        free(f.records[i].data);
    free(f.records);
}

void h_admin_find_messages(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__find_messages_request__descriptor, find_messages);
}
