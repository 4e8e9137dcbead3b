/* Functions of the C library that count before they do what they are for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/grpc_calls.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* atomic, relaxed: counters that order nothing; written by gRPC's threads, taken by the sender */
static _Atomic uint64_t n_calls, n_sent_bytes;

struct grpc_calls grpc_calls_take(void)
{
    return (struct grpc_calls){
        .n = atomic_exchange_explicit(&n_calls, 0, memory_order_relaxed),
        .sent_bytes = atomic_exchange_explicit(&n_sent_bytes, 0, memory_order_relaxed),
    };
}

#ifdef COUNT_GRPC_CALLS

static void count_call(void)
{
    atomic_fetch_add_explicit(&n_calls, 1, memory_order_relaxed);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    count_call();
    ssize_t n = syscall(SYS_sendmsg, fd, m, flags);
    if (n > 0)
        atomic_fetch_add_explicit(&n_sent_bytes, (uint64_t)n, memory_order_relaxed);
    return n;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    count_call();
    return syscall(SYS_recvmsg, fd, m, flags);
}

int epoll_wait(int fd, struct epoll_event *events, int n_max, int timeout_ms)
{
    count_call();
    return (int)syscall(SYS_epoll_pwait, fd, events, n_max, timeout_ms, NULL, (size_t)0);
}

int epoll_ctl(int fd, int op, int of, struct epoll_event *event)
{
    count_call();
    return (int)syscall(SYS_epoll_ctl, fd, op, of, event);
}

int eventfd_read(int fd, eventfd_t *ret_value)
{
    count_call();
    return syscall(SYS_read, fd, ret_value, sizeof *ret_value) == sizeof *ret_value ? 0 : -1;
}

int eventfd_write(int fd, eventfd_t value)
{
    count_call();
    return syscall(SYS_write, fd, &value, sizeof value) == sizeof value ? 0 : -1;
}

#endif
