/* A receive from its request to its end, step by step: nothing happens between two lines of a test
 * but what it asks for (tests/lib/still_rpc.h), and arrivals come in the middle of a step where the
 * linker has put the functions below in front of those of broker/hold.h (--wrap). For the tests of
 * receives; one file of a program includes it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_RECEIVE_CASE_H
#define TESTS_LIB_RECEIVE_CASE_H

#include <check.h>
#include <string.h>

#include "base/jhash.h"
#include "broker/deliver.h"
#include "broker/receive.h"
#include "tests/lib/broker_fixture.h"
#include "tests/lib/still_rpc.h"

enum { POLL_MS = 5000, INVISIBLE_MS = 60000, ASKED_MAX = 12, MESSAGES = 32 };

/* A client's call and its receive. */
struct asked {
    struct still_call call;
    struct receive *receive; /* the call's reference; NULL: the call has ended */
};

static struct {
    struct broker_fixture broker;
    struct broker *b;
    struct lease *lease;
    struct asked asked[ASKED_MAX];
    size_t n_asked;
    /* what happens in the middle of a step, once; NULL: nothing */
    void (*before_park)(void), (*after_park)(void), (*before_remove)(void);
} f;

int __real_hold_park(struct hold_table *t, struct hold_entry *entry, struct err *e) MUST_CHECK;
int __wrap_hold_park(struct hold_table *t, struct hold_entry *entry, struct err *e) MUST_CHECK;
bool __real_hold_remove(struct hold_table *t, struct hold_entry *entry);
bool __wrap_hold_remove(struct hold_table *t, struct hold_entry *entry);

static inline void happen(void (**what)(void))
{
    void (*fn)(void) = *what;
    *what = NULL;
    if (fn)
        fn();
}

int __wrap_hold_park(struct hold_table *t, struct hold_entry *entry, struct err *e)
{
    happen(&f.before_park);
    int rc = __real_hold_park(t, entry, e);
    happen(&f.after_park);
    return rc;
}

bool __wrap_hold_remove(struct hold_table *t, struct hold_entry *entry)
{
    happen(&f.before_remove);
    return __real_hold_remove(t, entry);
}

/* ---- fixture ---- */

static inline void setup(void)
{
    struct err e;
    memset(&f, 0, sizeof f);
    still_rpc_init();
    broker_fixture_init(&f.broker);
    broker_fixture_open(&f.broker);
    f.b = &f.broker.b;
    idle_init(&f.b->receives, 0); /* each is memory of its own */
    idle_init(&f.b->delivered, 0);
    idle_init(&f.b->heads, 0);
    ck_assert_int_eq(alarm_table_open(&f.b->alarms, f.b->holds, &f.b->clock, &e), 0);
    f.lease = broker_fixture_lease(&f.broker);
}

static inline void end(struct asked *a, enum rpc_end how)
{
    receive_end(a->receive, how);
    receive_unref(a->receive);
    a->receive = NULL;
}

static inline void teardown(void)
{
    for (size_t i = 0; i < f.n_asked; i++)
        if (f.asked[i].receive)
            end(&f.asked[i], RPC_END_LOST);
    still_rpc_stop();
    for (size_t i = 0; i < f.n_asked; i++)
        ck_assert_int_eq(f.asked[i].call.n_refs, 0); /* each receive is freed */
    ck_assert_uint_eq(hold_count(f.b->holds), 0);
    receive_free_idle(f.b);
    deliver_free_idle(f.b);
    alarm_table_close(f.b->alarms);
    lease_unref(f.lease);
    broker_fixture_fini(&f.broker);
    still_rpc_fini();
}

/* ---- receives ---- */

static inline void compile(struct filter **filter, const char *tags)
{
    struct err e;
    int rc = *filter ? filter_recompile_tags(*filter, span_str(tags), &e)
                     : filter_compile_tags(filter, span_str(tags), &e);
    ck_assert_int_eq(rc, 0);
}

