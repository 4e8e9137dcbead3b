/* Five hundred receives that wait at once, against a real sluiced: each ends at its time and not
 * before, or with a message that no other gets, and they take no threads. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "tests/lib/broker_child.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_PARKED = 500, SHORT_MS = 3000, LONG_MS = 20000, FEW_THREADS = 8 };

static struct {
    struct broker_child broker;
    struct client *client;
    char *store;
} f;

static void setup(void)
{
    static const char *const args[] = {"--set", "minLongPollingMillis=500", NULL};
    f.store = tmpdir_make();
    broker_child_start(&f.broker, f.store, args);
    f.client = messaging_connect(f.broker.endpoint, "crowd");
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 4);
}

static void teardown(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    tmpdir_remove(f.store);
}

static unsigned n_threads(void)
{
    char path[64], line[256];
    unsigned n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)f.broker.pid);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (n == 0 && fgets(line, sizeof line, file))
        (void)sscanf(line, "Threads: %u", &n);
    (void)fclose(file);
    ck_assert_uint_gt(n, 0);
    return n;
}

static uint64_t now_ms(void)
{
    struct io *io = io_posix();
    return io->mono_ns(io) / 1000000;
}

struct parked {
    struct client_stream *stream;
    uint64_t started_ms, answered_ms; /* answered: 0 as long as it waits */
};

static void park(struct parked *all, int64_t polling_ms)
{
    struct messaging_receive r = {
        .topic = "T", .group = "G", .batch = 1, .invisible_ms = 600000, .polling_ms = polling_ms};
    for (int i = 0; i < N_PARKED; i++) {
        all[i] = (struct parked){.started_ms = now_ms()};
        all[i].stream = messaging_receive_start(f.client, &r);
    }
}

/* Looks at each until the first part of every answer is there. */
static void await_answers(struct parked *all)
{
    int n_left = N_PARKED;
    while (n_left > 0) { /* the test's own limit ends it */
        for (int i = 0; i < N_PARKED; i++) {
            struct span part;
            if (all[i].answered_ms > 0)
                continue;
            if (client_stream_next(all[i].stream, /* wait_ms = */ 0, &part) == CLIENT_WAITING)
                continue;
            all[i].answered_ms = now_ms();
            n_left--;
        }
    }
}

START_TEST(each_ends_at_its_time_and_none_before)
{
    static struct parked all[N_PARKED];
    unsigned before = n_threads();
    park(all, SHORT_MS);
    ck_assert_uint_lt(n_threads(), before + FEW_THREADS); /* gRPC may start one of its own */
    await_answers(all);
    for (int i = 0; i < N_PARKED; i++) {
        struct messaging_batch rest;
        uint64_t took_ms = all[i].answered_ms - all[i].started_ms;
        ck_assert_uint_ge(took_ms, SHORT_MS - 1); /* both ends cut to milliseconds */
        messaging_receive_end(all[i].stream, &rest);
        ck_assert_int_eq(rest.end_status, CLIENT_OK); /* not the client's deadline */
        ck_assert_uint_eq(rest.n, 0);
    }
}
END_TEST

START_TEST(each_gets_a_message_that_no_other_gets)
{
    static struct parked all[N_PARKED];
    static unsigned counts[N_PARKED];
    park(all, LONG_MS);
    for (int i = 0; i < N_PARKED; i++) {
        char body[16];
        (void)snprintf(body, sizeof body, "%d", i);
        messaging_send_ok(f.client, "T", NULL, body);
    }
    for (int i = 0; i < N_PARKED; i++) {
        struct messaging_batch b;
        messaging_receive_end(all[i].stream, &b);
        ck_assert_msg(b.code == CODE(OK) && b.n == 1, "receive %d: %s", i, b.text);
        const V2(Message) *m = messaging_at(&b, 0);
        char body[16] = "";
        ck_assert_uint_lt(m->body.len, sizeof body);
        memcpy(body, m->body.data, m->body.len);
        unsigned long number = strtoul(body, NULL, 10);
        ck_assert_uint_lt(number, N_PARKED);
        counts[number]++;
        messaging_batch_free(&b);
    }
    for (int i = 0; i < N_PARKED; i++)
        ck_assert_uint_eq(counts[i], 1);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("parked");
    TCase *tc = tcase_create("parked");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, each_ends_at_its_time_and_none_before);
    tcase_add_test(tc, each_gets_a_message_that_no_other_gets);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
