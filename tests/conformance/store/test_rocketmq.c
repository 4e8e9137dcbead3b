/* Stores that sluiced wrote, opened by RocketMQ's own store, and the other way.
 * Usage: test_rocketmq SLUICED FIXTURES PROBE-COMMAND. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"
#include "tests/conformance/store/probe.h"
#include "tests/conformance/store/sent.h"
#include "tests/lib/broker_child.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum {
    LOG_FILE_BYTES = 1024 * 1024,
    QUEUE_FILE_BYTES = 20000,
    FIXTURE_LOG_FILE_BYTES = 262144,
    FIXTURE_QUEUE_FILE_BYTES = 2000,
    N_SENT = 3000,
    N_APPENDED = 200,
    EXIT_SKIPPED = 77,
};

static const char *const ours[] = {"--set", "mappedFileSizeCommitLog=1048576",
                                   "--set", "mappedFileSizeConsumeQueue=20000",
                                   "--set", "minLongPollingMillis=500",
                                   "--set", "maxHashSlotNum=1000",
                                   "--set", "maxIndexNum=8000",
                                   NULL};
static const char *const as_fixture[] = {"--set", "mappedFileSizeCommitLog=262144",
                                         "--set", "mappedFileSizeConsumeQueue=2000",
                                         "--set", "maxHashSlotNum=1000",
                                         "--set", "maxIndexNum=8000",
                                         NULL};

static const char *fixtures, *sluice;

static struct {
    char *dir;
    char *root; /* the store that sluiced has */
    struct broker_child broker;
    struct client *client;
    struct sent sent;
    size_t n_unindexed; /* of the last listing: messages that not each of their keys finds */
} f;

/* ---- the broker ---- */

static void setup(void)
{
    memset(&f, 0, sizeof f);
    f.dir = tmpdir_make();
    f.root = tmpdir_path(f.dir, "store");
}

static void teardown(void)
{
    if (f.broker.pid > 0) /* the test failed */
        broker_child_kill(&f.broker);
    free(f.root);
    tmpdir_remove(f.dir);
}

static void start(const char *const *args)
{
    broker_child_start(&f.broker, f.root, args);
    f.client = messaging_connect(f.broker.endpoint, "c");
}

static void stop(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
}

static void crash(void)
{
    client_close(f.client);
    broker_child_kill(&f.broker);
}

static void publish(void)
{
    start(ours);
    sent_make_topics(f.client);
    sent_publish(&f.sent, f.client, N_SENT);
}

/* ---- folders ---- */

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *format, ...)
{
    char *command = NULL;
    va_list list;
    va_start(list, format);
    ck_assert_int_gt(vasprintf(&command, format, list), 0);
    va_end(list);
    ck_assert_msg(system(command) == 0, "%s", command);
    free(command);
}

static bool has_abort_file(const char *root)
{
    char *path = tmpdir_path(root, "abort");
    bool is_there = access(path, F_OK) == 0;
    free(path);
    return is_there;
}

/* Where the records of a store end, and how many of its files end in a filler. */
static uint64_t end_of_log(const char *root, size_t *ret_fillers)
{
    struct store_walk *walk;
    struct store_walk_item item = {.kind = STORE_WALK_RECORD};
    struct err e;
    ck_assert_msg(store_walk_open(&walk, root, 0, io_posix(), &e) == 0, "%s", e.msg);
    for (*ret_fillers = 0; item.kind != STORE_WALK_END;) {
        ck_assert_msg(store_walk_next(walk, &item, &e) == 0, "%s", e.msg);
        ck_assert(item.kind != STORE_WALK_DAMAGE);
        *ret_fillers += item.kind == STORE_WALK_FILLER;
    }
    store_walk_close(walk);
    return item.log_off;
}

/* ---- RocketMQ ---- */

static int64_t number(const json_t *line, const char *name)
{
    return json_integer_value(json_object_get(line, name));
}

/* Lists a store with RocketMQ: how many messages it has that were not sent here. All that were must
 * be there, and the log must end where it does for us. */
