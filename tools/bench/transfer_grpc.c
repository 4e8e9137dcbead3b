/* Sends messages of a gRPC stream, whose slices are copies or lie in the mapping. A message is a
 * head and a slice; of those handed over together all but the last may wait for it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice_buffer.h>
#include <grpc/support/time.h>

#include "tools/bench/grpc_calls.h"
#include "tools/bench/null_identity.h"
#include "tools/bench/transfer.h"

enum {
    WAIT_S = 20,
    TLS_COPIES = 4, /* of each byte in user space, by gRPC's way of using OpenSSL; see
                       docs/zero-copy.md */
};

/* One operation is under way at a time, but for the one that ends with the connection; each is
 * known by the address of what it fills. */
struct grpc_sender {
    grpc_server *server;
    grpc_completion_queue *queue;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    int was_cancelled;
    bool is_closed;
};

/* ---- the connection ---- */

/* Waits for the operation; false when it failed or did not end. */
static bool wait_for(struct grpc_sender *s, const void *tag)
{
    gpr_timespec until =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(WAIT_S, GPR_TIMESPAN));
    for (;;) {
        grpc_event event = grpc_completion_queue_next(s->queue, until, NULL);
        if (event.type != GRPC_OP_COMPLETE)
            return false;
        s->is_closed |= event.tag == &s->was_cancelled;
        if (event.tag == tag)
            return event.success;
    }
}

static bool do_op(struct grpc_sender *s, const grpc_op *op)
{
    return grpc_call_start_batch(s->call, op, 1, s, NULL) == GRPC_CALL_OK && wait_for(s, s);
}

static int make_credentials(enum drain_kind kind, grpc_server_credentials **ret, struct err *e)
{
    struct null_identity id;
    if (kind == DRAIN_GRPC) {
        *ret = grpc_insecure_server_credentials_create();
        return 0;
    }
    int rc = null_identity_make(&id, e);
    if (rc < 0)
        return rc;
    grpc_ssl_pem_key_cert_pair pair = {.private_key = id.key, .cert_chain = id.cert};
    *ret = grpc_ssl_server_credentials_create_ex(
        /* pem_root_certs = */ NULL, &pair, 1, GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, NULL);
    null_identity_free(&id);
    return 0;
}

static int listen_for(struct grpc_sender *s, enum drain_kind kind, uint16_t *ret_port,
                      struct err *e)
{
    grpc_server_credentials *credentials;
    int rc = make_credentials(kind, &credentials, e);
    if (rc < 0)
        return rc;
    int port = grpc_server_add_http2_port(s->server, "127.0.0.1:0", credentials);
    grpc_server_credentials_release(credentials);
    if (port <= 0)
        return err_set(e, ERR_IO, "listen on loopback");
    grpc_server_start(s->server);
    *ret_port = (uint16_t)port;
    return 0;
}

/* The receiver's call comes, and gets its headers. */
static int answer(struct grpc_sender *s, struct err *e)
{
    const grpc_op headers = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    grpc_op closed = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    closed.data.recv_close_on_server.cancelled = &s->was_cancelled;
    if (grpc_server_request_call(s->server, &s->call, &s->details, &s->metadata, s->queue, s->queue,
                                 s) != GRPC_CALL_OK ||
        !wait_for(s, s))
        return err_set(e, ERR_FAILED, "wait for the receiver's call");
    if (grpc_call_start_batch(s->call, &closed, 1, &s->was_cancelled, NULL) != GRPC_CALL_OK ||
        !do_op(s, &headers))
        return err_set(e, ERR_FAILED, "answer the receiver's call");
    return 0;
}

static int open_grpc(struct transfer *t, enum drain_kind kind, struct err *e)
{
    uint16_t port = 0;
    struct grpc_sender *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "make a gRPC server");
    t->state = s;
    grpc_init();
    s->server = grpc_server_create(/* args = */ NULL, NULL);
    s->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(s->server, s->queue, NULL);
    grpc_call_details_init(&s->details);
    grpc_metadata_array_init(&s->metadata);
    int rc = listen_for(s, kind, &port, e);
    if (rc == 0)
        rc = drain_start(&t->drain, kind, port, e);
    if (rc == 0)
        rc = answer(s, e);
    (void)grpc_calls_take(); /* what it took to come here */
    return rc;
}

