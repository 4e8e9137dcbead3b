/* Dead letters: a copy that says where it came from, the message done with, or left to its lease.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/dead_letter.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "broker/convert.h"
#include "tests/lib/broker_fixture.h"
#include "tests/lib/suite.h"

enum { INVISIBLE_MS = 30000, ATTEMPTS = 3, BORN_MS = 1600000000 };

#define DEAD "%DLQ%G"
#define ORIGIN "DLQ_ORIGIN_TOPIC\001T\002"

static struct {
    struct broker_fixture broker;
    struct lease *lease;
    struct store_slice copy; /* what moved_copy read */
} f;

static void setup(void)
{
    memset(&f, 0, sizeof f);
    broker_fixture_init(&f.broker);
    f.broker.store.opt.file_bytes = 256 * 1024; /* room for the longest properties, twice */
    broker_fixture_open(&f.broker);
    f.lease = broker_fixture_lease(&f.broker);
}

static void teardown(void)
{
    store_unpin(f.copy.pin);
    lease_unref(f.lease);
    broker_fixture_fini(&f.broker); /* its store asserts that no pin is left, whatever came of it */
}

static void append(struct span properties, int32_t sys_flag)
{
    struct err e;
    struct store_appended appended;
    const struct span body = span_str("body");
    const struct store_message m = {.topic = span_str("T"),
                                    .flag = 7,
                                    .sys_flag = sys_flag,
                                    .born_ms = BORN_MS,
                                    .born_host = {.addr = {10, 0, 0, 1}, .addr_len = 4, .port = 5},
                                    .properties = properties,
                                    .body = &body,
                                    .n_body = 1};
    ck_assert_int_eq(store_append(f.broker.store.store, &m, &appended, &e), 0);
    store_fixture_await(&f.broker.store, "T", 0, 1);
}

/* Takes the message of queue 0 as a delivery of it, and moves that. */
static void move_first(void)
{
    struct err e;
    struct lease_scan scan;
    enum lease_begin begun;
    enum lease_taken taken;
    const struct lease_take how = {.now_ms = steady_clock_now_ms(&f.broker.b.clock),
                                   .invisible_ms = INVISIBLE_MS};
    struct dead_letter letter = {.lease = f.lease, .group = span_str("G"), .topic = span_str("T")};
    ck_assert_int_eq(lease_begin(f.lease, 0, &how, &begun, &scan, &e), 0);
    ck_assert_int_eq(lease_take_new(&scan, &how, &letter.entry, 1, 1, &taken, &e), 0);
    lease_end(&scan);
    letter.entry.attempt = ATTEMPTS;
    ck_assert_int_eq(store_get(f.broker.store.store, letter.topic, 0, 0, &letter.slice, &e), 0);
    dead_letter_move(&f.broker.b, &letter);
    broker_fixture_settle(&f.broker);
}

static const struct store_record *moved_copy(void)
{
    struct err e;
    store_fixture_await(&f.broker.store, DEAD, 0, 1);
    ck_assert_int_eq(store_get(f.broker.store.store, span_str(DEAD), 0, 0, &f.copy, &e), 0);
    return &f.copy.rec;
}

static uint64_t in_flight(void)
{
    struct lease_progress p;
    lease_progress(f.lease, 0, &p);
    return p.n_in_flight;
}

static uint64_t n_moved(void)
{
    return atomic_load_explicit(&f.broker.b.n_dead_letters, memory_order_relaxed);
}

/* ---- the copy ---- */

START_TEST(a_copy_says_where_it_came_from_and_keeps_what_it_had)
{
    append(span_str("TAGS\001TagA\002UNIQ_KEY\001ID\002colour\001blue\002"), 0);
    move_first();
    const struct store_record *rec = moved_copy();
    ck_assert(span_equal(rec->properties,
                         span_str(ORIGIN "DLQ_ORIGIN_MESSAGE_ID\001ID\002"
                                         "TAGS\001TagA\002UNIQ_KEY\001ID\002colour\001blue\002")));
    ck_assert(span_equal(rec->body, span_str("body")));
    ck_assert(store_body_check(rec, /* ret_crc = */ NULL));
    ck_assert_int_eq(rec->flag, 7);
    ck_assert_uint_eq(rec->born_ms, BORN_MS);
    ck_assert_uint_eq(rec->born_host.port, 5);
    ck_assert_int_eq(rec->reconsume_times, ATTEMPTS);
}
END_TEST

START_TEST(a_message_without_an_id_has_none_to_tell)
{
    append(span_str("TAGS\001TagA\002"), 0);
    move_first();
    ck_assert(span_equal(moved_copy()->properties, span_str(ORIGIN "TAGS\001TagA\002")));
}
END_TEST

START_TEST(a_message_without_properties_gets_its_origin)
{
    append((struct span){0}, 0);
    move_first();
    ck_assert(span_equal(moved_copy()->properties, span_str(ORIGIN)));
}
END_TEST

START_TEST(the_origin_is_left_out_when_there_is_no_room_for_both)
{
    static char text[CONVERT_PROPERTIES_MAX];
    memset(text, 'x', sizeof text);
    memcpy(text, "k\001", 2);
    text[sizeof text - 1] = '\002';
    append(span_of(text, sizeof text), 0);
    move_first();
    ck_assert(span_equal(moved_copy()->properties, span_of(text, sizeof text)));
}
END_TEST

