/* A small gRPC client over C-core: one connection, driven by the thread that owns it. Messages go
 * in and out as bytes; no gRPC type is in sight. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_CLIENT_H
#define TOOLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct client;
struct client_stream;

/* gRPC status codes a caller tells apart. */
enum {
    CLIENT_OK = 0,
    CLIENT_CANCELLED = 1,
    CLIENT_DEADLINE_EXCEEDED = 4,
    CLIENT_RESOURCE_EXHAUSTED = 8,
    CLIENT_UNIMPLEMENTED = 12,
    CLIENT_UNAVAILABLE = 14,
};

#define CLIENT_FOREVER UINT64_MAX

struct client_options {
    const char *endpoint;  /* HOST:PORT */
    bool tls;              /* encrypted; the certificate is not checked */
    const char *client_id; /* x-mq-client-id; NULL: host@pid@n */
};

/* Makes the channel; the connection comes with client_connect, or the first call. The first client
 * also starts gRPC, which then stays up. ERR_INVAL, ERR_NOMEM. `opt` need not outlive the call.
 * Thread: everything here belongs to the thread that opened the client. */
int client_open(struct client **ret_client, const struct client_options *opt,
                struct err *e) MUST_CHECK;

/* Connects, trying again for up to `patience_ms`: a broker that is just starting, or too busy to
 * answer, gets that long, and a connection that C-core 1.51 gives up without cause another try (it
 * reads errno late, grpc/grpc pull request 35064). Without a connection nothing is said: the first
 * call says why. */
void client_connect(struct client *c, uint64_t patience_ms);

/* Keeps gRPC's own log lines off stderr, for the whole process; before the first client_open. */
void client_silence_grpc(void);

/* Cancels what is running, waits for it to end (each done function is called), closes the streams
 * that are still open, and frees. NULL is fine. */
void client_close(struct client *c);

const char *client_id(const struct client *c);
const char *client_endpoint(const struct client *c);

/* ---- one request, one reply ---- */

struct client_reply {
    int status;          /* gRPC status */
    const char *text;    /* the status' message; never NULL */
    struct span message; /* whole; empty unless CLIENT_OK */
};

/* Spans and text are valid during the call only. */
typedef void (*client_done_fn)(void *arg, const struct client_reply *reply);

/* Starts a call; `done` is called from client_poll (or client_close) exactly once. The request is
 * copied. `path` is "/package.Service/Method". On failure `done` is not called. */
int client_start(struct client *c, const char *path, struct span request, uint64_t timeout_ms,
                 client_done_fn done, void *arg, struct err *e) MUST_CHECK;

/* Handles what is there, waiting up to `wait_ms` for the first; true when something was handled. */
bool client_poll(struct client *c, uint64_t wait_ms);

/* Calls started and not done. */
size_t client_n_running(const struct client *c);

/* Starts a call and polls until it is done; `ret_reply` holds the message, which the caller frees
 * (an empty one may be NULL). A status other than OK is client_error's error. */
int client_call(struct client *c, const char *path, struct span request, uint64_t timeout_ms,
                uint8_t **ret_reply, size_t *ret_len, struct err *e) MUST_CHECK;

/* Puts a failed status into words for the user: ERR_UNSUPPORTED for UNIMPLEMENTED, else ERR_IO.
 * Returns the code. */
int client_error(const struct client *c, const char *path, int status, const char *text,
                 struct err *e);

/* ---- streams: server-streaming and bidirectional ---- */

enum client_next {
    CLIENT_MESSAGE, /* a message */
    CLIENT_ENDED,   /* the stream is over: client_stream_status says how */
    CLIENT_WAITING, /* nothing within the time */
};

int client_stream_open(struct client_stream **ret_stream, struct client *c, const char *path,
                       uint64_t timeout_ms, struct err *e) MUST_CHECK;

/* Sends one message and waits until it is written. ERR_CLOSED: the stream is over. */
int client_stream_send(struct client_stream *s, struct span message, struct err *e) MUST_CHECK;

/* No more messages from us: a server-streaming call's request is one send and this. */
int client_stream_half_close(struct client_stream *s, struct err *e) MUST_CHECK;

/* The next message, valid until the next call on this stream. */
enum client_next client_stream_next(struct client_stream *s, uint64_t wait_ms,
                                    struct span *ret_message);

/* After CLIENT_ENDED. `ret_text` (may be NULL) is valid as long as the stream. */
int client_stream_status(const struct client_stream *s, const char **ret_text);

/* Asks for the end; it shows as CLIENT_ENDED. */
void client_stream_cancel(struct client_stream *s);

/* Cancels if needed, waits for the end, frees. NULL is fine. */
void client_stream_close(struct client_stream *s);

#endif
