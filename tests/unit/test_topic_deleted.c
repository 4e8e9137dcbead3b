/* The marks of deleted topics. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/topic_deleted.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/state.h"
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

static json_t *parse_marks(const char *marks)
{
    json_t *root = json_pack("{s:{s:{}}, s:o}", "topicConfigTable", "LIVING", "sluiceDeleted",
                             json_loads(marks, 0, NULL));
    ck_assert_ptr_nonnull(root);
    return root;
}

/* Whether settling `marks` with such a log gives `want`; `ret_urgent` as topic_deleted_settle. */
static bool settles_to(const char *marks, uint64_t log_begin, uint64_t log_end, const char *want,
                       bool *ret_urgent)
{
    json_t *root = parse_marks(marks);
    json_t *wanted = parse_marks(want);
    *ret_urgent = topic_deleted_settle(root, log_begin, log_end);
    bool is_same = json_equal(root, wanted);
    json_decref(root);
    json_decref(wanted);
    return is_same;
}

static void open_at(uint64_t log_begin, uint64_t log_end)
{
    topic_table_close(f.table);
    open_table();
    ck_assert_int_eq(topic_table_settle(f.table, log_begin, log_end, &f.e), 0);
}

/* The mark of T on disk; 0: none. */
static json_int_t mark_on_disk(void)
{
    json_t *root;
    ck_assert_int_eq(state_read(io_posix(), f.folder, "topics.json", &root, &f.e), 0);
    json_int_t mark =
        json_integer_value(json_object_get(json_object_get(root, "sluiceDeleted"), "T"));
    json_decref(root);
    return mark;
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

START_TEST(a_mark_goes_when_the_log_begins_at_or_behind_it)
{
    bool is_urgent;
    ck_assert(settles_to("{\"A\":99,\"B\":100,\"C\":101,\"D\":-100,\"E\":-101,\"F\":-102}", 100,
                         500, "{\"C\":101,\"F\":-102}", &is_urgent));
    ck_assert(!is_urgent);
}
END_TEST

START_TEST(a_deletion_of_an_unknown_place_was_before_the_log_s_end)
{
    bool is_urgent;
    ck_assert(settles_to("{\"A\":-1}", 100, 500, "{\"A\":-501}", &is_urgent));
    ck_assert(!is_urgent);
    ck_assert(settles_to("{\"A\":-1}", 500, 500, "{}", &is_urgent));
    ck_assert(settles_to("{\"A\":-1}", 0, 0, "{}", &is_urgent));
}
END_TEST

START_TEST(no_mark_stays_behind_the_log_s_end)
{
    bool is_urgent;
    ck_assert(settles_to("{\"A\":501,\"B\":500}", 100, 500, "{\"A\":500,\"B\":500}", &is_urgent));
    ck_assert(is_urgent);
    ck_assert(settles_to("{\"A\":501}", 0, 0, "{}", &is_urgent));
    ck_assert(is_urgent);
    ck_assert(settles_to("{\"A\":-502}", 100, 500, "{\"A\":-501}", &is_urgent));
    ck_assert(!is_urgent); /* it leaves out everything, wherever it is */
}
END_TEST

START_TEST(a_mark_that_nobody_heeds_goes)
{
    bool is_urgent;
    ck_assert(settles_to("{\"LIVING\":-1,\"A\":\"?\"}", 0, 500, "{}", &is_urgent));
    ck_assert(settles_to("{\"LIVING\":-501}", 0, 500, "{}", &is_urgent));
    ck_assert(settles_to("{\"LIVING\":7}", 0, 500, "{\"LIVING\":7}", &is_urgent));
    ck_assert(!is_urgent);
}
END_TEST

START_TEST(places_of_the_largest_log_are_kept)
{
    bool is_urgent;
    ck_assert(settles_to("{\"A\":-1}", 0, INT64_MAX, "{\"A\":-9223372036854775808}", &is_urgent));
    ck_assert(settles_to("{\"A\":-9223372036854775808}", 0, INT64_MAX,
                         "{\"A\":-9223372036854775808}", &is_urgent));
    ck_assert(settles_to("{\"A\":-9223372036854775808}", INT64_MAX, INT64_MAX, "{}", &is_urgent));
}
END_TEST

START_TEST(nothing_is_settled_where_nothing_was_deleted)
{
    json_t *root = json_object();
    ck_assert(!topic_deleted_settle(root, 0, 500));
    json_decref(root);
}
END_TEST

START_TEST(a_topic_with_a_settled_mark_is_still_deleted)
{
    write_file("{\"sluiceDeleted\":{\"T\":-501}}");
    ck_assert_uint_eq(read_marks(), 1);
    ck_assert_uint_eq(f.deleted[0].below_log_off, UINT64_MAX);
    open_at(100, 900);
    ck_assert_int_eq(create("T"), 0);
    ck_assert_uint_eq(f.n_cleared, 1);
    ck_assert_int_eq(mark_on_disk(), 4711);
}
END_TEST

START_TEST(marks_go_with_the_next_change_of_a_topic)
{
    ck_assert_int_eq(create("T"), 0);
    delete_it();
    ck_assert_int_eq(mark_on_disk(), -1);
    open_at(100, 500);
    ck_assert_int_eq(mark_on_disk(), -1);
    ck_assert_int_eq(create("U"), 0);
    ck_assert_int_eq(mark_on_disk(), -501);
    open_at(500, 900);
    ck_assert_int_eq(mark_on_disk(), -501);
    ck_assert_int_eq(create("V"), 0);
    ck_assert_int_eq(mark_on_disk(), 0);
    ck_assert_int_eq(create("T"), 0);
    ck_assert_uint_eq(f.n_cleared, 0);
}
END_TEST

START_TEST(a_mark_behind_the_log_s_end_is_mended_on_disk_at_once)
{
    write_file("{\"topicConfigTable\":{\"T\":{}},\"sluiceDeleted\":{\"T\":501}}");
    open_at(100, 500);
    ck_assert_int_eq(mark_on_disk(), 500);
}
END_TEST

START_TEST(a_mark_that_cannot_be_mended_is_an_error)
{
    struct fault fault;
    write_file("{\"sluiceDeleted\":{\"T\":501}}");
    topic_table_close(f.table);
    fault_init(&fault, io_posix());
    ck_assert_int_eq(topic_table_open(&f.table, f.folder, 10, &fault.io, &f.e), 0);
    fault_arm(&fault, FAULT_ALL & ~(unsigned)FAULT_CLOSE, 1, EIO, FAULT_FROM_NOW);
    ck_assert_int_eq(topic_table_settle(f.table, 100, 500, &f.e), ERR_IO);
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
    tcase_add_test(tc, a_mark_goes_when_the_log_begins_at_or_behind_it);
    tcase_add_test(tc, a_deletion_of_an_unknown_place_was_before_the_log_s_end);
    tcase_add_test(tc, no_mark_stays_behind_the_log_s_end);
    tcase_add_test(tc, a_mark_that_nobody_heeds_goes);
    tcase_add_test(tc, places_of_the_largest_log_are_kept);
    tcase_add_test(tc, nothing_is_settled_where_nothing_was_deleted);
    tcase_add_test(tc, a_topic_with_a_settled_mark_is_still_deleted);
    tcase_add_test(tc, marks_go_with_the_next_change_of_a_topic);
    tcase_add_test(tc, a_mark_behind_the_log_s_end_is_mended_on_disk_at_once);
    tcase_add_test(tc, a_mark_that_cannot_be_mended_is_an_error);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
