/* Old files of the log go while clients send and receive. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/broker_child.h"
#include "tests/lib/messaging.h"
#include "tests/lib/numbered_body.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_MESSAGES = 40, BODY_BYTES = 100 * 1024 }; /* four MiB: files of one each */

static struct {
    struct broker_child broker;
    struct client *client;
    char *store;
} f;

#define EACH_HOUR "00;01;02;03;04;05;06;07;08;09;10;11;12;13;14;15;16;17;18;19;20;21;22;23"

/* Small files that are old at once. */
static const char *const old_args[] = {"--set", "mappedFileSizeCommitLog=1048576",
                                       "--set", "flushIntervalCommitLog=10",
                                       "--set", "fileReservedTime=0",
                                       "--set", "deleteWhen=" EACH_HOUR,
                                       "--set", "cleanResourceInterval=10",
                                       "--set", "minLongPollingMillis=500",
                                       NULL};

/* The same that keep all. */
static const char *const kept_args[] = {"--set", "mappedFileSizeCommitLog=1048576", "--set",
                                        "minLongPollingMillis=500", NULL};

static void start(const char *const *args)
{
    broker_child_start(&f.broker, f.store, args);
    f.client = messaging_connect(f.broker.endpoint, "c");
}

static void stop(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
}

static void setup(void)
{
    f.store = tmpdir_make();
}

static void teardown(void)
{
    tmpdir_remove(f.store);
}

static const char *body_of(int i)
{
    static char body[BODY_BYTES + 1];
    return numbered_body_make(body, sizeof body, i);
}

static void send_all(void)
{
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    for (int i = 0; i < N_MESSAGES; i++)
        messaging_send_ok(f.client, "T", "TagA", body_of(i));
}

static Sluice__V1__GetStatsResponse *stats(void)
{
    Sluice__V1__GetStatsRequest request = SLUICE__V1__GET_STATS_REQUEST__INIT;
    return messaging_call(f.client, PROTO_GET_STATS, &request.base,
                          &sluice__v1__get_stats_response__descriptor);
}

/* Waits until no file is left that may go. */
static void await_expiry(void)
{
    bool is_over = false;
    while (!is_over) { /* the test's own limit ends it */
        Sluice__V1__GetStatsResponse *s = stats();
        is_over = s->published - s->log_min < 1048576 && s->expired_files >= 3;
        messaging_free(s);
    }
}

static int number_of(const V2(Message) *m)
{
    return numbered_body_number(span_of(m->body.data, m->body.len));
}

/* Receives until nothing comes; the numbers must follow each other to the last. The first of them.
 */
static int receive_rest(const char *group)
{
    const struct messaging_receive r = {
        .topic = "T", .group = group, .invisible_ms = 60000, .polling_ms = 500};
    int first = -1, next = -1;
    for (bool is_over = false; !is_over;) {
        struct messaging_batch b;
        messaging_receive(f.client, &r, &b);
        for (size_t i = 0; i < b.n; i++) {
            int number = number_of(messaging_at(&b, i));
            first = first < 0 ? number : first;
            ck_assert_int_eq(number, next < 0 ? first : next);
            next = number + 1;
        }
        is_over = b.n == 0;
        messaging_batch_free(&b);
    }
    ck_assert_int_eq(next, N_MESSAGES);
    return first;
}

START_TEST(who_comes_late_gets_the_messages_that_are_left)
{
    start(old_args);
    send_all();
    await_expiry();
    int first = receive_rest("G");
    ck_assert_int_gt(first, N_MESSAGES / 2);
    stop();
    start(kept_args);
    ck_assert_int_eq(receive_rest("H"), first);
    Sluice__V1__GetStatsResponse *s = stats();
    ck_assert_uint_eq(s->damaged, 0);
    messaging_free(s);
    messaging_send_ok(f.client, "T", "TagA", "goes on");
    stop();
}
END_TEST

START_TEST(a_message_that_went_while_it_was_hidden_does_not_come_again)
{
    const struct messaging_receive r = {
        .topic = "T", .group = "G", .batch = 2, .invisible_ms = 10000, .polling_ms = 500};
    struct messaging_batch b;
    start(kept_args);
    send_all();
    messaging_receive(f.client, &r, &b);
    ck_assert_uint_eq(b.n, 2);
    stop();
    start(old_args);
    await_expiry();
    /* one is acknowledged as if it were there, the other is left to become visible */
    const char *handle = messaging_at(&b, 0)->system_properties->receipt_handle;
    ck_assert_int_eq(messaging_ack(f.client, "T", "G", handle), CODE(OK));
    messaging_batch_free(&b);
    ck_assert_int_gt(receive_rest("G"), N_MESSAGES / 2);
    stop();
}
END_TEST

START_TEST(files_stay_until_they_are_old)
{
    struct messaging_batch b;
    const struct messaging_receive r = {
        .topic = "T", .group = "G", .batch = 1, .invisible_ms = 10000, .polling_ms = 500};
    static const char *const args[] = {"--set", "mappedFileSizeCommitLog=1048576",
                                       "--set", "flushIntervalCommitLog=10",
                                       "--set", "fileReservedTime=1",
                                       "--set", "deleteWhen=" EACH_HOUR,
                                       "--set", "cleanResourceInterval=10",
                                       NULL};
    start(args);
    send_all();
    stop();
    start(args);
    messaging_receive(f.client, &r, &b);
    ck_assert_int_eq(number_of(messaging_at(&b, 0)), 0);
    messaging_batch_free(&b);
    stop();
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("retention");
    TCase *tc = tcase_create("retention");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, who_comes_late_gets_the_messages_that_are_left);
    tcase_add_test(tc, a_message_that_went_while_it_was_hidden_does_not_come_again);
    tcase_add_test(tc, files_stay_until_they_are_old);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
