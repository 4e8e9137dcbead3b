/* One port for plaintext and TLS: looks at a connection's first bytes and hands it to gRPC, which
 * then speaks for itself. Knows who is behind each of gRPC's connections. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_ACCEPTOR_H
#define BROKER_ACCEPTOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct acceptor;
struct grpc_server;

/* Who is behind one of gRPC's connections. It is there as long as the
 * connection, or as somebody has a reference. */
struct peer;

struct acceptor_options {
    const char *host;          /* a name or an address; without brackets */
    uint16_t port;             /* 0 picks one */
    const char *tls_cert_path; /* PEM, the chain; NULL: self-signed, made anew at each start */
    const char *tls_key_path;  /* PEM; NULL with the other */
    unsigned max_connections;  /* 0: 8,192, or a quarter of the process's descriptors if fewer */
};

/* Binds the port and adds gRPC's TLS listener, on a port of its own on loopback, to `grpc`, which
 * has not been started. ERR_BUSY: the address is in use. ERR_INVAL: an unknown host, or a
 * certificate and key that do not belong together. */
int acceptor_open(struct acceptor **ret_acceptor, const struct acceptor_options *opt,
                  struct grpc_server *grpc, struct err *e) MUST_CHECK;

/* Starts the acceptor's thread. */
int acceptor_start(struct acceptor *a, struct err *e) MUST_CHECK;

/* Begins to accept. `grpc` has been started. */
void acceptor_accept(struct acceptor *a);

uint16_t acceptor_port(const struct acceptor *a);

/* Accepts no more; what is relayed goes on. No connection is added to gRPC after it has returned.
 */
void acceptor_refuse(struct acceptor *a);

/* Ends everything that is left and frees. NULL is fine. Thread: not concurrently with the others.
 */
void acceptor_close(struct acceptor *a);

/* Writes the client's real address, "127.0.0.1:40112" or "[::1]:40112", for gRPC's name of a
 * connection; a name that is not known is written as it is, and yields NULL. Cut to `size`, always
 * ends in NUL. The reference is the caller's. Thread: any. */
struct peer *acceptor_peer(struct acceptor *a, const char *grpc_name, char *ret_text, size_t size);

struct peer *peer_ref(struct peer *p);
void peer_unref(struct peer *p); /* NULL is fine */
const char *peer_text(const struct peer *p);

/* What gRPC was given for the client and has not written yet. */
struct peer_unread {
    /* atomic, relaxed: a sum and a time, which order nothing */
    _Atomic uint64_t bytes;
    _Atomic uint64_t moved_ms; /* when it was nothing, or some of it was written; monotonic */
    _Atomic bool is_watched;   /* acq_rel: a timer looks after it */
};
struct peer_unread *peer_unread(struct peer *p);

/* Ends the connection, soon; calls over it are lost. Thread: any. */
void acceptor_end(struct acceptor *a, struct peer *p);

/* What the first bytes of a connection say. */
enum acceptor_hello {
    HELLO_PLAIN,   /* HTTP/2's preface */
    HELLO_TLS,     /* a TLS handshake record */
    HELLO_FOREIGN, /* neither, or cut short */
};

enum { HELLO_BYTES = 24 };

/* `first` has HELLO_BYTES unless the connection ended before. */
enum acceptor_hello acceptor_classify(struct span first);

#endif
