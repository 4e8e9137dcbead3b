/* One receive from its request to its end, step by step: nothing happens between two lines of a
 * test but what it asks for (tests/lib/still_rpc.h), and arrivals come in the middle of a step
 * where the linker has put the functions below in front of those of broker/hold.h (--wrap). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/receive.h"

#include <stdio.h>
#include <string.h>

#include "base/jhash.h"
#include "broker/deliver.h"
#include "tests/lib/broker_fixture.h"
#include "tests/lib/crew.h"
#include "tests/lib/still_rpc.h"
#include "tests/lib/suite.h"

enum {
    POLL_MS = 5000,
    INVISIBLE_MS = 60000,
    ASKED_MAX = 12,
    MESSAGES = 32,
    ROUNDS = 100,
    N_COME = 3
};

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

static void happen(void (**what)(void))
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

static void setup(void)
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

static void end(struct asked *a, enum rpc_end how)
{
    receive_end(a->receive, how);
    receive_unref(a->receive);
    a->receive = NULL;
}

static void teardown(void)
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

static void compile(struct filter **filter, const char *tags)
{
    struct err e;
    int rc = *filter ? filter_recompile_tags(*filter, span_str(tags), &e)
                     : filter_compile_tags(filter, span_str(tags), &e);
    ck_assert_int_eq(rc, 0);
}

static uint64_t now_ms(void)
{
    return f.broker.clock.mono_ms;
}

/* A receive of group "G" on topic "T" that is not started. */
static struct asked *make(const char *tags)
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

static void start(const struct asked *a)
{
    receive_start(a->receive);
}

static struct asked *ask(void)
{
    struct asked *a = make("*");
    start(a);
    return a;
}

static struct asked *ask_for_one(void)
{
    struct asked *a = make("*");
    a->receive->take.max = 1;
    start(a);
    return a;
}

static void expect_messages(const struct asked *a, size_t n)
{
    ck_assert(a->call.is_finished);
    ck_assert_int_eq(a->call.code, CODE(OK));
    ck_assert_uint_eq(a->call.n_messages, n);
}

static void expect_message(const struct asked *a, const char *body, int32_t attempt)
{
    expect_messages(a, 1);
    ck_assert_str_eq(a->call.messages[0].body, body);
    ck_assert_int_eq(a->call.messages[0].attempt, attempt);
}

static void expect_code(const struct asked *a, int32_t code)
{
    ck_assert(a->call.is_finished);
    ck_assert_int_eq(a->call.code, code);
    ck_assert_uint_eq(a->call.n_messages, 0);
}

static void expect_nothing(const struct asked *a)
{
    expect_code(a, CODE(MESSAGE_NOT_FOUND));
}

static void expect_n_parked(size_t n)
{
    ck_assert_uint_eq(hold_count(f.b->holds), n);
}

/* It is parked, and nothing goes on with it by itself. */
static void expect_waiting(const struct asked *a)
{
    ck_assert_uint_eq(still_rpc_n_posted(), 0);
    ck_assert(!a->call.is_finished);
    ck_assert_int_eq(a->receive->state, RECEIVE_PARKED);
}

/* ---- what happens ---- */

/* A message is there, and nobody was told yet. */
static struct store_appended append(const char *body)
{
    struct store_appended at = store_fixture_append(&f.broker.store, "T", 0, body);
    store_fixture_await(&f.broker.store, "T", 0, at.queue_off + 1);
    return at;
}

/* Who waits is told; how many. */
static size_t tell(void)
{
    return hold_notify(f.b->holds, span_str("T"), jhash(span_str("TagA")));
}

static void arrive(const char *body)
{
    (void)append(body);
    ck_assert_uint_eq(tell(), 1);
}

static void pass_time(uint64_t ms)
{
    f.broker.clock.mono_ms += ms;
    still_rpc_fire(now_ms());
}

/* Another receive looks at the queue, which is then to be looked at again. */
static void scan(struct lease_scan *ret)
{
    struct err e;
    enum lease_begin begun;
    const struct lease_take how = {.now_ms = 1, .invisible_ms = 1, .max_attempts = 1};
    ck_assert_int_eq(lease_begin(f.lease, 0, &how, &begun, ret, &e), 0);
    ck_assert_int_eq(begun, LEASE_READY);
}

