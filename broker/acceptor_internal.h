/* What the files of the acceptor share: its state, relayed connections, and the TLS identity. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_ACCEPTOR_INTERNAL_H
#define BROKER_ACCEPTOR_INTERNAL_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/lock.h"
#include "base/map.h"
#include "broker/acceptor.h"

enum { PEER_BYTES = 64, RELAY_CHUNK_BYTES = 64 * 1024 };

/* What an epoll event belongs to; the first member of its owner. */
enum watch_kind { WATCH_LISTEN, WATCH_WAKE, WATCH_HELLO, WATCH_RELAY };

struct watch {
    enum watch_kind kind;
    int fd;
};

/* A connection whose first bytes have not come yet. */
struct hello {
    struct watch watch;
    char peer[PEER_BYTES];
    uint64_t until_ms;
    struct hello *next; /* by until_ms */
    struct hello *prev;
};

/* One side of a relayed connection. */
struct relay_end {
    struct watch watch;
    struct relay *relay;
    uint32_t interest; /* what epoll is asked for */
    uint8_t *left;     /* bytes this side did not take yet; NULL: none */
    size_t left_pos;
    size_t left_len;
    bool has_ended; /* it sends no more */
};

struct relay {
    struct relay_end client;
    struct relay_end server; /* gRPC's TLS listener */
    char name[PEER_BYTES];   /* gRPC's name of this connection */
    bool is_dead;            /* closed; freed when the round of events is over */
    struct relay *next;      /* all of them */
    struct relay *prev;
    struct relay *next_dead;
};

struct peer {
    /* set before shared, then constant */
    char text[PEER_BYTES];
    int fd;       /* gRPC's, for a plaintext connection; -1: relayed */
    uint64_t ino; /* the socket's: the number may have been used again */
    struct peer_unread unread;
    _Atomic unsigned n_refs; /* the map's and others': relaxed up, acq_rel down */
    bool is_ending;          /* guarded by the acceptor's lock: it is to be ended */
};

struct acceptor {
    /* set before start, then constant */
    struct grpc_server *grpc;
    struct watch wake; /* an eventfd */
    int epoll_fd;
    uint16_t port;
    struct sockaddr_in tls_at; /* gRPC's TLS listener */
    unsigned max_connections;
    pthread_t thread;
    bool has_thread;

    /* the thread only, once it runs */
    struct watch listener;
    struct hello *first_hello; /* the one that runs out first */
    struct hello *last_hello;
    struct relay *relays;
    struct relay *dead;
    unsigned n_hellos;
    unsigned n_relays;
    bool is_woken;
    uint64_t muted_until_ms; /* out of descriptors: accept no sooner */
    uint64_t swept_ms;
    uint64_t warned_ms;
    uint8_t chunk[RELAY_CHUNK_BYTES];

    struct lock lock; /* rank LOCK_ACCEPT */
    pthread_cond_t changed;
    /* guarded by lock */
    struct map peers; /* gRPC's name -> struct peer */
    bool has_ending;  /* some peer is_ending */
    bool is_refusing;
    bool has_refused; /* the thread has taken note */
    bool is_closing;
};

/* Has the thread look at what it is asked for. Thread: any. */
void acceptor_wake(struct acceptor *a);

/* Asks epoll to watch `w` for `events`; false when it will not. */
bool acceptor_watch(struct acceptor *a, struct watch *w, uint32_t events);

/* ---- acceptor_peer.c ---- */

/* Notes who is behind gRPC's connection `name`. */
int acceptor_note(struct acceptor *a, const char *name, const char *peer, int fd,
                  struct err *e) MUST_CHECK;

void acceptor_forget(struct acceptor *a, const char *name);

/* Ends the connections that acceptor_end named. Thread: the acceptor's, which
 * alone accepts: so no client's socket gets a number between the look at it and
 * its end. */
void acceptor_end_named(struct acceptor *a);

/* Whether one more connection is within the limit. */
bool acceptor_has_room(struct acceptor *a, uint64_t now_ms);

/* ---- acceptor_relay.c ---- */

/* Joins the client's socket, which it now owns, to gRPC's TLS listener. */
void relay_open(struct acceptor *a, int fd, const char *peer);

/* Something happened on one end. */
void relay_step(struct acceptor *a, struct relay_end *end, uint32_t events);

void relay_close(struct acceptor *a, struct relay *r);

/* The same by gRPC's name of the connection; one that is not there is fine. */
void relay_close_name(struct acceptor *a, const char *name);

/* Frees what was closed in this round of events. */
void relay_free_dead(struct acceptor *a);

/* ---- acceptor_tls.c ---- */

/* PEM texts, each ended by a NUL; the caller frees both. */
struct tls_identity {
    char *cert;
    char *key;
};

/* Reads and checks the configured pair, or makes a self-signed one. */
int tls_identity_load(struct tls_identity *ret_id, const struct acceptor_options *opt,
                      struct err *e) MUST_CHECK;

void tls_identity_free(struct tls_identity *id);

#endif
