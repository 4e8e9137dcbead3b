/* A real broker on a disk that is full, fills up and gets room again, and under which a file of the
 * log is cut: sends fail with a reason, everything else goes on. The disk is a small tmpfs; without
 * the right to mount one those cases are left out, but for root with CI set. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/lib/broker_child.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum {
    FILE_BYTES = 1048576, /* see broker_args */
    BODY_BYTES = 60000,
    SENDS_MAX = 2000,
    EXIT_SKIPPED = 77,
    TRIES = 2000,
};

static const char *const broker_args[] = {
    "--set", "mappedFileSizeCommitLog=1048576", "--set", "mappedFileSizeConsumeQueue=4000",
    "--set", "maxMessageSize=131072",           "--set", "minLongPollingMillis=100",
    NULL};

static struct {
    char *store;
    struct broker_child broker;
    struct client *client;
    char body[BODY_BYTES];
} f;

static void start(void)
{
    broker_child_start(&f.broker, f.store, broker_args);
    f.client = messaging_connect(f.broker.endpoint, NULL);
}

static void stop(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
}

/* The code of a send; `ret_text` receives what the broker says. */
static int32_t send_one(char ret_text[256])
{
    struct messaging_message m = {.topic = "T", .body = f.body, .body_len = sizeof f.body};
    V2(SendMessageResponse) *reply = messaging_send(f.client, &m, 1);
    int32_t code = (int32_t)reply->status->code;
    (void)snprintf(ret_text, 256, "%s", reply->status->message);
    messaging_free(reply);
    return code;
}

/* Receives and acks everything that G has not; how many. */
static size_t consume_all(void)
{
    size_t n = 0;
    struct messaging_batch b;
    struct messaging_receive r = {
        .topic = "T", .group = "G", .batch = 16, .invisible_ms = 60000, .polling_ms = 200};
    do {
        messaging_receive(f.client, &r, &b);
        for (size_t i = 0; i < b.n; i++, n++) {
            const V2(Message) *m = messaging_at(&b, i);
            ck_assert_uint_eq(m->body.len, sizeof f.body);
            ck_assert_int_eq(memcmp(m->body.data, f.body, sizeof f.body), 0);
            ck_assert_int_eq(
                messaging_ack(f.client, "T", "G", m->system_properties->receipt_handle), CODE(OK));
        }
        messaging_batch_free(&b);
    } while (b.code == CODE(OK));
    return n;
}

static void fill_body(void)
{
    for (size_t i = 0; i < sizeof f.body; i++)
        f.body[i] = (char)('a' + i % 23);
}

static Sluice__V1__GetStatsResponse *get_stats(void)
{
    Sluice__V1__GetStatsRequest req = SLUICE__V1__GET_STATS_REQUEST__INIT;
    return messaging_call(f.client, PROTO_GET_STATS, &req.base,
                          &sluice__v1__get_stats_response__descriptor);
}

/* Until every message is in its queue: an undispatched one is lost with its file, and not counted
 * by itself. */
static void wait_for_queues(void)
{
    bool is_done = false;
    for (int i = 0; i < TRIES && !is_done; i++) {
        Sluice__V1__GetStatsResponse *stats = get_stats();
        is_done = stats->dispatched == stats->published;
        messaging_free(stats);
    }
    ck_assert(is_done);
}

/* ---- full ---- */

START_TEST(a_full_disk_refuses_sends_and_serves_the_rest_until_there_is_room)
{
    char text[256];
    size_t n = 0, n_more = 0;
    int32_t code;
    ck_assert_int_eq(mount("none", f.store, "tmpfs", 0, "size=12m"), 0);
    start();
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 2);
    while ((code = send_one(text)) == CODE(OK)) {
        n++;
        ck_assert_uint_lt(n, SENDS_MAX);
    }
    ck_assert_int_eq(code, CODE(INTERNAL_SERVER_ERROR));
    ck_assert_msg(strstr(text, "No space left"), "the broker says '%s'", text);
    ck_assert_uint_gt(n, 50);
    ck_assert_uint_eq(consume_all(), n);

    ck_assert_int_eq(mount("none", f.store, "tmpfs", MS_REMOUNT, "size=32m"), 0);
    for (int i = 0; i < TRIES && n_more == 0; i++)
        n_more += send_one(text) == CODE(OK);
    ck_assert_msg(n_more == 1, "with room again the broker says '%s'", text);
    ck_assert_uint_eq(consume_all(), n_more);
    stop();
    start();
    ck_assert_uint_eq(consume_all(), 0); /* positions were saved */
    stop();
}
END_TEST

