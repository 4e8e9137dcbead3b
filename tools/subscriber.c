/* Receives and acknowledges.
 *
 * A receive is one server stream. The broker polls for 5 s at least, so a shorter wait is ended
 * from here by cancelling: the broker then has the messages, if there were any, given back.
 *
 * What was taken is acknowledged after it was written out: a crash in between repeats messages and
 * loses none. Acks are under way while the next receive runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/subscriber.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "tools/admin.h"
#include "tools/receive_request.h"
#include "tools/session.h"
#include "tools/wire.h"

enum {
    MIN_POLL_MS = 5000, /* the broker's bounds of a long poll */
    MAX_POLL_MS = 20000,
    POLL_MARGIN_MS = 10000, /* the call's deadline behind the poll's end */
    STOP_SLICE_MS = 100,    /* how often is_stopped is asked */
    INVISIBLE_MS = 60000,   /* time to print and acknowledge a batch */
    GROUP_NAME_MAX = 120,   /* bytes: the broker's limit */
};

struct subscriber {
    struct client *client;
    struct subscriber_options opt;
    char group[GROUP_NAME_MAX + 1];
    bool made_group;
    struct session *session;
    char *broker_name;
    struct err first_error; /* of an ack; code 0: none */
};

uint64_t subscriber_now_ms(void)
{
    struct io *io = io_posix();
    return io->mono_ns(io) / 1000000;
}

/* ---- group ---- */

static int make_group(struct subscriber *s, struct err *e)
{
    Sluice__V1__Group group = SLUICE__V1__GROUP__INIT;
    Sluice__V1__CreateGroupRequest request = SLUICE__V1__CREATE_GROUP_REQUEST__INIT;
    group.name = s->group;
    request.group = &group;
    int rc = admin_tell(s->client, PROTO_CREATE_GROUP, &request.base,
                        &sluice__v1__create_group_response__descriptor, e);
    return rc < 0 ? err_wrap(e, "create group '%s'", s->group) : 0;
}

static int delete_group(struct subscriber *s, struct err *e)
{
    Sluice__V1__DeleteGroupRequest request = SLUICE__V1__DELETE_GROUP_REQUEST__INIT;
    request.name = s->group;
    int rc = admin_tell(s->client, PROTO_DELETE_GROUP, &request.base,
                        &sluice__v1__delete_group_response__descriptor, e);
    return rc < 0 ? err_wrap(e, "delete group '%s'", s->group) : 0;
}

static int seek_group(struct subscriber *s, const struct start_at *from, struct err *e)
{
    Sluice__V1__SeekGroupRequest request = SLUICE__V1__SEEK_GROUP_REQUEST__INIT;
    request.group = s->group;
    request.topic = (char *)s->opt.topic;
    switch (from->kind) {
    case START_EARLIEST:
    case START_LATEST:
        request.to_case = SLUICE__V1__SEEK_GROUP_REQUEST__TO_EDGE;
        request.edge = from->kind == START_LATEST ? SLUICE__V1__SEEK_EDGE__SEEK_LATEST
                                                  : SLUICE__V1__SEEK_EDGE__SEEK_EARLIEST;
        break;
    case START_OFFSET:
        request.to_case = SLUICE__V1__SEEK_GROUP_REQUEST__TO_OFFSET;
        request.offset = from->value;
        break;
    case START_TIME:
        request.to_case = SLUICE__V1__SEEK_GROUP_REQUEST__TO_TIMESTAMP_MS;
        request.timestamp_ms = from->value;
        break;
    }
    int rc = admin_tell(s->client, PROTO_SEEK_GROUP, &request.base,
                        &sluice__v1__seek_group_response__descriptor, e);
    return rc < 0 ? err_wrap(e, "move group '%s'", s->group) : 0;
}

