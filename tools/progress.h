/* A progress bar on a terminal; silent anywhere else. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum progress_unit { PROGRESS_MESSAGES, PROGRESS_BYTES };

/* Zeroed it is never shown. */
struct progress {
    bool is_shown;
    enum progress_unit unit;
    uint64_t total;    /* 0: unknown, a count is shown and no bar */
    uint64_t begun_ns; /* monotonic */
    uint64_t drawn_ns; /* the last time */
};

/* Draws on stderr when it is a terminal. */
void progress_start(struct progress *p, uint64_t total);
void progress_start_bytes(struct progress *p, uint64_t total);

/* Draws at most ten times a second. */
void progress_set(struct progress *p, uint64_t done);

/* Draws the last state and ends the line. */
void progress_stop(struct progress *p, uint64_t done);

/* Takes the line away until it is drawn again: something else is to be printed. */
void progress_hide(struct progress *p);

/* Takes the line away for good. */
void progress_clear(struct progress *p);

/* The line without its carriage return: "[#####-----]  50% 500 of 1000, 12000/s, 1 s left"; of
 * bytes "[#####-----]  50% 1.0 of 2.0 GiB, 900 MiB/s, 1 s left". */
void progress_line(char *buf, uint32_t len, const struct progress *p, uint64_t done,
                   uint64_t elapsed_ns);

#endif