static uint64_t n_in_flight(void)
{
    struct lease_progress p;
    lease_progress(f.lease, 0, &p);
    return p.n_in_flight;
}

/* ---- scanning ---- */

START_TEST(what_is_there_is_replied_with_at_once)
{
    (void)append("one");
    (void)append("two");
    struct asked *a = ask();
    expect_messages(a, 2);
    ck_assert_str_eq(a->call.messages[1].body, "two");
    expect_n_parked(0);
    ck_assert_uint_eq(still_rpc_n_posted(), 0);
    end(a, RPC_END_WRITTEN);
    ck_assert_int_eq(a->call.n_refs, 0);
    ck_assert_uint_eq(n_in_flight(), 2);
}
END_TEST

START_TEST(more_to_look_at_is_another_step_and_no_wait)
{
    struct lease_scan other;
    (void)append("one");
    scan(&other);
    struct asked *a = ask();
    for (int i = 0; i < 3; i++) {
        expect_n_parked(0);
        ck_assert_uint_eq(still_rpc_n_timers(), 0); /* it did not even begin to */
        ck_assert_uint_eq(still_rpc_n_posted(), 1);
        ck_assert(still_rpc_run_one());
    }
    lease_end(&other);
    ck_assert(still_rpc_run_one());
    expect_message(a, "one", 1);
}
END_TEST

/* Changes the first byte of a body where it lies. */
static void damage(struct store_appended at)
{
    struct store_slice slice;
    struct err e;
    ck_assert_int_eq(store_get(f.broker.store.store, span_str("T"), 0, at.queue_off, &slice, &e),
                     0);
    uint64_t off = at.log_off + (uint64_t)(slice.rec.body.ptr - slice.rec.raw.ptr);
    store_unpin(slice.pin);
    store_fixture_poke(&f.broker.store, "commitlog/00000000000000000000", off, "X", 1);
}

START_TEST(damaged_messages_do_not_keep_it_from_those_behind)
{
    for (int i = 0; i < 3; i++)
        damage(append("bad"));
    (void)append("good");
    struct asked *a = ask_for_one();
    still_rpc_run();
    expect_message(a, "good", 1);
}
END_TEST

START_TEST(a_step_ends_when_the_time_is_over)
{
    struct lease_scan other;
    scan(&other);
    struct asked *a = ask();
    pass_time(POLL_MS);
    still_rpc_run();
    expect_nothing(a);
    lease_end(&other);
}
END_TEST

START_TEST(without_time_to_wait_nothing_is_said_at_once)
{
    struct asked *a = make("*");
    a->receive->until_ms = now_ms();
    start(a);
    expect_nothing(a);
    ck_assert_uint_eq(still_rpc_n_timers(), 0);
}
END_TEST

START_TEST(nothing_is_said_at_once_of_a_deleted_topic)
{
    lease_drop_topic(f.b->leases, span_str("T"));
    expect_nothing(ask());
}
END_TEST

/* ---- waiting ---- */

START_TEST(a_receive_that_waits_is_woken_by_an_arrival)
{
    struct asked *a = ask();
    expect_waiting(a);
    arrive("one");
    ck_assert(!a->call.is_finished); /* whoever brings it does not do the work */
    still_rpc_run();
    expect_message(a, "one", 1);
    expect_n_parked(0);
    ck_assert_uint_eq(still_rpc_n_timers(), 1); /* that of when it is visible again */
    end(a, RPC_END_WRITTEN);
    ck_assert_int_eq(a->call.n_refs, 0);
}
END_TEST

START_TEST(an_arrival_that_its_filter_does_not_take_leaves_it_alone)
{
    struct asked *a = make("TagB || TagC");
    start(a);
    (void)append("of TagA");
    ck_assert_uint_eq(tell(), 0);
    expect_waiting(a);
}
END_TEST

START_TEST(nothing_is_said_when_the_time_is_over_and_not_before)
{
    struct asked *a = ask();
    pass_time(POLL_MS - 1);
    expect_waiting(a);
    pass_time(1);
    expect_nothing(a);
    expect_n_parked(0);
    end(a, RPC_END_WRITTEN);
    ck_assert_int_eq(a->call.n_refs, 0);
}
END_TEST

