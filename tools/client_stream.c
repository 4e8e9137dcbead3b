/* Streams of the client: a read, a write, the opening and the status are operations of their own.
 *
 * n_pending counts those under way; the owner frees the stream once it is zero. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/client.h"

#include <assert.h>
#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdlib.h>

#include "tools/client_core.h"

struct client_stream {
    struct client *client;
    struct client_stream *prev, *next; /* in the client's list */
    grpc_call *call;
    struct client_tag on_open, on_status, on_read, on_write;
    unsigned n_pending; /* operations under way */
    bool is_reading, is_writing;
    bool has_read;   /* `read` is the outcome of a read: a message, or NULL at the end */
    bool has_status; /* the stream is over */
    bool write_ok;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *read;
    uint8_t *message; /* what next() gave out */
    grpc_status_code status;
    grpc_slice details;
    char *text; /* details as a string */
};

static void stream_opened(void *arg, bool ok)
{
    struct client_stream *s = arg;
    (void)ok; /* the status tells */
    s->n_pending--;
}

static void stream_read(void *arg, bool ok)
{
    struct client_stream *s = arg;
    s->n_pending--;
    s->is_reading = false;
    s->has_read = true;
    if (!ok) {
        grpc_byte_buffer_destroy(s->read);
        s->read = NULL;
    }
}

static void stream_written(void *arg, bool ok)
{
    struct client_stream *s = arg;
    s->n_pending--;
    s->is_writing = false;
    s->write_ok = ok;
}

static void stream_over(void *arg, bool ok)
{
    struct client_stream *s = arg;
    (void)ok;
    s->n_pending--;
    s->has_status = true;
    s->text = grpc_slice_to_c_string(s->details);
}

static int stream_batch(struct client_stream *s, const grpc_op *ops, size_t n,
                        struct client_tag *tag, struct err *e)
{
    grpc_call_error error = grpc_call_start_batch(s->call, ops, n, tag, NULL);
    if (error != GRPC_CALL_OK)
        return err_set(e, ERR_INVAL, "use a stream: %s", grpc_call_error_to_string(error));
    s->n_pending++;
    return 0;
}

static int start_stream(struct client_stream *s, struct err *e)
{
    grpc_op open_ops[2] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_INITIAL_METADATA},
    };
    open_ops[0].data.send_initial_metadata.count = CLIENT_N_METADATA;
    open_ops[0].data.send_initial_metadata.metadata = s->client->metadata;
    open_ops[1].data.recv_initial_metadata.recv_initial_metadata = &s->initial;
    grpc_op status_op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    status_op.data.recv_status_on_client.trailing_metadata = &s->trailing;
    status_op.data.recv_status_on_client.status = &s->status;
    status_op.data.recv_status_on_client.status_details = &s->details;
    int rc = stream_batch(s, open_ops, 2, &s->on_open, e);
    return rc < 0 ? rc : stream_batch(s, &status_op, 1, &s->on_status, e);
}

static void link_stream(struct client_stream *s)
{
    s->next = s->client->streams;
    if (s->next)
        s->next->prev = s;
    s->client->streams = s;
}

static void unlink_stream(struct client_stream *s)
{
    *(s->prev ? &s->prev->next : &s->client->streams) = s->next;
    if (s->next)
        s->next->prev = s->prev;
}

int client_stream_open(struct client_stream **ret_stream, struct client *c, const char *path,
                       uint64_t timeout_ms, struct err *e)
{
    struct client_stream *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "open stream '%s'", path);
    s->client = c;
    s->call = client_make_call(c, path, timeout_ms);
    s->on_open = (struct client_tag){stream_opened, s};
    s->on_status = (struct client_tag){stream_over, s};
    s->on_read = (struct client_tag){stream_read, s};
    s->on_write = (struct client_tag){stream_written, s};
    s->details = grpc_empty_slice();
    grpc_metadata_array_init(&s->initial);
    grpc_metadata_array_init(&s->trailing);
    link_stream(s);
    int rc = start_stream(s, e);
    if (rc < 0) {
        client_stream_close(s);
        return rc;
    }
    *ret_stream = s;
    return 0;
}

/* Writes one operation and waits until it is through. */
static int stream_write(struct client_stream *s, const grpc_op *op, struct err *e)
{
    if (s->has_status)
        return err_set(e, ERR_CLOSED, "write to a stream that is over: %s", s->text);
    int rc = stream_batch(s, op, 1, &s->on_write, e);
    if (rc < 0)
        return rc;
    s->is_writing = true;
    while (s->is_writing)
        (void)client_poll(s->client, CLIENT_FOREVER);
    return s->write_ok ? 0 : err_set(e, ERR_CLOSED, "write to a stream: it is over");
}

int client_stream_send(struct client_stream *s, struct span message, struct err *e)
{
    grpc_byte_buffer *buffer = client_buffer_of(message);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = buffer;
    int rc = stream_write(s, &op, e);
    grpc_byte_buffer_destroy(buffer);
    return rc;
}

int client_stream_half_close(struct client_stream *s, struct err *e)
{
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    return stream_write(s, &op, e);
}

static void start_read(struct client_stream *s)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &s->read;
    struct err e;
    s->read = NULL;
    if (stream_batch(s, &op, 1, &s->on_read, &e) < 0)
        s->has_read = true; /* cannot go on: the end */
    else
        s->is_reading = true;
}

static uint64_t now_ms(void)
{
    gpr_timespec now = gpr_now(GPR_CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

enum client_next client_stream_next(struct client_stream *s, uint64_t wait_ms,
                                    struct span *ret_message)
{
    free(s->message);
    s->message = NULL;
    if (!s->is_reading && !s->has_read)
        start_read(s);
    uint64_t until = wait_ms > INT64_MAX ? UINT64_MAX : now_ms() + wait_ms;
    /* The last read comes back empty, and the status with or soon after it. */
    while (!s->has_read || (!s->read && !s->has_status)) {
        uint64_t now = now_ms();
        if (!client_poll(s->client, now < until ? until - now : 0) && now >= until)
            return CLIENT_WAITING;
    }
    if (!s->read)
        return CLIENT_ENDED;
    size_t len;
    s->message = client_flatten(s->read, &len);
    grpc_byte_buffer_destroy(s->read);
    s->read = NULL;
    s->has_read = false;
    *ret_message = span_of(s->message, len);
    return CLIENT_MESSAGE;
}

int client_stream_status(const struct client_stream *s, const char **ret_text)
{
    assert(s->has_status);
    if (ret_text)
        *ret_text = s->text;
    return (int)s->status;
}

void client_stream_cancel(struct client_stream *s)
{
    (void)grpc_call_cancel(s->call, NULL); /* harmless when it is over */
}

void client_stream_close(struct client_stream *s)
{
    if (!s)
        return;
    if (!s->has_status)
        client_stream_cancel(s);
    while (s->n_pending > 0)
        (void)client_poll(s->client, CLIENT_FOREVER);
    grpc_metadata_array_destroy(&s->initial);
    grpc_metadata_array_destroy(&s->trailing);
    grpc_byte_buffer_destroy(s->read);
    grpc_slice_unref(s->details);
    grpc_call_unref(s->call);
    gpr_free(s->text);
    free(s->message);
    unlink_stream(s);
    free(s);
}