START_TEST(a_disk_that_is_full_at_the_start_is_one_clear_error)
{
    static const char *const sizes[] = {"size=4k", "size=8k", "size=12k", "size=1m"};
    const char *const args[] = {"--store", f.store, "--listen", "127.0.0.1:0", NULL};
    ck_assert_int_eq(mount("none", f.store, "tmpfs", 0, sizes[0]), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct broker_run run;
        ck_assert_int_eq(mount("none", f.store, "tmpfs", MS_REMOUNT, sizes[i]), 0);
        broker_child_run(args, &run);
        ck_assert_int_eq(run.status, 1);
        ck_assert_str_eq(run.out, "");
        ck_assert_msg(strstr(run.err, "No space left") && strstr(run.err, f.store),
                      "with %s it says '%s'", sizes[i], run.err);
    }
}
END_TEST

static void make_store(void)
{
    fill_body();
    f.store = tmpdir_make();
}

static void unmount(void)
{
    ck_assert_int_eq(umount(f.store), 0);
    tmpdir_remove(f.store);
}

/* ---- cut ---- */

typedef struct client *(*connect_fn)(const char *endpoint, const char *client_id);

/* Plaintext, where gRPC sends from the mapping, and TLS, which reads it to encrypt. */
static const connect_fn connects[] = {messaging_connect, messaging_connect_tls};

START_TEST(a_log_file_cut_under_the_broker_costs_only_its_own_messages)
{
    char text[256];
    size_t n_first = 0;
    broker_child_start(&f.broker, f.store, broker_args);
    f.client = connects[_i](f.broker.endpoint, NULL);
    messaging_create_topic(f.client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    char *path = tmpdir_path(f.store, "commitlog/00000000000002097152");
    while (access(path, F_OK) != 0 ||
           n_first < FILE_BYTES / BODY_BYTES + 1) { /* one file is full */
        ck_assert_uint_lt(n_first++, SENDS_MAX);
        ck_assert_int_eq(send_one(text), CODE(OK));
    }
    free(path);
    wait_for_queues();
    path = tmpdir_path(f.store, "commitlog/00000000000000000000");
    ck_assert_int_eq(truncate(path, 4096), 0);
    free(path);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(send_one(text), CODE(OK));
    size_t n = consume_all();
    Sluice__V1__GetStatsResponse *stats = get_stats();
    ck_assert_uint_ge(n, 5);
    ck_assert_uint_gt(stats->damaged, 0);
    ck_assert_uint_eq(stats->damaged + n, n_first + 5); /* each came, or is counted */
    ck_assert_uint_eq(stats->bad_files, 1);
    messaging_free(stats);
    client_close(f.client);
    broker_child_kill(&f.broker); /* what is left of the file does not open again */
}
END_TEST

static void remove_store(void)
{
    tmpdir_remove(f.store);
}

/* ---- main ---- */

static bool may_mount(void)
{
    char folder[] = "/tmp/sluice-mount-XXXXXX"; /* tmpdir_make is for tests only */
    bool may = mkdtemp(folder) && mount("none", folder, "tmpfs", 0, "size=4k") == 0;
    if (may)
        (void)umount(folder); /* it is empty */
    (void)rmdir(folder);      /* or was not made */
    return may;
}

static TCase *cut_case(void)
{
    TCase *tc = tcase_create("cut");
    tcase_add_checked_fixture(tc, make_store, remove_store);
    tcase_add_loop_test(tc, a_log_file_cut_under_the_broker_costs_only_its_own_messages, 0,
                        sizeof connects / sizeof connects[0]);
    return tc;
}

static TCase *full_case(void)
{
    TCase *tc = tcase_create("full");
    tcase_add_checked_fixture(tc, make_store, unmount);
    tcase_add_test(tc, a_full_disk_refuses_sends_and_serves_the_rest_until_there_is_room);
    tcase_add_test(tc, a_disk_that_is_full_at_the_start_is_one_clear_error);
    return tc;
}

int main(int argc, char **argv)
{
    Suite *suite = suite_create("broker_disk");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    suite_add_tcase(suite, cut_case());
    bool skips = !may_mount() && !(getenv("CI") && geteuid() == 0);
    if (!skips)
        suite_add_tcase(suite, full_case());
    int status = suite_run(suite);
    if (status == EXIT_SUCCESS && skips) {
        printf("skipped: no right to mount a tmpfs\n");
        return EXIT_SKIPPED;
    }
    return status;
}
