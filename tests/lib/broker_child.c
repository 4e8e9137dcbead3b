/* A real sluiced as a child process. posix_spawn, since gRPC does not bear a fork of its process.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/broker_child.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 32, WAIT_MS = 60000 };

extern char **environ;

static const char *program;

void broker_child_use(const char *sluiced)
{
    program = sluiced;
}

/* ---- processes ---- */

static void make_pipe(int ends[2])
{
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
}

/* Signals at their defaults: the child's own main blocks what it waits for. setpriv becomes the
 * program, which the kernel kills when this process ends, however it does: a broker left behind
 * would hold the pipe on which Meson waits for the end of the test. */
static pid_t spawn(const char *const *args, int out, int err)
{
    pid_t pid;
    posix_spawn_file_actions_t files;
    const char *argv[ARGS_MAX + 6] = {"setpriv", "--pdeathsig", "KILL", "--", program};
    ck_assert_ptr_nonnull(program);
    for (int i = 0; args && args[i]; i++) {
        ck_assert_int_lt(i, ARGS_MAX);
        argv[i + 5] = args[i];
    }
    ck_assert_int_eq(posix_spawn_file_actions_init(&files), 0);
    ck_assert_int_eq(posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO), 0);
    if (err >= 0)
        ck_assert_int_eq(posix_spawn_file_actions_adddup2(&files, err, STDERR_FILENO), 0);
    ck_assert_int_eq(posix_spawnp(&pid, argv[0], &files, NULL, (char **)argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&files); /* it is of no more use */
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        ck_assert_int_eq(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- a broker that serves ---- */

static void read_line(int fd, char *line, size_t size)
{
    size_t len = 0;
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    while (len + 1 < size && (len == 0 || line[len - 1] != '\n')) {
        ck_assert_msg(poll(&waiting, 1, WAIT_MS) == 1, "no ready line came");
        ssize_t n = read(fd, line + len, 1);
        ck_assert_msg(n == 1, "the broker ended before it was ready");
        len += (size_t)n;
    }
    line[len] = '\0';
}

void broker_child_begin(struct broker_child *child, const char *store, const char *const *args)
{
    int ends[2];
    const char *all[ARGS_MAX] = {"--store",  store,
                                 "--listen", "127.0.0.1:0",
                                 "--set",    "mappedFileSizeCommitLog=33554432",
                                 "--set",    "stopGraceMillis=2000",
                                 "--set",    "workers=2",
                                 "--set",    "fileReservedTime=876000"}; /* as old as a fixture */
    size_t n = 12;
    for (size_t i = 0; args && args[i]; i++) {
        ck_assert_uint_lt(n, ARGS_MAX - 1);
        all[n++] = args[i];
    }
    make_pipe(ends);
    child->pid = spawn(all, ends[1], /* err = */ -1);
    (void)close(ends[1]);
    child->out = ends[0];
}

void broker_child_start(struct broker_child *child, const char *store, const char *const *args)
{
    char line[128];
    broker_child_begin(child, store, args);
    read_line(child->out, line, sizeof line);
    ck_assert_int_eq(sscanf(line, "ready on %63s", child->endpoint), 1);
}

static void forget(struct broker_child *child)
{
    (void)close(child->out);
    *child = (struct broker_child){.out = -1};
}

int broker_child_stop(struct broker_child *child)
{
    char rest[64];
    ck_assert_int_eq(kill(child->pid, SIGTERM), 0);
    int status = wait_for(child->pid);
    ck_assert_msg(read(child->out, rest, sizeof rest) == 0, "more than the ready line on stdout");
    forget(child);
    return status;
}

void broker_child_kill(struct broker_child *child)
{
    ck_assert_int_eq(kill(child->pid, SIGKILL), 0);
    (void)wait_for(child->pid); /* the signal ended it */
    forget(child);
}

/* ---- a run that ends by itself ---- */

struct capture {
    int fd;
    char *text;
    size_t len;
};

/* False at the end. What does not fit is dropped. */
static bool drain(struct capture *c)
{
    char dropped[512];
    size_t room = BROKER_CHILD_TEXT_BYTES - 1 - c->len;
    ssize_t n =
        room > 0 ? read(c->fd, c->text + c->len, room) : read(c->fd, dropped, sizeof dropped);
    if (n > 0 && room > 0)
        c->len += (size_t)n;
    c->text[c->len] = '\0';
    return n > 0;
}

static void drain_both(struct capture *a, struct capture *b)
{
    struct pollfd waiting[] = {{.fd = a->fd, .events = POLLIN}, {.fd = b->fd, .events = POLLIN}};
    while (waiting[0].fd >= 0 || waiting[1].fd >= 0) {
        ck_assert_msg(poll(waiting, 2, WAIT_MS) > 0, "the run does not end");
        if (waiting[0].revents && !drain(a))
            waiting[0].fd = -1;
        if (waiting[1].revents && !drain(b))
            waiting[1].fd = -1;
    }
}

void broker_child_run(const char *const *args, struct broker_run *ret)
{
    int out[2], err[2];
    make_pipe(out);
    make_pipe(err);
    pid_t pid = spawn(args, out[1], err[1]);
    (void)close(out[1]);
    (void)close(err[1]);
    struct capture from_out = {.fd = out[0], .text = ret->out};
    struct capture from_err = {.fd = err[0], .text = ret->err};
    drain_both(&from_out, &from_err);
    (void)close(out[0]);
    (void)close(err[0]);
    ret->status = wait_for(pid);
}
