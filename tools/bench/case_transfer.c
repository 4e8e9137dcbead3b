/* The table of the zero-copy literature: pieces of a log, all of it in memory, sent over loopback
 * to a process that discards them, each way with what it costs.
 *
 * "whole" is the file as it lies there, cut into pieces. The others are bodies of messages, each
 * behind a head, that one filter wants: all, or one in ten or in a hundred, scattered over the log;
 * one filter after the other, so that all of the log is sent. Which messages those are is known
 * beforehand: what finding them costs is `bench filter`'s. The limit is pread and send. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/bench/sets.h"
#include "tools/bench/transfer.h"
#include "tools/bench/transfer_log.h"

enum { SMOKE_MS = 20, WARM_MS = 200, CONNECT_MS = 20000, WHOLE = 0 };
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S 1e9
#define MIB 1048576.0
#define GIB 1073741824.0

struct transfer_params {
    const struct transfer_method *method;
    uint32_t piece_bytes;
    uint32_t n_tags; /* of TRANSFER_TAGS that a filter wants, or WHOLE */
};

enum {
    FIGURE_RATE,
    FIGURE_CPU,
    FIGURE_RECEIVER,
    FIGURE_CALLS,
    FIGURE_USER,
    FIGURE_KERNEL,
    FIGURE_SWITCHES,
    FIGURE_FAULTS
};

static const struct transfer_params *params_of(const struct bench_case *c)
{
    return c->params;
}

static int open_set(const struct bench_options *opt, void **ret_state, struct err *e)
{
    (void)opt;
    struct transfer_log *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, "prepare transfers");
    l->file = -1;
    *ret_state = l;
    return 0;
}

static void close_set(void *state)
{
    transfer_log_free(state);
    free(state);
}

/* Fills the log unless the case before had messages of the same size. */
static int need_log(struct bench_run *run, const struct transfer_params *p, struct err *e)
{
    struct transfer_log *l = run->state;
    int rc = 0;
    if (l->body_bytes != p->piece_bytes) {
        transfer_log_free(l);
        rc = transfer_log_make(l, run->opt->dir, p->piece_bytes, run->opt->bytes, e);
    }
    return rc < 0 ? rc : transfer_log_warm(l, e);
}

static int make_plan(struct transfer_plan *ret, const struct transfer_log *l,
                     const struct transfer_params *p, struct err *e)
{
    return p->n_tags == WHOLE ? transfer_plan_whole(ret, l->log_bytes, p->piece_bytes, e)
                              : transfer_plan_tags(ret, l->records, l->n_records, p->n_tags, e);
}

/* ---- the connection ---- */

static int listen_on_loopback(uint16_t *ret_port, struct err *e)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0) {
        int error = errno;
        if (fd >= 0)
            (void)close(fd);
        return err_sys(e, error, "listen on loopback");
    }
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static int accept_one(int listener, struct err *e)
{
    const int on = 1;
    struct pollfd p = {.fd = listener, .events = POLLIN};
    if (poll(&p, 1, CONNECT_MS) <= 0)
        return err_set(e, ERR_FAILED, "wait for the receiver");
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        return err_sys(e, errno, "accept the receiver's connection");
    return fd;
}

/* As gRPC does by itself: with TCP_NODELAY, and otherwise as the system has it. */
static int connect_receiver(struct transfer *t, enum drain_kind kind, struct err *e)
{
    uint16_t port = 0;
    int listener = listen_on_loopback(&port, e);
    if (listener < 0)
        return listener;
    int rc = drain_start(&t->drain, kind, port, e);
    if (rc == 0)
        rc = t->socket = accept_one(listener, e);
    (void)close(listener);
    return rc < 0 ? rc : 0;
}

static int open_transfer(struct transfer *t, const struct transfer_method *m, struct err *e)
{
    bool is_grpc = m->drain == DRAIN_GRPC || m->drain == DRAIN_GRPC_TLS;
    int rc = is_grpc ? 0 : connect_receiver(t, m->drain, e);
    if (rc == 0 && m->open)
        rc = m->open(t, e);
    return rc;
}

static void close_transfer(struct transfer *t, const struct transfer_method *m)
{
    drain_stop(&t->drain); /* first: nothing waits for it to read any more */
    if (m->close)
        m->close(t);
    if (t->socket >= 0)
        (void)close(t->socket);
}

/* ---- sending ---- */

static int send_until(struct transfer *t, const struct transfer_method *m,
                      struct transfer_plan *plan, uint64_t end_ns, struct err *e)
{
    struct io *io = io_posix();
    int rc = 0;
    while (rc == 0 && io->mono_ns(io) < end_ns) {
        size_t n;
        const struct transfer_slice *batch = transfer_plan_next(plan, &n);
        if (batch->is_first && m->before_pass)
            rc = m->before_pass(t, e);
        if (rc == 0)
            rc = m->send(t, batch, n, e);
    }
    return rc;
}

static void yield(const struct bench_run *run, const struct transfer_counts *c, double seconds,
                  double *ret_values)
{
    double bytes = (double)c->bytes, gib = bytes / GIB;
    ret_values[FIGURE_RATE] = bytes / MIB / seconds;
    ret_values[FIGURE_CPU] = (double)run->spent.self_ns / NS_PER_S / gib;
    ret_values[FIGURE_RECEIVER] = (double)run->spent.server_ns / NS_PER_S / gib;
    ret_values[FIGURE_CALLS] = (double)c->n_calls / gib;
    ret_values[FIGURE_USER] = (double)c->user_copied / bytes;
    ret_values[FIGURE_KERNEL] = (double)c->kernel_copied / bytes;
    ret_values[FIGURE_SWITCHES] = (double)run->spent.n_switches / gib;
    ret_values[FIGURE_FAULTS] = (double)run->spent.minor_faults / gib;
}

