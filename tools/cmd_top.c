/* `sluice top`: what a running broker does, live. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/options.h"
#include "tools/paint.h"
#include "tools/top.h"

#define MAX_COUNT UINT64_C(1000000000)

enum {
    MIN_INTERVAL_MS = 100,
    MAX_INTERVAL_MS = 3600000,
    MIN_ROWS = 16,
    DEFAULT_ROWS = 24,
};

struct top {
    struct options_broker broker;
    uint64_t interval_ms;
    uint64_t count; /* 0: no limit */
    bool json;
    bool is_screen; /* a terminal, redrawn */
};

/* ---- the screen ---- */

static unsigned terminal_rows(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
        return DEFAULT_ROWS;
    return size.ws_row > MIN_ROWS ? size.ws_row - 1u : MIN_ROWS - 1u;
}

/* The other screen, without a cursor. */
static void open_screen(void)
{
    fputs("\033[?1049h\033[?25l\033[H\033[J", stdout); /* flushed with what is drawn first */
}

static void close_screen(void)
{
    fputs("\033[?25h\033[?1049l", stdout);
    (void)fflush(stdout); /* main finds out when it failed */
}

/* ---- the loop ---- */

static void sleep_interval(const struct top *t)
{
    struct timespec time = {.tv_sec = (time_t)(t->interval_ms / 1000),
                            .tv_nsec = (long)(t->interval_ms % 1000) * 1000000};
    while (!interrupt_came() && nanosleep(&time, &time) < 0 && errno == EINTR)
        ; /* another signal: what is left of it */
}

static int show(const struct top *t, struct top_sample *before, struct top_sample *now,
                struct err *e)
{
    struct top_view v = {0};
    int rc = top_view_make(&v, before, now, e);
    if (rc < 0)
        return rc;
    if (t->json)
        rc = top_print_json(&v, e);
    else if (t->is_screen)
        top_draw(&v, t->broker.endpoint, terminal_rows());
    else
        top_print_line(&v);
    top_view_fini(&v);
    if (rc == 0 && (fflush(stdout) == EOF || ferror(stdout)))
        rc = err_sys(e, errno, "write to stdout");
    return rc;
}

/* One line or screen for each interval that is over. */
static int watch(const struct top *t, struct client *c, struct err *e)
{
    struct top_sample before = {0}, now = {0};
    int rc = top_sample_take(c, &before, e);
    if (rc == 0 && !t->json && !t->is_screen)
        top_print_head();
    for (uint64_t n = 0; rc == 0 && (t->count == 0 || n < t->count); n++) {
        sleep_interval(t);
        if (interrupt_came())
            break;
        rc = top_sample_take(c, &now, e);
        if (rc == 0)
            rc = show(t, &before, &now, e);
        top_sample_fini(&before);
        before = now;
        now = (struct top_sample){0};
    }
    top_sample_fini(&before);
    if (rc < 0 && interrupt_came()) {
        interrupt_drop_output();
        rc = 0; /* it ended a write, or a question: as wanted */
    }
    return rc;
}

static int watch_on_screen(const struct top *t, struct client *c, struct err *e)
{
    open_screen();
    int rc = watch(t, c, e);
    close_screen();
    return rc;
}

static int connect_and_watch(const struct top *t, struct err *e)
{
    struct client *c = NULL;
    int rc = wire_connect(&c, &t->broker, e);
    if (rc < 0)
        return rc;
    interrupt_catch(); /* so that the terminal is left as it was */
    rc = t->is_screen ? watch_on_screen(t, c, e) : watch(t, c, e);
    client_close(c);
    return rc;
}

int cmd_top(int argc, char **argv)
{
    struct top t = {0};
    const struct option_spec specs[] = {
        OPTIONS_BROKER(&t.broker),
        {.name = "interval",
         .letter = 'i',
         .kind = OPTION_DURATION,
         .ret = &t.interval_ms,
         .value = "DURATION",
         .fallback = "2s",
         .help = "how long each look is, 100ms to 1h",
         .min = MIN_INTERVAL_MS,
         .max = MAX_INTERVAL_MS},
        {.name = "count",
         .letter = 'n',
         .kind = OPTION_NUMBER,
         .ret = &t.count,
         .value = "N",
         .help = "end after so many (default: when it is interrupted)",
         .min = 1,
         .max = MAX_COUNT},
        {.name = "json",
         .kind = OPTION_FLAG,
         .ret = &t.json,
         .help = "one JSON object each interval (default: a screen; a line in a pipe)"},
        {0},
    };
    const struct options o = {
        .program = "sluice top",
        .operands = "",
        .summary = "Watches a running broker: rates in and out, topics, groups and their lag,\n"
                   "memory, and how long syncs of the log and stalls of appends took. Redraws a\n"
                   "terminal; prints a line an interval elsewhere.",
        .specs = specs,
        .broker = &t.broker,
    };
    int first;
    int status = options_parse(&o, argc, argv, &first);
    if (status != OPTIONS_RUN)
        return status;
    t.is_screen = !t.json && paint_is_screen(stdout);
    struct err e;
    return connect_and_watch(&t, &e) < 0 ? command_failed(o.program, &e) : COMMAND_OK;
}
