/* What `sluice mem watch` shows of one moment: a line, a screen or JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_WATCH_VIEW_H
#define TOOLS_MEM_WATCH_VIEW_H

#include <jansson.h>
#include <stdio.h>

#include "tools/mem/rates.h"
#include "tools/mem/spark.h"

struct watch_moment {
    const struct mem_snapshot *now;
    struct mem_rates rates;
    uint64_t time_ms; /* since the Unix epoch */
};

/* The head of the lines of a broker, or of a store. */
void watch_view_head(const struct mem_snapshot *of, FILE *out);
void watch_view_line(const struct watch_moment *m, FILE *out);

/* What went before, for the screen's bars. */
struct watch_history {
    struct spark resident, minor, major;
};

void watch_history_add(struct watch_history *h, const struct watch_moment *m);

/* Lines for a terminal, each cleared to its end; `title` is the first. */
void watch_view_screen(const struct watch_moment *m, const struct watch_history *h,
                       const char *title, FILE *out);

/* NULL without memory. */
json_t *watch_view_json(const struct watch_moment *m);

#endif
