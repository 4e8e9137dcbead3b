/* The gRPC server: its start and stop, its workers, and work posted to them.
 *
 * Stop goes through these steps, each of which needs the one before:
 *   1. The acceptor takes no more connections, and gRPC no more calls; running ones get their
 *      grace, then are cancelled.
 *   2. Nothing is open (n_open): every on_end has returned and every kept request is dropped. That
 *      gRPC is down does not say so, for it drops the connections of cancelled calls at once.
 *   3. The timers that are left are posted as not fired.
 *   4. The queues close (is_closing): later posts are kept in `late`; the workers drain and join.
 *   5. The stopping thread runs what is in `late`.
 * Between 2 and 3 the caller ends the other threads that post, start timers or use calls.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc_internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/compression.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>

#include "base/io.h"
#include "base/log.h"
#include "broker/tsan.h"

enum {
    WORKERS_DEFAULT = 2,
    REQUEST_MAX_DEFAULT = 136314880, /* RocketMQ's grpcMaxInboundMessageSize */
    MEMORY_DEFAULT = 512 << 20,
    METADATA_MAX = 64 * 1024,
    STREAMS_MAX = 4096,       /* of one connection; each parked receive is one */
    KEEPALIVE_MS = 60 * 1000, /* a vanished client holds its parked calls no longer than this */
    KEEPALIVE_ACK_MS = 20 * 1000,
    HANDSHAKE_MS = 10 * 1000, /* until the client's SETTINGS are there */
    TASKS_KEPT = 1024,        /* of rpc_post: as many as one group of sync flush settles */
    OFFERS = 16,              /* calls asked for ahead, of each method on each worker */
};

/* ---- workers ---- */

static void *worker_main(void *arg)
{
    struct rpc_worker *worker = arg;
    for (;;) {
        grpc_event event = grpc_completion_queue_next(
            worker->queue, gpr_inf_future(GPR_CLOCK_REALTIME), /* reserved = */ NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.type != GRPC_OP_COMPLETE)
            continue;
        struct rpc_tag *tag = event.tag;
        tsan_take_over(tag);
        tag->done(tag->owner, event.success);
    }
}

static int worker_init(struct rpc_worker *worker, struct rpc_server *server)
{
    worker->server = server;
    worker->queue = grpc_completion_queue_create_for_next(/* reserved = */ NULL);
    grpc_server_register_completion_queue(server->grpc, worker->queue, /* reserved = */ NULL);
    worker->bell = grpc_channel_create_call(
        server->bell_channel, /* parent = */ NULL, GRPC_PROPAGATE_DEFAULTS, worker->queue,
        grpc_slice_from_static_string("/bell"), /* host = */ NULL,
        gpr_inf_future(GPR_CLOCK_REALTIME), /* reserved = */ NULL);
    return worker->bell ? 0 : -1;
}

static void worker_fini(struct rpc_worker *worker)
{
    arena_fini(&worker->arena);
    if (worker->bell)
        grpc_call_unref(worker->bell);
    if (worker->queue)
        grpc_completion_queue_destroy(worker->queue);
}

static void worker_join(struct rpc_worker *worker)
{
    if (!worker->queue)
        return;
    grpc_completion_queue_shutdown(worker->queue);
    if (worker->has_thread)
        (void)pthread_join(worker->thread, NULL);
    else
        (void)worker_main(worker); /* a half-started server: drain it here */
    worker->has_thread = false;
}

/* ---- posts ---- */

static void free_task(struct idle_item *item)
{
    gpr_free(item);
}

static void run_task(void *owner, bool ok)
{
    (void)ok;
    struct rpc_task *task = owner;
    void (*fn)(void *arg) = task->fn;
    void *arg = task->arg;
    if (!idle_keep(&task->server->tasks, &task->idle))
        free_task(&task->idle);
    fn(arg);
}