static inline uint64_t now_ms(void)
{
    return f.broker.clock.mono_ms;
}

/* A receive of group "G" on topic "T" that is not started. */
static inline struct asked *make(const char *tags)
{
    ck_assert_uint_lt(f.n_asked, ASKED_MAX);
    struct asked *a = &f.asked[f.n_asked++];
    *a = (struct asked){.receive = NULL};
    struct receive *r = a->receive = receive_new(f.b, still_rpc_call(&a->call));
    ck_assert_ptr_nonnull(r);
    group_info_init(&r->group, span_str("G"));
    r->topic = (struct topic_info){.name = "T", .n_read_queues = 1};
    r->topic_namespace = "";
    r->lease = lease_ref(f.lease);
    compile(&r->filter, tags);
    r->until_ms = now_ms() + POLL_MS;
    r->take.max = MESSAGES;
    r->take.how.invisible_ms = INVISIBLE_MS;
    return a;
}

static inline void start(const struct asked *a)
{
    receive_start(a->receive);
}

static inline struct asked *ask(void)
{
    struct asked *a = make("*");
    start(a);
    return a;
}

static inline struct asked *ask_for_one(void)
{
    struct asked *a = make("*");
    a->receive->take.max = 1;
    start(a);
    return a;
}

static inline void expect_messages(const struct asked *a, size_t n)
{
    ck_assert(a->call.is_finished);
    ck_assert_int_eq(a->call.code, CODE(OK));
    ck_assert_uint_eq(a->call.n_messages, n);
}

static inline void expect_message(const struct asked *a, const char *body, int32_t attempt)
{
    expect_messages(a, 1);
    ck_assert_str_eq(a->call.messages[0].body, body);
    ck_assert_int_eq(a->call.messages[0].attempt, attempt);
}

static inline void expect_code(const struct asked *a, int32_t code)
{
    ck_assert(a->call.is_finished);
    ck_assert_int_eq(a->call.code, code);
    ck_assert_uint_eq(a->call.n_messages, 0);
}

static inline void expect_nothing(const struct asked *a)
{
    expect_code(a, CODE(MESSAGE_NOT_FOUND));
}

static inline void expect_n_parked(size_t n)
{
    ck_assert_uint_eq(hold_count(f.b->holds), n);
}

/* It is parked, and nothing goes on with it by itself. */
static inline void expect_waiting(const struct asked *a)
{
    ck_assert_uint_eq(still_rpc_n_posted(), 0);
    ck_assert(!a->call.is_finished);
    ck_assert_int_eq(a->receive->state, RECEIVE_PARKED);
}

/* ---- what happens ---- */

/* A message is there, and nobody was told yet. */
static inline struct store_appended append(const char *body)
{
    struct store_appended at = store_fixture_append(&f.broker.store, "T", 0, body);
    store_fixture_await(&f.broker.store, "T", 0, at.queue_off + 1);
    return at;
}

/* Who waits is told; how many. */
static inline size_t tell(void)
{
    return hold_notify(f.b->holds, span_str("T"), jhash(span_str("TagA")));
}

static inline void arrive(const char *body)
{
    (void)append(body);
    ck_assert_uint_eq(tell(), 1);
}

static inline void pass_time(uint64_t ms)
{
    f.broker.clock.mono_ms += ms;
    still_rpc_fire(now_ms());
}

/* Another receive looks at the queue, which is then to be looked at again. */
static inline void scan(struct lease_scan *ret)
{
    struct err e;
    enum lease_begin begun;
    const struct lease_take how = {.now_ms = 1, .invisible_ms = 1, .max_attempts = 1};
    ck_assert_int_eq(lease_begin(f.lease, 0, &how, &begun, ret, &e), 0);
    ck_assert_int_eq(begun, LEASE_READY);
}

static inline uint64_t n_in_flight(void)
{
    struct lease_progress p;
    lease_progress(f.lease, 0, &p);
    return p.n_in_flight;
}

#endif
