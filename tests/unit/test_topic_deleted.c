/* The marks of deleted topics. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/topic_deleted.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/topic.h"
#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static struct {
    char *folder;
    struct topic_table *table;
    struct store_deleted *deleted;
    size_t n;
    struct err e;
    unsigned n_cleared;
} f;

static int clear(void *arg, struct span name, uint64_t *ret_below_log_off, struct err *e)
{
    (void)arg;
    (void)e;
    ck_assert(span_equal(name, span_str("T")));
    f.n_cleared++;
    *ret_below_log_off = 4711;
    return 0;
}

static int clear_fails(void *arg, struct span name, uint64_t *ret_below_log_off, struct err *e)
{
    (void)arg;
    (void)name;
    (void)ret_below_log_off;
    return err_set(e, ERR_IO, "clear nothing");
}

static void open_table(void)
{
    int rc = topic_table_open(&f.table, f.folder, /* max_topics = */ 10, io_posix(), &f.e);
    ck_assert_msg(rc == 0, "%s", f.e.msg);
    topic_table_on_clear(f.table, clear, /* arg = */ NULL);
}

static void setup(void)
{
    memset(&f, 0, sizeof f);
    f.folder = tmpdir_make();
    open_table();
}

static void teardown(void)
{
    topic_deleted_free(f.deleted, f.n);
    topic_table_close(f.table);
    tmpdir_remove(f.folder);
}

static int create(const char *name)
{
    struct topic_info info = {.type = TOPIC_NORMAL,
                              .n_read_queues = 1,
                              .n_write_queues = 1,
                              .perm = TOPIC_PERM_READ | TOPIC_PERM_WRITE};
    (void)snprintf(info.name, sizeof info.name, "%s", name);
    return topic_create(f.table, &info, &f.e);
}

static void delete_it(void)
{
    ck_assert_int_eq(topic_delete(f.table, span_str("T"), &f.e), 0);
}

static size_t read_marks(void)
{
    topic_deleted_free(f.deleted, f.n);
    f.deleted = NULL;
    f.n = 0;
    int rc = topic_deleted_read(f.folder, io_posix(), &f.deleted, &f.n, &f.e);
    ck_assert_msg(rc == 0, "%s", f.e.msg);
    return f.n;
}

static void write_file(const char *text)
{
    tmpdir_put(f.folder, "topics.json", text);
}

START_TEST(without_a_file_nothing_was_deleted)
{
    ck_assert_uint_eq(read_marks(), 0);
}
END_TEST

START_TEST(a_topic_that_was_never_deleted_has_no_mark)
{
    ck_assert_int_eq(create("T"), 0);
    ck_assert_uint_eq(read_marks(), 0);
    ck_assert_uint_eq(f.n_cleared, 0);
}
END_TEST

START_TEST(of_a_deleted_topic_everything_is_left_out)
{
    ck_assert_int_eq(create("T"), 0);
    delete_it();
    ck_assert_uint_eq(read_marks(), 1);
    ck_assert_str_eq(f.deleted[0].topic, "T");
    ck_assert_uint_eq(f.deleted[0].below_log_off, UINT64_MAX);
}
END_TEST

START_TEST(a_topic_made_again_begins_where_it_was_cleared)
{
    ck_assert_int_eq(create("T"), 0);
    delete_it();
    topic_table_close(f.table);
    open_table(); /* the mark is on disk */
    ck_assert_int_eq(create("T"), 0);
    ck_assert_uint_eq(f.n_cleared, 1);
    ck_assert_uint_eq(read_marks(), 1);
    ck_assert_uint_eq(f.deleted[0].below_log_off, 4711);
}
END_TEST

START_TEST(what_cannot_be_cleared_does_not_live_again)
{
    ck_assert_int_eq(create("T"), 0);
    delete_it();
    topic_table_on_clear(f.table, clear_fails, /* arg = */ NULL);
    ck_assert_int_eq(create("T"), ERR_IO);
    struct topic_info info;
    ck_assert(!topic_get(f.table, span_str("T"), &info));
    ck_assert_uint_eq(read_marks(), 1);
    ck_assert_uint_eq(f.deleted[0].below_log_off, UINT64_MAX);
}
END_TEST

START_TEST(a_name_that_lives_by_another_s_hand_loses_nothing)
{
    write_file("{\"topicConfigTable\":{\"T\":{\"topicName\":\"T\"}},"
               "\"sluiceDeleted\":{\"T\":-1,\"U\":-1,\"V\":7,\"W\":\"?\"}}");
    ck_assert_uint_eq(read_marks(), 3);
    for (size_t i = 0; i < f.n; i++)
        ck_assert_str_ne(f.deleted[i].topic, "T");
}
END_TEST

START_TEST(an_unreadable_file_is_an_error)
{
    write_file("{");
    ck_assert_int_eq(topic_deleted_read(f.folder, io_posix(), &f.deleted, &f.n, &f.e), ERR_CORRUPT);
}
END_TEST

/* Fails the first write of a deletion; a later change is written. */
START_TEST(a_deletion_that_cannot_be_written_leaves_no_mark)
{
    struct fault fault;
    topic_table_close(f.table);
    fault_init(&fault, io_posix());
    ck_assert_int_eq(topic_table_open(&f.table, f.folder, 10, &fault.io, &f.e), 0);
    ck_assert_int_eq(create("T"), 0);
    fault_arm(&fault, FAULT_ALL & ~(unsigned)FAULT_CLOSE, 1, EIO, FAULT_FROM_NOW);
    ck_assert_int_lt(topic_delete(f.table, span_str("T"), &f.e), 0);
    fault_disarm(&fault);
    ck_assert_int_eq(create("U"), 0);
    ck_assert_uint_eq(read_marks(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("topic_deleted");
    TCase *tc = tcase_create("topic_deleted");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, without_a_file_nothing_was_deleted);
    tcase_add_test(tc, a_topic_that_was_never_deleted_has_no_mark);
    tcase_add_test(tc, of_a_deleted_topic_everything_is_left_out);
    tcase_add_test(tc, a_topic_made_again_begins_where_it_was_cleared);
    tcase_add_test(tc, what_cannot_be_cleared_does_not_live_again);
    tcase_add_test(tc, a_name_that_lives_by_another_s_hand_loses_nothing);
    tcase_add_test(tc, an_unreadable_file_is_an_error);
    tcase_add_test(tc, a_deletion_that_cannot_be_written_leaves_no_mark);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
