/* Filters of tags over a queue: how many entries are looked at in a second, and what is read from
 * disk for what is wanted.
 *
 * Limits: for a filter that nothing or little matches, one pass of eight-byte compares over the
 * same entries; for all of a store in memory, one sequential read of its mapping; for a cold store,
 * the wanted records read through a mapping with the kernel's own read-ahead. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>

#include "filter/filter.h"
#include "tools/bench/filled.h"
#include "tools/bench/sets.h"

enum { BODY_BYTES = 1024, GROUPS_MAX = 8, ENTRY_TAG_OFF = 12 };
#define BOUND_Q1 0.7
#define BOUND_Q2 6
#define BOUND_Q2_READ 4
#define BOUND_Q3 0.5

enum filter_limit { LIMIT_PASS, LIMIT_READ, LIMIT_COLD };

struct filter_params {
    const char *expression;
    enum filter_limit limit;
    unsigned n_groups;
};

struct wanted {
    uint64_t log_off;
    uint32_t size;
};

struct filter_state {
    struct filled filled;
    struct wanted *wanted; /* the records of the case's filter */
    uint64_t n_wanted;
    const char *wanted_by;  /* the expression they are of */
    volatile uint64_t sink; /* keeps what was read from being left out */
};

/* Of a thousand messages one has Per1000, ten have Per100 and a hundred Per10, in no order. The tag
 * of all others has the code of AaAa. */
static const char *tag_of(uint64_t i)
{
    uint64_t dice = (i * UINT64_C(0x9e3779b97f4a7c15) >> 33) % 1000;
    return dice < 1 ? "Per1000" : dice < 11 ? "Per100" : dice < 111 ? "Per10" : "BBBB";
}

static int open_set(const struct bench_options *opt, void **ret_state, struct err *e)
{
    struct filter_state *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(e, ERR_NOMEM, "prepare filters");
    const struct filled_options filled = {.dir = opt->dir,
                                          .n_messages = opt->bytes / BODY_BYTES,
                                          .body_bytes = BODY_BYTES,
                                          .tag_of = tag_of};
    int rc = filled_make(&st->filled, &filled, e);
    if (rc < 0)
        free(st);
    else
        *ret_state = st;
    return rc;
}

static void close_set(void *state)
{
    struct filter_state *st = state;
    filled_free(&st->filled);
    free(st->wanted);
    free(st);
}

static const struct filter_params *params_of(const struct bench_case *c)
{
    return c->params;
}

/* ---- the store ---- */

static bool match_record(void *arg, const struct store_record *rec)
{
    struct span tag = {0};
    (void)store_property_get(rec->properties, "TAGS", &tag); /* none: an empty one */
    return filter_match_tag(arg, tag);
}

/* What a broker asks of the store for such a filter. */
static struct store_match match_of(struct filter *f)
{
    if (filter_is_all(f))
        return (struct store_match){0};
    struct store_match match = {.record = match_record, .arg = f};
    match.tag_codes = filter_codes(f, &match.n_tag_codes);
    return match;
}

/* One group: a filter and a scan of its own, on a thread. */
struct group_scan {
    const struct filled *filled;
    struct filter *filter;
    pthread_t thread;
    struct filled_pass pass;
    int rc;
    struct err error;
};

static void *scan_group(void *arg)
{
    struct group_scan *g = arg;
    const struct store_match match = match_of(g->filter);
    g->rc = filled_scan(g->filled, &match, &g->pass, &g->error);
    return NULL;
}

static int run_groups(struct group_scan *groups, unsigned n, struct err *e)
{
    unsigned n_started = 0;
    while (n_started < n &&
           pthread_create(&groups[n_started].thread, NULL, scan_group, &groups[n_started]) == 0)
        n_started++;
    int rc = n_started < n ? err_set(e, ERR_NOMEM, "start a group's thread") : 0;
    for (unsigned i = 0; i < n_started; i++) {
        (void)pthread_join(groups[i].thread, NULL);
        if (groups[i].rc < 0 && rc == 0) {
            *e = groups[i].error;
            rc = e->code;
        }
    }
    return rc;
}

