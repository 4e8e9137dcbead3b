/* Draws a progress bar on stderr. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

enum { BAR_CELLS = 30 };
#define DRAW_INTERVAL_NS UINT64_C(100000000)
#define NS_PER_S 1e9
#define MIB (1024.0 * 1024)
#define GIB (1024.0 * MIB)

static uint64_t now_ns(void)
{
    struct io *io = io_posix();
    return io->mono_ns(io);
}

static void start(struct progress *p, uint64_t total, enum progress_unit unit)
{
    *p = (struct progress){
        .is_shown = isatty(STDERR_FILENO) == 1, .unit = unit, .total = total, .begun_ns = now_ns()};
}

void progress_start(struct progress *p, uint64_t total)
{
    start(p, total, PROGRESS_MESSAGES);
}

void progress_start_bytes(struct progress *p, uint64_t total)
{
    start(p, total, PROGRESS_BYTES);
}

/* What is done of what, and how fast. */
static int put_counts(char *buf, size_t len, const struct progress *p, uint64_t done, double rate)
{
    if (p->unit == PROGRESS_MESSAGES)
        return snprintf(buf, len, "%" PRIu64 " of %" PRIu64 ", %.0f/s", done, p->total, rate);
    bool is_large = (double)p->total >= GIB;
    double one = is_large ? GIB : MIB;
    return snprintf(buf, len, "%.1f of %.1f %s, %.0f MiB/s", (double)done / one,
                    (double)p->total / one, is_large ? "GiB" : "MiB", rate / MIB);
}

/* "3 s left", "2 min left", "1.5 h left"; nothing while it cannot be told. */
static void put_left(char *buf, size_t len, const struct progress *p, uint64_t done, double rate)
{
    if (rate <= 0 || done >= p->total)
        return;
    double s = (double)(p->total - done) / rate;
    if (s < 100)
        (void)snprintf(buf, len, ", %.0f s left", s);
    else if (s < 6000)
        (void)snprintf(buf, len, ", %.0f min left", s / 60);
    else
        (void)snprintf(buf, len, ", %.1f h left", s / 3600);
}

void progress_line(char *buf, uint32_t len, const struct progress *p, uint64_t done,
                   uint64_t elapsed_ns)
{
    double rate = elapsed_ns ? (double)done * NS_PER_S / (double)elapsed_ns : 0;
    if (p->total == 0) {
        (void)snprintf(buf, len, "%" PRIu64 " messages, %.0f/s", done, rate);
        return;
    }
    double share = done >= p->total ? 1 : (double)done / (double)p->total;
    char bar[BAR_CELLS + 1], counts[80], left[40] = "";
    size_t n_full = (size_t)(share * BAR_CELLS);
    memset(bar, '#', n_full);
    memset(bar + n_full, '-', BAR_CELLS - n_full);
    bar[BAR_CELLS] = '\0';
    (void)put_counts(counts, sizeof counts, p, done, rate);
    put_left(left, sizeof left, p, done, rate);
    (void)snprintf(buf, len, "[%s] %3.0f%% %s%s", bar, share * 100, counts, left);
}

static void draw(struct progress *p, uint64_t done, uint64_t now)
{
    char line[160];
    progress_line(line, sizeof line, p, done, now - p->begun_ns);
    fprintf(stderr, "\r%s\033[K", line);
    p->drawn_ns = now;
}

void progress_set(struct progress *p, uint64_t done)
{
    if (!p->is_shown)
        return;
    uint64_t now = now_ns();
    if (now - p->drawn_ns >= DRAW_INTERVAL_NS)
        draw(p, done, now);
}

void progress_stop(struct progress *p, uint64_t done)
{
    if (!p->is_shown)
        return;
    draw(p, done, now_ns());
    fputc('\n', stderr);
}

void progress_hide(struct progress *p)
{
    if (p->is_shown && p->drawn_ns > 0)
        fputs("\r\033[K", stderr);
}

void progress_clear(struct progress *p)
{
    progress_hide(p);
    p->is_shown = false;
}
