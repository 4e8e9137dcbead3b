/* Sends the mapping with MSG_ZEROCOPY: the kernel takes the pages, and tells later whether it has
 * copied them after all, as it does over loopback. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h> /* the next does not include what it needs */

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "tools/bench/transfer.h"

/* The kernel is asked after so many sends, and waited for when it has not told of so many. */
enum { ASK_EACH = 32, WAIT_AT = 512, WAIT_MS = 10000 };

struct zerocopy {
    uint32_t n_sent; /* as the kernel counts: each successful call is one */
    uint32_t n_told;
    size_t lens[WAIT_AT]; /* of each call, at its number modulo WAIT_AT */
};

static int open_zerocopy(struct transfer *t, struct err *e)
{
    const int on = 1;
    t->state = calloc(1, sizeof(struct zerocopy));
    if (!t->state)
        return err_set(e, ERR_NOMEM, "account for sends");
    if (setsockopt(t->socket, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) < 0)
        return err_sys(e, errno, "switch SO_ZEROCOPY on");
    return 0;
}

static void close_zerocopy(struct transfer *t)
{
    free(t->state);
}

/* Calls `first` to `last` are done with. */
static void note_told(struct transfer *t, uint32_t first, uint32_t last, bool were_copied)
{
    struct zerocopy *z = t->state;
    for (uint32_t i = first; i != last + 1; i++) {
        z->n_told++;
        if (were_copied)
            t->counts.kernel_copied += z->lens[i % WAIT_AT];
    }
}

/* Reads one notice; false when there is none. */
static bool read_notice(struct transfer *t)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in))];
    } control;
    struct msghdr m = {.msg_control = &control, .msg_controllen = sizeof control};
    t->counts.n_calls++;
    if (recvmsg(t->socket, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return false;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    const struct sock_extended_err *notice = c ? (const void *)CMSG_DATA(c) : NULL;
    if (notice && notice->ee_origin == SO_EE_ORIGIN_ZEROCOPY)
        note_told(t, notice->ee_info, notice->ee_data,
                  notice->ee_code & SO_EE_CODE_ZEROCOPY_COPIED);
    return true;
}

static uint32_t n_open(const struct zerocopy *z)
{
    return z->n_sent - z->n_told;
}

/* Until fewer than `most` sends are open. */
static int wait_notices(struct transfer *t, uint32_t most, struct err *e)
{
    while (n_open(t->state) >= most) {
        if (read_notice(t))
            continue;
        struct pollfd p = {.fd = t->socket}; /* POLLERR is told unasked */
        t->counts.n_calls++;
        if (poll(&p, 1, WAIT_MS) <= 0 || p.revents & POLLHUP)
            return err_set(e, ERR_IO, "wait for what became of %u sends", n_open(t->state));
    }
    return 0;
}

/* After each send: most of the time nothing. */
static int look_at_notices(struct transfer *t, struct err *e)
{
    const struct zerocopy *z = t->state;
    if (z->n_sent % ASK_EACH == 0)
        while (read_notice(t))
            ;
    return wait_notices(t, WAIT_AT, e);
}

/* One call; ENOBUFS is the limit of pages or notices, which falls as notices are read. */
static int send_some(struct transfer *t, struct iovec *parts, size_t n, size_t *ret_sent,
                     struct err *e)
{
    struct zerocopy *z = t->state;
    const struct msghdr m = {.msg_iov = parts, .msg_iovlen = n};
    ssize_t sent;
    for (;;) {
        sent = sendmsg(t->socket, &m, MSG_ZEROCOPY | MSG_NOSIGNAL);
        t->counts.n_calls++;
        if (sent >= 0)
            break;
        if (errno != ENOBUFS || n_open(z) == 0)
            return err_sys(e, errno, "send without a copy");
        int rc = wait_notices(t, n_open(z), e);
        if (rc < 0)
            return rc;
    }
    z->lens[z->n_sent++ % WAIT_AT] = (size_t)sent;
    *ret_sent = (size_t)sent;
    return 0;
}

static int send_slice(struct transfer *t, const struct transfer_slice *s, struct err *e)
{
    struct iovec parts[2];
    size_t n = transfer_parts(t, s, 1, parts), first = 0, sent = 0;
    while (first < n) {
        int rc = send_some(t, &parts[first], n - first, &sent, e);
        if (rc < 0)
            return rc;
        first += transfer_parts_done(&parts[first], n - first, sent);
        rc = look_at_notices(t, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int send_zerocopy(struct transfer *t, const struct transfer_slice *slices, size_t n,
                         struct err *e)
{
    int rc = transfer_cork(t, n, e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = send_slice(t, &slices[i], e);
        t->counts.bytes += slices[i].len;
    }
    return rc < 0 ? rc : transfer_uncork(t, n, e);
}

const struct transfer_method transfer_zerocopy = {
    .open = open_zerocopy, .close = close_zerocopy, .send = send_zerocopy};