static struct rpc_task *new_task(struct rpc_server *server, void (*fn)(void *arg), void *arg)
{
    struct idle_item *item = idle_take(&server->tasks);
    struct rpc_task *task = item ? (struct rpc_task *)item : gpr_malloc(sizeof *task);
    *task = (struct rpc_task){.tag = {run_task, task}, .server = server, .fn = fn, .arg = arg};
    return task;
}

static void ring(struct rpc_server *server, struct rpc_tag *tag)
{
    /* relaxed: any worker will do */
    unsigned i = atomic_fetch_add_explicit(&server->next_worker, 1, memory_order_relaxed);
    tsan_hand_over(tag);
    (void)grpc_call_start_batch(server->workers[i % server->n_workers].bell, NULL, 0, tag, NULL);
}

void rpc_post(struct rpc_server *server, void (*fn)(void *arg), void *arg)
{
    struct rpc_task *task = new_task(server, fn, arg);
    lock_take(&server->lock);
    if (server->is_closing) {
        task->next = server->late;
        server->late = task;
        lock_drop(&server->lock);
        return;
    }
    server->n_posting++;
    lock_drop(&server->lock);
    ring(server, &task->tag);
    lock_take(&server->lock);
    if (--server->n_posting == 0 && server->is_closing)
        (void)pthread_cond_signal(&server->changed);
    lock_drop(&server->lock);
}

static void close_posts(struct rpc_server *server)
{
    lock_take(&server->lock);
    server->is_closing = true;
    while (server->n_posting > 0)
        lock_wait(&server->lock, &server->changed, -1);
    lock_drop(&server->lock);
}

/* The next late task; NULL: none is left. */
static struct rpc_task *take_late(struct rpc_server *server)
{
    lock_take(&server->lock);
    struct rpc_task *task = server->late;
    if (task)
        server->late = task->next;
    lock_drop(&server->lock);
    return task;
}

static void run_late(struct rpc_server *server)
{
    struct rpc_task *task;
    while ((task = take_late(server)) != NULL)
        run_task(task, true);
}

/* ---- what is open ---- */

void rpc_server_note_opened(struct rpc_server *server)
{
    /* relaxed: whoever adds one is counted */
    atomic_fetch_add_explicit(&server->n_open, 1, memory_order_relaxed);
}

void rpc_server_note_closed(struct rpc_server *server)
{
    /* acq_rel: see the field */
    if (atomic_fetch_sub_explicit(&server->n_open, 1, memory_order_acq_rel) != 1)
        return;
    lock_take(&server->lock);
    server->has_ended = true;
    (void)pthread_cond_signal(&server->changed);
    lock_drop(&server->lock);
}

/* ---- start ---- */

/* What gRPC may hold for all connections together: what it has received, its calls. Without one a
 * few clients that send much at once, or never end what they send, take all there is. It is a mark
 * and no wall: beyond it gRPC ends calls. */
static grpc_resource_quota *create_quota(const struct rpc_options *opt)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("rpc");
    grpc_resource_quota_resize(quota, opt->memory_bytes ? opt->memory_bytes : MEMORY_DEFAULT);
    return quota;
}

