/* What the files of the gRPC server share: servers, workers, calls and their tags. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RPC_INTERNAL_H
#define BROKER_RPC_INTERNAL_H

#include <pthread.h>

#include <grpc/grpc.h>

#include "base/arena.h"
#include "base/idle.h"
#include "base/lock.h"
#include "broker/acceptor.h"
#include "broker/rpc.h"
#include "broker/rpc_send.h"

/* What a completion queue hands back. Lives in its owner, who outlives the operation. */
struct rpc_tag {
    void (*done)(void *owner, bool ok); /* on a worker */
    void *owner;
};

/* One thread and the completion queue it serves; a call stays with the worker that accepted it. */
struct rpc_worker {
    struct rpc_server *server;
    grpc_completion_queue *queue;
    /* Never started: an empty batch on it puts a tag into the queue, which is how work is posted.
     */
    grpc_call *bell;
    pthread_t thread;
    bool has_thread;
    struct arena arena; /* of the on_request that runs */
};

/* A task of rpc_post. */
struct rpc_task {
    struct idle_item idle; /* first: it is kept for the next */
    struct rpc_tag tag;
    struct rpc_server *server;
    void (*fn)(void *arg);
    void *arg;
    struct rpc_task *next; /* in the list of late ones */
};

struct rpc_timers;

struct rpc_server {
    /* set before start, then constant */
    const struct rpc_method *methods;
    void **registered; /* gRPC's handle of each method */
    size_t n_methods;
    void *ctx;
    grpc_server *grpc;
    grpc_channel *bell_channel;
    struct rpc_worker *workers;
    unsigned n_workers;
    struct rpc_timers *timers;
    struct acceptor *acceptor;
    bool is_serving;           /* grpc_server_start was called */
    uint64_t max_unread_bytes; /* of a connection; 0: no limit */
    uint64_t max_unread_ms;

    struct idle tasks; /* that were run */

    _Atomic uint64_t n_unread_ended; /* relaxed: a count */

    /* atomic, relaxed: only spreads posts over the workers */
    _Atomic unsigned next_worker;

    /* atomic: what a stop waits for: calls on offer or not ended, kept requests, and gRPC itself.
     * Whoever adds to it is counted meanwhile, so it gets to 0 once. acq_rel in
     * rpc_server_note_closed: who gets it there sees what the others did */
    _Atomic unsigned n_open;

    struct rpc_tag down; /* gRPC has dropped every connection; maybe not yet every call */
    struct lock lock;    /* rank LOCK_LEAF */
    pthread_cond_t changed;
    /* guarded by lock */
    bool has_ended;        /* n_open got to 0 */
    bool is_closing;       /* the queues take no more posts */
    unsigned n_posting;    /* threads between the check of is_closing and their post */
    struct rpc_task *late; /* posted after is_closing, newest first */
};

enum { RPC_INLINE_SPANS = 8, RPC_PEER_BYTES = 64 };

/* A received message as spans. */
struct rpc_message {
    grpc_byte_buffer *buffer; /* NULL: none */
    struct span *spans;       /* `few` or `many` */
    size_t n_spans;
    struct span few[RPC_INLINE_SPANS];
    struct span *many; /* room for n_many of them; used again for the next message */
    size_t n_many;
};

/* A message that a handler has taken over. */
struct rpc_kept {
    struct rpc_call *call;    /* a reference; it has the spans */
    grpc_byte_buffer *buffer; /* NULL: not kept */
};

struct rpc_call {
    struct idle_item idle; /* first: an ended call is kept for the next */
    struct rpc_server *server;
    struct rpc_worker *worker;
    const struct rpc_method *method; /* NULL: a path that is not served */
    void *registered;

    /* filled by gRPC when the call is accepted, then constant until the end */
    grpc_call *grpc;
    grpc_call_details details; /* only of an unserved path */
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    char peer[RPC_PEER_BYTES];
    struct peer *from; /* a reference; NULL: not known */