/* The connection grows its windows first, gRPC above all. What was under way when the clock started
 * is about what is under way when it stops. */
static int measure(struct bench_run *run, struct transfer *t, const struct transfer_method *m,
                   struct transfer_plan *plan, double *ret_values, struct err *e)
{
    uint64_t run_ns = (run->opt->smoke ? SMOKE_MS : run->opt->run_ms) * NS_PER_MS;
    uint64_t warm_ns = (run->opt->smoke ? 0 : WARM_MS) * NS_PER_MS;
    int rc = open_transfer(t, m, e);
    if (rc == 0)
        rc = send_until(t, m, plan, run->io->mono_ns(run->io) + warm_ns, e);
    if (rc < 0)
        return rc;
    t->counts = (struct transfer_counts){0};
    run->servers[0] = t->drain.pid;
    bench_start(run);
    rc = send_until(t, m, plan, run->io->mono_ns(run->io) + run_ns, e);
    double seconds = bench_stop(run);
    if (rc == 0)
        yield(run, &t->counts, seconds, ret_values);
    return rc;
}

static int transfer_by(struct bench_run *run, const struct transfer_params *p,
                       const struct transfer_method *m, double *ret_values, struct err *e)
{
    const struct transfer_log *l = run->state;
    struct transfer_plan plan = {0};
    int rc = need_log(run, p, e);
    if (rc == 0)
        rc = make_plan(&plan, l, p, e);
    if (rc < 0)
        return rc;
    struct transfer t = {.file = l->file,
                         .base = l->map.bases[0],
                         .file_bytes = l->map.lens[0],
                         .head_bytes = p->n_tags == WHOLE ? 0 : TRANSFER_HEAD_BYTES,
                         .socket = -1};
    rc = measure(run, &t, m, &plan, ret_values, e);
    close_transfer(&t, m);
    transfer_plan_free(&plan);
    return rc;
}

static int transfer(struct bench_run *run, const struct bench_case *c, double *ret_values,
                    struct err *e)
{
    return transfer_by(run, params_of(c), params_of(c)->method, ret_values, e);
}

static int limit(struct bench_run *run, const struct bench_case *c, double *ret_values,
                 struct err *e)
{
    return run->opt->smoke ? 0 : transfer_by(run, params_of(c), &transfer_read, ret_values, e);
}

#define FIGURES                                                                                    \
    {                                                                                              \
        {.unit = "MiB/s"}, {.name = "CPU", .unit = "s/GiB"},                                       \
            {.name = "receiver CPU", .unit = "s/GiB"}, {.name = "calls", .unit = "1/GiB"},         \
            {.name = "user copies", .unit = "B/B"}, {.name = "kernel copies", .unit = "B/B"},      \
            {.name = "switches", .unit = "1/GiB"},                                                 \
        {                                                                                          \
            .name = "faults", .unit = "1/GiB"                                                      \
        }                                                                                          \
    }
#define CASE(what, bytes, tags, way, beside, of)                                                   \
    {                                                                                              \
        what ", " way, transfer, beside,                                                           \
            &(const struct transfer_params){                                                       \
                .method = &(of), .piece_bytes = (bytes), .n_tags = (tags)},                        \
            FIGURES                                                                                \
    }
#define WAYS(what, bytes, tags)                                                                    \
    CASE(what, bytes, tags, "read+send", NULL, transfer_read),                                     \
        CASE(what, bytes, tags, "mmap+write", limit, transfer_mmap),                               \
        CASE(what, bytes, tags, "mmap+write, no page yet", limit, transfer_unmapped),              \
        CASE(what, bytes, tags, "writev", limit, transfer_writev),                                 \
        CASE(what, bytes, tags, "sendfile", limit, transfer_sendfile),                             \
        CASE(what, bytes, tags, "splice", limit, transfer_splice),                                 \
        CASE(what, bytes, tags, "MSG_ZEROCOPY", limit, transfer_zerocopy),                         \
        CASE(what, bytes, tags, "TLS", limit, transfer_tls),                                       \
        CASE(what, bytes, tags, "gRPC copied", limit, transfer_grpc_copied),                       \
        CASE(what, bytes, tags, "gRPC mapped", limit, transfer_grpc_mapped),                       \
        CASE(what, bytes, tags, "gRPC TLS, mapped", limit, transfer_grpc_mapped_tls)
#define SHARES(size, bytes)                                                                        \
    WAYS("whole " size, bytes, WHOLE), WAYS("100 % of " size, bytes, 100),                         \
        WAYS("10 % of " size, bytes, 10), WAYS("1 % of " size, bytes, 1)

static const struct bench_case cases[] = {
    SHARES("1 KiB", 1 << 10),   SHARES("4 KiB", 4 << 10), SHARES("16 KiB", 16 << 10),
    SHARES("64 KiB", 64 << 10), SHARES("1 MiB", 1 << 20), {0},
};

const struct bench_set case_transfer = {cases, open_set, close_set};