/* Makes our own group at the start, or moves the user's, which may not be there yet. */
static int settle_group(struct subscriber *s, struct err *e)
{
    static const struct start_at earliest = {.kind = START_EARLIEST};
    const struct start_at *from = s->opt.from;
    if (s->opt.group) {
        int rc = from ? seek_group(s, from, e) : 0;
        if (rc != ERR_NOTFOUND)
            return rc;
    }
    int rc = make_group(s, e);
    if (rc < 0)
        return rc;
    s->made_group = !s->opt.group;
    return seek_group(s, from ? from : &earliest, e);
}

static int name_group(struct subscriber *s, struct err *e)
{
    struct io *io = io_posix();
    const char *group = s->opt.group;
    int n = group ? snprintf(s->group, sizeof s->group, "%s", group)
                  : snprintf(s->group, sizeof s->group, "sluice-sub-%ld-%" PRIx64, (long)getpid(),
                             io->now_ms(io));
    if (n < 0 || (size_t)n >= sizeof s->group)
        return err_set(e, ERR_INVAL, "name of the group '%.40s...' is too long", group);
    return 0;
}

/* ---- opening ---- */

static int find_topic(struct subscriber *s, struct err *e)
{
    Apache__Rocketmq__V2__QueryRouteResponse *route;
    int rc = wire_query_route(s->client, s->opt.topic, &route, e);
    if (rc < 0)
        return rc;
    bool has_broker = route->n_message_queues > 0 && route->message_queues[0]->broker;
    s->broker_name = strdup(has_broker ? route->message_queues[0]->broker->name : "");
    wire_free(route);
    return s->broker_name ? 0 : err_set(e, ERR_NOMEM, "subscribe to topic '%s'", s->opt.topic);
}

static int open_session(struct subscriber *s, struct err *e)
{
    const struct session_options opt = {
        .topic = s->opt.topic, .expression = s->opt.expression, .group = s->group};
    return session_open(&s->session, s->client, &opt, e);
}

int subscriber_open(struct subscriber **ret_subscriber, struct client *c,
                    const struct subscriber_options *opt, struct err *e)
{
    struct subscriber *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "make a subscriber");
    s->client = c;
    s->opt = *opt;
    int rc = name_group(s, e);
    if (rc == 0)
        rc = find_topic(s, e);
    if (rc == 0)
        rc = settle_group(s, e);
    if (rc == 0)
        rc = open_session(s, e);
    if (rc < 0) {
        struct err later; /* the first error is the one to tell */
        (void)!subscriber_close(s, &later);
        return rc;
    }
    *ret_subscriber = s;
    return 0;
}

/* Keeps the first error of several steps, each of which is taken. */
static void keep_first(struct err *first, int rc, const struct err *e)
{
    if (rc < 0 && first->code == 0)
        *first = *e;
}

int subscriber_close(struct subscriber *s, struct err *e)
{
    if (!s)
        return 0;
    while (client_n_running(s->client) > 0)
        (void)client_poll(s->client, CLIENT_FOREVER);
    struct err first = s->first_error;
    struct err step;
    keep_first(&first, session_close(s->session, &step), &step);
    if (s->made_group)
        keep_first(&first, delete_group(s, &step), &step);
    free(s->broker_name);
    free(s);
    if (first.code < 0)
        *e = first;
    return first.code;
}

/* ---- acks ---- */

/* The messages of one receive that were taken. */
struct taken {
    size_t n;
    ProtobufCMessage *responses[SUBSCRIBER_MAX_BATCH]; /* each holds its message */
};

static const Apache__Rocketmq__V2__Message *message_of(const ProtobufCMessage *response)
{
    return ((const Apache__Rocketmq__V2__ReceiveMessageResponse *)response)->message;
}

