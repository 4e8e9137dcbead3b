/* Ways to send over a socket that need nothing but the kernel: read, mapping, sendfile, splice. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tools/bench/transfer.h"

const uint8_t transfer_head[TRANSFER_HEAD_BYTES] = {0};

size_t transfer_parts(const struct transfer *t, const struct transfer_slice *slices, size_t n,
                      struct iovec *parts)
{
    size_t n_parts = 0;
    for (size_t i = 0; i < n; i++) {
        if (t->head_bytes > 0)
            parts[n_parts++] = (struct iovec){(void *)transfer_head, t->head_bytes};
        parts[n_parts++] = (struct iovec){(void *)(t->base + slices[i].off), slices[i].len};
    }
    return n_parts;
}

size_t transfer_parts_done(struct iovec *parts, size_t n, size_t sent)
{
    size_t done = 0;
    for (; done < n && sent >= parts[done].iov_len; done++)
        sent -= parts[done].iov_len;
    if (done < n)
        parts[done] =
            (struct iovec){(uint8_t *)parts[done].iov_base + sent, parts[done].iov_len - sent};
    return done;
}

int transfer_send_all(struct transfer *t, const uint8_t *at, size_t len, int flags, struct err *e)
{
    while (len > 0) {
        ssize_t n = send(t->socket, at, len, flags | MSG_NOSIGNAL);
        t->counts.n_calls++;
        if (n < 0)
            return err_sys(e, errno, "send");
        t->counts.kernel_copied += (uint64_t)n;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static int set_cork(struct transfer *t, size_t n, int value, struct err *e)
{
    if (n < 2)
        return 0;
    t->counts.n_calls++;
    if (setsockopt(t->socket, IPPROTO_TCP, TCP_CORK, &value, sizeof value) < 0)
        return err_sys(e, errno, "set TCP_CORK");
    return 0;
}

int transfer_cork(struct transfer *t, size_t n, struct err *e)
{
    return set_cork(t, n, 1, e);
}

int transfer_uncork(struct transfer *t, size_t n, struct err *e)
{
    return set_cork(t, n, 0, e);
}

static int send_head(struct transfer *t, struct err *e)
{
    return transfer_send_all(t, transfer_head, t->head_bytes, MSG_MORE, e);
}

/* ---- read and send ---- */

static int open_read(struct transfer *t, struct err *e)
{
    t->state = malloc(TRANSFER_HEAD_BYTES + TRANSFER_SLICE_MAX);
    return t->state ? 0 : err_set(e, ERR_NOMEM, "make a buffer to read to");
}

static void close_read(struct transfer *t)
{
    free(t->state);
}

static int read_one(struct transfer *t, const struct transfer_slice *s, uint8_t *to, struct err *e)
{
    for (uint32_t done = 0; done < s->len;) {
        ssize_t n = pread(t->file, to + done, s->len - done, (off_t)(s->off + done));
        t->counts.n_calls++;
        if (n <= 0)
            return err_sys(e, n < 0 ? errno : EIO, "read the log");
        t->counts.kernel_copied += (uint64_t)n;
        done += (uint32_t)n;
    }
    return 0;
}

static int send_read(struct transfer *t, const struct transfer_slice *slices, size_t n,
                     struct err *e)
{
    uint8_t *buf = t->state;
    int rc = transfer_cork(t, n, e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        memcpy(buf, transfer_head, t->head_bytes);
        t->counts.user_copied += t->head_bytes;
        rc = read_one(t, &slices[i], buf + t->head_bytes, e);
        if (rc == 0)
            rc = transfer_send_all(t, buf, t->head_bytes + slices[i].len, 0, e);
        t->counts.bytes += slices[i].len;
    }
    return rc < 0 ? rc : transfer_uncork(t, n, e);
}

/* ---- a mapping ---- */

static int send_parts(struct transfer *t, struct iovec *parts, size_t n, struct err *e)
{
    while (n > 0) {
        const struct msghdr m = {.msg_iov = parts, .msg_iovlen = n};
        ssize_t sent = sendmsg(t->socket, &m, MSG_NOSIGNAL);
        t->counts.n_calls++;
        if (sent < 0)
            return err_sys(e, errno, "send the mapping");
        t->counts.kernel_copied += (uint64_t)sent;
        size_t n_done = transfer_parts_done(parts, n, (size_t)sent);
        parts += n_done;
        n -= n_done;
    }
    return 0;
}