START_TEST(who_was_woken_in_vain_waits_for_the_rest_of_its_time)
{
    struct asked *a = ask();
    pass_time(POLL_MS / 2);
    ck_assert_uint_eq(tell(), 1);
    still_rpc_run();
    expect_waiting(a);
    ck_assert_uint_eq(still_rpc_n_timers(), 1);
    pass_time(POLL_MS - POLL_MS / 2 - 1);
    expect_waiting(a);
    pass_time(1);
    expect_nothing(a);
}
END_TEST

START_TEST(a_wake_on_its_way_when_the_time_is_over_still_brings_its_message)
{
    struct asked *a = ask();
    arrive("one");
    pass_time(POLL_MS);
    ck_assert(!a->call.is_finished);
    still_rpc_run();
    expect_message(a, "one", 1);
}
END_TEST

START_TEST(a_wake_in_vain_when_the_time_is_over_is_the_end)
{
    struct asked *a = ask();
    ck_assert_uint_eq(tell(), 1);
    pass_time(POLL_MS);
    ck_assert(!a->call.is_finished);
    still_rpc_run();
    expect_nothing(a);
}
END_TEST

START_TEST(who_waits_is_told_at_once_that_the_topic_is_deleted)
{
    struct asked *a = ask();
    lease_drop_topic(f.b->leases, span_str("T"));
    ck_assert_uint_eq(hold_notify_topic(f.b->holds, span_str("T")), 1);
    still_rpc_run();
    expect_nothing(a);
}
END_TEST

START_TEST(a_receive_too_many_is_refused)
{
    struct asked *a = NULL;
    do
        a = ask();
    while (!a->call.is_finished);
    expect_code(a, CODE(TOO_MANY_REQUESTS));
    expect_n_parked(10);
    end(a, RPC_END_WRITTEN);
    ck_assert_int_eq(a->call.n_refs, 0);
}
END_TEST

/* ---- visible again ---- */

/* A message that its client has not acked. */
static void deliver(void)
{
    struct asked *a = ask();
    expect_message(a, "one", 1);
    end(a, RPC_END_WRITTEN);
}

/* Only the reply has seen it: who waits was there before. */
START_TEST(who_waits_is_woken_when_a_message_delivered_since_is_visible_again)
{
    struct asked *a = make("*");
    a->receive->until_ms = now_ms() + 2 * INVISIBLE_MS;
    start(a);
    (void)append("one");
    deliver();
    pass_time(INVISIBLE_MS);
    ck_assert_uint_eq(still_rpc_n_posted(), 0); /* one millisecond is the clock's own */
    pass_time(1);
    still_rpc_run();
    expect_message(a, "one", 2);
}
END_TEST

/* Only who waits has seen it: the alarm of the delivery is over, or there was no memory for it. */
START_TEST(who_waits_is_woken_when_a_message_in_flight_is_visible_again)
{
    struct alarm_table *none;
    struct err e;
    (void)append("one");
    deliver();
    still_rpc_stop();
    alarm_table_close(f.b->alarms);
    ck_assert_int_eq(alarm_table_open(&none, f.b->holds, &f.b->clock, &e), 0);
    f.b->alarms = none;
    struct asked *a = make("*");
    a->receive->until_ms = now_ms() + 2 * INVISIBLE_MS;
    start(a);
    expect_waiting(a);
    pass_time(INVISIBLE_MS + 1);
    still_rpc_run();
    expect_message(a, "one", 2);
}
END_TEST

/* ---- nothing is lost in between ---- */

static void append_one(void)
{
    (void)append("one");
}

static void arrive_one(void)
{
    arrive("one");
}

START_TEST(an_arrival_between_the_scan_and_the_parking_is_not_lost)
{
    f.before_park = append_one;
    expect_message(ask(), "one", 1);
    expect_n_parked(0);
    ck_assert_uint_eq(still_rpc_n_posted(), 1); /* the end of its timer */
}
END_TEST

