/* Stores that sluiced wrote, opened by RocketMQ's own store, and the other way.
 * Usage: test_rocketmq SLUICED FIXTURES PROBE-COMMAND. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"
#include "tests/conformance/store/our_side.h"
#include "tests/conformance/store/probe.h"
#include "tests/conformance/store/sent.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"

enum {
    N_SENT = 3000,
    N_APPENDED = 200,
    EXIT_SKIPPED = 77,
};

static const char *fixtures, *sluice;

static struct {
    struct our_side ours;
    size_t n_unindexed; /* of the last listing: messages that not each of their keys finds */
} f;

static void setup(void)
{
    our_side_init(&f.ours);
}

static void teardown(void)
{
    our_side_fini(&f.ours);
}

/* ---- RocketMQ ---- */

static int64_t number(const json_t *line, const char *name)
{
    return json_integer_value(json_object_get(line, name));
}

/* Lists a store with RocketMQ: how many messages it has that were not sent here. All that were must
 * be there, and the log must end where it does for us. */
static size_t expect_listed(int log_file_bytes, int queue_file_bytes)
{
    struct probe p;
    size_t n_others = 0, n_fillers;
    int64_t end = -1;
    uint64_t expected_end = our_side_end_of_log(&f.ours, &n_fillers);
    f.n_unindexed = 0;
    probe_start(&p, "list '%s' %d %d", f.ours.root, log_file_bytes, queue_file_bytes);
    for (json_t *line; (line = probe_next(&p)); json_decref(line)) {
        if (json_object_get(line, "maxPhyOffset")) {
            end = number(line, "maxPhyOffset");
            continue;
        }
        n_others += !sent_find(&f.ours.sent, line);
        f.n_unindexed += !json_is_true(json_object_get(line, "isIndexed"));
    }
    sent_expect_all(&f.ours.sent);
    ck_assert_int_eq(end, (int64_t)expected_end);
    ck_assert_uint_ge(n_fillers, 2);
    return n_others;
}

static void expect_all_listed(void)
{
    ck_assert_uint_eq(expect_listed(OUR_LOG_FILE_BYTES, OUR_QUEUE_FILE_BYTES), 0);
}

/* RocketMQ walks the whole log, checks every CRC and makes the queues anew. With a checkpoint it
 * would begin where the queues were said to be on disk. */
static void make_it_walk(void)
{
    our_side_shell("cd '%s' && rm -rf consumequeue checkpoint && touch abort", f.ours.root);
}

/* RocketMQ appends to a store; `end` is close or crash. */
static void append_with_rocketmq(const char *topic, const char *end)
{
    struct probe p;
    probe_start(&p, "append '%s' %d %d %s 0 %d %s", f.ours.root, OUR_LOG_FILE_BYTES,
                OUR_QUEUE_FILE_BYTES, topic, N_APPENDED, end);
    json_t *line = probe_next(&p);
    ck_assert_ptr_nonnull(line);
    size_t n_fillers;
    ck_assert_int_eq(number(line, "maxPhyOffset"),
                     (int64_t)our_side_end_of_log(&f.ours, &n_fillers));
    json_decref(line);
    ck_assert_ptr_null(probe_next(&p));
}

/* ---- keys ---- */

static int count(void *arg, const struct store_walk_item *item)
{
    ck_assert(item->body_ok);
    ++*(size_t *)arg;
    return 0;
}

static size_t find(struct store_find *find, const char *topic, const char *key,
                   enum store_find_by by)
{
    size_t n = 0;
    struct err e;
    enum store_query_end end;
    const struct store_query q = {.topic = span_str(topic), .key = span_str(key), .by = by};
    ck_assert_int_eq(store_query(find, &q, count, &n, &end, &e), 0);
    return n;
}

