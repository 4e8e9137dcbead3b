/* Tests of the group registry: names, creation, first use, retry policies, the file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/config_folder.h"
#include "tests/lib/fault.h"
#include "tests/lib/suite.h"

static char *folder;
static struct group_table *table;
static struct err e;
static const char *data; /* tests/data */

static void open_table(struct io *io)
{
    ck_assert_msg(group_table_open(&table, folder, /* max_groups = */ 10, io, &e) == 0, "%s",
                  e.msg);
}

static void setup(void)
{
    folder = tmpdir_make();
    open_table(io_posix());
}

static void teardown(void)
{
    group_table_close(table);
    tmpdir_remove(folder);
}

static void reopen(void)
{
    group_table_close(table);
    open_table(io_posix());
}

static int create(const char *name, bool fifo, uint32_t max_attempts)
{
    struct group_info info;
    group_info_init(&info, span_str(name));
    info.fifo = fifo;
    info.max_attempts = max_attempts;
    return group_create(table, &info, &e);
}

static bool has(const char *name)
{
    struct group_info info;
    return group_get(table, span_str(name), &info);
}

static int use(const char *name)
{
    struct group_info info;
    return group_use(table, span_str(name), &info, &e);
}

START_TEST(a_new_group_has_rocketmqs_defaults)
{
    struct group_info info;
    ck_assert_int_eq(group_use(table, span_str("g"), &info, &e), 0);
    ck_assert_str_eq(info.name, "g");
    ck_assert(!info.fifo);
    ck_assert(info.consume_enabled);
    ck_assert_uint_eq(info.max_attempts, 17);
    ck_assert_uint_eq(info.retry.n_steps, 18);
    ck_assert_uint_eq(info.retry.step_ms[0], 1000);
    ck_assert_uint_eq(info.retry.step_ms[17], 7200000);
}
END_TEST

START_TEST(hostile_names_are_refused)
{
    char too_long[GROUP_NAME_MAX + 2];
    memset(too_long, 'g', GROUP_NAME_MAX + 1);
    too_long[GROUP_NAME_MAX + 1] = '\0';
    const char *const hostile[] = {"",     "a b",   "../g", "g\n",    "g@t",
                                   "\xff", "g\x7f", "g.h",  too_long, "CID_RMQ_SYS_x"};
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        ck_assert_int_eq(use(hostile[i]), ERR_INVAL);
        ck_assert_int_eq(create(hostile[i], false, 17), ERR_INVAL);
    }
    too_long[GROUP_NAME_MAX] = '\0';
    ck_assert_int_eq(use(too_long), 0);
}
END_TEST

START_TEST(a_created_group_is_there_after_a_restart)
{
    struct group_info got;
    ck_assert_int_eq(create("g", true, 4), 0);
    reopen();
    ck_assert(group_get(table, span_str("g"), &got));
    ck_assert(got.fifo);
    ck_assert_uint_eq(got.max_attempts, 4);
    ck_assert_uint_eq(got.retry.n_steps, 18);
}
END_TEST

START_TEST(a_group_made_by_its_first_use_is_saved_later)
{
    ck_assert_int_eq(use("g"), 0);
    reopen();
    ck_assert(!has("g"));
    ck_assert_int_eq(use("g"), 0);
    ck_assert_int_eq(group_save(table, &e), 0);
    reopen();
    ck_assert(has("g"));
}
END_TEST

