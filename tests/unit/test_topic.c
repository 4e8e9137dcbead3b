/* Tests of the topic registry: names, types, creation, the file and its failures. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/topic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/config_folder.h"
#include "tests/lib/fault.h"
#include "tests/lib/suite.h"

static char *folder;
static struct topic_table *table;
static struct err e;
static const char *data; /* tests/data */

static void open_table(struct io *io)
{
    ck_assert_msg(topic_table_open(&table, folder, /* max_topics = */ 100, io, &e) == 0, "%s",
                  e.msg);
}

static void setup(void)
{
    folder = tmpdir_make();
    open_table(io_posix());
}

static void teardown(void)
{
    topic_table_close(table);
    tmpdir_remove(folder);
}

static void reopen(void)
{
    topic_table_close(table);
    open_table(io_posix());
}

static struct topic_info wanted(const char *name, enum topic_type type)
{
    struct topic_info info = {.type = type,
                              .n_read_queues = 8,
                              .n_write_queues = 8,
                              .perm = TOPIC_PERM_READ | TOPIC_PERM_WRITE};
    (void)snprintf(info.name, sizeof info.name, "%s", name);
    return info;
}

static int create(const char *name, enum topic_type type)
{
    struct topic_info info = wanted(name, type);
    return topic_create(table, &info, &e);
}

static bool has(const char *name)
{
    struct topic_info info;
    return topic_get(table, span_str(name), &info);
}

/* ---- names and types ---- */

static int check_name(const char *name)
{
    return topic_check_name(span_str(name), &e);
}

START_TEST(names_of_the_allowed_characters_pass)
{
    char longest[TOPIC_NAME_MAX + 1];
    memset(longest, 'x', TOPIC_NAME_MAX);
    longest[TOPIC_NAME_MAX] = '\0';
    ck_assert_int_eq(check_name("A"), 0);
    ck_assert_int_eq(check_name("%RETRY%g|a_b-C09"), 0);
    ck_assert_int_eq(check_name(longest), 0);
}
END_TEST

START_TEST(hostile_names_are_refused_and_shown_without_their_bytes)
{
    const char *const hostile[] = {
        "",          "a b",  "a/b",           "../etc", "a.b",      "a\nb",      "\x1b[2J", "\xff",
        "h\xc3\xa9", "a\"b", "a@b",           "a*",     "TBW102",   "rmq_sys_x", "a\tb",    "a\\b",
        "{0:1}",     "a;b",  "BenchmarkTest", "a$(id)", "%s%n\x01",
    };
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        ck_assert_msg(check_name(hostile[i]) == ERR_INVAL, "%s", hostile[i]);
        for (const char *p = e.msg; *p != '\0'; p++)
            ck_assert(*p >= ' ' && *p < 0x7f);
        ck_assert_int_eq(create(hostile[i], TOPIC_NORMAL), ERR_INVAL);
    }
    ck_assert_int_eq(topic_check_name(span_of("a\0b", 3), &e), ERR_INVAL);
}
END_TEST

START_TEST(a_name_over_the_limit_is_refused_with_the_limit)
{
    char name[TOPIC_STORED_MAX + 1];
    memset(name, 'x', TOPIC_STORED_MAX);
    name[TOPIC_NAME_MAX + 1] = '\0';
    ck_assert_int_eq(check_name(name), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "128 bytes, the limit is 127"));
}
END_TEST

START_TEST(type_names_are_read_and_written)
{
    const enum topic_type types[] = {TOPIC_NORMAL, TOPIC_FIFO,     TOPIC_DELAY, TOPIC_TRANSACTION,
                                     TOPIC_LITE,   TOPIC_PRIORITY, TOPIC_MIXED};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        enum topic_type type;
        ck_assert_int_eq(topic_type_parse(span_str(topic_type_name(types[i])), &type, &e), 0);
        ck_assert_int_eq(type, types[i]);
    }
    enum topic_type type;
    ck_assert_int_eq(topic_type_parse(span_str("normal"), &type, &e), ERR_INVAL);
    ck_assert_int_eq(topic_type_parse(span_str(""), &type, &e), ERR_INVAL);
}
END_TEST

