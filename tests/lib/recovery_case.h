/* One queue over two files of the log, to damage and open again: for the recovery tests. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_RECOVERY_CASE_H
#define TESTS_LIB_RECOVERY_CASE_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/store_fixture.h"

enum { N_RECORDS = 12 };

static struct store_fixture f;
static struct store_appended at[N_RECORDS];

static inline const char *body_of(int i)
{
    static char body[N_RECORDS][8100];
    memset(body[i], 'a' + i, sizeof body[i] - 1);
    return body[i];
}

/* Records over two files, all in queue 0. */
static inline void set_up(void)
{
    store_fixture_init(&f);
    store_fixture_open(&f);
    for (int i = 0; i < N_RECORDS; i++)
        at[i] = store_fixture_append(&f, "T", 0, body_of(i));
}

static inline void tear_down(void)
{
    store_fixture_fini(&f);
}

/* More than one file of another topic. */
static inline void append_others(void)
{
    char body[9000];
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    for (int i = 0; i < 20; i++)
        (void)store_fixture_append(&f, "U", 0, body);
}

/* Writes 1, 2, 3 and then zeros over the log, within one file. */
static inline void damage(uint64_t log_off, size_t len)
{
    static const uint8_t junk[9000] = {1, 2, 3};
    char name[64];
    (void)snprintf(name, sizeof name, "commitlog/%020llu",
                   (unsigned long long)(log_off - log_off % FIXTURE_FILE_BYTES));
    store_fixture_poke(&f, name, log_off % FIXTURE_FILE_BYTES, junk, len);
}

/* So that the start after a kill walks all of the log. */
static inline void forget_checkpoint(void)
{
    static const uint8_t zeros[48];
    store_fixture_poke(&f, "checkpoint", 0, zeros, sizeof zeros);
}

static inline struct store_recovery reopen(void)
{
    struct store_recovery r;
    store_fixture_open(&f);
    store_recovery_report(f.store, &r);
    return r;
}

static inline uint64_t n_queued(void)
{
    uint64_t min_off, max_off;
    store_queue_bounds(f.store, span_str("T"), 0, &min_off, &max_off);
    return max_off;
}

static inline uint64_t log_end(void)
{
    struct store_stats st;
    store_stats(f.store, &st);
    return st.published;
}

static inline void expect_all_but(int missing)
{
    for (int i = 0; i < N_RECORDS; i++)
        if (i != missing)
            store_fixture_expect(&f, "T", 0, (uint64_t)i, body_of(i));
}

#endif
