/* The gRPC server: calls as explicit state machines over completion queues. gRPC types stay in
 * rpc*.c, their private headers (rpc_internal.h, rpc_batch.h, rpc_send.h) and acceptor.c; handlers
 * see spans and pieces. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RPC_H
#define BROKER_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct arena;
struct rpc_server;
struct rpc_call;
struct rpc_timer;

enum rpc_kind { RPC_UNARY, RPC_SERVER_STREAM, RPC_BIDI };

enum rpc_end {
    RPC_END_WRITTEN, /* everything queued and the status left this process */
    RPC_END_LOST,    /* cancelled by the client, connection lost, or server stopping */
};

/* gRPC status codes that we send; the rest travels in the messages' own status. */
enum {
    RPC_OK = 0,
    RPC_INVALID_ARGUMENT = 3,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
};

/* One method. All callbacks of a call run on one completion-queue worker, so never at once. They
 * must not block. */
struct rpc_method {
    const char *path; /* "/package.Service/Method" */
    enum rpc_kind kind;
    /* A request message is there (for RPC_BIDI: each one). */
    void (*on_request)(void *ctx, struct rpc_call *call);
    /* RPC_BIDI only: the client will send no more. May be NULL: the call is finished with RPC_OK.
     */
    void (*on_half_close)(void *ctx, struct rpc_call *call);
    /* Exactly once, last: release what rpc_set_data holds. May be NULL. */
    void (*on_end)(void *ctx, struct rpc_call *call, enum rpc_end end);
    /* RPC_BIDI only: the call is there, no message of it yet. May be NULL. */
    void (*on_open)(void *ctx, struct rpc_call *call);
};

struct rpc_options {
    const char *host;                 /* address to listen on */
    uint16_t port;                    /* 0 picks one */
    unsigned n_workers;               /* completion-queue threads; 0: 2 */
    uint32_t max_request_bytes;       /* 0: 136,314,880 (130 MiB), the reference's limit */
    size_t memory_bytes;              /* of requests, calls and connections together; 0: 512 MiB */
    const struct rpc_method *methods; /* outlives the server; others answer UNIMPLEMENTED */
    size_t n_methods;
    void *ctx;
    /* PEM files; both NULL: a self-signed certificate is made at each start */
    const char *tls_cert_path;
    const char *tls_key_path;
    unsigned max_connections; /* 0: 8,192, or a quarter of the process's descriptors if fewer */
    /* A connection for which gRPC holds more lent bytes (struct rpc_piece) than this has read too
     * little; when none of them were written for that long, it is ended. 0: no limit. */
    uint64_t max_unread_bytes;
    uint64_t max_unread_ms;
};

/* Binds, starts the workers and serves. `*ret_server` is set before the first callback runs.
 * ERR_BUSY: the address is in use. */
int rpc_server_start(struct rpc_server **ret_server, const struct rpc_options *opt,
                     struct err *e) MUST_CHECK;

uint16_t rpc_server_port(const struct rpc_server *server);

/* Refuses new calls, gives running ones `grace_ms` to end and cancels the rest. When it returns,
 * every on_end has returned, every call put off was taken up and every kept request dropped. Posts
 * and timers still work, for threads that are to be ended next. Thread: not a worker. */
void rpc_server_end_calls(struct rpc_server *server, uint32_t grace_ms);

/* Ends the calls at once unless that was done, then settles timers and posts, joins the workers and
 * frees. No other thread may use the server any more. NULL is fine. Thread: not a worker. */
void rpc_server_stop(struct rpc_server *server);

/* ---- the request ---- */

/* Slices of the current request message, in order, uncopied. Valid until on_request returns. */
const struct span *rpc_request(const struct rpc_call *call, size_t *ret_n);

/* Memory for on_request, which goes when it returns. */
struct arena *rpc_arena(struct rpc_call *call);

/* Takes the request over, with a reference to the call: its slices, their array and the bytes in
 * them stay where they are until it is dropped, whatever becomes of the call. Once, inside
 * on_request of a call that is not RPC_BIDI; rpc_server_end_calls waits for the drop. */
