/* sluiced's command line, and what can stop a start: one clear line each. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "tests/lib/broker_child.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static struct {
    const char *sluiced;
    char *store;
    struct broker_run run;
} f;

static void setup(void)
{
    f.store = tmpdir_make();
}

static void teardown(void)
{
    tmpdir_remove(f.store);
}

/* Standard error without log lines: it must be one line that holds `text`. */
static void expect_one_line(const char *text)
{
    size_t n = 0;
    char *rest = NULL;
    for (char *line = strtok_r(f.run.err, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strstr(line, "Z INFO "))
            continue;
        ck_assert_msg(strstr(line, text) != NULL, "'%s' is not in '%s'", text, line);
        n++;
    }
    ck_assert_uint_eq(n, 1);
}

static void run(int status, const char *const *args)
{
    broker_child_run(args, &f.run);
    ck_assert_msg(f.run.status == status, "status %d, not %d: %s", f.run.status, status, f.run.err);
}

/* A start on the store of this test that must fail. */
static void expect_failure(const char *text)
{
    const char *const args[] = {"--store",     f.store, "--listen",
                                "127.0.0.1:0", "--set", "mappedFileSizeCommitLog=33554432",
                                NULL};
    run(1, args);
    expect_one_line(text);
    ck_assert_str_eq(f.run.out, "");
}

/* ---- the command line ---- */

START_TEST(help_goes_to_stdout)
{
    const char *const args[] = {"--help", NULL};
    run(0, args);
    ck_assert_ptr_nonnull(strstr(f.run.out, "--store DIR"));
    ck_assert_str_eq(f.run.err, "");
}
END_TEST

