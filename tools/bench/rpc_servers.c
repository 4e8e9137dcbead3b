/* Starts and ends the measured processes. Each is a process of its own, so that the load generator
 * shares no thread and no poller with what it measures. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/rpc_servers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/bench/null_server.h"
#include "tools/command.h"

enum { ANSWERS_MAX = 8, FEED_MAX_BYTES = 64 << 20 };

/* ---- bytes over a pipe ---- */

static int write_all(int fd, const void *bytes, size_t len, struct err *e)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "write to the null server");
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Reads until the other side closes; NULL when that fails or is too much. */
static uint8_t *read_all(int fd, size_t *ret_len)
{
    size_t len = 0, room = 0;
    uint8_t *buf = NULL;
    for (;;) {
        if (len == room) {
            room = room ? 2 * room : 65536;
            uint8_t *grown = room > FEED_MAX_BYTES ? NULL : realloc(buf, room);
            if (!grown)
                break;
            buf = grown;
        }
        ssize_t n = read(fd, buf + len, room - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        if (n == 0) {
            *ret_len = len;
            return buf;
        }
        len += (size_t)n;
    }
    free(buf);
    return NULL;
}

static int write_chunk(int fd, struct span s, struct err *e)
{
    uint8_t head[4];
    be32_put(head, (uint32_t)s.len);
    int rc = write_all(fd, head, sizeof head, e);
    return rc < 0 ? rc : write_all(fd, s.ptr, s.len, e);
}

static struct span read_chunk(struct reader *r)
{
    return reader_take(r, reader_be32(r));
}

/* ---- the null server's process ---- */

/* Answers as bytes: of each the path, how many messages, the messages; chunks of be32 and bytes. */
static int feed(int fd, const struct null_answer *answers, size_t n, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        uint8_t count[4];
        be32_put(count, (uint32_t)answers[i].n_messages);
        rc = write_chunk(fd, span_of(answers[i].path, strlen(answers[i].path) + 1), e);
        if (rc == 0)
            rc = write_all(fd, count, sizeof count, e);
        for (size_t m = 0; m < answers[i].n_messages && rc == 0; m++)
            rc = write_chunk(fd, answers[i].messages[m], e);
    }
    return rc;
}

static bool read_answer(struct reader *r, struct null_answer *ret)
{
    struct span path = read_chunk(r);
    uint32_t n = reader_be32(r);
    struct span *messages = calloc(n, sizeof *messages);
    if (r->bad || !messages)
        return false;
    for (uint32_t i = 0; i < n; i++)
        messages[i] = read_chunk(r);
    *ret = (struct null_answer){(const char *)path.ptr, messages, n};
    return !r->bad;
}

static void tell_ready(void *arg, struct null_ports ports)
{
    int fd = *(const int *)arg;
    if (write(fd, &ports, sizeof ports) != sizeof ports)
        _exit(1); /* nobody waits for it any more */
}

int bench_null_main(void)
{
    struct null_answer answers[ANSWERS_MAX];
    size_t len, n = 0;
    int ready_fd = STDOUT_FILENO;
    uint8_t *bytes = read_all(STDIN_FILENO, &len);
    struct reader r = reader_of(span_of(bytes, bytes ? len : 0));
    while (r.left > 0 && n < ANSWERS_MAX && read_answer(&r, &answers[n]))
        n++;
    struct err e;
    if (n == 0 || r.left > 0)
        return COMMAND_FAILED; /* the benchmark has failed before and said why */
    if (null_server_run(answers, n, tell_ready, &ready_fd, &e) < 0)
        return command_failed("null server", &e);
    return COMMAND_FAILED;
}

/* Never returns. */
static void be_null_server(int feed_fd, int ready_fd)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it must not outlive the benchmark */
    (void)dup2(feed_fd, STDIN_FILENO);
    (void)dup2(ready_fd, STDOUT_FILENO);
    (void)execl("/proc/self/exe", "sluice", "bench", BENCH_NULL_WORD, (char *)NULL);
    _exit(127); /* the missing port tells */
}

