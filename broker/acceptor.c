/* Accepts connections, looks at their first bytes, and hands them on: plaintext ones to gRPC as
 * they are, TLS ones through a relay to gRPC's own TLS listener (gRPC takes over no TLS
 * connection). One thread; it never blocks but in epoll_wait. A connection is owned by, in turn:
 * its hello (until HELLO_BYTES are there), then gRPC or a relay.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/acceptor_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>

#include "base/io.h"
#include "base/log.h"

enum {
    BACKLOG = 1024,
    CONNECTIONS_MAX = 8192,
    CONNECTIONS_MIN = 16,
    HELLO_MS = 10 * 1000, /* until the first HELLO_BYTES are there */
    MUTE_MS = 100,        /* after accept ran out of descriptors */
    WARN_MS = 10 * 1000,
    EVENTS_MAX = 64,
};

static uint64_t now_ms(void)
{
    struct io *io = io_posix();
    return io->mono_ns(io) / 1000000;
}

enum acceptor_hello acceptor_classify(struct span first)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static_assert(sizeof preface - 1 == HELLO_BYTES, "the preface is what is waited for");
    if (first.len < HELLO_BYTES)
        return HELLO_FOREIGN;
    if (memcmp(first.ptr, preface, HELLO_BYTES) == 0)
        return HELLO_PLAIN;
    bool is_handshake =
        first.ptr[0] == 0x16 && first.ptr[1] == 0x03; /* record type, major version */
    return is_handshake ? HELLO_TLS : HELLO_FOREIGN;
}

/* ---- hellos ---- */

bool acceptor_watch(struct acceptor *a, struct watch *w, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = w};
    return epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, w->fd, &event) == 0;
}

static void spell_address(const struct sockaddr_storage *from, char *ret_text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)from;
        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        (void)snprintf(ret_text, size, "%s:%u", host, ntohs(in->sin_port));
        return;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, from, sizeof in6);
    bool is_mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
    if (is_mapped)
        (void)inet_ntop(AF_INET, &in6.sin6_addr.s6_addr[12], host, sizeof host);
    else
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host);
    (void)snprintf(ret_text, size, is_mapped ? "%s:%u" : "[%s]:%u", host, ntohs(in6.sin6_port));
}

static void link_hello(struct acceptor *a, struct hello *h)
{
    h->prev = a->last_hello;
    *(a->last_hello ? &a->last_hello->next : &a->first_hello) = h;
    a->last_hello = h;
    a->n_hellos++;
}

static void free_hello(struct acceptor *a, struct hello *h)
{
    *(h->prev ? &h->prev->next : &a->first_hello) = h->next;
    *(h->next ? &h->next->prev : &a->last_hello) = h->prev;
    a->n_hellos--;
    free(h);
}

static void close_hello(struct acceptor *a, struct hello *h)
{
    (void)close(h->watch.fd);
    free_hello(a, h);
}

static void open_hello(struct acceptor *a, int fd, const struct sockaddr_storage *from)
{
    struct hello *h = calloc(1, sizeof *h);
    if (!h) {
        (void)close(fd);
        return;
    }
    h->watch = (struct watch){WATCH_HELLO, fd};
    h->until_ms = now_ms() + HELLO_MS;
    spell_address(from, h->peer, sizeof h->peer);
    link_hello(a, h);
    const int on = 1;
    const int wanted = HELLO_BYTES; /* readable only when they are there: nothing is peeked twice */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted);
    if (!acceptor_watch(a, &h->watch, EPOLLIN | EPOLLRDHUP))
        close_hello(a, h);
}

/* gRPC takes the socket over. */
static void hand_to_grpc(struct acceptor *a, int fd, const char *peer)
{
    char name[PEER_BYTES];
    struct err e;
    (void)snprintf(name, sizeof name, "fd:%d", fd);
    if (acceptor_note(a, name, peer, fd, &e) != 0) {
        log_warn("%s: %s, closed", peer, e.msg);
        (void)close(fd);
        return;
    }
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
    grpc_server_add_channel_from_fd(a->grpc, fd, plain);
    grpc_server_credentials_release(plain);
}

static void hear_hello(struct acceptor *a, struct hello *h)
{
    uint8_t first[HELLO_BYTES];
    int fd = h->watch.fd;
    ssize_t n = recv(fd, first, sizeof first, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    enum acceptor_hello said = acceptor_classify(span_of(first, n < 0 ? 0 : (size_t)n));
    if (said == HELLO_FOREIGN) {
        log_debug("%s speaks neither HTTP/2 nor TLS, closed", h->peer);
        close_hello(a, h);
        return;
    }
    char peer[PEER_BYTES];
    memcpy(peer, h->peer, sizeof peer);
    const int any = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &any, sizeof any);
    (void)epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* it was added */
    free_hello(a, h);
    if (said == HELLO_TLS)
        relay_open(a, fd, peer);
    else
        hand_to_grpc(a, fd, peer);
}

