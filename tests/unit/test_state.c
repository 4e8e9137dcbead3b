/* Tests of the small JSON files: RocketMQ's dialect, the copy kept, failures at any call. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/config_folder.h"
#include "tests/lib/fault.h"
#include "tests/lib/suite.h"

static char *folder;
static struct err e;
static const char *data; /* tests/data */

static void setup(void)
{
    folder = tmpdir_make();
}

static void teardown(void)
{
    tmpdir_remove(folder);
}

static json_t *parse(const char *text)
{
    json_t *root = NULL;
    ck_assert_msg(state_parse(text, strlen(text), &root, &e) == 0, "%s", e.msg);
    return root;
}

static void expect_same(const char *text, const char *strict)
{
    json_t *root = parse(text);
    json_t *wanted = json_loads(strict, 0, NULL);
    ck_assert_ptr_nonnull(wanted);
    ck_assert_msg(json_equal(root, wanted), "%s", text);
    json_decref(root);
    json_decref(wanted);
}

START_TEST(bare_integer_keys_are_read)
{
    expect_same("{0:5,1:7}", "{\"0\":5,\"1\":7}");
    expect_same("{ 12 : {-3:[1,2]} }", "{\"12\":{\"-3\":[1,2]}}");
    expect_same("{\n\t\"a\":{\n\t\t0:57,\n\t\t1:3\n\t}\n}", "{\"a\":{\"0\":57,\"1\":3}}");
}
END_TEST

START_TEST(numbers_that_are_no_keys_and_text_are_left_alone)
{
    expect_same("{\"a\":[1,2,{3:4}]}", "{\"a\":[1,2,{\"3\":4}]}");
    expect_same("{\"{0:5\":\",1:2\"}", "{\"{0:5\":\",1:2\"}");
    expect_same("{\"\\\"{1:\":\"\\\\\",7:8}", "{\"\\\"{1:\":\"\\\\\",\"7\":8}");
}
END_TEST

START_TEST(broken_text_is_an_error_that_says_where)
{
    const char *const broken[] = {"",   "{",     "[]", "1",      "{0}",     "{0:",  "{-:1}",
                                  "{x", "{a:1}", "\"", "{\"a\\", "{\"a\":", "{}{}", "\xff{}"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        json_t *root = NULL;
        ck_assert_int_eq(state_parse(broken[i], strlen(broken[i]), &root, &e), ERR_CORRUPT);
        ck_assert_ptr_null(root);
    }
    json_t *root;
    ck_assert_int_eq(state_parse("{\n\"a\":x}", 8, &root, &e), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(e.msg, "line 2"));
}
END_TEST

START_TEST(very_deep_nesting_is_an_error)
{
    enum { DEEP = 100000 };
    char *text = malloc(DEEP * 5);
    for (size_t i = 0; i < DEEP; i++)
        memcpy(text + i * 5, "{\"a\":", 5);
    json_t *root;
    ck_assert_int_eq(state_parse(text, DEEP * 5, &root, &e), ERR_CORRUPT);
    free(text);
}
END_TEST

START_TEST(what_rocketmq_wrote_is_read)
{
    json_t *root;
    config_folder_copy(folder, data, "consumerOffset.json");
    ck_assert_msg(state_read(io_posix(), folder, "consumerOffset.json", &root, &e) == 0, "%s",
                  e.msg);
    const json_t *table = json_object_get(root, "offsetTable");
    const json_t *offsets = json_object_get(table, "TagTopic@g_tag");
    ck_assert_int_eq(json_integer_value(json_object_get(offsets, "0")), 208);
    ck_assert_int_eq(json_integer_value(json_object_get(offsets, "3")), 103);
    json_decref(root);
}
END_TEST

static json_t *numbered(int n)
{
    return json_pack("{s:i}", "n", n);
}

static int write_number(struct io *io, int n)
{
    json_t *root = numbered(n);
    int rc = state_write(io, folder, "file.json", root, &e);
    json_decref(root);
    return rc;
}

/* What the file says; -1: there is none, or no readable one. */
static int read_number(struct io *io)
{
    json_t *root;
    if (state_read(io, folder, "file.json", &root, &e) < 0)
        return -1;
    int n = (int)json_integer_value(json_object_get(root, "n"));
    json_decref(root);
    return n;
}

START_TEST(an_absent_file_is_not_found)
{
    json_t *root;
    ck_assert_int_eq(state_read(io_posix(), folder, "file.json", &root, &e), ERR_NOTFOUND);
}
END_TEST

START_TEST(the_version_before_is_kept_and_used_when_the_file_is_damaged)
{
    ck_assert_int_eq(write_number(io_posix(), 1), 0);
    ck_assert_int_eq(write_number(io_posix(), 2), 0);
    ck_assert_int_eq(read_number(io_posix()), 2);
    tmpdir_put(folder, "file.json", "{\"n\":");
    ck_assert_int_eq(read_number(io_posix()), 1);
}
END_TEST

START_TEST(a_damaged_file_is_set_aside_and_never_becomes_the_copy)
{
    ck_assert_int_eq(write_number(io_posix(), 1), 0);
    ck_assert_int_eq(write_number(io_posix(), 2), 0);
    tmpdir_put(folder, "file.json", "");
    ck_assert_int_eq(read_number(io_posix()), 1);
    ck_assert_int_eq(write_number(io_posix(), 3), 0);
    tmpdir_put(folder, "file.json", "damaged again");
    ck_assert_int_eq(read_number(io_posix()), 1);
    char *aside = config_folder_read(folder, "file.json.damaged");
    ck_assert_str_eq(aside, "damaged again");
    free(aside);
}
END_TEST

