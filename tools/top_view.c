/* Rates, percentiles and order, from two samples. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tools/top.h"

enum { NS_PER_S = 1000000000 };

/* ---- rates ---- */

/* Negative: the count went back, so it is another broker's. */
static double rate_of(uint64_t before, uint64_t now, double seconds)
{
    return now < before || seconds <= 0 ? -1 : (double)(now - before) / seconds;
}

static void fill_rates(struct top_view *v, const struct top_sample *before,
                       const struct top_sample *now)
{
    const Sluice__V1__GetStatsResponse *a = before->stats, *b = now->stats;
    v->in = rate_of(a->appended, b->appended, v->seconds);
    v->in_bytes = rate_of(a->appended_bytes, b->appended_bytes, v->seconds);
    v->out = rate_of(a->delivered, b->delivered, v->seconds);
    v->out_bytes = rate_of(a->delivered_bytes, b->delivered_bytes, v->seconds);
    v->major_faults = rate_of(before->memory->major_faults, now->memory->major_faults, v->seconds);
}

/* ---- percentiles ---- */

/* How many a bucket of `now` got since `before`; buckets of both ascend, and `*at` goes along. */
static uint64_t added_to(const Sluice__V1__TimingBucket *now, const Sluice__V1__Timing *before,
                         size_t *at)
{
    while (before && *at < before->n_buckets && before->buckets[*at]->upto_ns < now->upto_ns)
        (*at)++;
    if (!before || *at == before->n_buckets || before->buckets[*at]->upto_ns != now->upto_ns)
        return now->count;
    uint64_t old = before->buckets[*at]->count;
    return now->count > old ? now->count - old : 0;
}

static uint64_t count_added(const Sluice__V1__Timing *before, const Sluice__V1__Timing *now)
{
    size_t at = 0;
    uint64_t n = 0;
    for (size_t i = 0; now && i < now->n_buckets; i++)
        n += added_to(now->buckets[i], before, &at);
    return n;
}

/* What `wanted` of those that were added do not exceed. */
static uint64_t added_at(const Sluice__V1__Timing *before, const Sluice__V1__Timing *now,
                         uint64_t wanted)
{
    size_t at = 0;
    uint64_t seen = 0, last_ns = 0;
    for (size_t i = 0; now && i < now->n_buckets && seen < wanted; i++) {
        uint64_t n = added_to(now->buckets[i], before, &at);
        seen += n;
        if (n > 0)
            last_ns = now->buckets[i]->upto_ns;
    }
    return last_ns;
}

static struct top_timing timing_between(const Sluice__V1__Timing *before,
                                        const Sluice__V1__Timing *now)
{
    struct top_timing t = {.n = count_added(before, now)};
    if (t.n == 0)
        return t;
    t.p50_ns = added_at(before, now, (t.n + 1) / 2);
    t.p99_ns = added_at(before, now, t.n - t.n / 100);
    t.p999_ns = added_at(before, now, t.n - t.n / 1000);
    t.max_ns = added_at(before, now, t.n);
    return t;
}

/* ---- topics ---- */