int bench_start_null(struct bench_server *ret_server, struct err *e)
{
    int feed_pipe[2], ready_pipe[2];
    if (pipe2(feed_pipe, O_CLOEXEC) < 0)
        return err_sys(e, errno, "make a pipe");
    if (pipe2(ready_pipe, O_CLOEXEC) < 0) {
        (void)close(feed_pipe[0]);
        (void)close(feed_pipe[1]);
        return err_sys(e, errno, "make a pipe");
    }
    pid_t pid = fork();
    if (pid == 0)
        be_null_server(feed_pipe[0], ready_pipe[1]);
    (void)close(feed_pipe[0]);
    (void)close(ready_pipe[1]);
    *ret_server = (struct bench_server){
        .pid = pid < 0 ? 0 : pid, .feed_fd = feed_pipe[1], .ready_fd = ready_pipe[0]};
    return pid < 0 ? err_sys(e, errno, "start the null server") : 0;
}

int bench_feed_null(struct bench_server *server, const struct null_answer *answers, size_t n,
                    struct err *e)
{
    struct null_ports ports;
    int rc = feed(server->feed_fd, answers, n, e);
    (void)close(server->feed_fd);
    server->feed_fd = -1;
    if (rc < 0)
        return rc;
    if (read(server->ready_fd, &ports, sizeof ports) != sizeof ports)
        return err_set(e, ERR_FAILED, "the null server ended before it served");
    (void)snprintf(server->endpoint, sizeof server->endpoint, "127.0.0.1:%u", ports.plain);
    (void)snprintf(server->tls_endpoint, sizeof server->tls_endpoint, "127.0.0.1:%u", ports.tls);
    return 0;
}

/* ---- the broker's process ---- */

static int find_sluiced(char *ret_path, size_t size, struct err *e)
{
    char own[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    if (n < 0)
        return err_sys(e, errno, "find this program");
    own[n] = '\0';
    char *slash = strrchr(own, '/');
    *(slash ? slash : own) = '\0';
    n = snprintf(ret_path, size, "%s/sluiced", own);
    if (n < 0 || (size_t)n >= size || access(ret_path, X_OK) != 0)
        return err_set(e, ERR_NOTFOUND,
                       "no 'sluiced' beside this program: name a broker with "
                       "--endpoint");
    return 0;
}

/* Never returns. */
static void be_broker(const char *path, const char *store, int out_fd)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(out_fd, STDOUT_FILENO);
    (void)execl(path, "sluiced", "--store", store, "--listen", "127.0.0.1:0", (char *)NULL);
    _exit(127); /* the missing 'ready' line tells */
}

static int read_ready_line(struct bench_server *server, struct err *e)
{
    FILE *out = fdopen(server->ready_fd, "r");
    char line[128];
    bool is_ready = out && fgets(line, sizeof line, out) &&
                    sscanf(line, "ready on %63s", server->endpoint) == 1;
    if (out)
        (void)fclose(out);
    else
        (void)close(server->ready_fd);
    server->ready_fd = -1;
    return is_ready ? 0 : err_set(e, ERR_FAILED, "sluiced ended before it served");
}

int bench_start_broker(struct bench_server *ret_server, const char *store, struct err *e)
{
    char path[PATH_MAX];
    int out[2];
    int rc = find_sluiced(path, sizeof path, e);
    if (rc < 0)
        return rc;
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_sys(e, errno, "make a pipe");
    pid_t pid = fork();
    if (pid == 0)
        be_broker(path, store, out[1]);
    (void)close(out[1]);
    *ret_server =
        (struct bench_server){.pid = pid < 0 ? 0 : pid, .feed_fd = -1, .ready_fd = out[0]};
    if (pid < 0)
        return err_sys(e, errno, "start '%s'", path);
    return read_ready_line(ret_server, e);
}

void bench_stop_server(struct bench_server *server)
{
    if (server->pid == 0)
        return;
    bool is_null = server->feed_fd >= 0 || server->ready_fd >= 0;
    (void)kill(server->pid, is_null ? SIGKILL : SIGTERM); /* the broker closes its store */
    (void)waitpid(server->pid, NULL, 0);
    if (server->feed_fd >= 0)
        (void)close(server->feed_fd);
    if (server->ready_fd >= 0)
        (void)close(server->ready_fd);
    *server = (struct bench_server){.feed_fd = -1, .ready_fd = -1};
}
