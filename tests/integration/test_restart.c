/* What survives a clean stop, a kill and damage: topics, groups, positions, deliveries in flight.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/broker_child.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { SAVED_WITHIN_MS = 2000 };

static struct {
    struct broker_child broker;
    struct client *client;
    char *store;
} f;

static void start(void)
{
    static const char *const args[] = {
        "--set", "minInvisibleTimeMillis=500",       "--set", "minLongPollingMillis=500",
        "--set", "flushConsumerOffsetInterval=1000", NULL};
    broker_child_start(&f.broker, f.store, args);
    f.client = messaging_connect(f.broker.endpoint, "c");
}

static void setup(void)
{
    f.store = tmpdir_make();
    start();
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 4);
}

static void teardown(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    tmpdir_remove(f.store);
}

static void restart(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    start();
}

static void crash(void)
{
    client_close(f.client);
    broker_child_kill(&f.broker);
    start();
}

static void remove_folder(const char *name)
{
    tmpdir_remove(tmpdir_path(f.store, name));
}

static const struct messaging_receive plain = {
    .topic = "T", .group = "G", .batch = 1, .invisible_ms = 60000, .polling_ms = 5000};

static void receive_one(const char *body, int attempt, char handle[256])
{
    struct messaging_batch b;
    messaging_receive(f.client, &plain, &b);
    const V2(Message) *m = messaging_at(&b, 0);
    ck_assert(messaging_body_is(m, body));
    ck_assert_int_eq(m->system_properties->delivery_attempt, attempt);
    (void)snprintf(handle, 256, "%s", m->system_properties->receipt_handle);
    messaging_batch_free(&b);
}

static void expect_nothing(uint64_t for_ms)
{
    struct messaging_batch b;
    struct messaging_receive r = plain;
    r.polling_ms = (int64_t)for_ms;
    messaging_receive(f.client, &r, &b);
    ck_assert_int_eq(b.code, CODE(MESSAGE_NOT_FOUND));
}

START_TEST(a_stop_keeps_messages_topics_and_the_position)
{
    char handle[256];
    messaging_send_ok(f.client, "T", NULL, "first");
    receive_one("first", 1, handle);
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", handle), CODE(OK));
    messaging_send_ok(f.client, "T", NULL, "second");
    restart();
    receive_one("second", 1, handle);
    expect_nothing(600);
}
END_TEST

START_TEST(a_handle_given_out_before_a_stop_is_good_after_it)
{
    char handle[256];
    messaging_send_ok(f.client, "T", NULL, "x");
    receive_one("x", 1, handle);
    restart();
    expect_nothing(600); /* still in flight */
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", handle), CODE(OK));
}
END_TEST

START_TEST(attempts_are_counted_across_a_stop)
{
    char handle[256];
    messaging_send_ok(f.client, "T", NULL, "x");
    receive_one("x", 1, handle);
    ck_assert_int_eq(messaging_change(f.client, "T", "G", handle, 0, NULL), CODE(OK));
    restart();
    receive_one("x", 2, handle);
}
END_TEST

START_TEST(a_group_made_on_first_use_is_there_after_a_stop)
{
    char handle[256];
    Sluice__V1__GetGroupRequest req = SLUICE__V1__GET_GROUP_REQUEST__INIT;
    messaging_send_ok(f.client, "T", NULL, "x");
    receive_one("x", 1, handle);
    restart();
    req.name = (char *)"G";
    Sluice__V1__GetGroupResponse *reply = messaging_call(
        f.client, PROTO_GET_GROUP, &req.base, &sluice__v1__get_group_response__descriptor);
    ck_assert_int_eq(reply->code, CODE(OK));
    ck_assert_uint_eq(reply->n_queues, 4);
    messaging_free(reply);
}
END_TEST

/* What a power cut may leave: positions that were synced, of messages that were not. */
START_TEST(positions_ahead_of_the_log_pass_over_nothing)
{
    char handle[256];
    for (int i = 0; i < 8; i++) {
        messaging_send_ok(f.client, "T", NULL, "lost");
        receive_one("lost", 1, handle);
    }
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    remove_folder("commitlog");
    remove_folder("consumequeue");
    start();
    for (int i = 0; i < 4; i++) { /* one into each queue */
        messaging_send_ok(f.client, "T", NULL, "new");
        receive_one("new", 1, handle);
    }
}
END_TEST