START_TEST(an_arrival_between_the_parking_and_the_look_after_it_comes_once)
{
    f.after_park = arrive_one;
    struct asked *a = ask();
    expect_message(a, "one", 1);
    still_rpc_run(); /* the wake, which finds it finished */
    expect_message(a, "one", 1);
    ck_assert_uint_eq(n_in_flight(), 1);
}
END_TEST

static struct lease_scan other_scan;

static void begin_other_scan(void)
{
    scan(&other_scan);
}

START_TEST(a_queue_that_the_look_after_parking_could_not_see_is_looked_at_again)
{
    f.before_park = begin_other_scan;
    struct asked *a = ask();
    expect_n_parked(0);
    lease_end(&other_scan);
    (void)append("one");
    still_rpc_run();
    expect_message(a, "one", 1);
}
END_TEST

static void let_time_pass(void)
{
    f.broker.clock.mono_ms += POLL_MS;
}

START_TEST(a_time_that_is_over_while_it_parks_is_over)
{
    f.before_park = let_time_pass;
    struct asked *a = ask();
    expect_nothing(a);
    expect_n_parked(0);
}
END_TEST

static struct asked *second;

static void ask_second(int number)
{
    (void)number;
    second = ask();
}

/* Another of the group parks behind the first, and a message arrives: who is first is woken. */
static void ask_second_and_arrive(void)
{
    struct crew crew;
    crew_start(&crew, 1, ask_second); /* not on the thread that holds the first one's lock */
    crew_join(&crew);
    expect_n_parked(2);
    arrive("two");
}

START_TEST(a_wake_that_comes_to_a_finished_receive_is_passed_on)
{
    f.before_park = append_one;
    f.before_remove = ask_second_and_arrive;
    struct asked *first = ask();
    expect_message(first, "one", 1);
    ck_assert(!second->call.is_finished);
    still_rpc_run();
    expect_message(second, "two", 1);
}
END_TEST

START_TEST(a_full_reply_has_another_of_the_group_look_for_more)
{
    struct asked *a = ask_for_one(), *b = ask_for_one();
    (void)append("one");
    arrive("two"); /* one wake for both of them */
    still_rpc_run();
    expect_message(a, "one", 1);
    expect_message(b, "two", 1);
}
END_TEST

START_TEST(a_reply_that_is_not_full_leaves_the_others_alone)
{
    struct asked *a = ask(), *b = ask();
    arrive("one");
    ck_assert(still_rpc_run_one());
    expect_message(a, "one", 1);
    ck_assert_uint_eq(still_rpc_n_posted(), 1); /* the end of its timer */
    still_rpc_run();
    expect_waiting(b);
    expect_n_parked(1);
}
END_TEST

/* ---- the client is gone ---- */

START_TEST(a_client_that_is_gone_waits_no_more)
{
    struct asked *a = ask();
    end(a, RPC_END_LOST);
    expect_n_parked(0);
    still_rpc_run();
    ck_assert_int_eq(a->call.n_refs, 0);
    ck_assert(!a->call.is_finished);
    (void)append("one");
    expect_message(ask(), "one", 1);
}
END_TEST

START_TEST(the_wake_of_a_client_that_is_gone_goes_to_another_of_the_group)
{
    struct asked *a = ask(), *b = ask();
    arrive("one");
    end(a, RPC_END_LOST);
    still_rpc_run();
    ck_assert(!a->call.is_finished);
    expect_message(b, "one", 1);
    ck_assert_int_eq(a->call.n_refs, 0);
}
END_TEST

START_TEST(a_client_that_is_gone_while_it_scans_leaves_its_wake_to_another)
{
    struct lease_scan other;
    struct asked *a = ask(), *b = ask();
    scan(&other);
    arrive("one");
    ck_assert(still_rpc_run_one());
    ck_assert_int_eq(a->receive->state, RECEIVE_SCANNING);
    lease_end(&other);
    end(a, RPC_END_LOST);
    still_rpc_run();
    ck_assert(!a->call.is_finished);
    expect_message(b, "one", 1);
}
END_TEST