static grpc_server *create_grpc(const struct rpc_options *opt)
{
    uint32_t max_bytes = opt->max_request_bytes ? opt->max_request_bytes : REQUEST_MAX_DEFAULT;
    const struct {
        const char *key;
        int value;
    } settings[] = {
        {GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)max_bytes},
        {GRPC_ARG_MAX_METADATA_SIZE, METADATA_MAX},
        /* the limit on requests would count compressed bytes, and a few may be gigabytes */
        {GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE},
        {GRPC_ARG_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
        {GRPC_ARG_ALLOW_REUSEPORT, 0},
        /* clients may ping as often as they like */
        {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 0},
        {GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0},
        {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
        {GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS},
        {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_ACK_MS},
        {GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS},
    };
    enum { N_SETTINGS = sizeof settings / sizeof settings[0] };
    grpc_arg args[N_SETTINGS + 1];
    grpc_resource_quota *quota = create_quota(opt);
    args[N_SETTINGS] =
        (grpc_arg){.type = GRPC_ARG_POINTER,
                   .key = (char *)GRPC_ARG_RESOURCE_QUOTA,
                   .value.pointer = {.p = quota, .vtable = grpc_resource_quota_arg_vtable()}};
    for (size_t i = 0; i < N_SETTINGS; i++)
        args[i] = (grpc_arg){.type = GRPC_ARG_INTEGER,
                             .key = (char *)settings[i].key,
                             .value.integer = settings[i].value};
    grpc_channel_args all = {.num_args = N_SETTINGS + 1, .args = args};
    grpc_server *server = grpc_server_create(&all, /* reserved = */ NULL);
    grpc_resource_quota_unref(quota); /* the server has its own reference */
    return server;
}

static int register_methods(struct rpc_server *server, struct err *e)
{
    for (size_t i = 0; i < server->n_methods; i++) {
        const struct rpc_method *m = &server->methods[i];
        server->registered[i] = grpc_server_register_method(
            server->grpc, m->path, /* host = */ NULL,
            m->kind == RPC_BIDI ? GRPC_SRM_PAYLOAD_NONE : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER,
            /* flags = */ 0);
        if (!server->registered[i])
            return err_set(e, ERR_INVAL, "register method '%s' twice", m->path);
    }
    return 0;
}

static int open_acceptor(struct rpc_server *server, const struct rpc_options *opt, struct err *e)
{
    const struct acceptor_options options = {
        .host = opt->host,
        .port = opt->port,
        .tls_cert_path = opt->tls_cert_path,
        .tls_key_path = opt->tls_key_path,
        .max_connections = opt->max_connections,
    };
    return acceptor_open(&server->acceptor, &options, server->grpc, e);
}

static void on_down(void *owner, bool ok)
{
    (void)ok;
    rpc_server_note_closed(owner);
}

static struct rpc_server *server_new(const struct rpc_options *opt)
{
    struct rpc_server *server = gpr_zalloc(sizeof *server);
    server->methods = opt->methods;
    server->n_methods = opt->n_methods;
    server->registered = gpr_zalloc((opt->n_methods + 1) * sizeof *server->registered);
    server->ctx = opt->ctx;
    server->max_unread_bytes = opt->max_unread_bytes;
    server->max_unread_ms = opt->max_unread_ms;
    server->n_workers = opt->n_workers ? opt->n_workers : WORKERS_DEFAULT;
    server->workers = gpr_zalloc(server->n_workers * sizeof *server->workers);
    server->down = (struct rpc_tag){on_down, server};
    atomic_init(&server->n_open, 1); /* gRPC itself, until it is down */
    idle_init(&server->tasks, TASKS_KEPT);
    lock_init(&server->lock, LOCK_LEAF);
    lock_cond_init(&server->changed);
    server->bell_channel =
        grpc_lame_client_channel_create("bell", GRPC_STATUS_UNAVAILABLE, "never used");
    return server;
}

static int start_threads(struct rpc_server *server, struct err *e)
{
    server->timers = rpc_timers_start(server);
    if (!server->timers)
        return err_set(e, ERR_NOMEM, "start the timer thread");
    for (unsigned i = 0; i < server->n_workers; i++) {
        struct rpc_worker *worker = &server->workers[i];
        int rc = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (rc != 0)
            return err_sys(e, rc, "start worker %u", i);
        worker->has_thread = true;
    }
    return acceptor_start(server->acceptor, e);
}

static void offer_calls(struct rpc_server *server)
{
    for (unsigned w = 0; w < server->n_workers; w++)
        for (int n = 0; n < OFFERS; n++) {
            for (size_t i = 0; i < server->n_methods; i++)
                rpc_call_offer(&server->workers[w], &server->methods[i], server->registered[i]);
            rpc_call_offer(&server->workers[w], /* method = */ NULL, /* registered = */ NULL);
        }
}

/* gRPC's lines tell of what clients did wrong, as often as they like to; our failures come back as
 * errors. */
static void log_grpc(gpr_log_func_args *line)
{
    log_debug("gRPC: %s", line->message);
}

/* gRPC stays up for the rest of the process: ending it joins a thread that may poll for ten seconds
 * after a write has once had to wait. */
static void init_grpc(void)
{
    gpr_set_log_function(log_grpc);
    grpc_init();
    rpc_call_init();
}

int rpc_server_start(struct rpc_server **ret_server, const struct rpc_options *opt, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_grpc);
    struct rpc_server *server = server_new(opt);
    server->grpc = create_grpc(opt);
    int rc = 0;
    for (unsigned i = 0; i < server->n_workers && rc == 0; i++)
        if (worker_init(&server->workers[i], server) != 0)
            rc = err_set(e, ERR_NOMEM, "make completion queue %u", i);
    if (rc == 0)
        rc = register_methods(server, e);
    if (rc == 0)
        rc = open_acceptor(server, opt, e);
    if (rc == 0)
        rc = start_threads(server, e);
    if (rc != 0)
        goto fail;
    *ret_server = server; /* before the first callback, which may use it */
    grpc_server_start(server->grpc);
    server->is_serving = true;
    offer_calls(server);
    acceptor_accept(server->acceptor);
    return 0;
fail:
    rpc_server_stop(server);
    return rc;
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return acceptor_port(server->acceptor);
}