static size_t expect_listed(const char *root, int log_file_bytes, int queue_file_bytes)
{
    struct probe p;
    size_t n_others = 0, n_fillers;
    int64_t end = -1;
    uint64_t expected_end = end_of_log(root, &n_fillers);
    f.n_unindexed = 0;
    probe_start(&p, "list '%s' %d %d", root, log_file_bytes, queue_file_bytes);
    for (json_t *line; (line = probe_next(&p)); json_decref(line)) {
        if (json_object_get(line, "maxPhyOffset")) {
            end = number(line, "maxPhyOffset");
            continue;
        }
        n_others += !sent_find(&f.sent, line);
        f.n_unindexed += !json_is_true(json_object_get(line, "isIndexed"));
    }
    sent_expect_all(&f.sent);
    ck_assert_int_eq(end, (int64_t)expected_end);
    ck_assert_uint_ge(n_fillers, 2);
    return n_others;
}

static void expect_all_listed(const char *root)
{
    ck_assert_uint_eq(expect_listed(root, LOG_FILE_BYTES, QUEUE_FILE_BYTES), 0);
}

/* RocketMQ walks the whole log, checks every CRC and makes the queues anew. With a checkpoint it
 * would begin where the queues were said to be on disk. */
static void make_it_walk(const char *root)
{
    shell("cd '%s' && rm -rf consumequeue checkpoint && touch abort", root);
}

/* RocketMQ appends to a store; `end` is close or crash. */
static void append_with_rocketmq(const char *topic, const char *end)
{
    struct probe p;
    probe_start(&p, "append '%s' %d %d %s 0 %d %s", f.root, LOG_FILE_BYTES, QUEUE_FILE_BYTES, topic,
                N_APPENDED, end);
    json_t *line = probe_next(&p);
    ck_assert_ptr_nonnull(line);
    size_t n_fillers;
    ck_assert_int_eq(number(line, "maxPhyOffset"), (int64_t)end_of_log(f.root, &n_fillers));
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
    ck_assert_int_eq(store_find_open(&look, f.root, /* index_slots = */ 1000, io_posix(), &e), 0);
    for (int i = 0; i < N_APPENDED; i++) {
        (void)snprintf(key, sizeof key, "r%d", i);
        ck_assert_uint_eq(find(look, topic, key, STORE_FIND_BY_KEY), 1);
        (void)snprintf(key, sizeof key, "R%07d", i);
        ck_assert_uint_eq(find(look, topic, key, STORE_FIND_BY_UNIQUE_KEY), 1);
    }
    store_find_close(look);
}

/* ---- delivery ---- */

static bool is_appended(const V2(Message) *m)
{
    return strncmp(m->system_properties->message_id, "R", 1) == 0 && m->body.len > 14 &&
           memcmp(m->body.data, "from RocketMQ ", 14) == 0;
}

/* Receives everything of a topic; how many messages RocketMQ appended. */
static size_t receive_all(const char *topic)
{
    struct messaging_batch b;
    struct messaging_receive r = {
        .topic = topic, .group = "Reader", .invisible_ms = 600000, .polling_ms = 500};
    size_t n_appended = 0, n;
    do {
        messaging_receive(f.client, &r, &b);
        n = b.n;
        for (size_t i = 0; i < n; i++) {
            const V2(Message) *m = messaging_at(&b, i);
            if (!sent_find_id(&f.sent, m->system_properties->message_id, m->body.data,
                              m->body.len)) {
                ck_assert(is_appended(m));
                n_appended++;
            }
        }
        messaging_batch_free(&b);
    } while (n > 0);
    return n_appended;
}

static void expect_all_delivered(void)
{
    size_t n_appended = 0;
    start(ours);
    for (size_t i = 0; sent_topics[i]; i++)
        n_appended += receive_all(sent_topics[i]);
    sent_expect_all(&f.sent);
    ck_assert_uint_eq(n_appended, N_APPENDED);
    stop();
}

/* ---- the cases ---- */

START_TEST(rocketmq_reads_every_message_of_a_closed_store)
{
    publish();
    stop();
    ck_assert(!has_abort_file(f.root));
    expect_all_listed(f.root);
    ck_assert_uint_eq(f.n_unindexed, 0);
    make_it_walk(f.root);
    expect_all_listed(f.root);
}
END_TEST

START_TEST(rocketmq_reads_every_message_of_a_killed_store)
{
    publish();
    crash();
    ck_assert(has_abort_file(f.root));
    expect_all_listed(f.root);
    make_it_walk(f.root);
    expect_all_listed(f.root);
}
END_TEST