/* Each message that RocketMQ appended is found in its index by us, by either key. */
static void expect_keys_of_appended(const char *topic)
{
    char key[16];
    struct store_find *look;
    struct err e;
    ck_assert_int_eq(store_find_open(&look, f.ours.root, /* index_slots = */ 1000, io_posix(), &e),
                     0);
    for (int i = 0; i < N_APPENDED; i++) {
        (void)snprintf(key, sizeof key, "r%d", i);
        ck_assert_uint_eq(find(look, topic, key, STORE_FIND_BY_KEY), 1);
        (void)snprintf(key, sizeof key, "R%07d", i);
        ck_assert_uint_eq(find(look, topic, key, STORE_FIND_BY_UNIQUE_KEY), 1);
    }
    store_find_close(look);
}

/* ---- delivery ---- */

static void expect_all_delivered(void)
{
    struct our_side_received r = {0};
    our_side_start(&f.ours, our_options);
    for (size_t i = 0; sent_topics[i]; i++)
        our_side_receive(&f.ours, sent_topics[i], "Reader", &r);
    sent_expect_all(&f.ours.sent);
    ck_assert_uint_eq(r.n_appended, N_APPENDED);
    ck_assert_uint_eq(r.n_others, 0);
    our_side_stop(&f.ours);
}

/* ---- the cases ---- */

START_TEST(rocketmq_reads_every_message_of_a_closed_store)
{
    our_side_publish(&f.ours, N_SENT);
    our_side_stop(&f.ours);
    ck_assert(!our_side_has_abort_file(&f.ours));
    expect_all_listed();
    ck_assert_uint_eq(f.n_unindexed, 0);
    make_it_walk();
    expect_all_listed();
}
END_TEST

START_TEST(rocketmq_reads_every_message_of_a_killed_store)
{
    our_side_publish(&f.ours, N_SENT);
    our_side_crash(&f.ours);
    ck_assert(our_side_has_abort_file(&f.ours));
    expect_all_listed();
    make_it_walk();
    expect_all_listed();
}
END_TEST

START_TEST(a_store_that_rocketmq_appended_to_opens_again)
{
    our_side_publish(&f.ours, N_SENT);
    our_side_stop(&f.ours);
    append_with_rocketmq("One", "close");
    ck_assert(!our_side_has_abort_file(&f.ours));
    expect_all_delivered();
}
END_TEST

START_TEST(a_store_that_rocketmq_left_in_a_crash_opens_again)
{
    our_side_publish(&f.ours, N_SENT);
    our_side_stop(&f.ours);
    append_with_rocketmq("Plain", "crash");
    ck_assert(our_side_has_abort_file(&f.ours));
    expect_all_delivered();
}
END_TEST

START_TEST(both_write_to_one_store_in_turn)
{
    our_side_publish(&f.ours, N_SENT);
    our_side_stop(&f.ours);
    append_with_rocketmq("One", "close");
    expect_keys_of_appended("One");
    our_side_start(&f.ours, our_options);
    sent_publish(&f.ours.sent, f.ours.client, N_APPENDED);
    our_side_stop(&f.ours);
    expect_keys_of_appended("One");
    ck_assert_uint_eq(expect_listed(OUR_LOG_FILE_BYTES, OUR_QUEUE_FILE_BYTES), N_APPENDED);
    ck_assert_uint_eq(f.n_unindexed, 0);
    make_it_walk();
    ck_assert_uint_eq(expect_listed(OUR_LOG_FILE_BYTES, OUR_QUEUE_FILE_BYTES), N_APPENDED);
}
END_TEST

START_TEST(a_store_of_rocketmqs_that_we_appended_to_is_read_by_it)
{
    our_side_take(&f.ours, fixtures, "appendable");
    our_side_start(&f.ours, fixture_options);
    sent_publish_to(&f.ours.sent, f.ours.client, "AppendTopic", 800);
    our_side_stop(&f.ours);
    ck_assert_uint_eq(expect_listed(FIXTURE_LOG_FILE_BYTES, FIXTURE_QUEUE_FILE_BYTES), 1);
    make_it_walk();
    ck_assert_uint_eq(expect_listed(FIXTURE_LOG_FILE_BYTES, FIXTURE_QUEUE_FILE_BYTES), 1);
}
END_TEST