START_TEST(a_message_goes_to_a_topic_of_its_type)
{
    ck_assert_int_eq(topic_check_send(TOPIC_NORMAL, TOPIC_NORMAL, &e), 0);
    ck_assert_int_eq(topic_check_send(TOPIC_FIFO, TOPIC_FIFO, &e), 0);
    ck_assert_int_eq(topic_check_send(TOPIC_MIXED, TOPIC_NORMAL, &e), 0);
    ck_assert_int_eq(topic_check_send(TOPIC_MIXED, TOPIC_FIFO, &e), 0);
    ck_assert_int_eq(topic_check_send(TOPIC_FIFO, TOPIC_NORMAL, &e), ERR_INVAL);
    ck_assert_int_eq(topic_check_send(TOPIC_DELAY, TOPIC_NORMAL, &e), ERR_INVAL);
    ck_assert_int_eq(topic_check_send(TOPIC_DELAY, TOPIC_DELAY, &e), ERR_UNSUPPORTED);
    ck_assert_int_eq(topic_check_send(TOPIC_MIXED, TOPIC_TRANSACTION, &e), ERR_UNSUPPORTED);
    ck_assert_str_eq(e.msg, "message type TRANSACTION is not served yet");
}
END_TEST

/* ---- creation ---- */

START_TEST(a_created_topic_is_there_after_a_restart)
{
    struct topic_info got;
    ck_assert_int_eq(create("orders", TOPIC_FIFO), 0);
    reopen();
    ck_assert(topic_get(table, span_str("orders"), &got));
    ck_assert_str_eq(got.name, "orders");
    ck_assert_int_eq(got.type, TOPIC_FIFO);
    ck_assert_uint_eq(got.n_read_queues, 8);
    ck_assert_uint_eq(got.n_write_queues, 8);
    ck_assert_uint_eq(got.perm, TOPIC_PERM_READ | TOPIC_PERM_WRITE);
    ck_assert(!got.is_system);
}
END_TEST

START_TEST(creating_what_exists_with_the_same_settings_succeeds)
{
    ck_assert_int_eq(create("t", TOPIC_NORMAL), 0);
    ck_assert_int_eq(create("t", TOPIC_NORMAL), 0);
}
END_TEST

START_TEST(creating_what_exists_with_others_says_what_differs)
{
    struct topic_info info = wanted("t", TOPIC_NORMAL);
    ck_assert_int_eq(create("t", TOPIC_NORMAL), 0);
    ck_assert_int_eq(create("t", TOPIC_FIFO), ERR_EXISTS);
    ck_assert_str_eq(e.msg, "create topic 't': exists with type NORMAL");
    info.n_write_queues = 4;
    ck_assert_int_eq(topic_create(table, &info, &e), ERR_EXISTS);
    ck_assert_str_eq(e.msg, "create topic 't': exists with 8 read and 8 write queues");
    info = wanted("t", TOPIC_NORMAL);
    info.perm = TOPIC_PERM_READ;
    ck_assert_int_eq(topic_create(table, &info, &e), ERR_EXISTS);
    ck_assert_str_eq(e.msg, "create topic 't': exists with permission 6");
    ck_assert_int_eq(topic_ensure(table, &info, &e), 0);
}
END_TEST

START_TEST(a_type_that_is_not_served_is_refused_by_name)
{
    ck_assert_int_eq(create("t", TOPIC_DELAY), ERR_UNSUPPORTED);
    ck_assert_str_eq(e.msg, "create topic 't': topic type DELAY is not served yet");
    ck_assert_int_eq(create("t", TOPIC_TRANSACTION), ERR_UNSUPPORTED);
    ck_assert_int_eq(create("t", TOPIC_PRIORITY), ERR_UNSUPPORTED);
    ck_assert(!has("t"));
}
END_TEST

START_TEST(queues_and_permission_have_their_range)
{
    struct topic_info info = wanted("t", TOPIC_NORMAL);
    info.n_read_queues = 0;
    ck_assert_int_eq(topic_create(table, &info, &e), ERR_INVAL);
    info = wanted("t", TOPIC_NORMAL);
    info.n_write_queues = TOPIC_QUEUES_MAX + 1;
    ck_assert_int_eq(topic_create(table, &info, &e), ERR_INVAL);
    info = wanted("t", TOPIC_NORMAL);
    info.perm = 8;
    ck_assert_int_eq(topic_create(table, &info, &e), ERR_INVAL);
}
END_TEST

START_TEST(there_is_room_for_so_many_topics_and_no_more)
{
    for (int i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "t%d", i);
        ck_assert_int_eq(create(name, TOPIC_NORMAL), 0);
    }
    ck_assert_int_eq(create("one-more", TOPIC_NORMAL), ERR_BUSY);
    ck_assert_int_eq(create("t0", TOPIC_NORMAL), 0);
    ck_assert_int_eq(topic_delete(table, span_str("t0"), &e), 0);
    ck_assert_int_eq(create("one-more", TOPIC_NORMAL), 0);
}
END_TEST

