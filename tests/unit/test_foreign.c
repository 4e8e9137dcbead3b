/* What RocketMQ's broker left to do is found in its topics and positions. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/foreign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static struct {
    struct store_fixture store;
    char *config;
    uint64_t n[FOREIGN_KINDS]; /* what was found */
    char topic[64];            /* of what was found last */
    int n_told;
} f;

static void setup(void)
{
    memset(&f, 0, sizeof f);
    store_fixture_init(&f.store);
    store_fixture_open(&f.store);
    f.config = tmpdir_path(f.store.root, "config");
    ck_assert_int_eq(mkdir(f.config, 0755), 0);
}

static void teardown(void)
{
    free(f.config);
    store_fixture_fini(&f.store);
}

static void put_config(const char *name, const void *bytes, size_t len)
{
    char *path = tmpdir_path(f.config, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
    ck_assert_int_eq(fclose(file), 0);
    free(path);
}

static void put_text(const char *name, const char *text)
{
    put_config(name, text, strlen(text));
}

static void fill(const char *topic, int32_t queue_id, int n)
{
    for (int i = 0; i < n; i++)
        (void)store_fixture_append(&f.store, topic, queue_id, "body");
    store_fixture_await(&f.store, topic, queue_id, (uint64_t)n);
}

static void add_timer(const char *properties, uint64_t n)
{
    struct span body = span_str("body");
    struct store_appended appended;
    struct err e;
    struct store_message m = {.topic = span_str("rmq_sys_wheel_timer"),
                              .born_host = {.addr_len = 4},
                              .properties = span_str(properties),
                              .body = &body,
                              .n_body = 1};
    ck_assert_msg(store_append(f.store.store, &m, &appended, &e) == 0, "%s", e.msg);
    store_fixture_await(&f.store, "rmq_sys_wheel_timer", 0, n);
}

static void take(void *arg, const struct foreign_work *work)
{
    (void)arg;
    f.n_told++;
    f.n[work->kind] += work->n;
    ck_assert_uint_lt(work->topic.len, sizeof f.topic);
    (void)snprintf(f.topic, sizeof f.topic, "%.*s", (int)work->topic.len,
                   (const char *)work->topic.ptr);
}

static void find(void)
{
    struct err e;
    int rc = foreign_find(f.store.store, f.config, f.store.io, take, /* arg = */ NULL, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
}

START_TEST(a_store_of_ones_own_leaves_nothing_to_say)
{
    fill("T", 0, 3);
    fill("%DLQ%g", 0, 1);
    find();
    ck_assert_int_eq(f.n_told, 0);
}
END_TEST

START_TEST(what_is_below_the_groups_position_is_done)
{
    fill("RMQ_SYS_TRANS_HALF_TOPIC", 0, 5);
    fill("rmq_sys_REVIVE_LOG_C", 1, 2);
    put_text("consumerOffset.json",
             "{\"offsetTable\":{\"RMQ_SYS_TRANS_HALF_TOPIC_2@g\":{0:5},"
             "\"RMQ_SYS_TRANS_HALF_TOPIC@CID_RMQ_SYS_TRANS\":{0:3},"
             "\"rmq_sys_REVIVE_LOG_C@CID_RMQ_SYS_REVIVE_GROUP\":{0:2,1:2}}}");
    find();
    ck_assert_int_eq(f.n_told, 1);
    ck_assert_uint_eq(f.n[FOREIGN_HALF], 2);
}
END_TEST

START_TEST(without_positions_everything_waits)
{
    fill("%RETRY%g", 0, 1);
    fill("%RETRY%g", 1, 2);
    find();
    ck_assert_int_eq(f.n_told, 1);
    ck_assert_uint_eq(f.n[FOREIGN_RETRIED], 3);
    ck_assert_str_eq(f.topic, "%RETRY%g");
}
END_TEST

START_TEST(damaged_positions_are_as_good_as_none)
{
    fill("rmq_sys_REVIVE_LOG_C", 0, 2);
    put_text("consumerOffset.json", "{");
    find();
    ck_assert_uint_eq(f.n[FOREIGN_POPPED], 2);
}
END_TEST

START_TEST(a_delay_level_has_a_position_of_its_own)
{
    fill("SCHEDULE_TOPIC_XXXX", 0, 2);
    fill("SCHEDULE_TOPIC_XXXX", 2, 4);
    put_text("delayOffset.json", "{\"offsetTable\":{1:2,3:1}}");
    find();
    ck_assert_int_eq(f.n_told, 1);
    ck_assert_uint_eq(f.n[FOREIGN_DELAYED], 3);
}
END_TEST

START_TEST(timers_that_were_due_or_recalled_are_done)
{
    static const uint8_t check[8] = {0, 0, 0, 0, 0, 0, 0x03, 0xe8}; /* 1000 */
    put_config("timercheck", check, sizeof check);
    add_timer("TIMER_OUT_MS\1"
              "999\2",
              1);
    add_timer("TIMER_OUT_MS\1"
              "1000\2REAL_TOPIC\1T\2",
              2);
    add_timer("TIMER_OUT_MS\1"
              "5000\2REAL_TOPIC\1T\2",
              3);
    add_timer("TIMER_OUT_MS\1"
              "5000\2REAL_TOPIC\1T\2TIMER_DEL_UNIQKEY\1X\2",
              4);
    add_timer("TIMER_OUT_MS\1"
              "2000\2REAL_TOPIC\1rmq_sys_REVIVE_LOG_C\2",
              5);
    find();
    ck_assert_int_eq(f.n_told, 2);
    ck_assert_uint_eq(f.n[FOREIGN_TIMED], 1);
    ck_assert_uint_eq(f.n[FOREIGN_POPPED], 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("foreign");
    TCase *tc = tcase_create("foreign");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_store_of_ones_own_leaves_nothing_to_say);
    tcase_add_test(tc, what_is_below_the_groups_position_is_done);
    tcase_add_test(tc, without_positions_everything_waits);
    tcase_add_test(tc, damaged_positions_are_as_good_as_none);
    tcase_add_test(tc, a_delay_level_has_a_position_of_its_own);
    tcase_add_test(tc, timers_that_were_due_or_recalled_are_done);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