START_TEST(a_store_that_rocketmq_appended_to_opens_again)
{
    publish();
    stop();
    append_with_rocketmq("One", "close");
    ck_assert(!has_abort_file(f.root));
    expect_all_delivered();
}
END_TEST

START_TEST(a_store_that_rocketmq_left_in_a_crash_opens_again)
{
    publish();
    stop();
    append_with_rocketmq("Plain", "crash");
    ck_assert(has_abort_file(f.root));
    expect_all_delivered();
}
END_TEST

START_TEST(both_write_to_one_store_in_turn)
{
    publish();
    stop();
    append_with_rocketmq("One", "close");
    expect_keys_of_appended("One");
    start(ours);
    sent_publish(&f.sent, f.client, N_APPENDED);
    stop();
    expect_keys_of_appended("One");
    ck_assert_uint_eq(expect_listed(f.root, LOG_FILE_BYTES, QUEUE_FILE_BYTES), N_APPENDED);
    ck_assert_uint_eq(f.n_unindexed, 0);
    make_it_walk(f.root);
    ck_assert_uint_eq(expect_listed(f.root, LOG_FILE_BYTES, QUEUE_FILE_BYTES), N_APPENDED);
}
END_TEST

START_TEST(a_store_of_rocketmqs_that_we_appended_to_is_read_by_it)
{
    shell("zstd -dc '%s/appendable.tar.zst' | tar -x -C '%s'", fixtures, f.dir);
    shell("mv '%s/appendable' '%s'", f.dir, f.root);
    start(as_fixture);
    sent_publish_to(&f.sent, f.client, "AppendTopic", 800);
    stop();
    ck_assert_uint_eq(expect_listed(f.root, FIXTURE_LOG_FILE_BYTES, FIXTURE_QUEUE_FILE_BYTES), 1);
    make_it_walk(f.root);
    ck_assert_uint_eq(expect_listed(f.root, FIXTURE_LOG_FILE_BYTES, FIXTURE_QUEUE_FILE_BYTES), 1);
}
END_TEST

/* A topic of batches without a queue on disk must not get one of ours: RocketMQ would refuse the
 * whole store. */
START_TEST(rocketmq_still_opens_its_store_after_we_rebuilt_the_queues)
{
    shell("zstd -dc '%s/missing-cq.tar.zst' | tar -x -C '%s'", fixtures, f.dir);
    shell("mv '%s/missing-cq' '%s'", f.dir, f.root);
    start(as_fixture);
    sent_publish_to(&f.sent, f.client, "EmptyTopic", 400);
    stop();
    /* 1110 records, of which 9 are in batch queues that are not rebuilt here */
    ck_assert_uint_eq(expect_listed(f.root, FIXTURE_LOG_FILE_BYTES, FIXTURE_QUEUE_FILE_BYTES),
                      1101);
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
    shell("zstd -dc '%s/%s.tar.zst' | tar -x -C '%s'", fixtures, name, f.dir);
    shell("'%s' salvage --queue-file-size %d --batch-file-size 4600 '%s/%s' '%s' >/dev/null;"
          " test $? -eq %d",
          sluice, FIXTURE_QUEUE_FILE_BYTES, f.dir, name, f.root, damaged[_i].status);
    for (int is_after_crash = 0; is_after_crash < 2; is_after_crash++) {
        count_listed(f.root, &n_messages, &n_stand_ins);
        ck_assert_int_eq(n_messages, damaged[_i].n_messages);
        ck_assert_int_eq(n_stand_ins, damaged[_i].n_stand_ins);
        shell("touch '%s/abort'", f.root);
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
    messaging_receive(f.client, &r, &b);
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
    ck_assert_int_eq(messaging_ack(f.client, "One", "Slow", first), CODE(OK));
}

START_TEST(rocketmq_understands_topics_groups_and_offsets)
{
    struct probe p;
    json_t *all = json_array();
    start(ours);
    sent_make_topics(f.client);
    messaging_create_group(f.client, "InOrder", /* fifo = */ true, /* max_attempts = */ 5);
    messaging_create_group(f.client, "Slow", /* fifo = */ false, /* max_attempts = */ 17);
    sent_publish(&f.sent, f.client, 64);
    receive_two_and_ack_one();
    stop();
    probe_start(&p, "config '%s'", f.root);
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
