/* Starts, ends and is the receiver of a transfer. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/drain.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "tools/bench/load.h"
#include "tools/command.h"

enum { BUFFER_BYTES = 256 << 10, CALL_MAX_S = 24 * 3600 };
#define WAIT_NS UINT64_C(1000000000)

/* ---- starting and ending it ---- */

int drain_start(struct drain *d, enum drain_kind kind, uint16_t port, struct err *e)
{
    char program[] = "sluice", command[] = "bench", word[] = DRAIN_WORD;
    char kind_text[16], port_text[16];
    (void)snprintf(kind_text, sizeof kind_text, "%d", (int)kind);
    (void)snprintf(port_text, sizeof port_text, "%u", (unsigned)port);
    char *argv[] = {program, command, word, kind_text, port_text, NULL};
    pid_t pid;
    int error = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ);
    if (error != 0)
        return err_sys(e, error, "start the receiver");
    d->pid = pid;
    return 0;
}

void drain_stop(struct drain *d)
{
    if (d->pid == 0)
        return;
    (void)kill(d->pid, SIGKILL); /* it has nothing to lose */
    (void)waitpid(d->pid, NULL, 0);
    d->pid = 0;
}

/* ---- being it ---- */

static int connect_to(uint16_t port, struct err *e)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) < 0)
        return err_sys(e, errno, "connect to port %u", (unsigned)port);
    return fd;
}

static int shake_hands(int fd, struct err *e)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;
    if (!ssl || !SSL_set_fd(ssl, fd) || SSL_connect(ssl) <= 0)
        return err_set(e, ERR_FAILED, "shake hands with the sender");
    return 0; /* the process ends with the connection */
}

static int read_all(int fd, struct err *e)
{
    char *buf = malloc(BUFFER_BYTES);
    if (!buf)
        return err_set(e, ERR_NOMEM, "make a buffer to read to");
    ssize_t n;
    do
        n = recv(fd, buf, BUFFER_BYTES, 0);
    while (n > 0);
    free(buf);
    return 0; /* however it ended, the sender knows */
}

static void ignore_length(void *arg, size_t len)
{
    (void)arg;
    (void)len;
}

static void note_done(void *arg, int status)
{
    (void)status;
    *(bool *)arg = true;
}

static int call(uint16_t port, enum load_security security, struct err *e)
{
    char endpoint[32];
    struct load *l;
    bool is_done = false;
    (void)snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", (unsigned)port);
    int rc = load_open(&l, endpoint, security, e);
    if (rc < 0)
        return rc;
    const struct load_call c = {.path = load_path(l, "/sluice.bench/Transfer"),
                                .streams = true,
                                .on_length = ignore_length,
                                .on_done = note_done,
                                .arg = &is_done,
                                .limit_s = CALL_MAX_S};
    rc = c.path ? load_start(l, &c, e) : err_set(e, ERR_NOMEM, "call the sender");
    while (rc == 0 && !is_done)
        (void)load_poll(l, WAIT_NS);
    load_close(l);
    return rc;
}

static int receive(enum drain_kind kind, uint16_t port, struct err *e)
{
    if (kind == DRAIN_GRPC || kind == DRAIN_GRPC_TLS)
        return call(port, kind == DRAIN_GRPC ? LOAD_PLAIN : LOAD_TLS, e);
    int fd = connect_to(port, e);
    int rc = fd < 0 ? fd : kind == DRAIN_TLS ? shake_hands(fd, e) : 0;
    return rc < 0 ? rc : read_all(fd, e);
}

int drain_main(char **argv)
{
    struct err e;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it must not outlive the benchmark */
    enum drain_kind kind = (enum drain_kind)strtol(argv[0], NULL, 10);
    uint16_t port = (uint16_t)strtoul(argv[1], NULL, 10);
    return receive(kind, port, &e) < 0 ? command_failed("receiver", &e) : COMMAND_OK;
}
