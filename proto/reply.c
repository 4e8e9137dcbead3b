/* Writes the response of SendMessage: a status, and one entry for each message. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include "proto/sink.h"

/* Of what one result takes besides its texts: eight keys and numbers of at most eleven bytes. */
enum { RESULT_BYTES = 88 };

static void put_result(struct sink *s, const struct proto_result *r)
{
    const uint8_t *end = s->at;
    sink_number(s, 4, r->queue_off);
    sink_string(s, 3, r->message_id); /* the transaction's: the same for every type of message */
    sink_string(s, 2, r->message_id);
    sink_status(s, 1, r->code, r->text);
    sink_message(s, 2, end);
}

size_t proto_send_reply_room(const struct proto_reply *reply)
{
    size_t n = RESULT_BYTES + reply->overall.text.len;
    for (size_t i = 0; i < reply->n; i++)
        n += RESULT_BYTES + reply->results[i].text.len + 2 * reply->results[i].message_id.len;
    return n;
}

struct span proto_send_reply(const struct proto_reply *reply, uint8_t *buf, size_t room)
{
    struct sink s = sink_of(buf, room);
    for (size_t i = reply->n; i-- > 0;)
        put_result(&s, &reply->results[i]);
    sink_status(&s, 1, reply->overall.code, reply->overall.text);
    return sink_bytes(&s);
}