/* A topic of batches without a queue on disk must not get one of ours: RocketMQ would refuse the
 * whole store. */
START_TEST(rocketmq_still_opens_its_store_after_we_rebuilt_the_queues)
{
    our_side_take(&f.ours, fixtures, "missing-cq");
    our_side_start(&f.ours, fixture_options);
    sent_publish_to(&f.ours.sent, f.ours.client, "EmptyTopic", 400);
    our_side_stop(&f.ours);
    /* 1110 records, of which 9 are in batch queues that are not rebuilt here */
    ck_assert_uint_eq(expect_listed(FIXTURE_LOG_FILE_BYTES, FIXTURE_QUEUE_FILE_BYTES), 1101);
}
END_TEST

/* ---- salvaged stores ---- */

static const struct {
    const char *name;
    int status;
    int n_messages, n_stand_ins;
} damaged[] = {{"mixed", 0, 1110, 0},        {"flipped", 3, 1108, 2},
               {"flipped-last", 3, 1109, 1}, {"tail-garbage", 3, 1110, 0},
               {"truncated", 3, 932, 152},   {"missing-cq", 0, 1110, 0},
               {"powerloss", 0, 1496, 0}};
enum { N_DAMAGED = sizeof damaged / sizeof damaged[0] };

/* Counts what RocketMQ lists of a store; it fails on an entry without its record. */
static void count_listed(const char *root, int *ret_messages, int *ret_stand_ins)
{
    struct probe p;
    *ret_messages = *ret_stand_ins = 0;
    probe_start(&p, "list '%s' %d %d", root, FIXTURE_LOG_FILE_BYTES, FIXTURE_QUEUE_FILE_BYTES);
    for (json_t *line; (line = probe_next(&p)); json_decref(line)) {
        *ret_messages += json_object_get(line, "topic") != NULL;
        *ret_stand_ins += json_object_get(line, "standsInFor") != NULL;
    }
}

/* After a clean stop as after a crash: then it walks the log, over what fills lost places. */
START_TEST(rocketmq_opens_a_salvaged_store)
{
    int n_messages, n_stand_ins;
    const char *name = damaged[_i].name;
    our_side_shell("zstd -dc '%s/%s.tar.zst' | tar -x -C '%s'", fixtures, name, f.ours.dir);
    our_side_shell(
        "'%s' salvage --queue-file-size %d --batch-file-size 4600 '%s/%s' '%s' >/dev/null;"
        " test $? -eq %d",
        sluice, FIXTURE_QUEUE_FILE_BYTES, f.ours.dir, name, f.ours.root, damaged[_i].status);
    for (int is_after_crash = 0; is_after_crash < 2; is_after_crash++) {
        count_listed(f.ours.root, &n_messages, &n_stand_ins);
        ck_assert_int_eq(n_messages, damaged[_i].n_messages);
        ck_assert_int_eq(n_stand_ins, damaged[_i].n_stand_ins);
        our_side_shell("touch '%s/abort'", f.ours.root);
    }
}
END_TEST

/* ---- config ---- */

/* The line of `all` whose member `name` is `value`. */
static const json_t *find_line(const json_t *all, const char *name, const char *value)
{
    size_t i;
    const json_t *line;
    json_array_foreach(all, i, line)
    {
        const char *text = json_string_value(json_object_get(line, name));
        if (text && strcmp(text, value) == 0)
            return line;
    }
    ck_abort_msg("RocketMQ knows no %s '%s'", name, value);
}

