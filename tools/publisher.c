/* Gathers messages into requests and keeps several requests under way.
 *
 * A request is built by appending: the encoding of a repeated field is the concatenation of its
 * parts, so each message is encoded once, behind the ones before it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/publisher.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "proto/proto.h"
#include "tools/message_id.h"
#include "tools/wire.h"

enum {
    MAX_MESSAGES = 64,               /* of one request */
    MAX_REQUEST_BYTES = 1024 * 1024, /* a longer message has a request of its own */
    MAX_UNDER_WAY = 16,              /* requests */
};

struct publisher {
    struct client *client;
    struct publisher_options opt;
    struct message_id_maker ids;
    char host[64];
    uint8_t *buf; /* the request being gathered */
    size_t len, cap;
    uint32_t n_gathered;
    size_t n_under_way;
    uint64_t n_sent;
    struct err first_error; /* code 0: none */
};

/* One request under way. */
struct request {
    struct publisher *publisher;
    uint32_t n_messages;
};

int publisher_open(struct publisher **ret_publisher, struct client *c,
                   const struct publisher_options *opt, struct err *e)
{
    struct publisher *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "make a publisher");
    p->client = c;
    p->opt = *opt;
    message_id_init(&p->ids);
    if (gethostname(p->host, sizeof p->host - 1) < 0)
        memcpy(p->host, "localhost", sizeof "localhost");
    *ret_publisher = p;
    return 0;
}

void publisher_close(struct publisher *p)
{
    if (!p)
        return;
    while (p->n_under_way > 0)
        (void)client_poll(p->client, CLIENT_FOREVER);
    free(p->buf);
    free(p);
}

/* ---- answers ---- */

static void note_error(struct publisher *p, const struct err *e)
{
    if (p->first_error.code == 0)
        p->first_error = *e;
}

static int check_answer(struct publisher *p,
                        const Apache__Rocketmq__V2__SendMessageResponse *answer,
                        uint32_t n_expected, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < answer->n_entries; i++) {
        struct err entry_error;
        int entry_rc = wire_check_status(answer->entries[i]->status, &entry_error);
        if (entry_rc == 0)
            p->n_sent++;
        else if (rc == 0)
            *e = entry_error;
        rc = rc < 0 ? rc : entry_rc;
    }
    if (rc == 0)
        rc = wire_check_status(answer->status, e);
    if (rc == 0 && answer->n_entries != n_expected)
        rc = err_set(e, ERR_CORRUPT, "%zu answers to %u messages", answer->n_entries, n_expected);
    return rc;
}

static int handle_reply(const struct request *request, const struct client_reply *reply,
                        struct err *e)
{
    struct publisher *p = request->publisher;
    if (reply->status != CLIENT_OK)
        return client_error(p->client, PROTO_SEND_MESSAGE, reply->status, reply->text, e);
    ProtobufCMessage *msg;
    int rc = wire_unpack(reply->message, &apache__rocketmq__v2__send_message_response__descriptor,
                         &msg, e);
    if (rc < 0)
        return rc;
    rc = check_answer(p, (const Apache__Rocketmq__V2__SendMessageResponse *)msg,
                      request->n_messages, e);
    wire_free(msg);
    return rc;
}

static void on_reply(void *arg, const struct client_reply *reply)
{
    struct request *request = arg;
    struct publisher *p = request->publisher;
    struct err e;
    p->n_under_way--;
    if (handle_reply(request, reply, &e) < 0)
        note_error(p, &e);
    free(request);
}

static int check_first_error(const struct publisher *p, struct err *e)
{
    if (p->first_error.code == 0)
        return 0;
    *e = p->first_error;
    return err_wrap(e, "send to topic '%s'", p->opt.topic);
}

/* ---- requests ---- */

static int make_room(struct publisher *p, size_t len, struct err *e)
{
    if (p->cap - p->len >= len)
        return 0;
    size_t cap = 2 * p->cap > p->len + len ? 2 * p->cap : p->len + len;
    uint8_t *grown = realloc(p->buf, cap);
    if (!grown)
        return err_set(e, ERR_NOMEM, "gather a request of %zu bytes", cap);
    p->buf = grown;
    p->cap = cap;
    return 0;
}

