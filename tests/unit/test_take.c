/* One pass over the queues of a topic: what it takes, in which order, and what it leaves behind. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/take.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/broker_fixture.h"
#include "tests/lib/suite.h"

enum { INVISIBLE_MS = 30000, FLOOD = 70000, MIB = 1 << 20 };

static struct {
    struct broker_fixture broker;
    struct group_info group;
    struct topic_info topic;
    struct filter *filter;
    struct take take;
    struct taken taken[BOUNDS_BATCH_MAX];
    size_t n_pinned; /* of `taken`, to be let go */
} f;

static void take_tags(const char *expr)
{
    struct err e;
    filter_free(f.filter);
    ck_assert_int_eq(filter_compile_tags(&f.filter, span_str(expr), &e), 0);
    f.take.filter = f.filter;
}

static void init(void)
{
    memset(&f, 0, sizeof f);
    broker_fixture_init(&f.broker);
}

static void begin(void)
{
    broker_fixture_open(&f.broker);
    group_info_init(&f.group, span_str("G"));
    f.topic = (struct topic_info){.name = "T", .n_read_queues = 1};
    f.take = (struct take){.b = &f.broker.b,
                           .group = &f.group,
                           .topic = &f.topic,
                           .lease = broker_fixture_lease(&f.broker),
                           .max = BOUNDS_BATCH_MAX,
                           .how = {.invisible_ms = INVISIBLE_MS, .max_attempts = 3},
                           .taken = f.taken};
    take_tags("*");
}

static void setup(void)
{
    init();
    begin();
}

static void let_go(void)
{
    for (size_t i = 0; i < f.n_pinned; i++)
        store_unpin(f.taken[i].slice.pin);
    f.n_pinned = f.take.n = 0;
}

static void teardown(void)
{
    let_go();
    lease_unref(f.take.lease);
    filter_free(f.filter);
    broker_fixture_fini(&f.broker);
}

static void pass_time(uint64_t ms)
{
    f.broker.clock.mono_ms += ms;
}

static void fill(int32_t queue_id, int n)
{
    uint64_t n_before = broker_fixture_entries(&f.broker, "T", queue_id);
    for (int i = 0; i < n; i++)
        (void)store_fixture_append(&f.broker.store, "T", queue_id, "body");
    store_fixture_await(&f.broker.store, "T", queue_id, n_before + (uint64_t)n);
}

/* A pass of its own: nothing is left of the one before. */
static enum take_end pass(void)
{
    let_go();
    enum take_end end = take_pass(&f.take);
    f.n_pinned = f.take.n;
    return end;
}

/* A delivery that nobody acks in its time. */
static void deliver_in_vain(void)
{
    (void)pass();
    pass_time(INVISIBLE_MS);
}

static void expect_taken(size_t i, int32_t queue_id, uint64_t queue_off, uint32_t attempt)
{
    ck_assert_uint_lt(i, f.take.n);
    ck_assert_int_eq(f.taken[i].queue_id, queue_id);
    ck_assert_uint_eq(f.taken[i].entry.queue_off, queue_off);
    ck_assert_uint_eq(f.taken[i].slice.rec.queue_off, queue_off);
    ck_assert_uint_eq(f.taken[i].entry.attempt, attempt);
}

static struct lease_progress progress(int32_t queue_id)
{
    struct lease_progress p;
    lease_progress(f.take.lease, queue_id, &p);
    return p;
}

/* ---- new messages ---- */

START_TEST(all_queues_are_looked_at_each_in_its_order)
{
    f.topic.n_read_queues = 3;
    fill(0, 2);
    fill(2, 1); /* nothing was ever sent to queue 1 */
    ck_assert_int_eq(pass(), TAKE_NONE_LEFT);
    ck_assert_uint_eq(f.take.n, 3);
    expect_taken(0, 0, 0, 1);
    expect_taken(1, 0, 1, 1);
    expect_taken(2, 2, 0, 1);
    ck_assert_uint_eq(progress(0).n_in_flight, 2);
}
END_TEST

START_TEST(each_pass_begins_one_queue_further)
{
    f.topic.n_read_queues = 2;
    f.take.max = 1;
    fill(0, 2);
    fill(1, 2);
    (void)pass();
    expect_taken(0, 0, 0, 1);
    (void)pass();
    expect_taken(0, 1, 0, 1);
    (void)pass();
    expect_taken(0, 0, 1, 1);
}
END_TEST

START_TEST(no_more_is_taken_than_asked_for)
{
    f.take.max = 2;
    fill(0, 3);
    ck_assert_int_eq(pass(), TAKE_NONE_LEFT);
    ck_assert_uint_eq(f.take.n, 2);
    ck_assert_uint_eq(progress(0).position, 2);
    ck_assert_int_eq(pass(), TAKE_NONE_LEFT);
    ck_assert_uint_eq(f.take.n, 1);
    expect_taken(0, 0, 2, 1);
}
END_TEST