START_TEST(a_lost_reply_gives_its_messages_back_as_if_never_delivered)
{
    struct asked *a = ask(), *b = ask();
    arrive("one");
    still_rpc_run();
    expect_message(a, "one", 1);
    expect_waiting(b);
    end(a, RPC_END_LOST);
    still_rpc_run();
    expect_message(b, "one", 1);
    ck_assert_int_eq(a->call.n_refs, 0);
}
END_TEST

START_TEST(a_reply_that_was_written_stays_with_its_client)
{
    (void)append("one");
    end(ask(), RPC_END_WRITTEN);
    struct asked *b = ask();
    still_rpc_run();
    expect_waiting(b);
    ck_assert_uint_eq(n_in_flight(), 1);
}
END_TEST

START_TEST(nothing_of_a_receive_is_left_in_the_next)
{
    f.b->receives.n_max = f.b->delivered.n_max = 1;
    (void)append("one");
    struct asked *a = ask();
    const struct receive *kept = a->receive;
    end(a, RPC_END_WRITTEN);
    struct asked *b = make("TagB");
    ck_assert_ptr_eq(b->receive, kept);
    start(b);
    expect_waiting(b);
    end(b, RPC_END_LOST);
    ck_assert_uint_eq(n_in_flight(), 1); /* not b's to give back */
    struct asked *c = ask();
    still_rpc_run();
    expect_waiting(c);
}
END_TEST

/* ---- refused and stopped ---- */

START_TEST(a_client_that_does_not_read_gets_no_more_and_others_do)
{
    struct asked *a = ask(), *b = ask();
    a->call.has_unread = true;
    arrive("one");
    still_rpc_run();
    expect_code(a, CODE(TOO_MANY_REQUESTS));
    expect_message(b, "one", 1);
    ck_assert_uint_eq(atomic_load_explicit(&f.b->n_unread_refused, memory_order_relaxed), 1);
}
END_TEST

static void stop(void)
{
    atomic_store_explicit(&f.b->is_stopping, true, memory_order_seq_cst);
    (void)hold_notify_all(f.b->holds);
}

START_TEST(a_stop_ends_who_waits)
{
    struct asked *a = ask();
    stop();
    still_rpc_run();
    expect_nothing(a);
}
END_TEST

START_TEST(nobody_begins_to_wait_during_a_stop)
{
    f.before_park = stop;
    struct asked *a = ask(), *b = ask();
    expect_nothing(a);
    expect_nothing(b);
    expect_n_parked(0);
}
END_TEST

START_TEST(what_is_there_is_replied_with_during_a_stop_too)
{
    (void)append("one");
    stop();
    expect_message(ask(), "one", 1);
}
END_TEST

START_TEST(a_timer_that_the_server_s_stop_ended_says_nothing)
{
    struct asked *a = ask();
    still_rpc_stop();
    expect_waiting(a);
    end(a, RPC_END_LOST); /* as the server does with each call */
    ck_assert_int_eq(a->call.n_refs, 0);
}
END_TEST

/* ---- everything at once ---- */

static struct asked *contested;
static pthread_barrier_t all_there;

/* The wake, the timer and the end of the call, on threads of their own. */
static void come(int number)
{
    (void)pthread_barrier_wait(&all_there); /* one of them is told that it is the last */
    if (number == 0)
        still_rpc_fire(now_ms());
    else if (number == 1)
        still_rpc_run();
    else
        end(contested, RPC_END_LOST);
}

static void ack(const struct asked *a)
{
    const struct taken *m = &a->receive->delivered->messages[0];
    const struct lease_handle handle = {.queue_id = m->queue_id,
                                        .queue_off = m->entry.queue_off,
                                        .nonce = m->entry.nonce,
                                        .until_ms = m->entry.until_ms};
    ck_assert_int_eq(lease_ack(f.lease, &handle, steady_clock_now_ms(&f.b->clock)), LEASE_OK);
}

