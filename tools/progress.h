/* A progress bar on a terminal; silent anywhere else. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool is_shown;
    uint64_t total;    /* 0: unknown, a count is shown and no bar */
    uint64_t begun_ns; /* monotonic */
    uint64_t drawn_ns; /* the last time */
};

/* Draws on stderr when it is a terminal. */
void progress_start(struct progress *p, uint64_t total);

/* Draws at most ten times a second. */
void progress_set(struct progress *p, uint64_t done);

/* Draws the last state and clears the line's end. */
void progress_stop(struct progress *p, uint64_t done);

/* The line without its carriage return, e.g. "[#####-----]  50% 500 of 1000, 12000/s". */
void progress_line(char *buf, uint32_t len, uint64_t done, uint64_t total, uint64_t elapsed_ns);

#endif