START_TEST(what_does_not_match_is_passed_over_for_good)
{
    fill(0, 5); /* of TagA */
    take_tags("TagB");
    ck_assert_int_eq(pass(), TAKE_NONE_LEFT);
    ck_assert_uint_eq(f.take.n, 0);
    ck_assert_uint_eq(progress(0).position, 5);
    ck_assert_uint_eq(progress(0).lowest, 5);
}
END_TEST

/* "Aa" and "BB" have one hash in Java. */
START_TEST(a_tag_of_the_same_hash_does_not_match)
{
    struct err e;
    struct store_appended appended;
    const struct span body = span_str("body");
    const struct store_message m = {.topic = span_str("T"),
                                    .born_host = {.addr_len = 4},
                                    .properties = span_str("TAGS\001Aa\002"),
                                    .body = &body,
                                    .n_body = 1};
    ck_assert_int_eq(store_append(f.broker.store.store, &m, &appended, &e), 0);
    store_fixture_await(&f.broker.store, "T", 0, 1);
    take_tags("BB");
    (void)pass();
    ck_assert_uint_eq(f.take.n, 0);
    ck_assert_uint_eq(progress(0).position, 1);
}
END_TEST

START_TEST(while_another_looks_at_a_queue_it_is_to_be_looked_at_again)
{
    struct err e;
    struct lease_scan other;
    enum lease_begin begun;
    const struct lease_take how = {.now_ms = 1, .invisible_ms = 1, .max_attempts = 1};
    fill(0, 1);
    ck_assert_int_eq(lease_begin(f.take.lease, 0, &how, &begun, &other, &e), 0);
    ck_assert_int_eq(pass(), TAKE_AGAIN);
    ck_assert_uint_eq(f.take.n, 0);
    lease_end(&other);
    ck_assert_int_eq(pass(), TAKE_NONE_LEFT);
    ck_assert_uint_eq(f.take.n, 1);
}
END_TEST

START_TEST(nothing_comes_of_a_deleted_topic)
{
    fill(0, 1);
    lease_drop_topic(f.broker.b.leases, span_str("T"));
    ck_assert_int_eq(pass(), TAKE_GONE);
    ck_assert_uint_eq(f.take.n, 0);
}
END_TEST

/* ---- what is visible again ---- */

START_TEST(what_is_visible_again_comes_first_and_counts_an_attempt)
{
    f.take.max = 1;
    fill(0, 3);
    deliver_in_vain();
    f.take.max = BOUNDS_BATCH_MAX;
    (void)pass();
    ck_assert_uint_eq(f.take.n, 3);
    expect_taken(0, 0, 0, 2);
    expect_taken(1, 0, 1, 1);
    expect_taken(2, 0, 2, 1);
}
END_TEST

START_TEST(nothing_comes_twice_before_its_time)
{
    fill(0, 1);
    (void)pass();
    pass_time(INVISIBLE_MS - 1);
    (void)pass();
    ck_assert_uint_eq(f.take.n, 0);
    pass_time(1);
    (void)pass();
    ck_assert_uint_eq(f.take.n, 1);
}
END_TEST

START_TEST(what_is_acked_does_not_come_again)
{
    fill(0, 2);
    (void)pass();
    take_ack(&f.take, &f.taken[0]);
    pass_time(INVISIBLE_MS);
    (void)pass();
    ck_assert_uint_eq(f.take.n, 1);
    expect_taken(0, 0, 1, 2);
}
END_TEST

START_TEST(what_is_given_back_comes_at_once_as_if_never_delivered)
{
    fill(0, 2);
    (void)pass();
    take_ack(&f.take, &f.taken[0]); /* what is acked meanwhile is left alone */
    take_give_back(&f.broker.b, f.take.lease, f.taken, f.take.n);
    (void)pass();
    ck_assert_uint_eq(f.take.n, 1);
    expect_taken(0, 0, 1, 1);
}
END_TEST

START_TEST(what_the_subscriber_of_now_does_not_want_is_done_with)
{
    fill(0, 1);
    deliver_in_vain();
    take_tags("TagB");
    (void)pass();
    ck_assert_uint_eq(f.take.n, 0);
    ck_assert_uint_eq(progress(0).n_in_flight, 0);
}
END_TEST

START_TEST(a_batch_of_no_good_ones_is_followed_by_another_look)
{
    fill(0, 2);
    deliver_in_vain();
    take_tags("TagB");
    f.take.max = 2;
    ck_assert_int_eq(pass(), TAKE_AGAIN); /* its room was filled: more may be visible */
    ck_assert_int_eq(pass(), TAKE_NONE_LEFT);
}
END_TEST

START_TEST(a_message_delivered_often_enough_goes_to_the_dead_letters)
{
    f.take.how.max_attempts = 1;
    fill(0, 1);
    deliver_in_vain();
    (void)pass();
    ck_assert_uint_eq(f.take.n, 0);
    broker_fixture_settle(&f.broker);
    ck_assert_uint_eq(progress(0).n_in_flight, 0);
    store_fixture_await(&f.broker.store, "%DLQ%G", 0, 1);
}
END_TEST

/* ---- bodies ---- */

