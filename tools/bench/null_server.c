/* The null server: one completion queue, one thread, registered methods, answers in static slices.
 * A call has one operation under way at a time, so the call itself is the tag. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/null_server.h"

#include <stdbool.h>
#include <stdlib.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

#include "tools/bench/null_identity.h"

enum { CALLS_AHEAD = 128 }; /* asked for, of each method */

struct null_method {
    struct null_server *server;
    void *registered;
    grpc_slice *slices; /* one for each message */
    size_t n;
};

struct null_server {
    grpc_server *grpc;
    grpc_completion_queue *queue;
    struct null_method *methods;
    size_t n_methods;
};

enum null_state { NULL_WAITING, NULL_WRITING, NULL_CLOSING };

struct null_call {
    struct null_method *method;
    enum null_state state;
    size_t n_written;
    grpc_call *grpc;
    grpc_metadata_array metadata;
    gpr_timespec deadline;
    grpc_byte_buffer *request;
    int was_cancelled;
};

static void ask_for(struct null_call *call)
{
    call->state = NULL_WAITING;
    call->n_written = 0;
    call->request = NULL;
    (void)grpc_server_request_registered_call(call->method->server->grpc, call->method->registered,
                                              &call->grpc, &call->deadline, &call->metadata,
                                              &call->request, call->method->server->queue,
                                              call->method->server->queue, call);
}

static void end(struct null_call *call)
{
    if (call->request)
        grpc_byte_buffer_destroy(call->request);
    grpc_call_unref(call->grpc);
    ask_for(call);
}

/* The next message; with the first the headers, with the last the status. */
static void write_next(struct null_call *call)
{
    grpc_op ops[4] = {0};
    size_t n = 0;
    bool is_first = call->n_written == 0;
    bool is_last = call->n_written + 1 == call->method->n;
    grpc_byte_buffer *message =
        grpc_raw_byte_buffer_create(&call->method->slices[call->n_written++], 1);
    if (is_first)
        ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[n].op = GRPC_OP_SEND_MESSAGE;
    ops[n].flags = is_first || is_last ? 0 : GRPC_WRITE_BUFFER_HINT;
    ops[n++].data.send_message.send_message = message;
    if (is_last) {
        ops[n++].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
        ops[n].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
        ops[n++].data.recv_close_on_server.cancelled = &call->was_cancelled;
    }
    call->state = is_last ? NULL_CLOSING : NULL_WRITING;
    (void)grpc_call_start_batch(call->grpc, ops, n, call, NULL);
    grpc_byte_buffer_destroy(message); /* the batch has taken its slices */
}

static void step(struct null_call *call, bool ok)
{
    if (call->state == NULL_CLOSING || (call->state == NULL_WRITING && !ok))
        end(call);
    else
        write_next(call);
}

static int add_method(struct null_server *s, const struct null_answer *answer, struct err *e)
{
    struct null_method *m = &s->methods[s->n_methods++];
    *m = (struct null_method){.server = s, .n = answer->n_messages};
    m->slices = calloc(m->n, sizeof *m->slices);
    m->registered = grpc_server_register_method(s->grpc, answer->path, NULL,
                                                GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    if (!m->slices || !m->registered)
        return err_set(e, ERR_NOMEM, "prepare the answers of '%s'", answer->path);
    for (size_t i = 0; i < m->n; i++)
        m->slices[i] =
            grpc_slice_from_static_buffer(answer->messages[i].ptr, answer->messages[i].len);
    return 0;
}

static int open_calls(struct null_method *m, struct err *e)
{
    struct null_call *calls = calloc(CALLS_AHEAD, sizeof *calls);
    if (!calls)
        return err_set(e, ERR_NOMEM, "make calls");
    for (int i = 0; i < CALLS_AHEAD; i++) {
        calls[i].method = m;
        ask_for(&calls[i]);
    }
    return 0;
}

static void serve(struct null_server *s)
{
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(s->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type == GRPC_OP_COMPLETE)
            step(event.tag, event.success);
    }
}

static int add_port(struct null_server *s, grpc_server_credentials *credentials, uint16_t *ret_port,
                    struct err *e)
{
    int port = grpc_server_add_http2_port(s->grpc, "127.0.0.1:0", credentials);
    grpc_server_credentials_release(credentials);
    if (port <= 0)
        return err_set(e, ERR_IO, "listen on loopback");
    *ret_port = (uint16_t)port;
    return 0;
}

static int listen_on(struct null_server *s, struct null_ports *ret_ports, struct err *e)
{
    struct null_identity id;
    int rc = null_identity_make(&id, e);
    if (rc < 0)
        return rc;
    grpc_ssl_pem_key_cert_pair pair = {.private_key = id.key, .cert_chain = id.cert};
    grpc_server_credentials *tls = grpc_ssl_server_credentials_create_ex(
        /* pem_root_certs = */ NULL, &pair, 1, GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, NULL);
    null_identity_free(&id);
    rc = add_port(s, tls, &ret_ports->tls, e);
    return rc < 0 ? rc
                  : add_port(s, grpc_insecure_server_credentials_create(), &ret_ports->plain, e);
}

int null_server_run(const struct null_answer *answers, size_t n_answers,
                    void (*on_ready)(void *arg, struct null_ports ports), void *arg, struct err *e)
{
    grpc_init();
    struct null_server s = {.methods = calloc(n_answers, sizeof *s.methods)};
    if (!s.methods)
        return err_set(e, ERR_NOMEM, "make the null server");
    s.grpc = grpc_server_create(/* args = */ NULL, NULL);
    s.queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(s.grpc, s.queue, NULL);
    for (size_t i = 0; i < n_answers; i++) {
        int rc = add_method(&s, &answers[i], e);
        if (rc < 0)
            return rc;
    }
    struct null_ports ports;
    int rc = listen_on(&s, &ports, e);
    if (rc < 0)
        return rc;
    grpc_server_start(s.grpc);
    for (size_t i = 0; i < n_answers; i++) {
        rc = open_calls(&s.methods[i], e);
        if (rc < 0)
            return rc;
    }
    on_ready(arg, ports);
    serve(&s);
    return 0;
}