static int scan_all(struct bench_run *run, const struct bench_case *c, struct filled_pass *ret_pass,
                    double *ret_seconds, struct err *e)
{
    struct filter_state *st = run->state;
    struct group_scan groups[GROUPS_MAX] = {0};
    unsigned n = params_of(c)->n_groups;
    int rc = 0;
    for (unsigned i = 0; i < n && rc == 0; i++) {
        groups[i].filled = &st->filled;
        rc = filter_compile_tags(&groups[i].filter, span_str(params_of(c)->expression), e);
    }
    bench_start(run);
    if (rc == 0)
        rc = run_groups(groups, n, e);
    *ret_seconds = bench_stop(run);
    for (unsigned i = 0; i < n; i++) {
        st->sink += groups[i].pass.sum;
        filter_free(groups[i].filter);
    }
    *ret_pass = groups[0].pass;
    return rc;
}

static int scan_store(struct bench_run *run, const struct bench_case *c, double *ret_values,
                      struct err *e)
{
    struct filter_state *st = run->state;
    struct filled_pass pass;
    double seconds;
    bool is_cold = params_of(c)->limit == LIMIT_COLD;
    int rc = is_cold ? filled_cool(&st->filled, e) : scan_all(run, c, &pass, &seconds, e);
    if (rc == 0)
        rc = scan_all(run, c, &pass, &seconds, e);
    if (rc < 0)
        return rc;
    ret_values[0] = (double)pass.n_entries * params_of(c)->n_groups / seconds;
    if (pass.hit_bytes > 0)
        ret_values[1] = (double)run->spent.read_bytes / (double)pass.hit_bytes;
    return 0;
}

/* ---- limits ---- */

/* Every entry's code compared with one that no entry has, in the mapped queue. */
static int pass_entries(struct bench_run *run, double *ret_values, struct err *e)
{
    struct filter_state *st = run->state;
    struct filled_map m;
    int rc = filled_map(&st->filled, "consumequeue/BenchTopic/0", &m, e);
    if (rc < 0)
        return rc;
    int64_t wanted = filter_tag_code(span_str("Nothing"));
    uint64_t n = 0, n_hits = 0;
    double seconds = 0;
    for (int warm = 0; warm < 2; warm++) {
        n = 0;
        bench_start(run);
        for (size_t i = 0; i < m.n; i++)
            for (uint64_t at = 0;
                 at + STORE_QUEUE_ENTRY_BYTES <= m.lens[i] && n < st->filled.n_messages;
                 at += STORE_QUEUE_ENTRY_BYTES, n++)
                n_hits += (int64_t)be64_get(m.bases[i] + at + ENTRY_TAG_OFF) == wanted;
        seconds = bench_stop(run);
    }
    st->sink += n_hits;
    ret_values[0] = (double)n / seconds;
    filled_unmap(&m);
    return 0;
}

/* Notes a record that the expression, one tag or a star, is for; the scan itself hits nothing. */
static bool note_wanted(void *arg, const struct store_record *rec)
{
    struct filter_state *st = arg;
    struct span tag = {0};
    (void)store_property_get(rec->properties, "TAGS", &tag);
    if (st->wanted_by[0] == '*' || span_equal(tag, span_str(st->wanted_by)))
        st->wanted[st->n_wanted++] = (struct wanted){rec->log_off, rec->size};
    return false;
}

/* Where the records of the case's filter lie; noted once. */
static int need_wanted(struct bench_run *run, const struct bench_case *c, struct err *e)
{
    struct filter_state *st = run->state;
    struct filled_pass pass;
    const struct store_match match = {.record = note_wanted, .arg = st};
    if (st->wanted_by == params_of(c)->expression)
        return 0;
    if (!st->wanted)
        st->wanted = calloc(st->filled.n_messages, sizeof *st->wanted);
    if (!st->wanted)
        return err_set(e, ERR_NOMEM, "note which records are wanted");
    st->n_wanted = 0;
    st->wanted_by = params_of(c)->expression;
    return filled_scan(&st->filled, &match, &pass, e);
}

/* Reads the wanted records through a mapping; all files but the last are equally long. */
static uint64_t read_wanted(struct filter_state *st, const struct filled_map *m)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < st->n_wanted; i++) {
        const struct wanted *w = &st->wanted[i];
        uint64_t file = w->log_off / m->lens[0], at = w->log_off % m->lens[0];
        if (file < m->n && at + w->size <= m->lens[file])
            sum += filled_sum(m->bases[file] + at, w->size);
    }
    return sum;
}

