/* Wakes parked receives when a message becomes visible again. An alarm is one timer; the table
 * holds the current one of each group and topic. A superseded or fired alarm frees itself in its
 * timer's function. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/alarm.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/lock.h"
#include "base/map.h"

/* Between two wakes for the same message: one that cannot be taken does not keep a worker busy. */
enum { ALARM_FLOOR_MS = 10 };

enum { ALARM_KEY_MAX = 512 }; /* two names of 255 bytes, the longest there are */

struct alarm_table {
    /* set before use, then constant */
    struct hold_table *holds;
    const struct steady_clock *clock;

    struct lock lock;  /* LOCK_ALARM */
    struct map alarms; /* guarded by lock: "group/topic" (names have no slash) -> struct alarm */
};

struct alarm {
    /* constant */
    struct alarm_table *table;
    struct rpc_server *server;
    struct lease *lease; /* a reference */
    uint64_t at_ms;      /* since the epoch */
    size_t group_len;
    size_t key_len;

    struct rpc_timer *timer; /* guarded by the table's lock */
    uint8_t key[];           /* group, slash, topic */
};

int alarm_table_open(struct alarm_table **ret_table, struct hold_table *holds,
                     const struct steady_clock *clock, struct err *e)
{
    struct alarm_table *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, "make the table of alarms");
    t->holds = holds;
    t->clock = clock;
    lock_init(&t->lock, LOCK_ALARM);
    *ret_table = t;
    return 0;
}

void alarm_table_close(struct alarm_table *t)
{
    if (!t)
        return;
    assert(t->alarms.n_used == 0);
    map_fini(&t->alarms);
    lock_fini(&t->lock);
    free(t);
}

static struct span key_of(const struct alarm *a)
{
    return span_of(a->key, a->key_len);
}

static struct span group_of(const struct alarm *a)
{
    return span_of(a->key, a->group_len);
}

static struct span topic_of(const struct alarm *a)
{
    return span_of(a->key + a->group_len + 1, a->key_len - a->group_len - 1);
}

static void write_key(uint8_t *key, struct span group, struct span topic)
{
    memcpy(key, group.ptr, group.len);
    key[group.len] = '/';
    memcpy(key + group.len + 1, topic.ptr, topic.len);
}

static struct alarm *new_alarm(struct alarm_table *t, struct rpc_server *server,
                               struct lease *lease, struct span group, struct span topic)
{
    struct alarm *a = calloc(1, sizeof *a + group.len + 1 + topic.len);
    if (!a)
        return NULL;
    a->table = t;
    a->server = server;
    a->lease = lease_ref(lease);
    a->group_len = group.len;
    a->key_len = group.len + 1 + topic.len;
    write_key(a->key, group, topic);
    return a;
}

static void free_alarm(struct alarm *a)
{
    lease_unref(a->lease);
    free(a);
}

/* The timer's function, also of a superseded alarm (then not fired). */
static void ring(void *arg, bool fired)
{
    struct alarm *a = arg;
    struct alarm_table *t = a->table;
    lock_take(&t->lock);
    if (map_get(&t->alarms, key_of(a)) == a)
        (void)map_remove(&t->alarms, key_of(a)); /* it is `a` */
    lock_drop(&t->lock);
    if (fired)
        (void)hold_notify_group(t->holds, group_of(a), topic_of(a)); /* maybe nobody waits */
    free_alarm(a);
}

/* Puts `a` in the place of a later one; false: an earlier one is armed, or memory is out. */
static bool supersede(struct alarm_table *t, struct alarm *a)
{
    struct err e;
    lock_assert_held(&t->lock);
    struct alarm *old = map_get(&t->alarms, key_of(a));
    if (old && old->at_ms <= a->at_ms)
        return false;
    if (map_put(&t->alarms, key_of(a), a, &e))
        return false;
    if (old)
        rpc_timer_cancel(old->timer);
    return true;
}

static void arm(struct alarm_table *t, struct alarm *a, uint64_t delay_ms)
{
    uint64_t mono_ms = steady_clock_mono_ms(t->clock);
    lock_take(&t->lock);
    bool armed = supersede(t, a);
    if (armed) /* under the lock, so that `ring` finds the field set */
        a->timer = rpc_timer_start(a->server, mono_ms + delay_ms + 1, ring, a);
    lock_drop(&t->lock);
    if (!armed)
        free_alarm(a);
}

/* Whether one is armed that rings as early: the usual case, for which nothing is allocated. */
static bool is_armed(struct alarm_table *t, struct span group, struct span topic, uint64_t at_ms)
{
    uint8_t key[ALARM_KEY_MAX];
    if (group.len + 1 + topic.len > sizeof key)
        return false;
    write_key(key, group, topic);
    lock_take(&t->lock);
    const struct alarm *a = map_get(&t->alarms, span_of(key, group.len + 1 + topic.len));
    bool is_early = a && a->at_ms <= at_ms;
    lock_drop(&t->lock);
    return is_early;
}

void alarm_set(struct alarm_table *t, struct rpc_server *server, struct lease *lease,
               struct span group, struct span topic)
{
    uint64_t at_ms = lease_next_visible_ms(lease);
    if (at_ms == UINT64_MAX)
        return;
    uint64_t now_ms = steady_clock_now_ms(t->clock);
    if (at_ms < now_ms + ALARM_FLOOR_MS)
        at_ms = now_ms + ALARM_FLOOR_MS;
    if (is_armed(t, group, topic, at_ms))
        return;
    struct alarm *a = new_alarm(t, server, lease, group, topic);
    if (!a)
        return;
    a->at_ms = at_ms;
    arm(t, a, at_ms - now_ms);
}

/* Copies without timers of all current alarms; NULL: none, or no memory. */
static struct alarm **copy_all(struct alarm_table *t, size_t *ret_n)
{
    size_t n = 0, pos = 0;
    const struct map_entry *entry;
    lock_take(&t->lock);
    struct alarm **copies = calloc(t->alarms.n_used + 1, sizeof(struct alarm *));
    while (copies && (entry = map_next(&t->alarms, &pos)) != NULL) {
        const struct alarm *a = entry->value;
        copies[n] = new_alarm(t, a->server, a->lease, group_of(a), topic_of(a));
        n += copies[n] != NULL;
    }
    lock_drop(&t->lock);
    *ret_n = n;
    return copies;
}

void alarm_refresh(struct alarm_table *t)
{
    size_t n = 0;
    struct alarm **copies = copy_all(t, &n);
    for (size_t i = 0; i < n; i++) {
        const struct alarm *a = copies[i];
        alarm_set(t, a->server, a->lease, group_of(a), topic_of(a));
        free_alarm(copies[i]);
    }
    free(copies);
}