static void on_acked(void *arg, const struct client_reply *reply)
{
    struct subscriber *s = arg;
    ProtobufCMessage *msg = NULL;
    struct err e;
    int rc;
    if (reply->status != CLIENT_OK)
        rc = client_error(s->client, PROTO_ACK_MESSAGE, reply->status, reply->text, &e);
    else
        rc = wire_unpack(reply->message, &apache__rocketmq__v2__ack_message_response__descriptor,
                         &msg, &e);
    if (msg)
        rc = wire_check_status(((Apache__Rocketmq__V2__AckMessageResponse *)msg)->status, &e);
    wire_free(msg);
    if (rc == 0 || s->first_error.code < 0)
        return;
    (void)err_wrap(&e, "acknowledge messages of topic '%s'", s->opt.topic);
    s->first_error = e;
}

static int start_ack(struct subscriber *s, const struct taken *taken, struct err *e)
{
    Apache__Rocketmq__V2__AckMessageEntry entries[SUBSCRIBER_MAX_BATCH];
    Apache__Rocketmq__V2__AckMessageEntry *pointers[SUBSCRIBER_MAX_BATCH];
    for (size_t i = 0; i < taken->n; i++) {
        Apache__Rocketmq__V2__SystemProperties *sys =
            message_of(taken->responses[i])->system_properties;
        apache__rocketmq__v2__ack_message_entry__init(&entries[i]);
        entries[i].message_id = sys->message_id;
        entries[i].receipt_handle = sys->receipt_handle;
        pointers[i] = &entries[i];
    }
    Apache__Rocketmq__V2__Resource group = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    Apache__Rocketmq__V2__Resource topic = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    Apache__Rocketmq__V2__AckMessageRequest request =
        APACHE__ROCKETMQ__V2__ACK_MESSAGE_REQUEST__INIT;
    group.name = s->group;
    topic.name = (char *)s->opt.topic;
    request.group = &group;
    request.topic = &topic;
    request.entries = pointers;
    request.n_entries = taken->n;
    uint8_t *bytes;
    size_t len;
    int rc = proto_pack(&request.base, &bytes, &len, e);
    if (rc < 0)
        return rc;
    rc = client_start(s->client, PROTO_ACK_MESSAGE, span_of(bytes, len), WIRE_TIMEOUT_MS, on_acked,
                      s, e);
    free(bytes);
    return rc;
}

/* Acknowledges what was taken, and forgets it. */
static int ack_taken(struct subscriber *s, struct taken *taken, struct err *e)
{
    int rc = taken->n > 0 ? start_ack(s, taken, e) : 0;
    for (size_t i = 0; i < taken->n; i++)
        wire_free(taken->responses[i]);
    taken->n = 0;
    return rc;
}

/* ---- receiving ---- */

static int open_receive(struct subscriber *s, const struct subscriber_receive *r, uint64_t poll_ms,
                        struct client_stream **ret_stream, struct err *e)
{
    struct receive_request receive;
    const struct receive_wanted wanted = {.group = s->group,
                                          .topic = s->opt.topic,
                                          .broker = s->broker_name,
                                          .queue_id = -1,
                                          .expression = s->opt.expression,
                                          .max = r->max,
                                          .invisible_ms = INVISIBLE_MS,
                                          .poll_ms = poll_ms};
    receive_request_make(&receive, &wanted);
    struct client_stream *stream;
    int rc =
        client_stream_open(&stream, s->client, PROTO_RECEIVE_MESSAGE, poll_ms + POLL_MARGIN_MS, e);
    if (rc < 0)
        return rc;
    rc = wire_send(stream, &receive.request.base, e);
    if (rc == 0)
        rc = client_stream_half_close(stream, e);
    if (rc < 0 && rc != ERR_CLOSED) { /* why it is over is read from it */
        client_stream_close(stream);
        return rc;
    }
    *ret_stream = stream;
    return 0;
}

static int check_receive_status(const Apache__Rocketmq__V2__Status *status, struct err *e)
{
    if (status && status->code == APACHE__ROCKETMQ__V2__CODE__MESSAGE_NOT_FOUND)
        return 0; /* nothing within the poll */
    return wire_check_status(status, e);
}