START_TEST(saving_writes_only_what_is_new)
{
    struct fault fault;
    group_table_close(table);
    fault_init(&fault, io_posix());
    open_table(&fault.io);
    ck_assert_int_eq(use("g"), 0);
    fault_arm(&fault, FAULT_WRITE, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(group_save(table, &e), ERR_IO);
    ck_assert_int_eq(group_save(table, &e), 0);
    fault_arm(&fault, FAULT_WRITE, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(group_save(table, &e), 0);
    ck_assert(!fault_fired(&fault));
    reopen();
    ck_assert(has("g"));
}
END_TEST

START_TEST(creating_what_exists_says_what_differs)
{
    ck_assert_int_eq(use("g"), 0);
    ck_assert_int_eq(create("g", false, 17), 0);
    ck_assert_int_eq(create("g", true, 17), ERR_EXISTS);
    ck_assert_str_eq(e.msg, "create group 'g': exists and is not orderly");
    ck_assert_int_eq(create("g", false, 3), ERR_EXISTS);
    ck_assert_str_eq(e.msg, "create group 'g': exists with 17 attempts");
}
END_TEST

START_TEST(attempts_have_their_range)
{
    ck_assert_int_eq(create("g", false, 0), ERR_INVAL);
    ck_assert_int_eq(create("g", false, GROUP_ATTEMPTS_MAX + 1), ERR_INVAL);
    ck_assert_int_eq(create("g", false, 1), 0);
}
END_TEST

START_TEST(there_is_room_for_so_many_groups_and_no_more)
{
    for (int i = 0; i < 10; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "g%d", i);
        ck_assert_int_eq(use(name), 0);
    }
    ck_assert_int_eq(use("more"), ERR_BUSY);
    ck_assert_int_eq(create("more", false, 17), ERR_BUSY);
    ck_assert_int_eq(use("g3"), 0);
}
END_TEST

START_TEST(a_deleted_group_is_gone_saved_or_not)
{
    ck_assert_int_eq(use("unsaved"), 0);
    ck_assert_int_eq(create("saved", false, 17), 0);
    ck_assert_int_eq(group_delete(table, span_str("unsaved"), &e), 0);
    ck_assert_int_eq(group_delete(table, span_str("saved"), &e), 0);
    ck_assert_int_eq(group_delete(table, span_str("saved"), &e), ERR_NOTFOUND);
    ck_assert_int_eq(group_save(table, &e), 0);
    reopen();
    ck_assert(!has("unsaved"));
    ck_assert(!has("saved"));
}
END_TEST

START_TEST(groups_are_listed_by_name)
{
    struct group_info *list;
    size_t n;
    ck_assert_int_eq(use("b"), 0);
    ck_assert_int_eq(create("a", true, 2), 0);
    ck_assert_int_eq(group_list(table, &list, &n, &e), 0);
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(list[0].name, "a");
    ck_assert_str_eq(list[1].name, "b");
    free(list);
}
END_TEST

START_TEST(what_rocketmq_wrote_is_served)
{
    struct group_info got;
    group_table_close(table);
    config_folder_copy(folder, data, "subscriptionGroup.json");
    ck_assert_int_eq(group_table_open(&table, folder, 1000, io_posix(), &e), 0);
    ck_assert(group_get(table, span_str("g_fifo"), &got));
    ck_assert(got.fifo);
    ck_assert_uint_eq(got.max_attempts, 6);
    ck_assert(group_get(table, span_str("g_lag"), &got));
    ck_assert(!got.fifo);
    ck_assert_uint_eq(got.max_attempts, 17);
    ck_assert_uint_eq(got.retry.n_steps, 18);
}
END_TEST

START_TEST(retry_policies_are_read_and_kept)
{
    struct group_info got;
    tmpdir_put(folder, "subscriptionGroup.json",
               "{\"subscriptionGroupTable\":{"
               "\"steps\":{\"groupRetryPolicy\":{\"type\":\"CUSTOMIZED\","
               "\"customizedRetryPolicy\":{\"next\":[5,-1,7]}}},"
               "\"exp\":{\"groupRetryPolicy\":{\"type\":\"EXPONENTIAL\",\"exponentialRetryPolicy\":"
               "{\"initial\":10,\"max\":900,\"multiplier\":3}}},\"bad\":7,"
               "\"odd\":{\"retryMaxTimes\":99999999,\"groupRetryPolicy\":[]}}}");
    reopen();
    ck_assert(group_get(table, span_str("steps"), &got));
    ck_assert_uint_eq(got.retry.n_steps, 3);
    ck_assert_uint_eq(got.retry.step_ms[0], 5);
    ck_assert_uint_eq(got.retry.step_ms[1], 0);
    ck_assert(group_get(table, span_str("exp"), &got));
    ck_assert_int_eq(got.retry.kind, GROUP_RETRY_EXPONENTIAL);
    ck_assert_uint_eq(got.retry.initial_ms, 10);
    ck_assert_uint_eq(got.retry.max_ms, 900);
    ck_assert_uint_eq(got.retry.multiplier, 3);
    ck_assert(!has("bad"));
    ck_assert(group_get(table, span_str("odd"), &got));
    ck_assert_uint_eq(got.max_attempts, GROUP_ATTEMPTS_MAX);
    ck_assert_uint_eq(got.retry.n_steps, 18);
}
END_TEST

START_TEST(a_policy_given_at_creation_comes_back)
{
    struct group_info info, got;
    group_info_init(&info, span_str("g"));
    info.retry = (struct group_retry){
        .kind = GROUP_RETRY_EXPONENTIAL, .initial_ms = 10, .max_ms = 1000, .multiplier = 2};
    ck_assert_int_eq(group_create(table, &info, &e), 0);
    reopen();
    ck_assert(group_get(table, span_str("g"), &got));
    ck_assert_int_eq(got.retry.kind, GROUP_RETRY_EXPONENTIAL);
    ck_assert_uint_eq(got.retry.initial_ms, 10);
    ck_assert_uint_eq(got.retry.multiplier, 2);
}
END_TEST

/* Creates one group and deletes another with the n-th call failing. */
static bool change_with_fault(uint64_t n)
{
    struct fault fault;
    teardown();
    folder = tmpdir_make();
    fault_init(&fault, io_posix());
    open_table(&fault.io);
    ck_assert_int_eq(create("old", false, 17), 0);
    fault_arm(&fault, FAULT_ALL & ~(unsigned)FAULT_CLOSE, n, EIO, FAULT_FROM_NOW);
    int created = create("new", false, 17);
    int deleted = group_delete(table, span_str("old"), &e);
    bool fired = fault_fired(&fault);
    fault_disarm(&fault);
    ck_assert_int_eq(has("new"), created == 0);
    ck_assert_int_eq(has("old"), deleted != 0);
    reopen();
    ck_assert(created != 0 || has("new"));
    ck_assert(deleted != 0 || !has("old"));
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
    Suite *suite = suite_create("group");
    TCase *tc = tcase_create("groups");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_new_group_has_rocketmqs_defaults);
    tcase_add_test(tc, hostile_names_are_refused);
    tcase_add_test(tc, a_created_group_is_there_after_a_restart);
    tcase_add_test(tc, a_group_made_by_its_first_use_is_saved_later);
    tcase_add_test(tc, saving_writes_only_what_is_new);
    tcase_add_test(tc, creating_what_exists_says_what_differs);
    tcase_add_test(tc, attempts_have_their_range);
    tcase_add_test(tc, there_is_room_for_so_many_groups_and_no_more);
    tcase_add_test(tc, a_deleted_group_is_gone_saved_or_not);
    tcase_add_test(tc, groups_are_listed_by_name);
    tcase_add_test(tc, what_rocketmq_wrote_is_served);
    tcase_add_test(tc, retry_policies_are_read_and_kept);
    tcase_add_test(tc, a_policy_given_at_creation_comes_back);
    tcase_add_test(tc, a_failure_at_any_call_changes_nothing_in_memory);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