static int compare_topics(const void *a, const void *b)
{
    const struct top_topic *x = a, *y = b;
    if (x->in != y->in)
        return x->in < y->in ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* Both replies have them by name, so the one of the name is searched for from `*at` on. */
static double topic_rate(const Sluice__V1__TopicActivity *now,
                         const Sluice__V1__GetActivityResponse *before, size_t *at, double seconds)
{
    while (*at < before->n_topics && strcmp(before->topics[*at]->name, now->name) < 0)
        (*at)++;
    if (*at == before->n_topics || strcmp(before->topics[*at]->name, now->name) != 0)
        return -1;
    return rate_of(before->topics[*at]->appended, now->appended, seconds);
}

static void fill_topics(struct top_view *v, const Sluice__V1__GetActivityResponse *before,
                        const Sluice__V1__GetActivityResponse *now)
{
    size_t at = 0;
    v->n_topics = now->n_topics;
    for (size_t i = 0; i < v->n_topics; i++) {
        const Sluice__V1__TopicActivity *t = now->topics[i];
        v->topics[i] = (struct top_topic){.name = t->name,
                                          .n_queues = t->queues,
                                          .stored = t->stored,
                                          .in = topic_rate(t, before, &at, v->seconds)};
    }
    qsort(v->topics, v->n_topics, sizeof v->topics[0], compare_topics);
}

/* ---- groups ---- */

static int compare_activities(const void *a, const void *b)
{
    const Sluice__V1__GroupActivity *x = *(Sluice__V1__GroupActivity *const *)a;
    const Sluice__V1__GroupActivity *y = *(Sluice__V1__GroupActivity *const *)b;
    int by_group = strcmp(x->group, y->group);
    return by_group ? by_group : strcmp(x->topic, y->topic);
}

static int compare_groups(const void *a, const void *b)
{
    const struct top_group *x = a, *y = b;
    if (x->lag != y->lag)
        return x->lag < y->lag ? 1 : -1;
    if (x->out != y->out)
        return x->out < y->out ? 1 : -1;
    int by_group = strcmp(x->group, y->group);
    return by_group ? by_group : strcmp(x->topic, y->topic);
}

static double group_rate(Sluice__V1__GroupActivity *now,
                         const Sluice__V1__GetActivityResponse *before, size_t *at, double seconds)
{
    while (*at < before->n_groups && compare_activities(&before->groups[*at], &now) < 0)
        (*at)++;
    if (*at == before->n_groups || compare_activities(&before->groups[*at], &now) != 0)
        return -1;
    return rate_of(before->groups[*at]->position, now->position, seconds);
}

static void sort_groups(Sluice__V1__GetActivityResponse *reply)
{
    if (reply->n_groups > 0)
        qsort(reply->groups, reply->n_groups, sizeof(Sluice__V1__GroupActivity *),
              compare_activities);
}

static void fill_groups(struct top_view *v, Sluice__V1__GetActivityResponse *before,
                        Sluice__V1__GetActivityResponse *now)
{
    size_t at = 0;
    sort_groups(before);
    sort_groups(now);
    v->n_groups = now->n_groups;
    for (size_t i = 0; i < v->n_groups; i++) {
        Sluice__V1__GroupActivity *g = now->groups[i];
        v->groups[i] = (struct top_group){.group = g->group,
                                          .topic = g->topic,
                                          .lag = g->lag,
                                          .in_flight = g->in_flight,
                                          .out = group_rate(g, before, &at, v->seconds)};
        v->lag += g->lag;
        v->in_flight += g->in_flight;
    }
    qsort(v->groups, v->n_groups, sizeof v->groups[0], compare_groups);
}

/* ---- all of it ---- */

int top_view_make(struct top_view *ret, struct top_sample *before, struct top_sample *now,
                  struct err *e)
{
    struct top_view v = {.now = now};
    v.topics = calloc(now->activity->n_topics + 1, sizeof v.topics[0]);
    v.groups = calloc(now->activity->n_groups + 1, sizeof v.groups[0]);
    if (!v.topics || !v.groups) {
        top_view_fini(&v);
        return err_set(e, ERR_NOMEM, "compare two samples");
    }
    v.seconds = (double)(now->mono_ns - before->mono_ns) / NS_PER_S;
    fill_rates(&v, before, now);
    bool is_same = v.in >= 0 && v.in_bytes >= 0; /* else what it counted before is not in it */
    v.syncs = timing_between(is_same ? before->stats->syncs : NULL, now->stats->syncs);
    v.stalls = timing_between(is_same ? before->stats->stalls : NULL, now->stats->stalls);
    fill_topics(&v, before->activity, now->activity);
    fill_groups(&v, before->activity, now->activity);
    *ret = v;
    return 0;
}

void top_view_fini(struct top_view *v)
{
    free(v->topics);
    free(v->groups);
    *v = (struct top_view){0};
}