START_TEST(a_compressed_body_stays_so_and_is_of_no_transaction)
{
    append((struct span){0}, STORE_SYSFLAG_COMPRESSED | 0x8 /* committed */);
    move_first();
    ck_assert_int_eq(moved_copy()->sys_flag, STORE_SYSFLAG_COMPRESSED);
}
END_TEST

/* ---- what becomes of the message ---- */

START_TEST(what_was_moved_is_done_with_and_counted)
{
    append((struct span){0}, 0);
    move_first();
    ck_assert_uint_eq(in_flight(), 0);
    ck_assert_uint_eq(n_moved(), 1);
}
END_TEST

START_TEST(the_topic_is_made_with_one_queue)
{
    struct topic_info topic;
    append((struct span){0}, 0);
    ck_assert(!topic_get(f.broker.b.topics, span_str(DEAD), &topic));
    move_first();
    ck_assert(topic_get(f.broker.b.topics, span_str(DEAD), &topic));
    ck_assert_uint_eq(topic.n_read_queues, 1);
    ck_assert_uint_eq(topic.n_write_queues, 1);
    ck_assert_uint_eq(topic.perm, TOPIC_PERM_READ | TOPIC_PERM_WRITE);
}
END_TEST

static void note_wake(void *arg)
{
    *(bool *)arg = true;
}

START_TEST(who_waits_for_the_queue_is_woken)
{
    struct err e;
    bool is_woken = false;
    struct hold_entry entry = {
        .topic = span_str("T"), .group = span_str("G"), .wake = note_wake, .arg = &is_woken};
    append((struct span){0}, 0);
    ck_assert_int_eq(hold_park(f.broker.b.holds, &entry, &e), 0);
    move_first();
    ck_assert(is_woken);
}
END_TEST

/* ---- failures ---- */

static void fill_topics(void)
{
    struct err e;
    struct topic_info want = {.type = TOPIC_NORMAL, .n_read_queues = 1, .n_write_queues = 1};
    want.perm = TOPIC_PERM_READ | TOPIC_PERM_WRITE;
    for (int i = 0; i < BROKER_FIXTURE_TOPICS; i++) {
        want.name[0] = (char)('A' + i);
        ck_assert_int_eq(topic_create(f.broker.b.topics, &want, &e), 0);
    }
}

START_TEST(without_a_topic_for_it_a_message_is_left_to_its_lease)
{
    append((struct span){0}, 0);
    fill_topics();
    move_first();
    ck_assert_uint_eq(broker_fixture_entries(&f.broker, DEAD, 0), 0);
    ck_assert_uint_eq(in_flight(), 1);
    ck_assert_uint_eq(n_moved(), 0);
}
END_TEST

/* A job that keeps the housekeeper until the test lets it go. */
struct gate {
    /* atomic, release by one side, acquire by the other */
    atomic_bool is_reached, is_open;
};

static void wait_for(const atomic_bool *flag)
{
    while (!atomic_load_explicit(flag, memory_order_acquire))
        (void)sched_yield();
}

static void wait_at(void *arg)
{
    struct gate *gate = arg;
    atomic_store_explicit(&gate->is_reached, true, memory_order_release);
    wait_for(&gate->is_open);
}

/* Posts what the housekeeper does not get to before the gate is opened, until it takes no more. */
static void keep_busy(struct gate *gate)
{
    struct err e;
    ck_assert_int_eq(keeper_post(f.broker.b.keeper, wait_at, gate, &e), 0);
    wait_for(&gate->is_reached);
    while (keeper_post(f.broker.b.keeper, wait_at, gate, &e) == 0)
        continue;
    ck_assert_int_eq(e.code, ERR_BUSY);
}

START_TEST(when_the_housekeeper_has_too_much_to_do_a_message_is_left_to_its_lease)
{
    struct err e;
    struct gate gate = {false, false};
    struct dead_letter letter = {.lease = f.lease, .group = span_str("G"), .topic = span_str("T")};
    append((struct span){0}, 0);
    ck_assert_int_eq(store_get(f.broker.store.store, letter.topic, 0, 0, &letter.slice, &e), 0);
    keep_busy(&gate);
    dead_letter_move(&f.broker.b, &letter);
    atomic_store_explicit(&gate.is_open, true, memory_order_release);
    broker_fixture_settle(&f.broker);
    ck_assert_uint_eq(broker_fixture_entries(&f.broker, DEAD, 0), 0);
    ck_assert_uint_eq(n_moved(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dead_letter");
    TCase *tc = tcase_create("dead_letter");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_copy_says_where_it_came_from_and_keeps_what_it_had);
    tcase_add_test(tc, a_message_without_an_id_has_none_to_tell);
    tcase_add_test(tc, a_message_without_properties_gets_its_origin);
    tcase_add_test(tc, the_origin_is_left_out_when_there_is_no_room_for_both);
    tcase_add_test(tc, a_compressed_body_stays_so_and_is_of_no_transaction);
    tcase_add_test(tc, what_was_moved_is_done_with_and_counted);
    tcase_add_test(tc, the_topic_is_made_with_one_queue);
    tcase_add_test(tc, who_waits_for_the_queue_is_woken);
    tcase_add_test(tc, without_a_topic_for_it_a_message_is_left_to_its_lease);
    tcase_add_test(tc, when_the_housekeeper_has_too_much_to_do_a_message_is_left_to_its_lease);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
