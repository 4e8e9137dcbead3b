/* One gRPC connection and one completion queue, driven by the thread that owns the client.
 *
 * Each operation carries a tag; client_poll takes events off the queue and calls the tag's
 * function. A unary call is freed by its own event. A stream counts its operations under way
 * (n_pending) and is freed by its owner once that is zero. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/client.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/client_core.h"

enum {
    MAX_EVENTS_PER_POLL = 256,
    RECONNECT_MS = 100, /* the least that C-core takes */
};

struct client_unary {
    struct client *client;
    struct client_unary *prev, *next;
    grpc_call *call;
    struct client_tag tag;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *reply;
    grpc_status_code status;
    grpc_slice details;
    client_done_fn done;
    void *arg;
};

static gpr_timespec deadline_after(uint64_t ms)
{
    if (ms > INT64_MAX)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis((int64_t)ms, GPR_TIMESPAN));
}

grpc_byte_buffer *client_buffer_of(struct span s)
{
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)s.ptr, s.len);
    grpc_byte_buffer *b = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return b;
}

uint8_t *client_flatten(grpc_byte_buffer *buffer, size_t *ret_len)
{
    *ret_len = 0;
    grpc_byte_buffer_reader reader;
    if (!buffer || !grpc_byte_buffer_reader_init(&reader, buffer))
        return NULL;
    size_t len = grpc_byte_buffer_length(buffer);
    uint8_t *bytes = len ? malloc(len) : NULL;
    grpc_slice slice;
    while (bytes && grpc_byte_buffer_reader_next(&reader, &slice)) {
        size_t n = GRPC_SLICE_LENGTH(slice);
        memcpy(bytes + *ret_len, GRPC_SLICE_START_PTR(slice), n);
        *ret_len += n;
        grpc_slice_unref(slice);
    }
    grpc_byte_buffer_reader_destroy(&reader);
    return bytes;
}

/* ---- opening ---- */

grpc_channel_credentials *client_tls_credentials(void)
{
    grpc_tls_credentials_options *options = grpc_tls_credentials_options_create();
    grpc_tls_certificate_verifier *verifier = grpc_tls_certificate_verifier_no_op_create();
    grpc_tls_credentials_options_set_verify_server_cert(options, 0);
    grpc_tls_credentials_options_set_certificate_verifier(options, verifier);
    grpc_tls_credentials_options_set_check_call_host(options, 0);
    grpc_tls_certificate_verifier_release(verifier);
    return grpc_tls_credentials_create(options); /* takes the options */
}

static grpc_channel *make_channel(const struct client_options *opt)
{
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
         .value.integer = -1},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_MAX_SEND_MESSAGE_LENGTH,
         .value.integer = -1},
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_RETRIES, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_HTTP_PROXY, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
         .value.integer = RECONNECT_MS},
        /* Two clients of one process are two connections. */
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
         .value.integer = 1},
    };
    grpc_channel_args list = {.num_args = sizeof args / sizeof args[0], .args = args};
    char target[320];
    (void)snprintf(target, sizeof target, "dns:///%s", opt->endpoint);
    grpc_channel_credentials *creds =
        opt->tls ? client_tls_credentials() : grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(target, creds, &list);
    grpc_channel_credentials_release(creds);
    return channel;
}

static void set_metadata(struct client *c)
{
    const char *const pairs[CLIENT_N_METADATA][2] = {
        {"x-mq-client-id", c->id},
        {"x-mq-language", "CPP"}, /* the language whose digests are CRC-32 in eight digits */
        {"x-mq-client-version", "5.1.0"},
        {"x-mq-protocol", "v2"},
    };
    for (size_t i = 0; i < CLIENT_N_METADATA; i++) {
        c->metadata[i].key = grpc_slice_from_copied_string(pairs[i][0]);
        c->metadata[i].value = grpc_slice_from_copied_string(pairs[i][1]);
    }
}

static void make_id(char *buf, size_t len)
{
    static _Atomic unsigned n_made; /* relaxed: it orders nothing, numbers only differ */
    char host[64] = "localhost";
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(buf, len, "%s@%ld@%u@sluice", host, (long)getpid(),
                   atomic_fetch_add_explicit(&n_made, 1, memory_order_relaxed));
}

static void drop_log(gpr_log_func_args *args)
{
    (void)args; /* what a user must know comes back as a status */
}

void client_silence_grpc(void)
{
    gpr_set_log_function(drop_log);
}

/* gRPC stays up until the process ends: shutting it down joins a thread that may poll for ten
 * seconds after a write has once had to wait. */
static void init_grpc(void)
{
    grpc_init();
}