static uint64_t bytes_wanted(const struct filter_state *st)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < st->n_wanted; i++)
        n += st->wanted[i].size;
    return n ? n : 1;
}

static int read_by_map(struct bench_run *run, const struct bench_case *c, double *ret_values,
                       struct err *e)
{
    struct filter_state *st = run->state;
    struct filled_map m;
    bool is_cold = params_of(c)->limit == LIMIT_COLD;
    int rc = need_wanted(run, c, e);
    if (rc == 0 && is_cold)
        rc = filled_drop(&st->filled, e);
    if (rc == 0)
        rc = filled_map(&st->filled, "commitlog", &m, e);
    if (rc < 0)
        return rc;
    if (!is_cold)
        st->sink += read_wanted(st, &m); /* warms it */
    bench_start(run);
    st->sink += read_wanted(st, &m);
    ret_values[0] = (double)st->filled.n_messages / bench_stop(run);
    filled_unmap(&m);
    if (is_cold)
        ret_values[1] = (double)run->spent.read_bytes / (double)bytes_wanted(st);
    return is_cold ? filled_cool(&st->filled, e) : 0;
}

static int limit(struct bench_run *run, const struct bench_case *c, double *ret_values,
                 struct err *e)
{
    return params_of(c)->limit == LIMIT_PASS ? pass_entries(run, ret_values, e)
                                             : read_by_map(run, c, ret_values, e);
}

#define HOT(of, beside, groups)                                                                    \
    &(const struct filter_params)                                                                  \
    {                                                                                              \
        .expression = (of), .limit = (beside), .n_groups = (groups)                                \
    }
#define COLD(of)                                                                                   \
    &(const struct filter_params)                                                                  \
    {                                                                                              \
        .expression = (of), .limit = LIMIT_COLD, .n_groups = 1                                     \
    }
#define RATE                                                                                       \
    {                                                                                              \
        {                                                                                          \
            .unit = "ent/s"                                                                        \
        }                                                                                          \
    }
#define RATE_AND_DISK                                                                              \
    {                                                                                              \
        {.unit = "ent/s"},                                                                         \
        {                                                                                          \
            .name = "read/wanted", .unit = "B/B"                                                   \
        }                                                                                          \
    }

static const struct bench_case cases[] = {
    {"nothing matches, hot",
     scan_store,
     limit,
     HOT("Nothing", LIMIT_PASS, 1),
     {{.unit = "ent/s", .target = "Q1", .bound = BOUND_Q1}}},
    {"0.1 % matches, hot", scan_store, limit, HOT("Per1000", LIMIT_PASS, 1), RATE},
    {"1 % matches, hot", scan_store, limit, HOT("Per100", LIMIT_PASS, 1), RATE},
    {"10 % matches, hot", scan_store, limit, HOT("Per10", LIMIT_PASS, 1), RATE},
    {"100 % matches, hot",
     scan_store,
     limit,
     HOT("*", LIMIT_READ, 1),
     {{.unit = "ent/s", .target = "Q3", .bound = BOUND_Q3}}},
    {"89 % collide, hot", scan_store, limit, HOT("AaAa", LIMIT_PASS, 1), RATE},
    {"8 groups, nothing matches, hot", scan_store, limit, HOT("Nothing", LIMIT_PASS, 8), RATE},
    {"8 groups, 1 % matches, hot", scan_store, limit, HOT("Per100", LIMIT_PASS, 8), RATE},
    {"8 groups, 100 % matches, hot", scan_store, limit, HOT("*", LIMIT_READ, 8), RATE},
    {"0.1 % matches, cold", scan_store, limit, COLD("Per1000"), RATE_AND_DISK},
    {"1 % matches, cold",
     scan_store,
     limit,
     COLD("Per100"),
     {{.unit = "ent/s", .target = "Q2", .bound = BOUND_Q2},
      {.name = "read/wanted",
       .unit = "B/B",
       .target = "Q2",
       .bound = BOUND_Q2_READ,
       .is_most = true,
       .is_absolute = true}}},
    {"10 % matches, cold", scan_store, limit, COLD("Per10"), RATE_AND_DISK},
    {"100 % matches, cold", scan_store, limit, COLD("*"), RATE_AND_DISK},
    {0},
};

const struct bench_set case_filter = {cases, open_set, close_set};
