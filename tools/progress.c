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

static uint64_t now_ns(void)
{
    struct io *io = io_posix();
    return io->mono_ns(io);
}

void progress_start(struct progress *p, uint64_t total)
{
    *p = (struct progress){
        .is_shown = isatty(STDERR_FILENO) == 1, .total = total, .begun_ns = now_ns()};
}

void progress_line(char *buf, uint32_t len, uint64_t done, uint64_t total, uint64_t elapsed_ns)
{
    double rate = elapsed_ns ? (double)done * NS_PER_S / (double)elapsed_ns : 0;
    if (total == 0) {
        (void)snprintf(buf, len, "%" PRIu64 " messages, %.0f/s", done, rate);
        return;
    }
    double share = done >= total ? 1 : (double)done / (double)total;
    char bar[BAR_CELLS + 1];
    size_t n_full = (size_t)(share * BAR_CELLS);
    memset(bar, '#', n_full);
    memset(bar + n_full, '-', BAR_CELLS - n_full);
    bar[BAR_CELLS] = '\0';
    (void)snprintf(buf, len, "[%s] %3.0f%% %" PRIu64 " of %" PRIu64 ", %.0f/s", bar, share * 100,
                   done, total, rate);
}

static void draw(struct progress *p, uint64_t done, uint64_t now)
{
    char line[160];
    progress_line(line, sizeof line, done, p->total, now - p->begun_ns);
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
