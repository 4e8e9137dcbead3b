/* The reply of a receive. A message is two pieces: a head made here, and the body where it lies in
 * the mapping, pinned until gRPC has written it (I3). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/deliver.h"

#include <stdlib.h>

#include "base/log.h"
#include "broker/convert.h"

static void unpin(void *pin)
{
    store_unpin(pin);
}

static void send_copy(struct rpc_call *call, const uint8_t *bytes, size_t len, bool more)
{
    struct rpc_piece piece = {.bytes = span_of(bytes, len)};
    rpc_send(call, &piece, 1, more);
}

static void send_status(struct rpc_call *call, int32_t code, const char *text)
{
    uint8_t buf[PROTO_RECEIVE_STATUS_BYTES];
    send_copy(call, buf, proto_receive_status(buf, code, span_str(text)), /* more = */ true);
}

static void finish(struct broker *b, struct rpc_call *call)
{
    uint8_t buf[PROTO_RECEIVE_TIME_BYTES];
    int64_t now_ms = (int64_t)b->io->now_ms(b->io);
    send_copy(call, buf, proto_receive_time(buf, now_ms), /* more = */ false);
    rpc_finish(call, RPC_OK, /* text = */ NULL);
}

void deliver_status(struct broker *b, struct rpc_call *call, const struct status *st)
{
    send_status(call, st->code, st->text);
    finish(b, call);
}

static int write_handle(const struct deliver *d, const struct taken *m,
                        char ret_text[RECEIPT_TEXT_BYTES], struct err *e)
{
    struct receipt receipt = {.group_hash = receipt_hash(d->group),
                              .topic_hash = receipt_hash(d->topic),
                              .queue_id = m->queue_id,
                              .queue_off = m->entry.queue_off,
                              .log_off = m->slice.rec.log_off,
                              .attempt = m->entry.attempt,
                              .nonce = m->entry.nonce,
                              .until_ms = m->entry.until_ms};
    return receipt_encode(d->b->receipts, &receipt, ret_text, e);
}

/* The bytes before the body, to be freed. */
static int make_head(const struct deliver *d, struct convert_delivery *scratch,
                     const struct taken *m, uint8_t **ret_head, size_t *ret_len, struct err *e)
{
    struct proto_delivery out;
    char handle[RECEIPT_TEXT_BYTES], digest[DIGEST_TEXT_BYTES];
    int rc = convert_to_delivery(scratch, &m->slice.rec, &out, e);
    if (!rc)
        rc = write_handle(d, m, handle, e);
    if (!rc)
        rc = digest_text(d->digest, m->crc, m->slice.rec.body, digest, e);
    if (rc)
        return rc;
    out.topic = d->topic;
    out.topic_namespace = d->topic_namespace;
    out.receipt_handle = span_of(handle, sizeof handle);
    out.delivery_attempt = (int32_t)m->entry.attempt;
    out.digest_type = d->digest == DIGEST_MD5 ? APACHE__ROCKETMQ__V2__DIGEST_TYPE__MD5
                                              : APACHE__ROCKETMQ__V2__DIGEST_TYPE__CRC32;
    out.digest = span_str(digest);
    out.invisible_ms = (int64_t)d->invisible_ms;
    out.has |= PROTO_HAS_INVISIBLE_DURATION;
    uint8_t *head = malloc(proto_delivery_size(&out));
    if (!head)
        return err_set(e, ERR_NOMEM, "make the head of a message");
    *ret_len = proto_delivery_encode(&out, head);
    *ret_head = head;
    return 0;
}

static int send_message(const struct deliver *d, struct convert_delivery *scratch,
                        const struct taken *m, struct err *e)
{
    uint8_t *head = NULL;
    size_t len = 0;
    int rc = make_head(d, scratch, m, &head, &len, e);
    if (rc)
        return rc;
    struct rpc_piece pieces[] = {
        {.bytes = span_of(head, len), .release = free, .arg = head},
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
    struct convert_delivery scratch = {0};
    send_status(d->call, CODE(OK), "OK");
    for (size_t i = 0; i < n; i++) {
        if (send_message(d, &scratch, &messages[i], &e) == 0)
            continue;
        log_warn("deliver a message: %s, giving it back", e.msg);
        take_give_back(d->b, lease, &messages[i], 1);
        store_unpin(messages[i].slice.pin);
    }
    convert_delivery_fini(&scratch);
    finish(d->b, d->call);
}