static void close_silent(struct acceptor *a)
{
    uint64_t now = now_ms();
    while (a->first_hello && a->first_hello->until_ms <= now)
        close_hello(a, a->first_hello);
}

/* ---- the thread ---- */

static void warn_rarely(struct acceptor *a, const char *what)
{
    uint64_t now = now_ms();
    if (a->warned_ms != 0 && now - a->warned_ms < WARN_MS)
        return;
    a->warned_ms = now;
    log_warn("connections are refused: %s", what);
}

static void set_listening(struct acceptor *a, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = &a->listener};
    (void)epoll_ctl(a->epoll_fd, EPOLL_CTL_MOD, a->listener.fd, &event); /* it is registered */
}

static void mute(struct acceptor *a)
{
    warn_rarely(a, "out of file descriptors");
    a->muted_until_ms = now_ms() + MUTE_MS;
    set_listening(a, 0);
}

static void accept_some(struct acceptor *a)
{
    for (int i = 0; i < EVENTS_MAX; i++) {
        struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
        socklen_t len = sizeof from;
        int fd =
            accept4(a->listener.fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0) {
            if (errno != EAGAIN)
                mute(a);
            return;
        }
        if (acceptor_has_room(a, now_ms())) {
            open_hello(a, fd, &from);
        } else {
            warn_rarely(a, "maxConnections are there");
            (void)close(fd);
        }
    }
}

/* Does what other threads asked for; false when the thread is to end. Not within a round of events,
 * as it frees what they belong to. */
static bool obey(struct acceptor *a)
{
    uint64_t n;
    (void)!read(a->wake.fd, &n, sizeof n); /* only resets it */
    a->is_woken = false;
    lock_take(&a->lock);
    bool is_refusing = a->is_refusing;
    bool is_closing = a->is_closing;
    lock_drop(&a->lock);
    acceptor_end_named(a);
    if (is_refusing && a->listener.fd >= 0) {
        (void)close(a->listener.fd);
        a->listener.fd = -1;
        while (a->first_hello)
            close_hello(a, a->first_hello);
        lock_take(&a->lock);
        a->has_refused = true;
        (void)pthread_cond_broadcast(&a->changed);
        lock_drop(&a->lock);
    }
    return !is_closing;
}

static void handle(struct acceptor *a, struct watch *w, uint32_t events)
{
    switch (w->kind) {
    case WATCH_WAKE:
        a->is_woken = true;
        break;
    case WATCH_LISTEN:
        accept_some(a);
        break;
    case WATCH_HELLO:
        hear_hello(a, (struct hello *)(void *)w);
        break;
    case WATCH_RELAY:
        relay_step(a, (struct relay_end *)(void *)w, events);
        break;
    }
}

static int next_timeout_ms(const struct acceptor *a)
{
    uint64_t until = a->first_hello ? a->first_hello->until_ms : UINT64_MAX;
    if (a->muted_until_ms != 0 && a->muted_until_ms < until)
        until = a->muted_until_ms;
    if (until == UINT64_MAX)
        return -1;
    uint64_t now = now_ms();
    return until <= now ? 0 : (int)(until - now);
}

static void end_mute(struct acceptor *a)
{
    if (a->muted_until_ms == 0 || now_ms() < a->muted_until_ms)
        return;
    a->muted_until_ms = 0;
    if (a->listener.fd >= 0)
        set_listening(a, EPOLLIN);
}

static void *acceptor_main(void *arg)
{
    struct acceptor *a = arg;
    struct epoll_event events[EVENTS_MAX];
    bool goes_on = true;
    while (goes_on) {
        int n = epoll_wait(a->epoll_fd, events, EVENTS_MAX, next_timeout_ms(a));
        for (int i = 0; i < n; i++)
            handle(a, events[i].data.ptr, events[i].events);
        relay_free_dead(a);
        goes_on = !a->is_woken || obey(a);
        close_silent(a);
        end_mute(a);
    }
    return NULL;
}

/* ---- start and stop ---- */

static unsigned limit_of(unsigned wanted)
{
    struct rlimit files;
    unsigned limit = wanted ? wanted : CONNECTIONS_MAX;
    if (wanted == 0 && getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 4 < limit)
        limit = (unsigned)files.rlim_cur / 4;
    return wanted == 0 && limit < CONNECTIONS_MIN ? CONNECTIONS_MIN : limit;
}

static int bind_address(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    const int on = 1, off = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    (void)close(fd);
    return -error;
}

/* The IPv4 address of a name that has both, as most clients dial that one. */
static const struct addrinfo *choose(const struct addrinfo *list)
{
    for (const struct addrinfo *at = list; at; at = at->ai_next)
        if (at->ai_family == AF_INET)
            return at;
    return list;
}