/* ---- stop ---- */

static bool await_end(struct rpc_server *server, uint64_t until_ms)
{
    struct io *io = io_posix();
    lock_take(&server->lock);
    while (!server->has_ended) {
        uint64_t now = io->mono_ns(io) / 1000000;
        if (now >= until_ms)
            break;
        uint64_t left = until_ms - now;
        lock_wait(&server->lock, &server->changed, left > INT32_MAX ? INT32_MAX : (int)left);
    }
    bool has_ended = server->has_ended;
    lock_drop(&server->lock);
    return has_ended;
}

static void shut_down(struct rpc_server *server)
{
    tsan_hand_over(&server->down);
    grpc_server_shutdown_and_notify(server->grpc, server->workers[0].queue, &server->down);
}

void rpc_server_end_calls(struct rpc_server *server, uint32_t grace_ms)
{
    struct io *io = io_posix();
    if (await_end(server, /* until_ms = */ 0))
        return; /* they were ended before */
    acceptor_refuse(server->acceptor);
    shut_down(server);
    if (await_end(server, io->mono_ns(io) / 1000000 + grace_ms))
        return;
    grpc_server_cancel_all_calls(server->grpc);
    (void)await_end(server, UINT64_MAX);
}

void rpc_server_stop(struct rpc_server *server)
{
    if (!server)
        return;
    if (server->is_serving)
        rpc_server_end_calls(server, /* grace_ms = */ 0);
    else if (server->workers[0].queue)
        shut_down(server); /* it may have a listener; worker_join waits for its end */
    if (server->timers)
        rpc_timers_stop(server->timers);
    close_posts(server);
    for (unsigned i = 0; i < server->n_workers; i++)
        worker_join(&server->workers[i]);
    run_late(server);
    acceptor_close(server->acceptor); /* now nobody has a connection to end */
    rpc_timers_free(server->timers);
    grpc_server_destroy(server->grpc);
    for (unsigned i = 0; i < server->n_workers; i++)
        worker_fini(&server->workers[i]);
    grpc_channel_destroy(server->bell_channel);
    (void)pthread_cond_destroy(&server->changed);
    lock_fini(&server->lock);
    idle_fini(&server->tasks, free_task);
    gpr_free(server->workers);
    gpr_free(server->registered);
    gpr_free(server);
}
