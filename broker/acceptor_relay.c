/* Relayed connections: bytes between a client that speaks TLS and gRPC's TLS listener on loopback.
 * What one side does not take at once is kept, and the other side is not read until it is gone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/acceptor_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

/* Reads of one side before others get their turn. */
enum { ROUNDS_MAX = 8 };

static struct relay_end *other_end(struct relay_end *end)
{
    struct relay *r = end->relay;
    return end == &r->client ? &r->server : &r->client;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Sends what it can; the count, or -1 when the connection is gone. */
static ssize_t push(struct relay_end *to, const uint8_t *bytes, size_t len)
{
    ssize_t n = send(to->watch.fd, bytes, len, MSG_NOSIGNAL);
    return n < 0 && would_block() ? 0 : n;
}

static bool keep_left(struct relay_end *to, const uint8_t *bytes, size_t len)
{
    to->left = malloc(len);
    if (!to->left)
        return false;
    memcpy(to->left, bytes, len);
    to->left_pos = 0;
    to->left_len = len;
    return true;
}

static bool push_left(struct relay_end *to)
{
    if (!to->left)
        return true;
    ssize_t n = push(to, to->left + to->left_pos, to->left_len - to->left_pos);
    if (n < 0)
        return false;
    to->left_pos += (size_t)n;
    if (to->left_pos == to->left_len) {
        free(to->left);
        to->left = NULL;
    }
    return true;
}

/* Moves bytes until one side has none or takes none; false when the connection is gone. */
static bool pump(struct acceptor *a, struct relay_end *from, struct relay_end *to)
{
    if (!push_left(to))
        return false;
    for (int round = 0; round < ROUNDS_MAX && !to->left && !from->has_ended; round++) {
        ssize_t n = recv(from->watch.fd, a->chunk, sizeof a->chunk, 0);
        if (n < 0)
            return would_block();
        if (n == 0) {
            from->has_ended = true;
            (void)shutdown(to->watch.fd, SHUT_WR); /* fails when it is gone: the next read tells */
            return true;
        }
        ssize_t sent = push(to, a->chunk, (size_t)n);
        if (sent < 0)
            return false;
        if (sent < n && !keep_left(to, a->chunk + sent, (size_t)(n - sent)))
            return false;
    }
    return true;
}

static void update_interest(struct acceptor *a, struct relay_end *end)
{
    bool reads = !end->has_ended && !other_end(end)->left;
    uint32_t interest = (reads ? (uint32_t)EPOLLIN : 0) | (end->left ? (uint32_t)EPOLLOUT : 0);
    if (interest == end->interest)
        return;
    end->interest = interest;
    struct epoll_event event = {.events = interest, .data.ptr = &end->watch};
    (void)epoll_ctl(a->epoll_fd, EPOLL_CTL_MOD, end->watch.fd, &event); /* it is registered */
}

void relay_step(struct acceptor *a, struct relay_end *end, uint32_t events)
{
    struct relay *r = end->relay;
    if (r->is_dead)
        return;
    /* A side that is gone while nothing is read from it would be reported for ever. */
    bool is_gone = (events & (EPOLLHUP | EPOLLERR)) && !(end->interest & EPOLLIN);
    bool is_flowing = !is_gone && pump(a, end, other_end(end)) && pump(a, other_end(end), end);
    bool is_over = r->client.has_ended && r->server.has_ended && !r->client.left && !r->server.left;
    if (!is_flowing || is_over) {
        relay_close(a, r);
        return;
    }
    update_interest(a, &r->client);
    update_interest(a, &r->server);
}

/* Connects to gRPC's TLS listener; gRPC will see the port we connect from. */
static int dial(struct acceptor *a, char *ret_name, size_t size)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    bool is_dialled = connect(fd, (const struct sockaddr *)&a->tls_at, sizeof a->tls_at) == 0 ||
                      errno == EINPROGRESS;
    if (!is_dialled || getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        (void)close(fd);
        return -1;
    }
    (void)snprintf(ret_name, size, "ipv4:127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

static void init_end(struct relay_end *end, struct relay *r, int fd)
{
    *end = (struct relay_end){.watch = {WATCH_RELAY, fd}, .relay = r, .interest = EPOLLIN};
}

static void link_relay(struct acceptor *a, struct relay *r)
{
    r->next = a->relays;
    if (r->next)
        r->next->prev = r;
    a->relays = r;
    a->n_relays++;
}

static void unlink_relay(struct acceptor *a, struct relay *r)
{
    *(r->prev ? &r->prev->next : &a->relays) = r->next;
    if (r->next)
        r->next->prev = r->prev;
    a->n_relays--;
}

void relay_open(struct acceptor *a, int fd, const char *peer)
{
    struct err e;
    struct relay *r = calloc(1, sizeof *r);
    int server_fd = r ? dial(a, r->name, sizeof r->name) : -1;
    if (server_fd < 0 || acceptor_note(a, r->name, peer, /* fd = */ -1, &e) != 0) {
        log_warn("relay a TLS connection of %s: no descriptor or memory, closed", peer);
        if (server_fd >= 0)
            (void)close(server_fd);
        (void)close(fd);
        free(r);
        return;
    }
    init_end(&r->client, r, fd);
    init_end(&r->server, r, server_fd);
    link_relay(a, r);
    if (!acceptor_watch(a, &r->client.watch, EPOLLIN) ||
        !acceptor_watch(a, &r->server.watch, EPOLLIN))
        relay_close(a, r);
}

void relay_close(struct acceptor *a, struct relay *r)
{
    acceptor_forget(a, r->name);
    (void)close(r->client.watch.fd);
    (void)close(r->server.watch.fd);
    free(r->client.left);
    free(r->server.left);
    unlink_relay(a, r);
    r->is_dead = true;
    r->next_dead = a->dead;
    a->dead = r;
}

void relay_close_name(struct acceptor *a, const char *name)
{
    struct relay *r = a->relays;
    while (r && strcmp(r->name, name) != 0)
        r = r->next;
    if (r)
        relay_close(a, r);
}

void relay_free_dead(struct acceptor *a)
{
    while (a->dead) {
        struct relay *r = a->dead;
        a->dead = r->next_dead;
        free(r);
    }
}