/* Changes the first byte of a body where it lies. */
static void damage_body(size_t i)
{
    const struct store_record *rec = &f.taken[i].slice.rec;
    uint64_t at = rec->log_off + (uint64_t)(rec->body.ptr - rec->raw.ptr);
    store_fixture_poke(&f.broker.store, "commitlog/00000000000000000000", at, "X", 1);
}

START_TEST(a_damaged_body_is_counted_and_never_comes_again)
{
    fill(0, 3);
    (void)pass();
    struct store_pin *good[] = {f.taken[0].slice.pin, f.taken[2].slice.pin};
    damage_body(1);
    take_check_bodies(&f.take);
    f.n_pinned = f.take.n; /* that of the damaged one was dropped */
    ck_assert_uint_eq(f.take.n, 2);
    expect_taken(0, 0, 0, 1);
    expect_taken(1, 0, 2, 1);
    ck_assert_ptr_eq(f.taken[0].slice.pin, good[0]);
    ck_assert_ptr_eq(f.taken[1].slice.pin, good[1]);
    ck_assert_uint_eq(atomic_load_explicit(&f.broker.b.n_damaged_bodies, memory_order_relaxed), 1);
    ck_assert_uint_eq(progress(0).n_in_flight, 2);
}
END_TEST

START_TEST(a_whole_body_s_crc_is_told)
{
    fill(0, 1);
    (void)pass();
    take_check_bodies(&f.take);
    ck_assert_uint_eq(f.take.n, 1);
    ck_assert_uint_eq(f.taken[0].crc & 0x7fffffff, f.taken[0].slice.rec.body_crc);
}
END_TEST

/* ---- limits ---- */

static void setup_flood(void)
{
    init();
    f.broker.store.opt.file_bytes = 16 * MIB;
    f.broker.store.opt.queue_file_bytes = 2000000;
    begin();
}

START_TEST(a_pass_looks_at_so_many_entries_and_no_more)
{
    fill(0, FLOOD);
    take_tags("TagB");
    ck_assert_int_eq(pass(), TAKE_AGAIN);
    ck_assert_uint_eq(progress(0).position, 65536);
    ck_assert_int_eq(pass(), TAKE_NONE_LEFT);
    ck_assert_uint_eq(progress(0).position, FLOOD);
}
END_TEST

static void setup_large(void)
{
    init();
    f.broker.store.opt.file_bytes = 64 * MIB;
    f.broker.store.opt.max_message_bytes = 4 * MIB;
    begin();
}

START_TEST(a_batch_has_32_mib_at_most)
{
    struct err e = {0};
    struct store_appended appended;
    uint8_t *body = calloc(1, 4 * MIB);
    ck_assert_ptr_nonnull(body);
    for (int i = 0; i < 9; i++)
        ck_assert_msg(
            store_fixture_try(&f.broker.store, "T", 0, span_of(body, 4 * MIB), &appended, &e) == 0,
            "%s", e.msg);
    free(body);
    store_fixture_await(&f.broker.store, "T", 0, 9);
    ck_assert_int_eq(pass(), TAKE_NONE_LEFT);
    ck_assert_uint_eq(f.take.n, 7); /* 8 of them are a little more than 32 MiB */
    (void)pass();
    ck_assert_uint_eq(f.take.n, 2);
    expect_taken(0, 0, 7, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("take");
    TCase *tc = suite_add_case(suite, "take", setup, teardown);
    tcase_add_test(tc, all_queues_are_looked_at_each_in_its_order);
    tcase_add_test(tc, each_pass_begins_one_queue_further);
    tcase_add_test(tc, no_more_is_taken_than_asked_for);
    tcase_add_test(tc, what_does_not_match_is_passed_over_for_good);
    tcase_add_test(tc, a_tag_of_the_same_hash_does_not_match);
    tcase_add_test(tc, while_another_looks_at_a_queue_it_is_to_be_looked_at_again);
    tcase_add_test(tc, nothing_comes_of_a_deleted_topic);
    tcase_add_test(tc, what_is_visible_again_comes_first_and_counts_an_attempt);
    tcase_add_test(tc, nothing_comes_twice_before_its_time);
    tcase_add_test(tc, what_is_acked_does_not_come_again);
    tcase_add_test(tc, what_is_given_back_comes_at_once_as_if_never_delivered);
    tcase_add_test(tc, what_the_subscriber_of_now_does_not_want_is_done_with);
    tcase_add_test(tc, a_batch_of_no_good_ones_is_followed_by_another_look);
    tcase_add_test(tc, a_message_delivered_often_enough_goes_to_the_dead_letters);
    tcase_add_test(tc, a_damaged_body_is_counted_and_never_comes_again);
    tcase_add_test(tc, a_whole_body_s_crc_is_told);
    tcase_add_test(suite_add_case(suite, "flood", setup_flood, teardown),
                   a_pass_looks_at_so_many_entries_and_no_more);
    tcase_add_test(suite_add_case(suite, "large", setup_large, teardown),
                   a_batch_has_32_mib_at_most);
    return suite_run(suite);
}