/* Flips one bit of the text where it lies in the first log file; the mapping sees it at once. */
static void damage(const char *text)
{
    static char log[65536];
    char *path = tmpdir_path(f.store, "commitlog/00000000000000000000");
    int fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, log, sizeof log, 0), (ssize_t)sizeof log);
    char *at = memmem(log, sizeof log, text, strlen(text));
    ck_assert_ptr_nonnull(at);
    *at ^= 1;
    ck_assert_int_eq(pwrite(fd, at, 1, at - log), 1);
    (void)close(fd);
    free(path);
}

static Sluice__V1__GetStatsResponse *get_stats(void)
{
    Sluice__V1__GetStatsRequest req = SLUICE__V1__GET_STATS_REQUEST__INIT;
    Sluice__V1__GetStatsResponse *reply = messaging_call(
        f.client, PROTO_GET_STATS, &req.base, &sluice__v1__get_stats_response__descriptor);
    ck_assert_int_eq(reply->code, CODE(OK));
    return reply;
}

static uint64_t n_damaged(void)
{
    Sluice__V1__GetStatsResponse *reply = get_stats();
    uint64_t n = reply->damaged;
    messaging_free(reply);
    return n;
}

START_TEST(a_damaged_body_is_counted_and_passed_over_and_never_delivered)
{
    char handle[256];
    messaging_send_ok(f.client, "T", NULL, "damage-me");
    messaging_send_ok(f.client, "T", NULL, "whole");
    damage("damage-me");
    receive_one("whole", 1, handle);
    expect_nothing(600);
    ck_assert_uint_eq(n_damaged(), 1);
}
END_TEST

/* Until all of the log is in the key index. */
static void await_index(void)
{
    bool is_done = false;
    while (!is_done) { /* the test's own limit is the timeout */
        Sluice__V1__GetStatsResponse *stats = get_stats();
        ck_assert(!stats->index_failed);
        ck_assert_uint_eq(stats->index_dropped, 0);
        is_done = stats->indexed == stats->published;
        messaging_free(stats);
    }
}

START_TEST(what_a_start_found_is_told)
{
    for (int i = 0; i < 5; i++)
        messaging_send_ok(f.client, "T", NULL, "x");
    await_index();
    crash();
    Sluice__V1__GetStatsResponse *stats = get_stats();
    ck_assert(!stats->recovery->clean);
    ck_assert_uint_eq(stats->recovery->damaged, 0);
    uint64_t n_walked = stats->recovery->records;
    ck_assert_uint_eq(stats->recovery->scanned_bytes > 0, n_walked > 0);
    messaging_free(stats);
    await_index();
    restart();
    stats = get_stats();
    ck_assert(stats->recovery->clean);
    ck_assert_uint_eq(stats->recovery->records, 1);
    messaging_free(stats);
}
END_TEST

START_TEST(acknowledged_sends_survive_a_kill)
{
    char handle[256], body[16];
    for (int i = 0; i < 50; i++) {
        (void)snprintf(body, sizeof body, "m%d", i);
        messaging_send_ok(f.client, "T", NULL, body);
    }
    crash();
    struct messaging_receive r = plain;
    struct messaging_batch b;
    size_t n = 0;
    r.batch = 32;
    while (n < 50) {
        messaging_receive(f.client, &r, &b);
        ck_assert_msg(b.n > 0, "only %zu of 50 came", n);
        n += b.n;
        messaging_batch_free(&b);
    }
    ck_assert_uint_eq(n, 50);
    messaging_send_ok(f.client, "T", NULL, "after");
    receive_one("after", 1, handle);
}
END_TEST

START_TEST(positions_saved_before_a_kill_are_kept)
{
    char handle[256];
    messaging_send_ok(f.client, "T", NULL, "first");
    receive_one("first", 1, handle);
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", handle), CODE(OK));
    expect_nothing(SAVED_WITHIN_MS); /* the save interval goes by */
    messaging_send_ok(f.client, "T", NULL, "second");
    crash();
    receive_one("second", 1, handle);
    expect_nothing(600);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("restart");
    TCase *tc = tcase_create("restart");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_stop_keeps_messages_topics_and_the_position);
    tcase_add_test(tc, a_handle_given_out_before_a_stop_is_good_after_it);
    tcase_add_test(tc, attempts_are_counted_across_a_stop);
    tcase_add_test(tc, a_group_made_on_first_use_is_there_after_a_stop);
    tcase_add_test(tc, positions_ahead_of_the_log_pass_over_nothing);
    tcase_add_test(tc, a_damaged_body_is_counted_and_passed_over_and_never_delivered);
    tcase_add_test(tc, what_a_start_found_is_told);
    tcase_add_test(tc, acknowledged_sends_survive_a_kill);
    tcase_add_test(tc, positions_saved_before_a_kill_are_kept);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