START_TEST(whatever_comes_first_the_message_is_there_for_the_next)
{
    struct crew crew;
    ck_assert_int_eq(pthread_barrier_init(&all_there, NULL, N_COME), 0);
    for (int i = 0; i < ROUNDS; i++) {
        f.n_asked = 0;
        contested = ask();
        arrive("one");
        f.broker.clock.mono_ms += POLL_MS;
        crew_start(&crew, N_COME, come);
        crew_join(&crew);
        still_rpc_run();
        ck_assert_int_eq(contested->call.n_refs, 0);
        expect_n_parked(0);
        struct asked *next = ask();
        expect_message(next, "one", 1);
        ack(next);
        end(next, RPC_END_WRITTEN);
    }
    ck_assert_int_eq(pthread_barrier_destroy(&all_there), 0);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(suite, tc);
    return tc;
}

static void add_waiting(TCase *tc)
{
    tcase_add_test(tc, a_receive_that_waits_is_woken_by_an_arrival);
    tcase_add_test(tc, an_arrival_that_its_filter_does_not_take_leaves_it_alone);
    tcase_add_test(tc, nothing_is_said_when_the_time_is_over_and_not_before);
    tcase_add_test(tc, who_was_woken_in_vain_waits_for_the_rest_of_its_time);
    tcase_add_test(tc, a_wake_on_its_way_when_the_time_is_over_still_brings_its_message);
    tcase_add_test(tc, a_wake_in_vain_when_the_time_is_over_is_the_end);
    tcase_add_test(tc, who_waits_is_told_at_once_that_the_topic_is_deleted);
    tcase_add_test(tc, a_receive_too_many_is_refused);
    tcase_add_test(tc, who_waits_is_woken_when_a_message_delivered_since_is_visible_again);
    tcase_add_test(tc, who_waits_is_woken_when_a_message_in_flight_is_visible_again);
}

int main(void)
{
    Suite *suite = suite_create("receive");
    TCase *tc = add_case(suite, "scanning");
    tcase_add_test(tc, what_is_there_is_replied_with_at_once);
    tcase_add_test(tc, more_to_look_at_is_another_step_and_no_wait);
    tcase_add_test(tc, damaged_messages_do_not_keep_it_from_those_behind);
    tcase_add_test(tc, a_step_ends_when_the_time_is_over);
    tcase_add_test(tc, without_time_to_wait_nothing_is_said_at_once);
    tcase_add_test(tc, nothing_is_said_at_once_of_a_deleted_topic);
    add_waiting(add_case(suite, "waiting"));
    tc = add_case(suite, "between");
    tcase_add_test(tc, an_arrival_between_the_scan_and_the_parking_is_not_lost);
    tcase_add_test(tc, an_arrival_between_the_parking_and_the_look_after_it_comes_once);
    tcase_add_test(tc, a_queue_that_the_look_after_parking_could_not_see_is_looked_at_again);
    tcase_add_test(tc, a_time_that_is_over_while_it_parks_is_over);
    tcase_add_test(tc, a_wake_that_comes_to_a_finished_receive_is_passed_on);
    tcase_add_test(tc, a_full_reply_has_another_of_the_group_look_for_more);
    tcase_add_test(tc, a_reply_that_is_not_full_leaves_the_others_alone);
    tc = add_case(suite, "gone");
    tcase_add_test(tc, a_client_that_is_gone_waits_no_more);
    tcase_add_test(tc, the_wake_of_a_client_that_is_gone_goes_to_another_of_the_group);
    tcase_add_test(tc, a_client_that_is_gone_while_it_scans_leaves_its_wake_to_another);
    tcase_add_test(tc, a_lost_reply_gives_its_messages_back_as_if_never_delivered);
    tcase_add_test(tc, a_reply_that_was_written_stays_with_its_client);
    tcase_add_test(tc, nothing_of_a_receive_is_left_in_the_next);
    tc = add_case(suite, "stop");
    tcase_add_test(tc, a_client_that_does_not_read_gets_no_more_and_others_do);
    tcase_add_test(tc, a_stop_ends_who_waits);
    tcase_add_test(tc, nobody_begins_to_wait_during_a_stop);
    tcase_add_test(tc, what_is_there_is_replied_with_during_a_stop_too);
    tcase_add_test(tc, a_timer_that_the_server_s_stop_ended_says_nothing);
    tcase_add_test(add_case(suite, "race"), whatever_comes_first_the_message_is_there_for_the_next);
    return suite_run(suite);
}
