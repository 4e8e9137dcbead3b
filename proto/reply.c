/* Writes the response of SendMessage: a status, and one entry for each message. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include "proto/sink.h"

/* Of what one result takes besides its texts: eight keys and numbers of at most eleven bytes. */
enum { RESULT_BYTES = 88 };

static void put_status(struct sink *s, const struct proto_result *r)
{
    sink_number(s, 1, r->code);
    sink_string(s, 2, r->text);
}

static size_t status_bytes(const struct proto_result *r)
{
    struct sink count = {0};
    put_status(&count, r);
    return count.n;
}

static void put_place(struct sink *s, const struct proto_result *r)
{
    sink_string(s, 2, r->message_id);
    sink_string(s, 3, r->message_id); /* the transaction's: the same for every type of message */
    sink_number(s, 4, r->queue_off);
}

static void put_entry(struct sink *s, const struct proto_result *r)
{
    size_t in_status = status_bytes(r);
    struct sink count = {0};
    sink_head(&count, 1, in_status);
    put_place(&count, r);
    sink_head(s, 2, count.n + in_status);
    sink_head(s, 1, in_status);
    put_status(s, r);
    put_place(s, r);
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
    sink_head(&s, 1, status_bytes(&reply->overall));
    put_status(&s, &reply->overall);
    for (size_t i = 0; i < reply->n; i++)
        put_entry(&s, &reply->results[i]);
    return s.n;
}