    /* the worker only */
    struct rpc_message request;
    struct rpc_kept kept; /* then its keeper's, on any thread */
    int was_cancelled;    /* gRPC's word, when `closed` is done */
    void *data;
    bool is_put_off; /* on_request is to come again: the request stays */

    int outcome; /* stored before `taken_up` is handed over, read by the worker after it */

    struct rpc_tag accepted;
    struct rpc_tag taken_up;
    struct rpc_tag received;
    struct rpc_tag sent;
    struct rpc_tag closed;

    _Atomic unsigned n_refs; /* acq_rel in rpc_unref: the last one frees */
    /* atomic: stored by the worker (release), loaded in rpc_is_lost (acquire) */
    _Atomic bool is_lost;

    struct lock lock; /* rank LOCK_CALL */
    /* guarded by lock */
    struct rpc_sending sending;
    uint64_t unread_bytes; /* of pieces lent to gRPC */
    unsigned n_ops;        /* batches in gRPC's hands */
    bool watches_close;    /* the close operation was given to gRPC */
    bool close_in_batch;   /* ... together with the status, under the tag `sent` */
    bool is_closed;        /* it has come back: nothing may be started */
    bool is_receiving;     /* the tag `received` is out */
};

/* ---- rpc_call.c ---- */

/* Before the first call. */
void rpc_call_init(void);

/* Asks gRPC for the next call of one method (NULL: of an unserved path) on this worker. */
void rpc_call_offer(struct rpc_worker *worker, const struct rpc_method *method, void *registered);

enum rpc_kind rpc_call_kind(const struct rpc_call *call);

/* Whether nothing can be sent any more. Locks: caller holds the call's. */
bool rpc_call_is_over(const struct rpc_call *call);

/* Takes the close operation into the batch that has the status, unless it is out (C2). Locks:
 * caller holds the call's. */
void rpc_call_close_with(struct rpc_call *call, struct rpc_batch *b);

/* ---- rpc.c ---- */

/* One thing more, or less, that a stop waits for. Only a worker may use the server after the last
 * one. Thread: any. */
void rpc_server_note_opened(struct rpc_server *server);
void rpc_server_note_closed(struct rpc_server *server);

/* ---- rpc_unread.c ---- */

/* Counts bytes lent to gRPC until the call ends. The connection with a
 * reference when it has too many, for rpc_unread_watch; else NULL. Locks:
 * caller holds the call's. */
struct peer *rpc_unread_add(struct rpc_call *call, uint64_t bytes);

/* Sees to it that the connection is ended if it stays so; drops the reference.
 * NULL is fine. */
void rpc_unread_watch(struct rpc_server *server, struct peer *p);

/* The call has ended. Thread: its worker. */
void rpc_unread_end(struct rpc_call *call);

/* ---- rpc_message.c ---- */

/* A byte buffer of the pieces, whose releases it now owns. */
grpc_byte_buffer *rpc_message_build(const struct rpc_piece *pieces, size_t n);

/* Points m's spans at the slices of m->buffer. */
void rpc_message_view(struct rpc_message *m);

/* Gives the buffer away. The spans still name its bytes, until the next message or the end. */
grpc_byte_buffer *rpc_message_release(struct rpc_message *m);

/* Frees the buffer, if there is one; room for a usual number of spans is kept. */
void rpc_message_drop(struct rpc_message *m);

/* Frees the room for spans when it is large, or always. The message was dropped. */
void rpc_message_trim(struct rpc_message *m);
void rpc_message_fini(struct rpc_message *m);

/* ---- rpc_timer.c ---- */

/* NULL when the thread cannot be started. */
struct rpc_timers *rpc_timers_start(struct rpc_server *server);

/* Posts every timer that is left, joins the thread, and posts later ones at once. */
void rpc_timers_stop(struct rpc_timers *timers);

/* After stop, when nobody starts timers any more. NULL is fine. */
void rpc_timers_free(struct rpc_timers *timers);

#endif