START_TEST(a_mistake_is_one_line_that_names_the_option)
{
    static const struct {
        const char *args[4];
        const char *text;
    } cases[] = {
        {{NULL}, "--store"},
        {{"--listen", "127.0.0.1:0", NULL}, "--store"},
        {{"--store", "", NULL}, "--store"},
        {{"--nonsense", NULL}, "--nonsense"},
        {{"--store", NULL}, "--store"},
        {{"--listen", NULL}, "--listen"},
        {{"--store", "x", "stray", NULL}, "stray"},
        {{"--store=x", "--listen", "nowhere", NULL}, "listen"},
        {{"--store=x", "--set", "flushIntervalCommitLog", NULL}, "flushIntervalCommitLog"},
        {{"--store=x", "--set", "flushIntervalCommitLog=soon", NULL}, "flushIntervalCommitLog"},
        {{"--store=x", "--set", "noSuchOption=1", NULL}, "noSuchOption"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run(2, cases[i].args);
        expect_one_line(cases[i].text);
    }
}
END_TEST

START_TEST(a_configuration_file_must_name_the_store_when_the_command_line_does_not)
{
    char text[512];
    char *path = tmpdir_path(f.store, "broker.conf");
    const char *const args[] = {"-c", path, "--listen", "127.0.0.1:0", NULL};
    tmpdir_put(f.store, "broker.conf", "brokerName=b\n");
    run(2, args);
    expect_one_line("storePathRootDir");
    tmpdir_put(f.store, "file", "x");
    (void)snprintf(text, sizeof text, "storePathRootDir=%s/file\n", f.store);
    tmpdir_put(f.store, "broker.conf", text);
    run(1, args);
    expect_one_line("/file");
    free(path);
}
END_TEST

START_TEST(a_certificate_that_cannot_be_read_is_named)
{
    const char *const args[] = {"--store",  f.store,
                                "--listen", "127.0.0.1:0",
                                "--set",    "mappedFileSizeCommitLog=33554432",
                                "--set",    "tls.server.certPath=/nowhere/cert.pem",
                                "--set",    "tls.server.keyPath=/nowhere/key.pem",
                                NULL};
    run(1, args);
    expect_one_line("/nowhere/cert.pem");
}
END_TEST

static int dial(const struct broker_child *broker)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((uint16_t)atoi(strrchr(broker->endpoint, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

START_TEST(a_connection_over_their_limit_is_closed)
{
    struct broker_child broker;
    char byte;
    const char *const args[] = {"--set", "maxConnections=1", NULL};
    broker_child_start(&broker, f.store, args);
    int first = dial(&broker);
    int second = dial(&broker);
    struct pollfd waiting = {.fd = second, .events = POLLIN};
    ck_assert_int_eq(poll(&waiting, 1, 5000), 1);
    ck_assert_int_le(read(second, &byte, 1), 0);
    (void)close(second);
    (void)close(first);
    ck_assert_int_eq(broker_child_stop(&broker), 0);
}
END_TEST

START_TEST(a_missing_configuration_file_is_named)
{
    const char *const args[] = {"--store", f.store, "-c", "/nowhere/broker.conf", NULL};
    run(1, args);
    expect_one_line("/nowhere/broker.conf");
}
END_TEST

static void expect_made_by_route(struct client *client, const char *name)
{
    V2(Resource) topic = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    V2(QueryRouteRequest) req = APACHE__ROCKETMQ__V2__QUERY_ROUTE_REQUEST__INIT;
    topic.name = (char *)name;
    req.topic = &topic;
    V2(QueryRouteResponse) *reply =
        messaging_call(client, PROTO_QUERY_ROUTE, &req.base,
                       &apache__rocketmq__v2__query_route_response__descriptor);
    ck_assert_int_eq(reply->status->code, CODE(OK));
    messaging_free(reply);
}

static void expect_made_by_receive(struct client *client, const char *name)
{
    struct messaging_batch b;
    struct messaging_receive r = {
        .topic = name, .group = "G", .invisible_ms = 10000, .polling_ms = 20000};
    struct client_stream *waiting = messaging_receive_start(client, &r);
    messaging_send_ok(client, name, NULL, "x");
    messaging_receive_end(waiting, &b);
    ck_assert_uint_eq(b.n, 1);
    messaging_batch_free(&b);
}

START_TEST(a_configuration_file_is_read)
{
    struct broker_child broker;
    char *path = tmpdir_path(f.store, "broker.conf");
    const char *const args[] = {"-c", path, NULL};
    tmpdir_put(f.store, "broker.conf", "autoCreateTopicEnable=true\nbrokerName=sluice-7\n");
    broker_child_start(&broker, f.store, args);
    struct client *client = messaging_connect(broker.endpoint, "c");
    messaging_send_ok(client, "MadeOnFirstUse", NULL, "x");
    expect_made_by_route(client, "MadeByRoute");
    expect_made_by_receive(client, "MadeByReceive");
    client_close(client);
    ck_assert_int_eq(broker_child_stop(&broker), 0);
    free(path);
}
END_TEST

START_TEST(a_silent_telemetry_stream_does_not_hold_up_the_stop)
{
    struct broker_child broker;
    struct err e;
    struct span bytes;
    struct client_stream *silent;
    struct io *io = io_posix();
    static const char *const args[] = {"--set", "stopGraceMillis=60000", NULL};
    broker_child_start(&broker, f.store, args);
    struct client *client = messaging_connect(broker.endpoint, "c");
    ck_assert_int_eq(client_stream_open(&silent, client, PROTO_TELEMETRY, CLIENT_FOREVER, &e), 0);
    messaging_create_topic(client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1); /* it is there */
    uint64_t began_ns = io->mono_ns(io);
    ck_assert_int_eq(broker_child_stop(&broker), 0);
    ck_assert_uint_lt((io->mono_ns(io) - began_ns) / 1000000, 30000);
    ck_assert_int_eq(client_stream_next(silent, MESSAGING_CALL_MS, &bytes), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_status(silent, /* ret_text = */ NULL), CLIENT_OK);
    client_stream_close(silent);
    client_close(client);
}
END_TEST

START_TEST(sigterm_ends_it_with_0_even_while_clients_wait)
{
    struct broker_child broker;
    struct messaging_batch b;
    struct messaging_receive r = {
        .topic = "T", .group = "G", .invisible_ms = 10000, .polling_ms = 20000};
    broker_child_start(&broker, f.store, /* args = */ NULL);
    struct client *client = messaging_connect(broker.endpoint, "c");
    messaging_create_topic(client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    struct client_stream *waiting = messaging_receive_start(client, &r);
    messaging_send_ok(client, "T", NULL, "x"); /* a whole call later the receive is there too */
    messaging_receive_end(waiting, &b);
    messaging_batch_free(&b);
    waiting = messaging_receive_start(client, &r);
    messaging_create_topic(client, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    ck_assert_int_eq(broker_child_stop(&broker), 0);
    messaging_receive_end(waiting, &b);
    ck_assert_uint_eq(b.n, 0);
    client_close(client);
}
END_TEST

/* ---- what can stop a start ---- */

START_TEST(a_store_in_use_is_named)
{
    struct broker_child broker;
    broker_child_start(&broker, f.store, /* args = */ NULL);
    expect_failure(f.store);
    ck_assert_int_eq(broker_child_stop(&broker), 0);
}
END_TEST

START_TEST(a_port_in_use_is_named)
{
    struct broker_child broker;
    char *other = tmpdir_make();
    broker_child_start(&broker, f.store, /* args = */ NULL);
    const char *const args[] = {
        "--store", other, "--listen", broker.endpoint, "--set", "mappedFileSizeCommitLog=33554432",
        NULL};
    run(1, args);
    expect_one_line(broker.endpoint);
    ck_assert_int_eq(broker_child_stop(&broker), 0);
    tmpdir_remove(other);
}
END_TEST

START_TEST(a_foreign_file_among_the_log_files_is_named)
{
    tmpdir_put(f.store, "commitlog/notes.txt", "not a log file");
    expect_failure("notes.txt");
}
END_TEST

START_TEST(a_log_file_of_another_length_is_named)
{
    tmpdir_put(f.store, "commitlog/00000000000000000000", "");
    char *path = tmpdir_path(f.store, "commitlog/00000000000000000000");
    ck_assert_int_eq(truncate(path, 2 * 33554432), 0);
    free(path);
    expect_failure("00000000000000000000");
}
END_TEST

START_TEST(damaged_topics_are_named)
{
    tmpdir_put(f.store, "config/topics.json", "{ not json");
    expect_failure("topics.json");
}
END_TEST

START_TEST(a_store_path_that_is_a_file_is_named)
{
    tmpdir_put(f.store, "file", "x");
    char *path = tmpdir_path(f.store, "file");
    const char *const args[] = {"--store", path, "--listen", "127.0.0.1:0", NULL};
    run(1, args);
    expect_one_line(path);
    free(path);
}
END_TEST

/* A file system of 8 MiB in a mount name space of the child's own. */
static const char in_small_space[] =
    "mount -t tmpfs -o size=8m tmpfs \"$0\" 2>/dev/null || { echo refused; exit 77; }; exec \"$@\"";

START_TEST(a_full_disk_is_named)
{
    const char *const args[] = {
        "-rm",     "sh",    "-c",       in_small_space, f.store, f.sluiced,
        "--store", f.store, "--listen", "127.0.0.1:0",  "--set", "mappedFileSizeCommitLog=33554432",
        NULL};
    broker_child_use("/usr/bin/unshare");
    broker_child_run(args, &f.run);
    broker_child_use(f.sluiced);
    if (!strstr(f.run.err, "sluiced"))
        return; /* no name spaces for us here: it never ran */
    ck_assert_int_eq(f.run.status, 1);
    expect_one_line("No space left on device");
}
END_TEST

int main(int argc, char **argv)
{
    f.sluiced = argc > 1 ? argv[1] : NULL;
    Suite *suite = suite_create("start");
    TCase *tc = tcase_create("start");
    broker_child_use(f.sluiced);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, help_goes_to_stdout);
    tcase_add_test(tc, a_mistake_is_one_line_that_names_the_option);
    tcase_add_test(tc, a_configuration_file_must_name_the_store_when_the_command_line_does_not);
    tcase_add_test(tc, a_certificate_that_cannot_be_read_is_named);
    tcase_add_test(tc, a_connection_over_their_limit_is_closed);
    tcase_add_test(tc, a_missing_configuration_file_is_named);
    tcase_add_test(tc, a_configuration_file_is_read);
    tcase_add_test(tc, a_silent_telemetry_stream_does_not_hold_up_the_stop);
    tcase_add_test(tc, sigterm_ends_it_with_0_even_while_clients_wait);
    tcase_add_test(tc, a_store_in_use_is_named);
    tcase_add_test(tc, a_port_in_use_is_named);
    tcase_add_test(tc, a_foreign_file_among_the_log_files_is_named);
    tcase_add_test(tc, a_log_file_of_another_length_is_named);
    tcase_add_test(tc, damaged_topics_are_named);
    tcase_add_test(tc, a_store_path_that_is_a_file_is_named);
    tcase_add_test(tc, a_full_disk_is_named);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