static int listen_on(struct acceptor *a, const struct acceptor_options *opt, struct err *e)
{
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char port[8];
    (void)snprintf(port, sizeof port, "%u", opt->port);
    int gai = getaddrinfo(opt->host, port, &hints, &list);
    if (gai != 0)
        return err_set(e, ERR_INVAL, "resolve '%s': %s", opt->host, gai_strerror(gai));
    int fd = bind_address(choose(list));
    freeaddrinfo(list);
    if (fd == -EADDRINUSE)
        return err_set(e, ERR_BUSY, "listen on '%s:%u': address in use", opt->host, opt->port);
    if (fd < 0)
        return err_sys(e, -fd, "listen on '%s:%u'", opt->host, opt->port);
    a->listener = (struct watch){WATCH_LISTEN, fd};
    struct sockaddr_storage at;
    struct sockaddr_in in;
    socklen_t len = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        return err_sys(e, errno, "ask for the port of '%s'", opt->host);
    /* the port is at the same place for both families */
    memcpy(&in, &at, sizeof in);
    a->port = ntohs(in.sin_port);
    return 0;
}

static int listen_tls(struct acceptor *a, const struct acceptor_options *opt, struct err *e)
{
    struct tls_identity id;
    int rc = tls_identity_load(&id, opt, e);
    if (rc != 0)
        return rc;
    grpc_ssl_pem_key_cert_pair pair = {.private_key = id.key, .cert_chain = id.cert};
    grpc_server_credentials *tls = grpc_ssl_server_credentials_create_ex(
        /* roots = */ NULL, &pair, 1, GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        /* reserved = */ NULL);
    int port = grpc_server_add_http2_port(a->grpc, "127.0.0.1:0", tls);
    grpc_server_credentials_release(tls);
    tls_identity_free(&id);
    if (port <= 0)
        return err_set(e, ERR_IO, "listen for TLS on loopback");
    a->tls_at = (struct sockaddr_in){.sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)port),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return 0;
}

int acceptor_open(struct acceptor **ret_acceptor, const struct acceptor_options *opt,
                  struct grpc_server *grpc, struct err *e)
{
    struct acceptor *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(e, ERR_NOMEM, "make the acceptor");
    a->grpc = grpc;
    a->listener.fd = -1;
    a->max_connections = limit_of(opt->max_connections);
    lock_init(&a->lock, LOCK_ACCEPT);
    lock_cond_init(&a->changed);
    a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    a->wake = (struct watch){WATCH_WAKE, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    int rc = 0;
    if (a->epoll_fd < 0 || a->wake.fd < 0)
        rc = err_sys(e, errno, "make the acceptor's descriptors");
    if (rc == 0)
        rc = listen_on(a, opt, e);
    if (rc == 0)
        rc = listen_tls(a, opt, e);
    if (rc != 0)
        goto fail;
    *ret_acceptor = a;
    return 0;
fail:
    acceptor_close(a);
    return rc;
}

int acceptor_start(struct acceptor *a, struct err *e)
{
    if (!acceptor_watch(a, &a->wake, EPOLLIN) || !acceptor_watch(a, &a->listener, 0))
        return err_sys(e, errno, "watch the listening socket");
    int rc = pthread_create(&a->thread, NULL, acceptor_main, a);
    if (rc != 0)
        return err_sys(e, rc, "start the acceptor");
    a->has_thread = true;
    return 0;
}

void acceptor_accept(struct acceptor *a)
{
    set_listening(a, EPOLLIN);
}

uint16_t acceptor_port(const struct acceptor *a)
{
    return a->port;
}

void acceptor_wake(struct acceptor *a)
{
    const uint64_t one = 1;
    (void)!write(a->wake.fd, &one, sizeof one); /* full: it is awake already */
}

void acceptor_refuse(struct acceptor *a)
{
    if (!a->has_thread)
        return;
    lock_take(&a->lock);
    a->is_refusing = true;
    acceptor_wake(a);
    while (!a->has_refused)
        lock_wait(&a->lock, &a->changed, -1);
    lock_drop(&a->lock);
}

static void join(struct acceptor *a)
{
    if (!a->has_thread)
        return;
    lock_take(&a->lock);
    a->is_closing = true;
    lock_drop(&a->lock);
    acceptor_wake(a);
    (void)pthread_join(a->thread, NULL);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

void acceptor_close(struct acceptor *a)
{
    if (!a)
        return;
    join(a);
    while (a->first_hello)
        close_hello(a, a->first_hello);
    while (a->relays)
        relay_close(a, a->relays);
    relay_free_dead(a);
    close_fd(a->listener.fd);
    close_fd(a->wake.fd);
    close_fd(a->epoll_fd);
    size_t pos = 0;
    const struct map_entry *at;
    while ((at = map_next(&a->peers, &pos)) != NULL)
        peer_unref(at->value);
    map_fini(&a->peers);
    (void)pthread_cond_destroy(&a->changed);
    lock_fini(&a->lock);
    free(a);
}
