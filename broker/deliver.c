/* The reply of a receive. A message is two pieces: a head made here, and the body where it lies in
 * the mapping, pinned until gRPC has written it (I3). The heads of a reply share their memory: what
 * one message needs of it is no allocation of its own. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/deliver.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "broker/convert.h"

enum { HEADS_BYTES = 16 * 1024 - 64 }; /* the usual 32 heads */

/* Memory of heads, kept for the next reply when the last of them was written. */
struct heads {
    struct idle_item idle;   /* first */
    struct idle *home;       /* the broker's; NULL: larger than usual, and freed */
    _Atomic uint32_t n_refs; /* relaxed up by who has one, acq_rel down */
    size_t left;             /* filled from the end */
    uint8_t bytes[];
};

static void heads_unref(void *arg)
{
    struct heads *h = arg;
    if (!h || atomic_fetch_sub_explicit(&h->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    if (!h->home || !idle_keep(h->home, &h->idle))
        free(h);
}

static void free_heads(struct idle_item *item)
{
    free(item);
}

void deliver_free_idle(struct broker *b)
{
    idle_fini(&b->heads, free_heads);
}

/* NULL: no memory. */
static struct heads *heads_new(struct broker *b, size_t room)
{
    bool is_usual = room <= HEADS_BYTES;
    struct idle_item *item = is_usual ? idle_take(&b->heads) : NULL;
    size_t left = is_usual ? HEADS_BYTES : room;
    struct heads *h = item ? (struct heads *)item : malloc(sizeof *h + left);
    if (!h)
        return NULL;
    *h = (struct heads){.home = is_usual ? &b->heads : NULL, .left = left};
    atomic_init(&h->n_refs, 1);
    return h;
}

/* Sees to room for one head; `*heads` changes when it is full. */
static int heads_reserve(struct broker *b, struct heads **heads, size_t room, struct err *e)
{
    if (*heads && (*heads)->left >= room)
        return 0;
    struct heads *h = heads_new(b, room);
    if (!h)
        return err_set(e, ERR_NOMEM, "make the head of a message");
    heads_unref(*heads);
    *heads = h;
    return 0;
}

/* Writes a head, which has a reference, into room that was reserved. */
static struct span heads_write(struct heads *h, const struct proto_delivery *d)
{
    struct span head = proto_delivery_encode(d, h->bytes, h->left);
    h->left -= head.len;
    atomic_fetch_add_explicit(&h->n_refs, 1, memory_order_relaxed);
    return head;
}

static void unpin(void *pin)
{
    store_unpin(pin);
}

static void send_copy(struct rpc_call *call, struct span bytes, bool more)
{
    struct rpc_piece piece = {.bytes = bytes};
    rpc_send(call, &piece, 1, more);
}

static void send_status(struct rpc_call *call, int32_t code, const char *text)
{
    uint8_t buf[PROTO_RECEIVE_STATUS_BYTES];
    send_copy(call, proto_receive_status(buf, code, span_str(text)), /* more = */ true);
}

static void finish(struct broker *b, struct rpc_call *call)
{
    uint8_t buf[PROTO_RECEIVE_TIME_BYTES];
    int64_t now_ms = (int64_t)b->io->now_ms(b->io);
    send_copy(call, proto_receive_time(buf, now_ms), /* more = */ false);
    rpc_finish(call, RPC_OK, /* text = */ NULL);
}

void deliver_status(struct broker *b, struct rpc_call *call, const struct status *st)
{
    send_status(call, st->code, st->text);
    finish(b, call);
}

/* What is used from message to message of a reply. */
struct scratch {
    uint64_t group_hash, topic_hash; /* for handles */
    struct convert_delivery convert;
    struct heads *heads;
};

static void write_handle(const struct deliver *d, const struct scratch *s, const struct taken *m,
                         char ret_text[RECEIPT_TEXT_BYTES])
{
    struct receipt receipt = {.group_hash = s->group_hash,
                              .topic_hash = s->topic_hash,
                              .queue_id = m->queue_id,
                              .queue_off = m->entry.queue_off,
                              .attempt = m->entry.attempt,
                              .nonce = m->entry.nonce,
                              .until_ms = m->entry.until_ms};
    receipt_encode(d->b->receipts, &receipt, ret_text);
}

/* The bytes before the body, with a reference to s->heads. */
static int make_head(const struct deliver *d, struct scratch *s, const struct taken *m,
                     struct span *ret_head, struct err *e)
{
    struct proto_delivery out;
    char handle[RECEIPT_TEXT_BYTES], digest[DIGEST_TEXT_BYTES];
    int rc = convert_to_delivery(&s->convert, &m->slice.rec, &out, e);
    if (!rc)
        rc = digest_text(d->digest, m->crc, m->slice.rec.body, digest, e);
    if (rc)
        return rc;
    write_handle(d, s, m, handle);
    out.topic = d->topic;
    out.topic_namespace = d->topic_namespace;
    out.receipt_handle = span_of(handle, sizeof handle);
    out.delivery_attempt = (int32_t)m->entry.attempt;
    out.digest_type = d->digest == DIGEST_MD5 ? APACHE__ROCKETMQ__V2__DIGEST_TYPE__MD5
                                              : APACHE__ROCKETMQ__V2__DIGEST_TYPE__CRC32;
    out.digest = span_str(digest);
    out.invisible_ms = (int64_t)d->invisible_ms;
    out.has |= PROTO_HAS_INVISIBLE_DURATION;
    rc = heads_reserve(d->b, &s->heads, proto_delivery_room(&out), e);
    if (!rc)
        *ret_head = heads_write(s->heads, &out);
    return rc;
}

static int send_message(const struct deliver *d, struct scratch *s, const struct taken *m,
                        struct err *e)
{
    struct span head;
    int rc = make_head(d, s, m, &head, e);
    if (rc)
        return rc;
    struct rpc_piece pieces[] = {
        {.bytes = head, .release = heads_unref, .arg = s->heads},
        {.bytes = m->slice.rec.body, .release = unpin, .arg = m->slice.pin},
    };
    bool has_body = m->slice.rec.body.len > 0;
    rpc_send(d->call, pieces, has_body ? 2 : 1, /* more = */ true);
    if (!has_body)
        store_unpin(m->slice.pin);
    return 0;
}

void deliver_messages(const struct deliver *d, struct lease *lease, const struct taken *messages,
                      size_t n)
{
    struct err e;
    struct scratch scratch = {.group_hash = receipt_hash(d->group),
                              .topic_hash = receipt_hash(d->topic)};
    uint64_t n_sent = 0, sent_bytes = 0;
    send_status(d->call, CODE(OK), "OK");
    for (size_t i = 0; i < n; i++) {
        uint64_t body_bytes = messages[i].slice.rec.body.len;
        if (send_message(d, &scratch, &messages[i], &e) == 0) {
            n_sent++;
            sent_bytes += body_bytes;
            continue;
        }
        log_warn("deliver a message: %s, giving it back", e.msg);
        take_give_back(d->b, lease, &messages[i], 1);
        store_unpin(messages[i].slice.pin);
    }
    convert_delivery_fini(&scratch.convert);
    heads_unref(scratch.heads);
    /* relaxed: statistics */
    atomic_fetch_add_explicit(&d->b->n_delivered, n_sent, memory_order_relaxed);
    atomic_fetch_add_explicit(&d->b->delivered_bytes, sent_bytes, memory_order_relaxed);
    finish(d->b, d->call);
}