START_TEST(two_damaged_files_are_an_error_that_names_one)
{
    json_t *root;
    tmpdir_put(folder, "file.json", "{");
    ck_assert_int_eq(state_read(io_posix(), folder, "file.json", &root, &e), ERR_CORRUPT);
    tmpdir_put(folder, "file.json.bak", "{");
    ck_assert_int_eq(state_read(io_posix(), folder, "file.json", &root, &e), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(e.msg, "file.json"));
}
END_TEST

/* Replaces 1 by 2 in a fresh folder with the n-th call failing from then on. */
static bool write_with_fault(uint64_t n, enum fault_span span)
{
    struct fault fault;
    tmpdir_remove(folder);
    folder = tmpdir_make();
    fault_init(&fault, io_posix());
    ck_assert_int_eq(write_number(&fault.io, 0), 0);
    ck_assert_int_eq(write_number(&fault.io, 1), 0);
    fault_arm(&fault, FAULT_ALL & ~(unsigned)FAULT_CLOSE, n, EIO, span);
    int rc = write_number(&fault.io, 2);
    bool fired = fault_fired(&fault);
    fault_disarm(&fault);
    ck_assert_int_eq(rc == 0, !fired);
    int found = read_number(&fault.io);
    ck_assert_int_eq(rc == 0 ? found == 2 : found == 1 || found == 2, 1);
    ck_assert_int_eq(write_number(&fault.io, 3), 0);
    ck_assert_int_eq(read_number(&fault.io), 3);
    return fired;
}

START_TEST(a_failure_at_any_call_of_a_write_leaves_the_old_or_the_new_file)
{
    for (int span = FAULT_ONCE; span <= FAULT_FROM_NOW; span++) {
        uint64_t n = 1;
        while (write_with_fault(n, (enum fault_span)span))
            n++;
        ck_assert_uint_gt(n, 5);
    }
}
END_TEST

START_TEST(a_change_that_is_not_written_is_undone_in_the_document)
{
    struct fault fault;
    struct state_doc doc;
    fault_init(&fault, io_posix());
    ck_assert_int_eq(state_doc_open(&doc, &fault.io, folder, "file.json", "table", &e), 0);
    ck_assert_int_eq(state_doc_change(&doc, "a", numbered(1), &e), 0);
    fault_arm(&fault, FAULT_WRITE, 1, ENOSPC, FAULT_FROM_NOW);
    ck_assert_int_eq(state_doc_change(&doc, "b", numbered(2), &e), ERR_NOSPACE);
    ck_assert_int_eq(state_doc_change(&doc, "a", numbered(3), &e), ERR_NOSPACE);
    ck_assert_int_eq(state_doc_change(&doc, "a", NULL, &e), ERR_NOSPACE);
    ck_assert_uint_eq(json_object_size(doc.table), 1);
    json_t *kept = numbered(1);
    ck_assert(json_equal(json_object_get(doc.table, "a"), kept));
    ck_assert_ptr_eq(json_object_get(doc.root, "table"), doc.table);
    json_decref(kept);
    state_doc_close(&doc);
}
END_TEST

START_TEST(each_write_counts_in_the_data_version)
{
    struct state_doc doc;
    ck_assert_int_eq(state_doc_open(&doc, io_posix(), folder, "file.json", "table", &e), 0);
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(state_doc_write(&doc, &e), 0);
        const json_t *version = json_object_get(doc.root, "dataVersion");
        ck_assert_int_eq(json_integer_value(json_object_get(version, "counter")), i);
    }
    state_doc_close(&doc);
}
END_TEST

START_TEST(a_member_of_the_wrong_kind_is_an_error)
{
    struct state_doc doc;
    tmpdir_put(folder, "file.json", "{\"table\":[1]}");
    ck_assert_int_eq(state_doc_open(&doc, io_posix(), folder, "file.json", "table", &e),
                     ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(e.msg, "'table' is not an object"));
}
END_TEST

int main(int argc, char **argv)
{
    data = argc > 1 ? argv[1] : "tests/data";
    Suite *suite = suite_create("state");
    TCase *tc = tcase_create("files");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, bare_integer_keys_are_read);
    tcase_add_test(tc, numbers_that_are_no_keys_and_text_are_left_alone);
    tcase_add_test(tc, broken_text_is_an_error_that_says_where);
    tcase_add_test(tc, very_deep_nesting_is_an_error);
    tcase_add_test(tc, what_rocketmq_wrote_is_read);
    tcase_add_test(tc, an_absent_file_is_not_found);
    tcase_add_test(tc, the_version_before_is_kept_and_used_when_the_file_is_damaged);
    tcase_add_test(tc, a_damaged_file_is_set_aside_and_never_becomes_the_copy);
    tcase_add_test(tc, two_damaged_files_are_an_error_that_names_one);
    tcase_add_test(tc, a_failure_at_any_call_of_a_write_leaves_the_old_or_the_new_file);
    tcase_add_test(tc, a_change_that_is_not_written_is_undone_in_the_document);
    tcase_add_test(tc, each_write_counts_in_the_data_version);
    tcase_add_test(tc, a_member_of_the_wrong_kind_is_an_error);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
