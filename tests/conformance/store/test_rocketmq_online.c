/* Stores that sluiced wrote, served by RocketMQ's own broker to its own client, and the other way.
 * Usage: test_rocketmq_online SLUICED FIXTURES PROBE-COMMAND. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/conformance/store/our_side.h"
#include "tests/conformance/store/probe.h"
#include "tests/conformance/store/sent.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"

enum {
    N_SENT = 3000,
    N_APPENDED = 200,
    COMPRESSED_EACH = 8, /* as in BrokerProbe.java */
    N_COMPRESSED = N_APPENDED / COMPRESSED_EACH,
    EXIT_SKIPPED = 77,
};

static const char *fixtures;

static struct {
    struct our_side ours;
    struct our_side_received received;
} f;

static void setup(void)
{
    f.received = (struct our_side_received){0};
    our_side_init(&f.ours);
}

static void teardown(void)
{
    our_side_fini(&f.ours);
}

/* ---- RocketMQ's turn ---- */

/* Prints the names with blanks between them, to be freed. */
static char *join(const char *const *topics)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    for (size_t i = 0; topics[i]; i++)
        ck_assert_int_gt(fprintf(out, " %s", topics[i]), 0);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

/* One run of RocketMQ's servers on the store, which appends N_APPENDED messages to the first topic.
 */
struct turn {
    int log_file_bytes, queue_file_bytes;
    const char *group;
    const char *const *topics;
};

/* How many messages its consumer got that were not sent here; each that was must be as it was. The
 * store must be closed cleanly. */
static size_t take_turn(const struct turn *t)
{
    struct probe p;
    size_t n_others = 0;
    char *topics = join(t->topics);
    probe_start(&p, "'%s' %d %d %s %d %s", f.ours.root, t->log_file_bytes, t->queue_file_bytes,
                t->group, N_APPENDED, topics);
    for (json_t *line; (line = probe_next(&p)); json_decref(line))
        n_others += !sent_find(&f.ours.sent, line);
    free(topics);
    ck_assert(!our_side_has_abort_file(&f.ours));
    return n_others;
}

/* ---- the cases ---- */

START_TEST(either_broker_serves_what_both_appended)
{
    const struct turn turn = {.log_file_bytes = OUR_LOG_FILE_BYTES,
                              .queue_file_bytes = OUR_QUEUE_FILE_BYTES,
                              .group = "Theirs",
                              .topics = sent_topics};
    our_side_publish(&f.ours, N_SENT);
    our_side_stop(&f.ours);
    ck_assert_uint_eq(take_turn(&turn), N_APPENDED);
    sent_expect_all(&f.ours.sent);
    our_side_start(&f.ours, our_options);
    for (size_t i = 0; sent_topics[i]; i++)
        our_side_receive(&f.ours, sent_topics[i], "Ours", &f.received);
    our_side_stop(&f.ours);
    sent_expect_all(&f.ours.sent);
    ck_assert_uint_eq(f.received.n_appended, N_APPENDED);
    ck_assert_uint_eq(f.received.n_compressed, N_COMPRESSED);
    ck_assert_uint_eq(f.received.n_others, 0);
}
END_TEST

START_TEST(both_append_to_a_store_of_rocketmqs_in_turn)
{
    static const char *const topics[] = {"AppendTopic", NULL};
    const struct turn turn = {.log_file_bytes = FIXTURE_LOG_FILE_BYTES,
                              .queue_file_bytes = FIXTURE_QUEUE_FILE_BYTES,
                              .group = "Theirs",
                              .topics = topics};
    our_side_take(&f.ours, fixtures, "appendable"); /* it has one message */
    our_side_start(&f.ours, fixture_options);
    sent_publish_to(&f.ours.sent, f.ours.client, "AppendTopic", 800);
    our_side_stop(&f.ours);
    ck_assert_uint_eq(take_turn(&turn), 1 + N_APPENDED);
    sent_expect_all(&f.ours.sent);
    our_side_start(&f.ours, fixture_options);
    our_side_receive(&f.ours, "AppendTopic", "Ours", &f.received);
    our_side_stop(&f.ours);
    sent_expect_all(&f.ours.sent);
    ck_assert_uint_eq(f.received.n_appended, N_APPENDED);
    ck_assert_uint_eq(f.received.n_others, 1);
}
END_TEST

/* ---- positions ---- */

static void receive_and_ack(const char *topic, const char *group, int n)
{
    struct messaging_batch b;
    const V2(Message) *messages[MESSAGING_BATCH_MAX];
    struct messaging_receive receive = {
        .topic = topic, .group = group, .batch = n, .invisible_ms = 60000, .polling_ms = 5000};
    messaging_receive(f.ours.client, &receive, &b);
    ck_assert_uint_eq(b.n, (size_t)n);
    for (size_t i = 0; i < b.n; i++) {
        const V2(Message) *m = messages[i] = messaging_at(&b, i);
        ck_assert(sent_find_id(&f.ours.sent, m->system_properties->message_id, m->body.data,
                               m->body.len));
    }
    V2(AckMessageResponse) *reply = messaging_try_ack(f.ours.client, topic, group, messages, b.n);
    ck_assert_ptr_nonnull(reply);
    ck_assert_int_eq(reply->status->code, CODE(OK));
    messaging_free(reply);
    messaging_batch_free(&b);
}

/* Ours, theirs, ours: the group gets each message in one of the three turns, and no other. */
START_TEST(a_group_goes_on_where_it_stood_at_the_other_broker)
{
    static const char *const topics[] = {"One", NULL};
    const struct turn turn = {.log_file_bytes = OUR_LOG_FILE_BYTES,
                              .queue_file_bytes = OUR_QUEUE_FILE_BYTES,
                              .group = "Slow",
                              .topics = topics};
    our_side_start(&f.ours, our_options);
    sent_make_topics(f.ours.client);
    sent_publish_to(&f.ours.sent, f.ours.client, "One", 64);
    receive_and_ack("One", "Slow", 10);
    our_side_stop(&f.ours);
    ck_assert_uint_eq(take_turn(&turn), N_APPENDED);
    our_side_start(&f.ours, our_options);
    sent_publish_to(&f.ours.sent, f.ours.client, "One", 64);
    our_side_receive(&f.ours, "One", "Slow", &f.received);
    our_side_stop(&f.ours);
    sent_expect_all(&f.ours.sent);
    ck_assert_uint_eq(f.received.n_appended + f.received.n_others, 0);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc < 4)
        return EXIT_SKIPPED;
    Suite *suite = suite_create("rocketmq_online");
    TCase *tc = tcase_create("rocketmq_online");
    broker_child_use(argv[1]);
    fixtures = argv[2];
    probe_use(argv[3]);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, either_broker_serves_what_both_appended);
    if (access(fixtures, R_OK) == 0) /* they are beside the source tree, or not */
        tcase_add_test(tc, both_append_to_a_store_of_rocketmqs_in_turn);
    tcase_add_test(tc, a_group_goes_on_where_it_stood_at_the_other_broker);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
