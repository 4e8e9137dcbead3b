/* One process for each image. Its output goes to a file in memory, so that neither side of the pipe
 * can wait for the other. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_SVG_BYTES = 64 << 20, COMPLAINT_BYTES = 120 };

extern char **environ;

/* The two ends of the script's pipe, and the files that the child writes. -1: not open. */
struct child {
    int script_read, script_write, output, complaint;
};

static void close_one(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* nothing in it is wanted any more */
    *fd = -1;
}

static void child_fini(struct child *c)
{
    close_one(&c->script_read);
    close_one(&c->script_write);
    close_one(&c->output);
    close_one(&c->complaint);
}

static int child_init(struct child *c, struct err *e)
{
    int ends[2];
    *c = (struct child){-1, -1, -1, -1};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(e, errno, "make a pipe");
    c->script_read = ends[0];
    c->script_write = ends[1];
    c->output = memfd_create("svg", MFD_CLOEXEC);
    c->complaint = memfd_create("complaint", MFD_CLOEXEC);
    if (c->output >= 0 && c->complaint >= 0)
        return 0;
    int rc = err_sys(e, errno, "make a file in memory");
    child_fini(c);
    return rc;
}

static int spawn(const struct child *c, const char *program, pid_t *ret_pid, struct err *e)
{
    posix_spawn_file_actions_t actions;
    char no_startup[] = "-d";                                      /* no file of a user's */
    char *argv[] = {(char *)(uintptr_t)program, no_startup, NULL}; /* neither is written to */
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0)
        return err_sys(e, rc, "start '%s'", program);
    rc = posix_spawn_file_actions_adddup2(&actions, c->script_read, STDIN_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, c->output, STDOUT_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, c->complaint, STDERR_FILENO);
    if (rc == 0)
        rc = posix_spawnp(ret_pid, program, &actions, /* attrp = */ NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (rc == ENOENT)
        return err_set(e, ERR_NOTFOUND,
                       "find '%s', which draws the plots: install it (Debian: gnuplot-nox)",
                       program);
    return rc == 0 ? 0 : err_sys(e, rc, "start '%s'", program);
}

/* A child that ends early has said why: its closed pipe is no failure of its own. */
static void write_script(int fd, const char *script)
{
    size_t len = strlen(script), done = 0;
    while (done < len) {
        ssize_t n = write(fd, script + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

/* What a file in memory holds, to be freed; NULL: too much, or no memory. */
static char *take_text(int fd)
{
    off_t len = lseek(fd, 0, SEEK_END);
    char *text = len >= 0 && len <= MAX_SVG_BYTES ? malloc((size_t)len + 1) : NULL;
    if (!text)
        return NULL;
    ssize_t n = pread(fd, text, (size_t)len, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* The last line of what it said, at most so long. */
static void take_complaint(int fd, char ret[COMPLAINT_BYTES])
{
    char *text = take_text(fd);
    size_t len = text ? strlen(text) : 0;
    while (len > 0 && strchr("\n ", text[len - 1]))
        len--;
    size_t begin = len;
    while (begin > 0 && text[begin - 1] != '\n')
        begin--;
    while (begin < len && text[begin] == ' ')
        begin++;
    (void)snprintf(ret, COMPLAINT_BYTES, "%.*s", (int)(len - begin), text ? text + begin : "");
    free(text);
}

static int wait_for(pid_t pid, const char *program, const struct child *c, struct err *e)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(e, errno, "wait for '%s'", program);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    char complaint[COMPLAINT_BYTES];
    take_complaint(c->complaint, complaint);
    return err_set(e, ERR_FAILED, "run '%s': it ended with %d: %s", program,
                   WIFEXITED(status) ? WEXITSTATUS(status) : -1, complaint);
}

int gnuplot_run(const char *program, const char *script, char **ret_svg, struct err *e)
{
    struct child c;
    pid_t pid;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    int rc = child_init(&c, e);
    if (rc < 0)
        return rc;
    (void)sigemptyset(&ignore.sa_mask);
    (void)sigaction(SIGPIPE, &ignore, &before);
    rc = spawn(&c, program, &pid, e);
    if (rc == 0) {
        close_one(&c.script_read);
        write_script(c.script_write, script);
        close_one(&c.script_write);
        rc = wait_for(pid, program, &c, e);
    }
    (void)sigaction(SIGPIPE, &before, NULL);
    char *svg = rc == 0 ? take_text(c.output) : NULL;
    child_fini(&c);
    if (rc < 0)
        return rc;
    if (!svg)
        return err_set(e, ERR_NOMEM, "take what '%s' drew", program);
    *ret_svg = svg;
    return 0;
}

/* Characters of `doubled` are written twice. */
static void quote(FILE *out, const char *text, const char *doubled)
{
    fputc('\'', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c == 0x7f || c == '`')
            c = ' '; /* a backquote runs programs, if not in these quotes */
        if (strchr(doubled, c))
            fputc(c, out);
        fputc(c, out);
    }
    fputc('\'', out);
}

void gnuplot_quote(FILE *out, const char *text)
{
    quote(out, text, "'");
}

void gnuplot_quote_tic(FILE *out, const char *text)
{
    quote(out, text, "'%");
}
