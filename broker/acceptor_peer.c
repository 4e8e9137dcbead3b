/* Who is behind each of gRPC's connections, and how many there are. gRPC does not tell when it
 * closes a plaintext one. So these are told apart from later sockets of the same number by their
 * inodes, and only when the limit seems to be reached. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/acceptor_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { SWEEP_MS = 100 }; /* between two looks at every socket */

int acceptor_note(struct acceptor *a, const char *name, const char *peer, int fd, struct err *e)
{
    struct stat st = {.st_ino = 0};
    if (fd >= 0 && fstat(fd, &st) != 0)
        return err_sys(e, errno, "look at a socket");
    struct peer *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "note a connection");
    *p = (struct peer){.fd = fd, .ino = st.st_ino};
    atomic_init(&p->n_refs, 1);
    (void)snprintf(p->text, sizeof p->text, "%s", peer);
    lock_take(&a->lock);
    struct peer *old = map_remove(&a->peers, span_str(name));
    int rc = map_put(&a->peers, span_str(name), p, e);
    lock_drop(&a->lock);
    peer_unref(old);
    if (rc != 0)
        peer_unref(p);
    return rc;
}

void acceptor_forget(struct acceptor *a, const char *name)
{
    lock_take(&a->lock);
    struct peer *p = map_remove(&a->peers, span_str(name));
    lock_drop(&a->lock);
    peer_unref(p);
}

/* "ipv4:1.2.3.4:5" and "ipv6:%5B::1%5D:5" in the form people write. */
static void spell_out(const char *grpc_name, char *ret_text, size_t size)
{
    const char *from = grpc_name;
    if (strncmp(from, "ipv4:", 5) == 0 || strncmp(from, "ipv6:", 5) == 0)
        from += 5;
    size_t n = 0;
    while (*from && n + 1 < size) {
        bool is_open = strncmp(from, "%5B", 3) == 0;
        bool is_shut = strncmp(from, "%5D", 3) == 0;
        ret_text[n++] = (char)(is_open ? '[' : is_shut ? ']' : *from);
        from += is_open || is_shut ? 3 : 1;
    }
    ret_text[n] = '\0';
}

struct peer *acceptor_peer(struct acceptor *a, const char *grpc_name, char *ret_text, size_t size)
{
    lock_take(&a->lock);
    struct peer *p = map_get(&a->peers, span_str(grpc_name));
    if (p)
        (void)snprintf(ret_text, size, "%s", peer_ref(p)->text);
    lock_drop(&a->lock);
    if (!p)
        spell_out(grpc_name, ret_text, size);
    return p;
}

struct peer *peer_ref(struct peer *p)
{
    /* relaxed: whoever adds one has one, or the lock */
    atomic_fetch_add_explicit(&p->n_refs, 1, memory_order_relaxed);
    return p;
}

void peer_unref(struct peer *p)
{
    if (p && atomic_fetch_sub_explicit(&p->n_refs, 1, memory_order_acq_rel) == 1)
        free(p);
}

struct peer_unread *peer_unread(struct peer *p)
{
    return &p->unread;
}

const char *peer_text(const struct peer *p)
{
    return p->text;
}

static bool is_open(const struct peer *p)
{
    struct stat st;
    return p->fd < 0 || (fstat(p->fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == p->ino);
}

/* A connection that gRPC has closed; NULL when there is none from `*pos` on. */
static const struct map_entry *next_closed(struct acceptor *a, size_t *pos)
{
    const struct map_entry *at;
    while ((at = map_next(&a->peers, pos)) != NULL)
        if (!is_open(at->value))
            return at;
    return NULL;
}

static void sweep(struct acceptor *a)
{
    lock_take(&a->lock);
    size_t pos = 0;
    const struct map_entry *at;
    while ((at = next_closed(a, &pos)) != NULL)
        peer_unref(map_remove(&a->peers, span_of(at->key, at->key_len)));
    lock_drop(&a->lock);
}

static size_t count_connections(struct acceptor *a)
{
    lock_take(&a->lock);
    size_t n = a->peers.n_used;
    lock_drop(&a->lock);
    return n + a->n_hellos;
}

bool acceptor_has_room(struct acceptor *a, uint64_t now_ms)
{
    if (count_connections(a) < a->max_connections)
        return true;
    if (now_ms - a->swept_ms < SWEEP_MS)
        return false;
    a->swept_ms = now_ms;
    sweep(a);
    return count_connections(a) < a->max_connections;
}

/* ---- ending ---- */

void acceptor_end(struct acceptor *a, struct peer *p)
{
    lock_take(&a->lock);
    p->is_ending = true;
    a->has_ending = true;
    lock_drop(&a->lock);
    acceptor_wake(a);
}

/* Shuts those that gRPC has, and names one relayed connection; false when there
 * is none left. */
static bool end_some(struct acceptor *a, char ret_name[PEER_BYTES])
{
    const struct map_entry *at;
    bool is_found = false;
    size_t pos = 0;
    lock_take(&a->lock);
    while (a->has_ending && !is_found && (at = map_next(&a->peers, &pos)) != NULL) {
        struct peer *p = at->value;
        if (!p->is_ending)
            continue;
        p->is_ending = false;
        is_found = p->fd < 0;
        if (is_found)
            (void)snprintf(ret_name, PEER_BYTES, "%s", (const char *)at->key);
        else if (is_open(p))
            (void)shutdown(p->fd, SHUT_RDWR); /* gRPC closes it then */
    }
    a->has_ending = a->has_ending && is_found;
    lock_drop(&a->lock);
    return is_found;
}

void acceptor_end_named(struct acceptor *a)
{
    char name[PEER_BYTES];
    while (end_some(a, name))
        relay_close_name(a, name);
}
