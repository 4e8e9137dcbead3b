/* Writes the response of SendMessage: a status, and one entry for each message. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include "proto/sink.h"

static void put_status(struct sink *s, unsigned number, const struct proto_result *r)
{
    struct sink count = {0};
    sink_number(&count, 1, r->code);
    sink_string(&count, 2, r->text);
    sink_head(s, number, count.n);
    sink_number(s, 1, r->code);
    sink_string(s, 2, r->text);
}

static void put_entry(struct sink *s, const struct proto_result *r)
{
    put_status(s, 1, r);
    sink_string(s, 2, r->message_id);
    sink_string(s, 3, r->message_id); /* the transaction's: the same for every type of message */
    sink_number(s, 4, r->queue_off);
}

size_t proto_send_reply(uint8_t *buf, const struct proto_reply *reply)
{
    struct sink s = {.buf = buf};
    put_status(&s, 1, &reply->overall);
    for (size_t i = 0; i < reply->n; i++) {
        struct sink count = {0};
        put_entry(&count, &reply->results[i]);
        sink_head(&s, 2, count.n);
        put_entry(&s, &reply->results[i]);
    }
    return s.n;
}