static void expect_topic(const json_t *all, const char *name, int queues, const char *type)
{
    const json_t *topic = find_line(all, "topic", name);
    ck_assert_int_eq(number(topic, "readQueues"), queues);
    ck_assert_int_eq(number(topic, "writeQueues"), queues);
    ck_assert_int_eq(number(topic, "perm"), 6);
    ck_assert_str_eq(json_string_value(json_object_get(topic, "type")), type);
}

static void expect_group(const json_t *all, const char *name, bool fifo, int attempts)
{
    const json_t *group = find_line(all, "group", name);
    ck_assert_int_eq(json_is_true(json_object_get(group, "orderly")), fifo);
    ck_assert(json_is_true(json_object_get(group, "enabled")));
    ck_assert_int_eq(number(group, "retryMaxTimes"), attempts - 1);
}

static void receive_one(char handle[256])
{
    struct messaging_batch b;
    struct messaging_receive r = {
        .topic = "One", .group = "Slow", .batch = 1, .invisible_ms = 60000, .polling_ms = 5000};
    messaging_receive(f.ours.client, &r, &b);
    ck_assert_uint_eq(b.n, 1);
    const char *text = messaging_at(&b, 0)->system_properties->receipt_handle;
    ck_assert_int_lt(snprintf(handle, 256, "%s", text), 256);
    messaging_batch_free(&b);
}

/* RocketMQ then goes on from the second. */
static void receive_two_and_ack_one(void)
{
    char first[256], second[256];
    receive_one(first);
    receive_one(second);
    ck_assert_int_eq(messaging_ack(f.ours.client, "One", "Slow", first), CODE(OK));
}

START_TEST(rocketmq_understands_topics_groups_and_offsets)
{
    struct probe p;
    json_t *all = json_array();
    our_side_start(&f.ours, our_options);
    sent_make_topics(f.ours.client);
    messaging_create_group(f.ours.client, "InOrder", /* fifo = */ true, /* max_attempts = */ 5);
    messaging_create_group(f.ours.client, "Slow", /* fifo = */ false, /* max_attempts = */ 17);
    sent_publish(&f.ours.sent, f.ours.client, 64);
    receive_two_and_ack_one();
    our_side_stop(&f.ours);
    probe_start(&p, "config '%s'", f.ours.root);
    for (json_t *line; (line = probe_next(&p));)
        ck_assert_int_eq(json_array_append_new(all, line), 0);
    expect_topic(all, "One", 1, "NORMAL");
    expect_topic(all, "Plain", 4, "NORMAL");
    expect_topic(all, "Ordered", 3, "FIFO");
    expect_group(all, "InOrder", true, 5);
    expect_group(all, "Slow", false, 17);
    const json_t *offsets = json_object_get(find_line(all, "offsetsOf", "One@Slow"), "offsets");
    ck_assert_int_eq(number(offsets, "0"), 1);
    json_decref(all);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc < 5)
        return EXIT_SKIPPED;
    Suite *suite = suite_create("rocketmq");
    TCase *tc = tcase_create("rocketmq");
    broker_child_use(argv[1]);
    fixtures = argv[2];
    probe_use(argv[3]);
    sluice = argv[4];
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, rocketmq_reads_every_message_of_a_closed_store);
    tcase_add_test(tc, rocketmq_reads_every_message_of_a_killed_store);
    tcase_add_test(tc, a_store_that_rocketmq_appended_to_opens_again);
    tcase_add_test(tc, a_store_that_rocketmq_left_in_a_crash_opens_again);
    tcase_add_test(tc, both_write_to_one_store_in_turn);
    if (access(fixtures, R_OK) == 0) { /* they are beside the source tree, or not */
        tcase_add_test(tc, a_store_of_rocketmqs_that_we_appended_to_is_read_by_it);
        tcase_add_test(tc, rocketmq_still_opens_its_store_after_we_rebuilt_the_queues);
        tcase_add_loop_test(tc, rocketmq_opens_a_salvaged_store, 0, N_DAMAGED);
    }
    tcase_add_test(tc, rocketmq_understands_topics_groups_and_offsets);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