static int open_plain(struct transfer *t, struct err *e)
{
    return open_grpc(t, DRAIN_GRPC, e);
}

static int open_tls(struct transfer *t, struct err *e)
{
    return open_grpc(t, DRAIN_GRPC_TLS, e);
}

static void end_call(struct grpc_sender *s)
{
    if (!s->call)
        return;
    (void)grpc_call_cancel(s->call, NULL);
    if (!s->is_closed)
        (void)wait_for(s, &s->was_cancelled);
    grpc_call_unref(s->call);
}

static void close_grpc(struct transfer *t)
{
    struct grpc_sender *s = t->state;
    if (!s)
        return;
    end_call(s);
    grpc_server_shutdown_and_notify(s->server, s->queue, &s->server);
    grpc_server_cancel_all_calls(s->server);
    (void)wait_for(s, &s->server);
    grpc_server_destroy(s->server);
    grpc_completion_queue_shutdown(s->queue);
    while (grpc_completion_queue_next(s->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(s->queue);
    grpc_call_details_destroy(&s->details);
    grpc_metadata_array_destroy(&s->metadata);
    grpc_shutdown();
    free(s);
}

/* ---- sending ---- */

typedef grpc_slice (*slice_fn)(struct transfer *t, const uint8_t *at, size_t len);

static grpc_slice copy(struct transfer *t, const uint8_t *at, size_t len)
{
    t->counts.user_copied += len;
    return grpc_slice_from_copied_buffer((const char *)at, len);
}

static void let_go(void *arg)
{
    (void)arg; /* where a broker would unpin the file */
}

static grpc_slice lend(struct transfer *t, const uint8_t *at, size_t len)
{
    return grpc_slice_new_with_user_data((void *)at, len, let_go, t);
}

static bool send_message(struct transfer *t, const struct transfer_slice *slice, slice_fn make,
                         uint32_t flags)
{
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(NULL, 0);
    grpc_slice_buffer *parts = &message->data.raw.slice_buffer;
    if (t->head_bytes > 0)
        grpc_slice_buffer_add(parts, copy(t, transfer_head, t->head_bytes));
    grpc_slice_buffer_add(parts, make(t, t->base + slice->off, slice->len));
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .flags = flags};
    op.data.send_message.send_message = message;
    bool is_sent = do_op(t->state, &op);
    grpc_byte_buffer_destroy(message); /* the batch has taken its slices */
    t->counts.bytes += slice->len;
    return is_sent;
}

static int send_slices(struct transfer *t, const struct transfer_slice *slices, size_t n,
                       slice_fn make, struct err *e)
{
    bool is_sent = true;
    for (size_t i = 0; i < n && is_sent; i++)
        is_sent = send_message(t, &slices[i], make, i + 1 < n ? GRPC_WRITE_BUFFER_HINT : 0);
    struct grpc_calls calls = grpc_calls_take();
    t->counts.n_calls += calls.n;
    t->counts.kernel_copied += calls.sent_bytes;
    return is_sent ? 0 : err_set(e, ERR_FAILED, "send by gRPC");
}

static int send_copied(struct transfer *t, const struct transfer_slice *slices, size_t n,
                       struct err *e)
{
    return send_slices(t, slices, n, copy, e);
}

static int send_mapped(struct transfer *t, const struct transfer_slice *slices, size_t n,
                       struct err *e)
{
    return send_slices(t, slices, n, lend, e);
}

static int send_mapped_tls(struct transfer *t, const struct transfer_slice *slices, size_t n,
                           struct err *e)
{
    for (size_t i = 0; i < n; i++)
        t->counts.user_copied += (t->head_bytes + slices[i].len) * TLS_COPIES;
    return send_slices(t, slices, n, lend, e);
}

const struct transfer_method transfer_grpc_copied = {
    .drain = DRAIN_GRPC, .open = open_plain, .close = close_grpc, .send = send_copied};
const struct transfer_method transfer_grpc_mapped = {
    .drain = DRAIN_GRPC, .open = open_plain, .close = close_grpc, .send = send_mapped};
const struct transfer_method transfer_grpc_mapped_tls = {
    .drain = DRAIN_GRPC_TLS, .open = open_tls, .close = close_grpc, .send = send_mapped_tls};
