/* What `sluice top` watches: samples of a broker, and what lies between two of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_TOP_H
#define TOOLS_TOP_H

#include <stdint.h>

#include "base/err.h"
#include "tools/client.h"
#include "tools/wire.h"

/* ---- a sample ---- */

/* Three replies of the Admin service, and when they came. */
struct top_sample {
    uint64_t mono_ns;
    Sluice__V1__GetStatsResponse *stats;
    Sluice__V1__GetMemoryResponse *memory;
    Sluice__V1__GetActivityResponse *activity;
};

/* Asks the broker. On failure the sample is as top_sample_fini leaves it. */
int top_sample_take(struct client *c, struct top_sample *ret, struct err *e) MUST_CHECK;

void top_sample_fini(struct top_sample *s); /* a zeroed one is fine */

/* ---- between two ---- */

/* What took how long; all 0 when nothing was. */
struct top_timing {
    uint64_t n;
    uint64_t p50_ns, p99_ns, p999_ns, max_ns;
};

struct top_topic {
    const char *name;
    uint64_t n_queues, stored;
    double in; /* messages a second; negative: not known */
};

struct top_group {
    const char *group, *topic;
    uint64_t lag, in_flight;
    double out; /* messages a second that it moved past; negative: not known */
};

/* Names point into the second sample. Rates are a second; those of a broker that began anew between
 * the samples are negative: not known. */
struct top_view {
    double seconds;
    double in, in_bytes, out, out_bytes, major_faults;
    uint64_t lag, in_flight; /* of all groups */
    struct top_timing syncs, stalls;
    struct top_topic *topics; /* the busiest first */
    size_t n_topics;
    struct top_group *groups; /* the farthest behind first */
    size_t n_groups;
    const struct top_sample *now; /* borrowed */
};

/* Pure. Sorts both replies' groups. ERR_NOMEM. */
int top_view_make(struct top_view *ret, struct top_sample *before, struct top_sample *now,
                  struct err *e) MUST_CHECK;

void top_view_fini(struct top_view *v); /* a zeroed one is fine */

/* ---- on the screen ---- */

/* A whole screen of at most `rows` rows, drawn from the upper left corner. */
void top_draw(const struct top_view *v, const char *endpoint, unsigned rows);

/* The head of the lines, and one line. */
void top_print_head(void);
void top_print_line(const struct top_view *v);

/* One line of JSON. */
int top_print_json(const struct top_view *v, struct err *e) MUST_CHECK;

#endif
