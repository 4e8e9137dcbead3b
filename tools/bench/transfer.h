/* Ways to send slices of a mapped file over a connection. Each keeps its own account: the system
 * calls it makes, and the bytes it has copied in user space and the kernel copied for it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_TRANSFER_H
#define TOOLS_BENCH_TRANSFER_H

#include "tools/bench/drain.h"
#include "tools/bench/transfer_plan.h"

enum { TRANSFER_HEAD_BYTES = 64, TRANSFER_SLICE_MAX = 1 << 20 };

struct transfer_counts {
    uint64_t bytes;         /* of slices sent, heads apart */
    uint64_t n_calls;       /* system calls of the sender */
    uint64_t user_copied;   /* bytes */
    uint64_t kernel_copied; /* bytes, by the kernel for the sender; what the receiver reads is not
                               among them */
};

struct transfer {
    int file;
    const uint8_t *base; /* the whole file, mapped */
    uint64_t file_bytes;
    size_t head_bytes; /* sent in front of each slice: 0 or TRANSFER_HEAD_BYTES */
    int socket;        /* connected; of gRPC's methods -1 */
    struct drain drain;
    struct transfer_counts counts;
    void *state; /* the method's */
};

struct transfer_method {
    enum drain_kind drain;
    /* gRPC's methods connect here. What is half open is closed by close(); each may be NULL. */
    int (*open)(struct transfer *t, struct err *e);
    void (*close)(struct transfer *t);
    int (*before_pass)(struct transfer *t, struct err *e);
    /* Sends the slices in their order, at most TRANSFER_BATCH_MAX. */
    int (*send)(struct transfer *t, const struct transfer_slice *slices, size_t n, struct err *e);
};

extern const struct transfer_method transfer_read;     /* pread, send */
extern const struct transfer_method transfer_mmap;     /* sendmsg of the mapping */
extern const struct transfer_method transfer_unmapped; /* the same, its pages not yet there */
extern const struct transfer_method transfer_writev;   /* sendmsg of many slices */
extern const struct transfer_method transfer_sendfile;
extern const struct transfer_method transfer_splice;
extern const struct transfer_method transfer_zerocopy;        /* MSG_ZEROCOPY */
extern const struct transfer_method transfer_tls;             /* of the mapping, by OpenSSL */
extern const struct transfer_method transfer_grpc_copied;     /* slices are copies */
extern const struct transfer_method transfer_grpc_mapped;     /* slices lie in the mapping */
extern const struct transfer_method transfer_grpc_mapped_tls; /* the same over TLS */

/* What is sent in front of slices. */
extern const uint8_t transfer_head[TRANSFER_HEAD_BYTES];

struct iovec;

/* Fills a part for each head and each slice, and returns how many those are: at most 2 * n. */
size_t transfer_parts(const struct transfer *t, const struct transfer_slice *slices, size_t n,
                      struct iovec *parts);

/* What was not sent yet: returns how many parts are done with, and shortens the next. */
size_t transfer_parts_done(struct iovec *parts, size_t n, size_t sent);

/* Around slices that are sent by a call each, so that the kernel makes one stream of them and not a
 * segment of each: TCP_CORK, when there are several. What sends them by one call needs none. */
int transfer_cork(struct transfer *t, size_t n, struct err *e) MUST_CHECK;
int transfer_uncork(struct transfer *t, size_t n, struct err *e) MUST_CHECK;

/* Sends all of it from memory. `flags` of send(2). */
int transfer_send_all(struct transfer *t, const uint8_t *at, size_t len, int flags,
                      struct err *e) MUST_CHECK;

#endif
