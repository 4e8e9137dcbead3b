/* `sluice mem watch`: the same figures again and again, with their rates. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/io.h"
#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/json_line.h"
#include "tools/mem/watch_view.h"
#include "tools/paint.h"

enum { MIN_INTERVAL_MS = 100 };
#define MAX_INTERVAL_MS UINT64_C(3600000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

enum watch_form { FORM_LINES, FORM_SCREEN, FORM_JSON };

struct watch {
    struct mem_source source;
    enum watch_form form;
    uint64_t interval_ms, n_max; /* 0: no end */
    char title[128];
    struct mem_snapshot before; /* owned */
    uint64_t before_ns;
    struct watch_history history;
};

/* ---- one look ---- */

/* Made whole first, so that a screen does not flicker. */
static int draw_screen(struct watch *w, const struct watch_moment *m, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return err_set(e, ERR_NOMEM, "draw the screen");
    watch_history_add(&w->history, m);
    watch_view_screen(m, &w->history, w->title, out);
    int rc = fclose(out) == EOF ? err_set(e, ERR_NOMEM, "draw the screen") : 0;
    if (rc == 0)
        (void)fwrite(text, 1, len, stdout); /* a failure shows when it is flushed */
    free(text);
    return rc;
}

static int show(struct watch *w, const struct watch_moment *m, struct err *e)
{
    int rc = 0;
    switch (w->form) {
    case FORM_LINES:
        watch_view_line(m, stdout);
        break;
    case FORM_SCREEN:
        rc = draw_screen(w, m, e);
        break;
    case FORM_JSON:
        rc = json_line(watch_view_json(m), e);
        break;
    }
    if (rc == 0 && (fflush(stdout) == EOF || ferror(stdout)))
        rc = err_sys(e, errno, "write to stdout");
    return rc;
}

static int look(struct watch *w, struct err *e)
{
    struct io *io = io_posix();
    struct mem_snapshot now;
    int rc = mem_snapshot_take(&w->source, &now, e);
    if (rc < 0)
        return rc;
    uint64_t now_ns = io->mono_ns(io);
    double seconds = (double)(now_ns - w->before_ns) / (double)NS_PER_S;
    const struct watch_moment m = {.now = &now,
                                   .rates = mem_rates_between(&w->before, &now, seconds),
                                   .time_ms = io->now_ms(io)};
    rc = show(w, &m, e);
    mem_snapshot_free(&w->before);
    w->before = now;
    w->before_ns = now_ns;
    return rc;
}

/* ---- again and again ---- */

static void sleep_until(uint64_t mono_ns)
{
    const struct timespec at = {.tv_sec = (time_t)(mono_ns / NS_PER_S),
                                .tv_nsec = (long)(mono_ns % NS_PER_S)};
    while (!interrupt_came() &&
           clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, /* rem = */ NULL) == EINTR)
        continue;
}

static int run(struct watch *w, struct err *e)
{
    struct io *io = io_posix();
    int rc = mem_snapshot_take(&w->source, &w->before, e);
    if (rc < 0)
        return rc;
    w->before_ns = io->mono_ns(io);
    if (w->form == FORM_LINES)
        watch_view_head(&w->before, stdout);
    if (w->form == FORM_SCREEN)
        fputs("\033[2J", stdout);
    uint64_t begun_ns = w->before_ns;
    for (uint64_t i = 1; rc == 0 && (w->n_max == 0 || i <= w->n_max); i++) {
        sleep_until(begun_ns + i * w->interval_ms * NS_PER_MS);
        if (interrupt_came())
            break;
        rc = look(w, e);
    }
    if (rc < 0 && interrupt_came()) {
        interrupt_drop_output();
        rc = 0; /* it ended a write, or a question: as wanted */
    }
    return rc;
}

static int watch(struct watch *w, const char *store, const struct options_broker *broker,
                 struct err *e)
{
    (void)snprintf(w->title, sizeof w->title, "sluice mem watch %s, every %.1f s",
                   store ? store : broker->endpoint, (double)w->interval_ms / 1000);
    int rc = mem_source_open(&w->source, store, broker, e);
    if (rc < 0)
        return rc;
    interrupt_catch(); /* so that a look is shown whole */
    rc = run(w, e);
    mem_source_close(&w->source);
    mem_snapshot_free(&w->before);
    return rc;
}

int mem_watch(int argc, char **argv)
{
    struct options_broker broker = {0};
    struct watch w = {0};
    bool json = false;
    const struct option_spec specs[] = {
        OPTIONS_BROKER(&broker),
        {.name = "interval",
         .kind = OPTION_DURATION,
         .ret = &w.interval_ms,
         .value = "TIME",
         .fallback = "1s",
         .help = "between two looks",
         .min = MIN_INTERVAL_MS,
         .max = MAX_INTERVAL_MS},
        {.name = "count",
         .kind = OPTION_NUMBER,
         .ret = &w.n_max,
         .value = "N",
         .help = "end after so many looks (default: when interrupted)",
         .min = 1},
        {.name = "json",
         .kind = OPTION_FLAG,
         .ret = &json,
         .help = "one JSON object a line (default: a screen on a terminal, else lines)"},
        {0},
    };
    const struct options o = {
        .program = "sluice mem watch",
        .operands = "[DIR]",
        .summary =
            "Shows again and again what a broker costs in memory, with the rates of its page\n"
            "faults by what they were met for; or how much of a store is in the page cache.",
        .specs = specs,
        .max_operands = 1,
        .broker = &broker,
    };
    int first;
    int status = options_parse(&o, argc, argv, &first);
    if (status != OPTIONS_RUN)
        return status;
    w.form = paint_is_screen(stdout) ? FORM_SCREEN : FORM_LINES;
    if (json)
        w.form = FORM_JSON;
    struct err e;
    return watch(&w, argv[first], &broker, &e) < 0 ? command_failed(o.program, &e) : COMMAND_OK;
}
