/* The roll of queues: its bytes, and when it is believed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_roll.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/fault.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

/* ---- the bytes ---- */

static const struct queue_roll_head head = {
    .cp = {.log_ms = 1, .queue_ms = 2, .queue_off = 3, .n_queues = 4, .n_entries = 5},
    .file_bytes = 6000000,
    .changed = {7, 8}};

static const struct queue_roll_item items[] = {
    {.topic = {.ptr = (const uint8_t *)"Topic", .len = 5},
     .queue_id = 3,
     .changed = {1700000000, 999999999},
     .topic_changed = {1600000000, 1},
     .ends = {.min_off = 10,
              .end_off = 20,
              .last = {.log_off = 4096, .size = 200, .tag_code = -1}}},
    {.topic = {.ptr = (const uint8_t *)"T", .len = 1}},
};

enum { N_ITEMS = sizeof items / sizeof items[0] };

static struct queue_roll make_roll(void)
{
    struct queue_roll r = {0};
    struct err e;
    ck_assert_int_eq(queue_roll_begin(&r, &head, &e), 0);
    for (size_t i = 0; i < N_ITEMS; i++)
        ck_assert_int_eq(queue_roll_add(&r, &items[i], &e), 0);
    ck_assert_int_eq(queue_roll_end(&r, &e), 0);
    return r;
}

static int check_item(void *arg, const struct queue_roll_item *item, struct err *e)
{
    size_t *n = arg;
    const struct queue_roll_item *expected = &items[*n];
    (void)e;
    ck_assert(span_equal(item->topic, expected->topic));
    ck_assert_int_eq(item->queue_id, expected->queue_id);
    ck_assert_int_eq(item->changed.tv_sec, expected->changed.tv_sec);
    ck_assert_int_eq(item->changed.tv_nsec, expected->changed.tv_nsec);
    ck_assert_int_eq(item->topic_changed.tv_sec, expected->topic_changed.tv_sec);
    ck_assert_uint_eq(item->ends.min_off, expected->ends.min_off);
    ck_assert_uint_eq(item->ends.end_off, expected->ends.end_off);
    ck_assert_uint_eq(item->ends.last.log_off, expected->ends.last.log_off);
    ck_assert_uint_eq(item->ends.last.size, expected->ends.last.size);
    ck_assert_int_eq(item->ends.last.tag_code, expected->ends.last.tag_code);
    ++*n;
    return 0;
}

START_TEST(all_of_it_comes_back)
{
    struct queue_roll r = make_roll();
    struct queue_roll_head found;
    struct err e;
    size_t n = 0;
    ck_assert_int_eq(queue_roll_parse(span_of(r.bytes, r.len), &found, check_item, &n, &e), 0);
    ck_assert_uint_eq(n, N_ITEMS);
    ck_assert_uint_eq(found.cp.n_entries, 5);
    ck_assert_int_eq(found.cp.queue_off, 3);
    ck_assert_uint_eq(found.file_bytes, 6000000);
    ck_assert_int_eq(found.changed.tv_nsec, 8);
    queue_roll_fini(&r);
}
END_TEST

START_TEST(a_bit_changed_or_a_byte_missing_anywhere_is_corrupt)
{
    struct queue_roll r = make_roll();
    struct queue_roll_head found;
    struct err e;
    size_t n = 0;
    for (size_t i = 0; i < r.len; i++) {
        ck_assert_int_eq(queue_roll_parse(span_of(r.bytes, i), &found, check_item, &n, &e),
                         ERR_CORRUPT);
        r.bytes[i] ^= 4;
        ck_assert_int_eq(queue_roll_parse(span_of(r.bytes, r.len), &found, check_item, &n, &e),
                         ERR_CORRUPT);
        r.bytes[i] ^= 4;
    }
    ck_assert_uint_eq(n, 0);
    queue_roll_fini(&r);
}
END_TEST

/* ---- the file ---- */

enum { N_QUEUES = 50 };

static struct store_fixture f;
static struct fault fault;

static void set_up(void)
{
    store_fixture_init(&f);
    fault_init(&fault, io_posix());
    f.io = &fault.io;
    f.opt.without_index = true;
    store_fixture_open(&f);
    for (int i = 0; i < N_QUEUES; i++)
        (void)store_fixture_append(&f, i % 2 ? "T" : "U", i / 2, "x");
    store_fixture_close(&f);
}

static void tear_down(void)
{
    store_fixture_fini(&f);
}

/* How many files are opened by an open. */
static uint64_t count_opens(void)
{
    fault_arm(&fault, FAULT_OPEN, UINT64_MAX, EIO, FAULT_ONCE);
    store_fixture_open(&f);
    uint64_t n = fault_calls(&fault);
    fault_disarm(&fault);
    return n;
}

