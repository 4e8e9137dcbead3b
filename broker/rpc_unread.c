/* Clients that take in less than they ask for. What gRPC was given for a
 * connection and has not written pins files of the log; beyond a limit the
 * client gets no more messages, and when nothing of it was written for a while,
 * the connection is ended. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc_internal.h"

#include <inttypes.h>
#include <stdatomic.h>

#include <grpc/support/alloc.h>

#include "base/io.h"
#include "base/log.h"

/* A look at a connection, some time later. */
struct watch {
    struct rpc_server *server;
    struct peer *peer; /* a reference */
};

static uint64_t now_ms(void)
{
    struct io *io = io_posix();
    return io->mono_ns(io) / 1000000;
}

static bool is_over(const struct rpc_server *server, struct peer *p)
{
    /* relaxed: see struct peer_unread */
    return server->max_unread_bytes > 0 &&
           atomic_load_explicit(&peer_unread(p)->bytes, memory_order_relaxed) >
               server->max_unread_bytes;
}

static void look(void *arg, bool fired);

static void look_later(struct watch *w)
{
    struct rpc_server *server = w->server;
    uint64_t moved_ms = atomic_load_explicit(&peer_unread(w->peer)->moved_ms, memory_order_relaxed);
    (void)rpc_timer_start(server, moved_ms + server->max_unread_ms, look, w);
}

/* Has it looked at, unless somebody does already. */
static void watch(struct rpc_server *server, struct peer *p)
{
    if (atomic_exchange_explicit(&peer_unread(p)->is_watched, true, memory_order_acq_rel))
        return;
    struct watch *w = gpr_malloc(sizeof *w);
    *w = (struct watch){server, peer_ref(p)};
    look_later(w);
}

static void end(struct rpc_server *server, struct peer *p)
{
    log_warn("%s has not read %" PRIu64 " bytes for %" PRIu64 " ms, ending its connection",
             peer_text(p), atomic_load_explicit(&peer_unread(p)->bytes, memory_order_relaxed),
             server->max_unread_ms);
    atomic_fetch_add_explicit(&server->n_unread_ended, 1, memory_order_relaxed); /* a count */
    acceptor_end(server->acceptor, p);
}

static void look(void *arg, bool fired)
{
    struct watch *w = arg;
    struct rpc_server *server = w->server;
    struct peer *p = w->peer;
    struct peer_unread *u = peer_unread(p);
    if (fired && is_over(server, p)) {
        uint64_t moved_ms = atomic_load_explicit(&u->moved_ms, memory_order_relaxed);
        if (now_ms() < moved_ms + server->max_unread_ms) {
            look_later(w);
            return;
        }
        end(server, p); /* and stays watched: it is over */
    } else {
        atomic_store_explicit(&u->is_watched, false, memory_order_release);
        if (fired && is_over(server, p)) /* since the look above */
            watch(server, p);
    }
    peer_unref(p);
    gpr_free(w);
}

struct peer *rpc_unread_add(struct rpc_call *call, uint64_t bytes)
{
    struct peer *p = call->from;
    if (!p || bytes == 0)
        return NULL;
    struct peer_unread *u = peer_unread(p);
    if (atomic_fetch_add_explicit(&u->bytes, bytes, memory_order_relaxed) == 0)
        atomic_store_explicit(&u->moved_ms, now_ms(), memory_order_relaxed);
    call->unread_bytes += bytes;
    return is_over(call->server, p) ? peer_ref(p) : NULL;
}

void rpc_unread_watch(struct rpc_server *server, struct peer *p)
{
    if (!p)
        return;
    watch(server, p);
    peer_unref(p);
}

void rpc_unread_end(struct rpc_call *call)
{
    if (call->from && call->unread_bytes > 0) {
        struct peer_unread *u = peer_unread(call->from);
        atomic_fetch_sub_explicit(&u->bytes, call->unread_bytes, memory_order_relaxed);
        atomic_store_explicit(&u->moved_ms, now_ms(), memory_order_relaxed);
    }
    peer_unref(call->from);
    call->from = NULL;
}

bool rpc_has_unread(const struct rpc_call *call)
{
    return call->from && is_over(call->server, call->from);
}

uint64_t rpc_n_unread_ended(const struct rpc_server *server)
{
    return atomic_load_explicit(&server->n_unread_ended, memory_order_relaxed); /* a count */
}