struct rpc_kept;
struct rpc_kept *rpc_keep_request(struct rpc_call *call);
void rpc_kept_drop(struct rpc_kept *kept); /* Thread: any. NULL is fine */

/* Value of a request header (lower-case name), or an empty span. Valid until on_end returns. */
struct span rpc_metadata(const struct rpc_call *call, const char *name);

/* When the client gives up, in the monotonic clock's ms (io->mono_ns / 1e6); UINT64_MAX: never. */
uint64_t rpc_deadline_ms(const struct rpc_call *call);

/* The client's real address as text: "127.0.0.1:40112" or "[::1]:40112". Valid as long as the call.
 */
const char *rpc_peer(const struct rpc_call *call);

void rpc_set_data(struct rpc_call *call, void *data);
void *rpc_data(const struct rpc_call *call);

/* A call lives until on_end has returned and every reference is dropped. Thread: any. */
struct rpc_call *rpc_ref(struct rpc_call *call);
void rpc_unref(struct rpc_call *call);

/* ---- the reply ---- */

/* A run of bytes of an outgoing message. With `release` the bytes are used where they are and
 * release(arg) is called once, on any thread, when gRPC is through with them; without it they are
 * copied (short heads only). Any rpc function may run releases of other calls too, so a release
 * takes no lock that a caller of them could hold. */
struct rpc_piece {
    struct span bytes;
    void (*release)(void *arg);
    void *arg;
};

/* Queues one message made of `n` pieces. After the call was lost the pieces are released at once.
 * `more`: another message follows at once, so the write may be held back for it. Thread: any. */
void rpc_send(struct rpc_call *call, const struct rpc_piece *pieces, size_t n, bool more);

/* Ends the call once everything queued is written. The first call counts. `text` may be NULL, and
 * is ASCII otherwise. A unary call needs exactly one rpc_send before it unless the status is an
 * error. Thread: any. */
void rpc_finish(struct rpc_call *call, int status, const char *text);

/* Lets on_request return without a reply: it is called once more, with the same request, after
 * rpc_take_up. Within on_request of a call that is not RPC_BIDI, and nothing was sent. */
void rpc_put_off(struct rpc_call *call);

/* Has on_request called again (not when the client is gone meanwhile); `outcome`, not 0, is what
 * rpc_outcome then says. Once for each rpc_put_off: rpc_server_end_calls waits for it. Thread: any.
 */
void rpc_take_up(struct rpc_call *call, int outcome);

/* 0: the call was not put off. Within on_request. */
int rpc_outcome(const struct rpc_call *call);

/* Whether the client is gone; a reply would reach nobody. Thread: any. */
bool rpc_is_lost(const struct rpc_call *call);

/* Whether the client has read too little of what was sent (struct rpc_options): it should not get
 * more. Thread: any, while the call has not ended. */
bool rpc_has_unread(const struct rpc_call *call);

/* Connections that were ended for that. Thread: any. */
uint64_t rpc_n_unread_ended(const struct rpc_server *server);

/* Bytes of messages that were copied in this process on their way in or out: pieces without
 * release. Thread: any. */
uint64_t rpc_copied_bytes(void);

/* ---- work on the workers ---- */

/* Runs fn(arg) on a worker soon, or at the end of stop on the stopping thread: exactly once, never
 * inline. Thread: any. */
void rpc_post(struct rpc_server *server, void (*fn)(void *arg), void *arg);

/* Calls fn(arg, fired) on a worker exactly once: at `at_ms` (monotonic; never early) with fired
 * true, or soon after rpc_timer_cancel or stop with fired false. The timer is gone after fn. */
struct rpc_timer *rpc_timer_start(struct rpc_server *server, uint64_t at_ms,
                                  void (*fn)(void *arg, bool fired), void *arg);

/* Thread: any, but not after fn has been called: the owner's lock decides. */
void rpc_timer_cancel(struct rpc_timer *timer);

#endif