static int send_together(struct transfer *t, const struct transfer_slice *slices, size_t n,
                         struct err *e)
{
    struct iovec parts[2 * TRANSFER_BATCH_MAX];
    int rc = send_parts(t, parts, transfer_parts(t, slices, n, parts), e);
    for (size_t i = 0; i < n; i++)
        t->counts.bytes += slices[i].len;
    return rc;
}

static int send_each(struct transfer *t, const struct transfer_slice *slices, size_t n,
                     struct err *e)
{
    int rc = transfer_cork(t, n, e);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = send_together(t, &slices[i], 1, e);
    return rc < 0 ? rc : transfer_uncork(t, n, e);
}

/* Takes the pages out of the page tables; they stay in the page cache. */
static int drop_mapping(struct transfer *t, struct err *e)
{
    t->counts.n_calls++;
    if (madvise((void *)t->base, t->file_bytes, MADV_DONTNEED) < 0)
        return err_sys(e, errno, "drop the mapping's pages");
    return 0;
}

/* ---- from the page cache to the socket ---- */

static int sendfile_one(struct transfer *t, const struct transfer_slice *s, struct err *e)
{
    off_t off = (off_t)s->off;
    for (size_t left = s->len; left > 0;) {
        ssize_t n = sendfile(t->socket, t->file, &off, left);
        t->counts.n_calls++;
        if (n <= 0)
            return err_sys(e, n < 0 ? errno : EIO, "send the file");
        left -= (size_t)n;
    }
    return 0;
}

static int send_file(struct transfer *t, const struct transfer_slice *slices, size_t n,
                     struct err *e)
{
    int rc = transfer_cork(t, n, e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = send_head(t, e);
        if (rc == 0)
            rc = sendfile_one(t, &slices[i], e);
        t->counts.bytes += slices[i].len;
    }
    return rc < 0 ? rc : transfer_uncork(t, n, e);
}

struct pipe_pair {
    int out, in;
};

static int open_pipe(struct transfer *t, struct err *e)
{
    int fds[2];
    struct pipe_pair *p = malloc(sizeof *p);
    if (!p || pipe2(fds, O_CLOEXEC) < 0) {
        free(p);
        return err_sys(e, errno, "make a pipe");
    }
    (void)fcntl(fds[1], F_SETPIPE_SZ, TRANSFER_SLICE_MAX); /* a smaller one needs more calls */
    *p = (struct pipe_pair){.out = fds[0], .in = fds[1]};
    t->state = p;
    return 0;
}

static void close_pipe(struct transfer *t)
{
    struct pipe_pair *p = t->state;
    if (!p)
        return;
    (void)close(p->out);
    (void)close(p->in);
    free(p);
}

/* One move of at most `len` bytes; a file has a position of ours, pipe and socket have none. */
static int splice_some(struct transfer *t, int from, off_t *off, int to, size_t len,
                       size_t *ret_moved, struct err *e)
{
    ssize_t n = splice(from, off, to, NULL, len, SPLICE_F_MOVE);
    t->counts.n_calls++;
    if (n <= 0)
        return err_sys(e, n < 0 ? errno : EIO, "splice");
    *ret_moved = (size_t)n;
    return 0;
}

static int splice_one(struct transfer *t, const struct transfer_slice *s, struct err *e)
{
    const struct pipe_pair *p = t->state;
    off_t off = (off_t)s->off;
    size_t in = 0, out = 0;
    for (size_t left = s->len; left > 0; left -= in) {
        int rc = splice_some(t, t->file, &off, p->in, left, &in, e);
        for (size_t inside = in; rc == 0 && inside > 0; inside -= out)
            rc = splice_some(t, p->out, NULL, t->socket, inside, &out, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int send_spliced(struct transfer *t, const struct transfer_slice *slices, size_t n,
                        struct err *e)
{
    int rc = transfer_cork(t, n, e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = send_head(t, e);
        if (rc == 0)
            rc = splice_one(t, &slices[i], e);
        t->counts.bytes += slices[i].len;
    }
    return rc < 0 ? rc : transfer_uncork(t, n, e);
}

const struct transfer_method transfer_read = {
    .open = open_read, .close = close_read, .send = send_read};
const struct transfer_method transfer_mmap = {.send = send_each};
const struct transfer_method transfer_unmapped = {.before_pass = drop_mapping, .send = send_each};
const struct transfer_method transfer_writev = {.send = send_together};
const struct transfer_method transfer_sendfile = {.send = send_file};
const struct transfer_method transfer_splice = {
    .open = open_pipe, .close = close_pipe, .send = send_spliced};
