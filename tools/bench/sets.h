/* The sets of cases; each is in the file of its name. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_SETS_H
#define TOOLS_BENCH_SETS_H

#include "tools/bench/frame.h"

extern const struct bench_set case_append;   /* case_append.c */
extern const struct bench_set case_dump;     /* case_dump.c */
extern const struct bench_set case_durable;  /* case_durable.c */
extern const struct bench_set case_filter;   /* case_filter.c */
extern const struct bench_set case_latency;  /* case_latency.c */
extern const struct bench_set case_memory;   /* case_memory.c */
extern const struct bench_set case_open;     /* case_open.c */
extern const struct bench_set case_pace;     /* case_pace.c */
extern const struct bench_set case_peer;     /* case_peer.c */
extern const struct bench_set case_publish;  /* case_publish.c */
extern const struct bench_set case_read;     /* case_read.c */
extern const struct bench_set case_recover;  /* case_recover.c */
extern const struct bench_set case_transfer; /* case_transfer.c */

#endif