/* One part of the stream: a status, a message, or the time of delivery. */
static int take_part(const struct subscriber_receive *r, struct span bytes, struct taken *taken,
                     struct err *e)
{
    ProtobufCMessage *msg;
    int rc =
        wire_unpack(bytes, &apache__rocketmq__v2__receive_message_response__descriptor, &msg, e);
    if (rc < 0)
        return rc;
    const Apache__Rocketmq__V2__ReceiveMessageResponse *part =
        (Apache__Rocketmq__V2__ReceiveMessageResponse *)msg;
    bool is_message =
        part->content_case == APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_RESPONSE__CONTENT_MESSAGE;
    if (part->content_case == APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_RESPONSE__CONTENT_STATUS)
        rc = check_receive_status(part->status, e);
    else if (is_message && (taken->n == SUBSCRIBER_MAX_BATCH || !part->message->system_properties ||
                            !part->message->system_properties->_receipt_handle_case))
        rc = err_set(e, ERR_CORRUPT, "a message without a handle, or more than were asked for");
    else if (is_message)
        rc = r->fn(r->arg, part->message, e);
    if (rc == 0 && is_message)
        taken->responses[taken->n++] = msg;
    else
        wire_free(msg);
    return rc;
}

/* How the stream ended; the end that we caused, or the deadline that we set, is none to report. */
static int check_end(struct subscriber *s, struct client_stream *stream, struct err *e)
{
    const char *text;
    int status = client_stream_status(stream, &text);
    if (status == CLIENT_OK || status == CLIENT_CANCELLED || status == CLIENT_DEADLINE_EXCEEDED)
        return 0;
    return client_error(s->client, PROTO_RECEIVE_MESSAGE, status, text, e);
}

static uint64_t wait_slice(uint64_t until_ms)
{
    uint64_t now = subscriber_now_ms();
    uint64_t left = until_ms > now ? until_ms - now : 0;
    return left < STOP_SLICE_MS ? left : STOP_SLICE_MS;
}

static int read_stream(struct subscriber *s, const struct subscriber_receive *r,
                       struct client_stream *stream, struct taken *taken, struct err *e)
{
    for (;;) {
        struct span bytes;
        int rc;
        switch (client_stream_next(stream, wait_slice(r->until_ms), &bytes)) {
        case CLIENT_MESSAGE:
            rc = take_part(r, bytes, taken, e);
            if (rc < 0)
                return rc;
            break;
        case CLIENT_ENDED:
            return check_end(s, stream, e);
        case CLIENT_WAITING:
            if (s->opt.is_stopped() || subscriber_now_ms() >= r->until_ms)
                return 0;
            break;
        }
    }
}

static uint64_t poll_time(uint64_t until_ms)
{
    uint64_t now = subscriber_now_ms();
    uint64_t left = until_ms > now ? until_ms - now : 0;
    if (left < MIN_POLL_MS)
        return MIN_POLL_MS;
    return left > MAX_POLL_MS ? MAX_POLL_MS : left;
}

int subscriber_receive(struct subscriber *s, const struct subscriber_receive *r, uint64_t *ret_n,
                       struct err *e)
{
    assert(r->max > 0 && r->max <= SUBSCRIBER_MAX_BATCH);
    *ret_n = 0;
    if (s->first_error.code < 0) {
        *e = s->first_error;
        return e->code;
    }
    struct client_stream *stream;
    int rc = open_receive(s, r, poll_time(r->until_ms), &stream, e);
    if (rc < 0)
        return err_wrap(e, "receive from topic '%s'", s->opt.topic);
    struct taken taken = {0};
    rc = read_stream(s, r, stream, &taken, e);
    client_stream_close(stream);
    *ret_n = taken.n;
    struct err later;
    int ack_rc = ack_taken(s, &taken, rc < 0 ? &later : e);
    if (rc < 0)
        return err_wrap(e, "receive from topic '%s'", s->opt.topic);
    return ack_rc;
}
