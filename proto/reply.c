/* Writes the response of SendMessage: a status, and one entry for each message. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include "proto/sink.h"

/* Of what one result takes besides its texts: eight keys and numbers of at most eleven bytes. */
enum { RESULT_BYTES = 88 };

static void put_entry(struct sink *s, const struct proto_result *r)
{
    sink_status(s, 1, r->code, r->text);
    sink_string(s, 2, r->message_id);
    sink_string(s, 3, r->message_id); /* the transaction's: the same for every type of message */
    sink_number(s, 4, r->queue_off);
}

size_t proto_send_reply_room(const struct proto_reply *reply)
{
    size_t n = RESULT_BYTES + reply->overall.text.len;
    for (size_t i = 0; i < reply->n; i++)
        n += RESULT_BYTES + reply->results[i].text.len + 2 * reply->results[i].message_id.len;
    return n;
}

size_t proto_send_reply(uint8_t *buf, const struct proto_reply *reply)
{
    struct sink s = {.buf = buf};
    sink_status(&s, 1, reply->overall.code, reply->overall.text);
    for (size_t i = 0; i < reply->n; i++) {
        struct sink count = {0};
        put_entry(&count, &reply->results[i]);
        sink_head(&s, 2, count.n);
        put_entry(&s, &reply->results[i]);
    }
    return s.n;
}