START_TEST(a_deleted_topic_is_gone_for_good)
{
    ck_assert_int_eq(create("t", TOPIC_NORMAL), 0);
    ck_assert_int_eq(topic_delete(table, span_str("t"), &e), 0);
    ck_assert(!has("t"));
    ck_assert_int_eq(topic_delete(table, span_str("t"), &e), ERR_NOTFOUND);
    reopen();
    ck_assert(!has("t"));
}
END_TEST

START_TEST(topics_are_listed_by_name)
{
    struct topic_info *list;
    size_t n;
    ck_assert_int_eq(create("b", TOPIC_NORMAL), 0);
    ck_assert_int_eq(create("c", TOPIC_NORMAL), 0);
    ck_assert_int_eq(create("a", TOPIC_FIFO), 0);
    ck_assert_int_eq(topic_list(table, &list, &n, &e), 0);
    ck_assert_uint_eq(n, 3);
    ck_assert_str_eq(list[0].name, "a");
    ck_assert_str_eq(list[2].name, "c");
    free(list);
}
END_TEST

/* ---- the file ---- */

START_TEST(what_rocketmq_wrote_is_served)
{
    struct topic_info got;
    config_folder_copy(folder, data, "topics.json");
    reopen();
    ck_assert(topic_get(table, span_str("TagTopic"), &got));
    ck_assert_int_eq(got.type, TOPIC_NORMAL);
    ck_assert_uint_eq(got.n_read_queues, 4);
    ck_assert(topic_get(table, span_str("TransTopic"), &got));
    ck_assert_int_eq(got.type, TOPIC_TRANSACTION);
    ck_assert(topic_get(table, span_str("ReadOnlyTopic"), &got));
    ck_assert_uint_eq(got.perm, TOPIC_PERM_READ);
    ck_assert(topic_get(table, span_str("SCHEDULE_TOPIC_XXXX"), &got));
    ck_assert(got.is_system);
    ck_assert_int_eq(topic_delete(table, span_str("SCHEDULE_TOPIC_XXXX"), &e), ERR_INVAL);
}
END_TEST

START_TEST(members_that_only_rocketmq_knows_survive_a_change)
{
    tmpdir_put(folder, "topics.json",
               "{\"future\":{\"a\":[1]},\"topicConfigTable\":{\"old\":{\"order\":true,"
               "\"attributes\":{\"queue.type\":\"BatchCQ\"},\"perm\":7}}}");
    reopen();
    ck_assert_int_eq(create("new", TOPIC_NORMAL), 0);
    char *text = config_folder_read(folder, "topics.json");
    ck_assert_ptr_nonnull(strstr(text, "\"future\""));
    ck_assert_ptr_nonnull(strstr(text, "\"queue.type\": \"BatchCQ\""));
    ck_assert_ptr_nonnull(strstr(text, "\"perm\": 7"));
    ck_assert_ptr_nonnull(strstr(text, "\"message.type\": \"NORMAL\""));
    free(text);
}
END_TEST

START_TEST(an_entry_that_makes_no_sense_hides_no_other)
{
    tmpdir_put(folder, "topics.json",
               "{\"topicConfigTable\":{\"a\":{\"readQueueNums\":-1},\"b\":7,"
               "\"c\":{\"attributes\":{\"message.type\":\"NO_SUCH\"}},\"\":{},"
               "\"d\":{\"perm\":\"x\"},\"e\":{\"readQueueNums\":99999999999},"
               "\"good\":{\"readQueueNums\":3,\"writeQueueNums\":2}}}");
    reopen();
    struct topic_info got;
    ck_assert(topic_get(table, span_str("good"), &got));
    ck_assert_uint_eq(got.n_read_queues, 3);
    ck_assert_uint_eq(got.n_write_queues, 2);
    ck_assert(!has("a"));
    ck_assert(!has("b"));
    ck_assert(!has("c"));
    ck_assert(!has("d"));
    ck_assert(!has("e"));
}
END_TEST

START_TEST(an_unreadable_file_is_an_error_that_names_it)
{
    struct topic_table *other;
    tmpdir_put(folder, "topics.json", "[]");
    ck_assert_int_eq(topic_table_open(&other, folder, 10, io_posix(), &e), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(e.msg, "topics.json"));
}
END_TEST