static void expect_all(void)
{
    uint64_t min, max;
    for (int i = 0; i < N_QUEUES; i++) {
        const char *topic = i % 2 ? "T" : "U";
        store_queue_bounds(f.store, span_str(topic), i / 2, &min, &max);
        ck_assert_uint_eq(max, 1);
        store_fixture_expect(&f, topic, i / 2, 0, "x");
        ck_assert_uint_eq(store_fixture_append(&f, topic, i / 2, "y").queue_off, 1);
    }
}

START_TEST(after_a_clean_stop_no_queue_is_opened_before_it_is_used)
{
    ck_assert_uint_lt(count_opens(), N_QUEUES);
    expect_all();
    store_fixture_close(&f);
    ck_assert_uint_lt(count_opens(), N_QUEUES);
    store_fixture_expect(&f, "T", 7, 1, "y");
}
END_TEST

START_TEST(queues_never_used_are_told_again)
{
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_lt(count_opens(), N_QUEUES);
        store_fixture_close(&f);
    }
    store_fixture_open(&f);
    expect_all();
}
END_TEST

START_TEST(a_topic_never_used_is_dropped_with_its_files)
{
    uint64_t below;
    struct err e;
    store_fixture_open(&f);
    ck_assert_int_eq(store_drop_topic(f.store, span_str("T"), &below, &e), 0);
    char *folder = tmpdir_path(f.root, "consumequeue/T/3");
    ck_assert_int_ne(access(folder, F_OK), 0);
    free(folder);
    store_fixture_expect(&f, "U", 3, 0, "x");
}
END_TEST

/* Each makes it believed no longer; the store is whole all the same. */
static void change(int i)
{
    char *path = NULL;
    int fd;
    switch (i) {
    case 0: /* a file more */
        path = tmpdir_path(f.root, "consumequeue/T/3/00000000000000002000");
        fd = open(path, O_WRONLY | O_CREAT, 0644);
        ck_assert_int_ge(fd, 0);
        (void)close(fd);
        break;
    case 1: /* a queue more */
        path = tmpdir_path(f.root, "consumequeue/T/1000");
        ck_assert_int_eq(mkdir(path, 0755), 0);
        break;
    case 2: /* a topic more */
        path = tmpdir_path(f.root, "consumequeue/V");
        ck_assert_int_eq(mkdir(path, 0755), 0);
        break;
    case 3: /* a queue less */
        tmpdir_remove(tmpdir_path(f.root, "consumequeue/U/7"));
        break;
    case 4: /* another checkpoint */
        store_fixture_poke(&f, "checkpoint", 15, "x", 1);
        break;
    case 5: /* a damaged roll */
        store_fixture_poke(&f, QUEUE_ROLL_FILE, 100, "x", 1);
        break;
    case 6: /* none */
        path = tmpdir_path(f.root, QUEUE_ROLL_FILE);
        ck_assert_int_eq(unlink(path), 0);
        break;
    default:
        store_fixture_poke(&f, "abort", 0, "1", 1);
    }
    free(path);
}

START_TEST(queues_changed_since_the_stop_are_looked_at)
{
    change(_i);
    ck_assert_uint_ge(count_opens(), N_QUEUES - 1);
    expect_all();
}
END_TEST

/* Each look at a time, at the stop that writes the roll or the start that believes it. */
START_TEST(a_time_that_cannot_be_looked_at_costs_the_roll_and_nothing_else)
{
    uint64_t n = 1;
    for (bool has_fired = true; has_fired; n++) {
        store_fixture_open(&f); /* the roll of the stop before is not whole, perhaps */
        fault_arm(&fault, FAULT_SIZE, n, EIO, FAULT_ONCE);
        store_fixture_close(&f);
        has_fired = fault_fired(&fault);
        fault_disarm(&fault);
        store_fixture_open(&f);
        for (int i = 0; i < N_QUEUES; i++)
            store_fixture_expect(&f, i % 2 ? "T" : "U", i / 2, 0, "x");
        store_fixture_close(&f);
    }
    ck_assert_uint_gt(n, N_QUEUES); /* each queue's folder was looked at */
    store_fixture_open(&f);
    expect_all();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("queue_roll");
    TCase *tc = tcase_create("bytes");
    tcase_add_test(tc, all_of_it_comes_back);
    tcase_add_test(tc, a_bit_changed_or_a_byte_missing_anywhere_is_corrupt);
    suite_add_tcase(s, tc);
    tc = tcase_create("file");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, after_a_clean_stop_no_queue_is_opened_before_it_is_used);
    tcase_add_test(tc, queues_never_used_are_told_again);
    tcase_add_test(tc, a_topic_never_used_is_dropped_with_its_files);
    tcase_add_test(tc, a_time_that_cannot_be_looked_at_costs_the_roll_and_nothing_else);
    tcase_add_loop_test(tc, queues_changed_since_the_stop_are_looked_at, 0, 8);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}