int client_open(struct client **ret_client, const struct client_options *opt, struct err *e)
{
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, ERR_NOMEM, "make a client");
    if (strlen(opt->endpoint) >= sizeof c->endpoint ||
        (opt->client_id && strlen(opt->client_id) >= sizeof c->id)) {
        free(c);
        return err_set(e, ERR_INVAL, "open client: the endpoint or client id is too long");
    }
    (void)snprintf(c->endpoint, sizeof c->endpoint, "%s", opt->endpoint);
    if (opt->client_id)
        (void)snprintf(c->id, sizeof c->id, "%s", opt->client_id);
    else
        make_id(c->id, sizeof c->id);
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_grpc);
    c->cq = grpc_completion_queue_create_for_next(NULL);
    c->channel = make_channel(opt);
    set_metadata(c);
    *ret_client = c;
    return 0;
}

static void note_change(void *arg, bool ok)
{
    (void)ok; /* not: the patience is over */
    *(bool *)arg = true;
}

void client_connect(struct client *c, uint64_t patience_ms)
{
    gpr_timespec until = deadline_after(patience_ms);
    for (;;) {
        grpc_connectivity_state state =
            grpc_channel_check_connectivity_state(c->channel, /* try_to_connect = */ 1);
        if (state == GRPC_CHANNEL_READY || gpr_time_cmp(gpr_now(GPR_CLOCK_MONOTONIC), until) >= 0)
            return;
        bool has_changed = false;
        struct client_tag tag = {note_change, &has_changed};
        grpc_channel_watch_connectivity_state(c->channel, state, until, c->cq, &tag);
        while (!has_changed)
            (void)client_poll(c, CLIENT_FOREVER);
    }
}

const char *client_id(const struct client *c)
{
    return c->id;
}

const char *client_endpoint(const struct client *c)
{
    return c->endpoint;
}

void client_close(struct client *c)
{
    if (!c)
        return;
    while (c->streams)
        client_stream_close(c->streams);
    for (struct client_unary *u = c->unaries; u; u = u->next)
        (void)grpc_call_cancel(u->call, NULL);
    while (c->n_unaries > 0)
        (void)client_poll(c, CLIENT_FOREVER);
    grpc_channel_destroy(c->channel);
    grpc_completion_queue_shutdown(c->cq);
    while (grpc_completion_queue_next(c->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        continue;
    grpc_completion_queue_destroy(c->cq);
    for (size_t i = 0; i < CLIENT_N_METADATA; i++) {
        grpc_slice_unref(c->metadata[i].key);
        grpc_slice_unref(c->metadata[i].value);
    }
    free(c);
}

grpc_call *client_make_call(struct client *c, const char *path, uint64_t timeout_ms)
{
    grpc_slice method = grpc_slice_from_copied_string(path);
    grpc_call *call = grpc_channel_create_call(
        c->channel, /* parent = */ NULL, GRPC_PROPAGATE_DEFAULTS, c->cq, method,
        /* host = */ NULL, deadline_after(timeout_ms), /* reserved = */ NULL);
    grpc_slice_unref(method);
    return call;
}

/* ---- one request, one reply ---- */

static void unary_free(struct client_unary *u)
{
    grpc_metadata_array_destroy(&u->initial);
    grpc_metadata_array_destroy(&u->trailing);
    grpc_byte_buffer_destroy(u->reply);
    grpc_slice_unref(u->details);
    grpc_call_unref(u->call);
    free(u);
}

static void unary_unlink(struct client_unary *u)
{
    struct client *c = u->client;
    if (u->prev)
        u->prev->next = u->next;
    else
        c->unaries = u->next;
    if (u->next)
        u->next->prev = u->prev;
    c->n_unaries--;
}

static void unary_done(void *arg, bool ok)
{
    (void)ok; /* a batch that receives the status always succeeds */
    struct client_unary *u = arg;
    unary_unlink(u);
    char *text = grpc_slice_to_c_string(u->details);
    size_t len = 0;
    uint8_t *message = u->status == GRPC_STATUS_OK ? client_flatten(u->reply, &len) : NULL;
    struct client_reply reply = {
        .status = (int)u->status, .text = text, .message = span_of(message, len)};
    u->done(u->arg, &reply);
    free(message);
    gpr_free(text);
    unary_free(u);
}

/* The batch of a whole unary call; gRPC takes a reference to `request`. */
static grpc_call_error start_unary(struct client_unary *u, grpc_byte_buffer *request)
{
    grpc_op ops[6] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},  {.op = GRPC_OP_SEND_MESSAGE},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, {.op = GRPC_OP_RECV_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_MESSAGE},           {.op = GRPC_OP_RECV_STATUS_ON_CLIENT},
    };
    ops[0].data.send_initial_metadata.count = CLIENT_N_METADATA;
    ops[0].data.send_initial_metadata.metadata = u->client->metadata;
    ops[1].data.send_message.send_message = request;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &u->initial;
    ops[4].data.recv_message.recv_message = &u->reply;
    ops[5].data.recv_status_on_client.trailing_metadata = &u->trailing;
    ops[5].data.recv_status_on_client.status = &u->status;
    ops[5].data.recv_status_on_client.status_details = &u->details;
    return grpc_call_start_batch(u->call, ops, 6, &u->tag, NULL);
}