START_TEST(topics_with_batch_queues_are_told_apart)
{
    char **names;
    tmpdir_put(folder, "topics.json",
               "{\"topicConfigTable\":{"
               "\"a\":{\"attributes\":{\"queue.type\":\"BatchCQ\"}},"
               "\"b\":{\"attributes\":{\"queue.type\":\"SimpleCQ\"}},"
               "\"c\":{},\"d\":3}}");
    ck_assert_int_eq(topic_batch_names(folder, io_posix(), &names, &e), 0);
    ck_assert_str_eq(names[0], "a");
    ck_assert_ptr_null(names[1]);
    topic_batch_free(names);
}
END_TEST

START_TEST(without_a_file_no_topic_has_batch_queues)
{
    char **names;
    ck_assert_int_eq(topic_batch_names("/nowhere", io_posix(), &names, &e), 0);
    ck_assert_ptr_null(names[0]);
    topic_batch_free(names);
}
END_TEST

static bool was_there_early;

/* The seam's sync, which looks whether the topic is served before its file is durable. */
static int look_then_sync(struct io *io, int fd)
{
    was_there_early |= has("new");
    return io_posix()->sync_fd(io, fd);
}

START_TEST(a_topic_is_not_served_before_its_file_is_durable)
{
    struct io watched = *io_posix();
    watched.sync_fd = look_then_sync;
    topic_table_close(table);
    open_table(&watched);
    was_there_early = false;
    ck_assert_int_eq(create("new", TOPIC_NORMAL), 0);
    ck_assert(!was_there_early);
    ck_assert(has("new"));
    reopen();
}
END_TEST

/* Creates one topic and deletes another with the n-th call failing. */
static bool change_with_fault(uint64_t n)
{
    struct fault fault;
    teardown();
    folder = tmpdir_make();
    fault_init(&fault, io_posix());
    open_table(&fault.io);
    ck_assert_int_eq(create("old", TOPIC_NORMAL), 0);
    fault_arm(&fault, FAULT_ALL & ~(unsigned)FAULT_CLOSE, n, EIO, FAULT_FROM_NOW);
    int created = create("new", TOPIC_NORMAL);
    int deleted = topic_delete(table, span_str("old"), &e);
    bool fired = fault_fired(&fault);
    fault_disarm(&fault);
    ck_assert_int_eq(has("new"), created == 0);
    ck_assert_int_eq(has("old"), deleted != 0);
    ck_assert_int_eq(fired, deleted != 0);
    reopen();
    ck_assert(created != 0 || has("new"));
    ck_assert(deleted != 0 || !has("old"));
    ck_assert_int_eq(create("after", TOPIC_NORMAL), 0);
    return fired;
}

START_TEST(a_failure_at_any_call_changes_nothing_in_memory)
{
    uint64_t n = 1;
    while (change_with_fault(n))
        n++;
    ck_assert_uint_gt(n, 10);
}
END_TEST

int main(int argc, char **argv)
{
    data = argc > 1 ? argv[1] : "tests/data";
    Suite *suite = suite_create("topic");
    TCase *tc = tcase_create("topics");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, names_of_the_allowed_characters_pass);
    tcase_add_test(tc, hostile_names_are_refused_and_shown_without_their_bytes);
    tcase_add_test(tc, a_name_over_the_limit_is_refused_with_the_limit);
    tcase_add_test(tc, type_names_are_read_and_written);
    tcase_add_test(tc, a_message_goes_to_a_topic_of_its_type);
    tcase_add_test(tc, a_created_topic_is_there_after_a_restart);
    tcase_add_test(tc, creating_what_exists_with_the_same_settings_succeeds);
    tcase_add_test(tc, creating_what_exists_with_others_says_what_differs);
    tcase_add_test(tc, a_type_that_is_not_served_is_refused_by_name);
    tcase_add_test(tc, queues_and_permission_have_their_range);
    tcase_add_test(tc, there_is_room_for_so_many_topics_and_no_more);
    tcase_add_test(tc, a_deleted_topic_is_gone_for_good);
    tcase_add_test(tc, topics_are_listed_by_name);
    tcase_add_test(tc, what_rocketmq_wrote_is_served);
    tcase_add_test(tc, members_that_only_rocketmq_knows_survive_a_change);
    tcase_add_test(tc, an_entry_that_makes_no_sense_hides_no_other);
    tcase_add_test(tc, an_unreadable_file_is_an_error_that_names_it);
    tcase_add_test(tc, topics_with_batch_queues_are_told_apart);
    tcase_add_test(tc, without_a_file_no_topic_has_batch_queues);
    tcase_add_test(tc, a_topic_is_not_served_before_its_file_is_durable);
    tcase_add_test(tc, a_failure_at_any_call_changes_nothing_in_memory);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