static void fill_system(struct publisher *p, Apache__Rocketmq__V2__SystemProperties *sys,
                        char **key)
{
    if (p->opt.tag) {
        sys->_tag_case = APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES___TAG_TAG;
        sys->tag = (char *)p->opt.tag;
    }
    if (*key) {
        sys->keys = key;
        sys->n_keys = 1;
    }
    if (p->opt.message_group) {
        sys->_message_group_case =
            APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES___MESSAGE_GROUP_MESSAGE_GROUP;
        sys->message_group = (char *)p->opt.message_group;
    }
    sys->body_encoding = APACHE__ROCKETMQ__V2__ENCODING__IDENTITY;
    sys->message_type = p->opt.message_group ? APACHE__ROCKETMQ__V2__MESSAGE_TYPE__FIFO
                                             : APACHE__ROCKETMQ__V2__MESSAGE_TYPE__NORMAL;
    sys->born_host = p->host;
}

/* Encodes the message behind those gathered. */
static int append_message(struct publisher *p, struct span body, struct err *e)
{
    Apache__Rocketmq__V2__Resource topic = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    Google__Protobuf__Timestamp born = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Apache__Rocketmq__V2__SystemProperties sys = APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES__INIT;
    Apache__Rocketmq__V2__Message message = APACHE__ROCKETMQ__V2__MESSAGE__INIT;
    Apache__Rocketmq__V2__SendMessageRequest request =
        APACHE__ROCKETMQ__V2__SEND_MESSAGE_REQUEST__INIT;
    Apache__Rocketmq__V2__Message *messages[] = {&message};
    char id[MESSAGE_ID_DIGITS + 1];
    char *key = (char *)p->opt.key;
    struct io *io = io_posix();
    uint64_t now_ms = io->now_ms(io);

    message_id_make(&p->ids, id);
    fill_system(p, &sys, &key);
    born.seconds = (int64_t)(now_ms / 1000);
    born.nanos = (int32_t)(now_ms % 1000 * 1000000);
    sys.born_timestamp = &born;
    sys.message_id = id;
    topic.name = (char *)p->opt.topic;
    message.topic = &topic;
    message.system_properties = &sys;
    message.body = (ProtobufCBinaryData){.data = (uint8_t *)body.ptr, .len = body.len};
    request.messages = messages;
    request.n_messages = 1;

    int rc = make_room(p, protobuf_c_message_get_packed_size(&request.base), e);
    if (rc < 0)
        return rc;
    p->len += protobuf_c_message_pack(&request.base, p->buf + p->len);
    p->n_gathered++;
    return 0;
}

int publisher_flush(struct publisher *p, struct err *e)
{
    if (p->n_gathered == 0)
        return check_first_error(p, e);
    while (p->n_under_way >= (p->opt.message_group ? 1 : MAX_UNDER_WAY))
        (void)client_poll(p->client, CLIENT_FOREVER);
    int rc = check_first_error(p, e);
    if (rc < 0)
        return rc;
    struct request *request = calloc(1, sizeof *request);
    if (!request)
        return err_set(e, ERR_NOMEM, "send a request");
    *request = (struct request){.publisher = p, .n_messages = p->n_gathered};
    rc = client_start(p->client, PROTO_SEND_MESSAGE, span_of(p->buf, p->len), WIRE_TIMEOUT_MS,
                      on_reply, request, e);
    if (rc < 0) {
        free(request);
        return rc;
    }
    p->n_under_way++;
    p->n_gathered = 0;
    p->len = 0;
    return 0;
}

int publisher_add(struct publisher *p, struct span body, struct err *e)
{
    bool is_full = p->n_gathered == MAX_MESSAGES || p->len + body.len > MAX_REQUEST_BYTES;
    int rc = is_full ? publisher_flush(p, e) : check_first_error(p, e);
    return rc < 0 ? rc : append_message(p, body, e);
}

int publisher_poll(struct publisher *p, uint64_t wait_ms, struct err *e)
{
    (void)client_poll(p->client, wait_ms);
    return check_first_error(p, e);
}

bool publisher_is_busy(const struct publisher *p)
{
    return p->n_under_way > 0;
}

int publisher_finish(struct publisher *p, struct err *e)
{
    int rc = publisher_flush(p, e);
    while (p->n_under_way > 0)
        (void)client_poll(p->client, CLIENT_FOREVER);
    return rc < 0 ? rc : check_first_error(p, e);
}

uint64_t publisher_n_sent(const struct publisher *p)
{
    return p->n_sent;
}