int client_start(struct client *c, const char *path, struct span request, uint64_t timeout_ms,
                 client_done_fn done, void *arg, struct err *e)
{
    struct client_unary *u = calloc(1, sizeof *u);
    if (!u)
        return err_set(e, ERR_NOMEM, "start call '%s'", path);
    u->client = c;
    u->call = client_make_call(c, path, timeout_ms);
    u->tag = (struct client_tag){unary_done, u};
    u->details = grpc_empty_slice();
    u->done = done;
    u->arg = arg;
    grpc_metadata_array_init(&u->initial);
    grpc_metadata_array_init(&u->trailing);
    grpc_byte_buffer *buffer = client_buffer_of(request);
    grpc_call_error error = start_unary(u, buffer);
    grpc_byte_buffer_destroy(buffer);
    if (error != GRPC_CALL_OK) {
        unary_free(u);
        return err_set(e, ERR_INVAL, "start call '%s': %s", path, grpc_call_error_to_string(error));
    }
    u->next = c->unaries;
    if (u->next)
        u->next->prev = u;
    c->unaries = u;
    c->n_unaries++;
    return 0;
}

bool client_poll(struct client *c, uint64_t wait_ms)
{
    gpr_timespec deadline = deadline_after(wait_ms);
    int n = 0;
    for (; n < MAX_EVENTS_PER_POLL; n++) {
        grpc_event event = grpc_completion_queue_next(c->cq, deadline, NULL);
        if (event.type != GRPC_OP_COMPLETE)
            break;
        const struct client_tag *tag = event.tag;
        tag->fn(tag->arg, event.success);
        deadline = gpr_inf_past(GPR_CLOCK_MONOTONIC);
    }
    return n > 0;
}

size_t client_n_running(const struct client *c)
{
    return c->n_unaries;
}

/* Where client_call waits for its reply. */
struct waited_reply {
    bool is_done;
    int status;
    uint8_t *message;
    size_t len;
    char text[ERR_MSG_BYTES];
};

static void keep_reply(void *arg, const struct client_reply *reply)
{
    struct waited_reply *w = arg;
    w->is_done = true;
    w->status = reply->status;
    (void)snprintf(w->text, sizeof w->text, "%s", reply->text);
    if (reply->message.len == 0)
        return;
    w->message = malloc(reply->message.len);
    w->len = reply->message.len;
    if (w->message)
        memcpy(w->message, reply->message.ptr, w->len);
}

int client_call(struct client *c, const char *path, struct span request, uint64_t timeout_ms,
                uint8_t **ret_reply, size_t *ret_len, struct err *e)
{
    struct waited_reply w = {0};
    int rc = client_start(c, path, request, timeout_ms, keep_reply, &w, e);
    if (rc < 0)
        return rc;
    while (!w.is_done)
        (void)client_poll(c, CLIENT_FOREVER);
    if (w.status != CLIENT_OK)
        return client_error(c, path, w.status, w.text, e);
    if (w.len > 0 && !w.message)
        return err_set(e, ERR_NOMEM, "call '%s'", path);
    *ret_reply = w.message;
    *ret_len = w.len;
    return 0;
}

/* The part of gRPC's text behind what was tried and where, which users need not read. */
static const char *last_cause(const char *text)
{
    static const char *const marks[] = {
        "last error: ", "Failed to connect to remote host: ", "Tls handshake failed: ",
        "is_balancer=0: " /* of a name that is not found */};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const char *at = strstr(text, marks[i]);
        if (at)
            text = at + strlen(marks[i]);
    }
    return text;
}

int client_error(const struct client *c, const char *path, int status, const char *text,
                 struct err *e)
{
    switch (status) {
    case CLIENT_UNAVAILABLE:
        return err_set(e, ERR_IO, "reach the broker at '%s': %s", c->endpoint, last_cause(text));
    case CLIENT_CANCELLED:
        return err_set(e, ERR_IO,
                       "wait for the broker at '%s': it ended the call, as it does when it stops",
                       c->endpoint);
    case CLIENT_DEADLINE_EXCEEDED:
        return err_set(e, ERR_IO, "wait for the broker at '%s': no answer in time", c->endpoint);
    case CLIENT_UNIMPLEMENTED:
        return err_set(e, ERR_UNSUPPORTED, "the broker at '%s' does not serve '%s'", c->endpoint,
                       path);
    default:
        return err_set(e, ERR_IO, "call '%s' at '%s': gRPC status %d: %s", path, c->endpoint,
                       status, text);
    }
}
