/* Receipt handles that were not given out, against a real sluiced: cut anywhere, changed anywhere,
 * of another group, topic or broker, they are refused by every call that takes one, before a stop
 * and after it, and do nothing to the message. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/broker_child.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { HANDLE_MAX = 256 };

static struct {
    struct broker_child broker;
    struct client *client;
    char *store;
} f;

static void start(void)
{
    broker_child_start(&f.broker, f.store, /* args = */ NULL);
    f.client = messaging_connect(f.broker.endpoint, "forger");
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    messaging_create_topic(f.client, "U", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
}

static void stop(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
}

static void setup(void)
{
    f.store = tmpdir_make();
    start();
}

static void teardown(void)
{
    stop();
    tmpdir_remove(f.store);
}

/* One message of the topic, delivered to the group for ten minutes: its handle. */
static void deliver(const char *topic, const char *group, char handle[HANDLE_MAX])
{
    struct messaging_batch b;
    struct messaging_receive r = {
        .topic = topic, .group = group, .batch = 1, .invisible_ms = 600000, .polling_ms = 5000};
    messaging_send_ok(f.client, topic, NULL, "x");
    messaging_receive(f.client, &r, &b);
    ck_assert_uint_eq(b.n, 1);
    int n =
        snprintf(handle, HANDLE_MAX, "%s", messaging_at(&b, 0)->system_properties->receipt_handle);
    ck_assert_int_lt(n, HANDLE_MAX);
    messaging_batch_free(&b);
}

/* By every call that takes one. */
static void expect_refused(const char *topic, const char *group, const char *handle)
{
    ck_assert_msg(messaging_ack(f.client, topic, group, handle) == CODE(INVALID_RECEIPT_HANDLE),
                  "ack took '%s'", handle);
    ck_assert_msg(messaging_change(f.client, topic, group, handle, 20000, NULL) ==
                      CODE(INVALID_RECEIPT_HANDLE),
                  "change took '%s'", handle);
    ck_assert_msg(messaging_forward(f.client, topic, group, handle) == CODE(INVALID_RECEIPT_HANDLE),
                  "forward took '%s'", handle);
}

static void expect_every_change_refused(const char *good)
{
    size_t len = strlen(good);
    char bad[HANDLE_MAX];
    for (size_t i = 0; i < len; i++) {
        memcpy(bad, good, len + 1);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        expect_refused("T", "G", bad);
        memcpy(bad, good, len + 1);
        bad[i] = '\0';
        expect_refused("T", "G", bad);
    }
}

START_TEST(a_handle_changed_or_cut_anywhere_is_refused_before_a_stop_and_after_it)
{
    char handle[HANDLE_MAX];
    deliver("T", "G", handle);
    expect_every_change_refused(handle);
    stop();
    start();
    expect_every_change_refused(handle);
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", handle), CODE(OK)); /* they did nothing */
}
END_TEST

START_TEST(a_handle_of_another_topic_or_group_is_refused)
{
    char handle[HANDLE_MAX], other_topic[HANDLE_MAX], other_group[HANDLE_MAX];
    deliver("T", "G", handle);
    deliver("U", "G", other_topic);
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", handle), CODE(OK));
    deliver("T", "H", other_group); /* H begins with the first message */
    expect_refused("T", "G", other_topic);
    expect_refused("T", "G", other_group);
    ck_assert_int_eq(messaging_ack(f.client, "U", "G", other_topic), CODE(OK));
    ck_assert_int_eq(messaging_ack(f.client, "T", "H", other_group), CODE(OK));
}
END_TEST

START_TEST(a_handle_of_another_broker_is_refused)
{
    char foreign[HANDLE_MAX], own[HANDLE_MAX];
    deliver("T", "G", foreign);
    stop();
    tmpdir_remove(f.store);
    setup();
    deliver("T", "G", own); /* the same message at the same place */
    expect_refused("T", "G", foreign);
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", own), CODE(OK));
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("handles");
    TCase *tc = tcase_create("handles");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_handle_changed_or_cut_anywhere_is_refused_before_a_stop_and_after_it);
    tcase_add_test(tc, a_handle_of_another_topic_or_group_is_refused);
    tcase_add_test(tc, a_handle_of_another_broker_is_refused);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
