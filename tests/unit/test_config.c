/* Tests of the options: defaults, parsing, RocketMQ's names, errors that say where, the manual. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/config.h"

#include <stdlib.h>
#include <string.h>

#include "store/store.h"
#include "tests/lib/config_folder.h"
#include "tests/lib/suite.h"

static char *folder;
static struct config cfg;
static struct err e;
static const char *data; /* tests/data */

static void setup(void)
{
    folder = tmpdir_make();
    config_init(&cfg);
}

static void teardown(void)
{
    tmpdir_remove(folder);
}

static int read_text(const char *text)
{
    char *path = tmpdir_path(folder, "broker.conf");
    tmpdir_put(folder, "broker.conf", text);
    int rc = config_read_file(&cfg, io_posix(), path, &e);
    free(path);
    return rc;
}

START_TEST(defaults_pass_the_check)
{
    ck_assert_msg(config_check(&cfg, &e) == 0, "%s", e.msg);
    ck_assert_str_eq(cfg.broker_name, "broker-a");
    ck_assert_uint_eq(cfg.log_file_bytes, 1 << 30);
    ck_assert_uint_eq(cfg.max_message_bytes, 4 << 20);
    ck_assert_uint_eq(cfg.log_level, LOG_INFO);
    ck_assert(cfg.auto_create_groups);
}
END_TEST

START_TEST(topics_are_not_created_by_use_unless_the_file_says_so)
{
    ck_assert(!cfg.auto_create_topics);
    ck_assert_int_eq(read_text("brokerName=b\n"), 0);
    ck_assert(!cfg.auto_create_topics);
    ck_assert_int_eq(read_text("autoCreateTopicEnable=true\n"), 0);
    ck_assert(cfg.auto_create_topics);
}
END_TEST

START_TEST(a_broker_conf_of_rocketmq_is_read)
{
    ck_assert_msg(read_text("# Licensed\n"
                            "brokerClusterName = DefaultCluster\n"
                            "brokerName = broker-x\n"
                            "brokerId = 0\n"
                            "deleteWhen = 04\n"
                            "fileReservedTime = 48\n"
                            "brokerRole = ASYNC_MASTER\n"
                            "flushDiskType = SYNC_FLUSH\r\n"
                            "namesrvAddr=127.0.0.1:9876;127.0.0.2:9876\n"
                            "mappedFileSizeCommitLog=262144\n"
                            "\n"
                            "storePathRootDir=/data/rocketmq store\n") == 0,
                  "%s", e.msg);
    ck_assert_str_eq(cfg.broker_name, "broker-x");
    ck_assert_uint_eq(cfg.log_file_bytes, 262144);
    ck_assert_uint_eq(cfg.flush_disk_type, STORE_FLUSH_SYNC);
    ck_assert_str_eq(cfg.store_root, "/data/rocketmq store");
    ck_assert_uint_eq(cfg.reserved_hours, 48);
    ck_assert_uint_eq(cfg.n_ignored, 3);
    ck_assert_int_eq(config_check(&cfg, &e), 0);
}
END_TEST

START_TEST(an_error_names_option_file_and_line_and_changes_nothing)
{
    ck_assert_int_eq(read_text("brokerName=x\n\nnoSuchOption=1\nworkers=9\n"), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "broker.conf': line 3: option 'noSuchOption'"));
    ck_assert_str_eq(cfg.broker_name, "broker-a");
    ck_assert_uint_eq(cfg.workers, 0);
    ck_assert_int_eq(read_text("workers=many\n"), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "line 1: option 'workers': 'many' is not a number"));
    ck_assert_int_eq(read_text("[section]\nworkers=1\n"), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "line 2"));
    ck_assert_int_eq(read_text("workers=1\nnonsense\n"), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "line 2: not of the form"));
}
END_TEST

START_TEST(lines_too_long_and_bytes_that_are_no_text_are_refused)
{
    char line[8192];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\0';
    ck_assert_int_eq(read_text(line), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "line 1: too long"));
    char *path = tmpdir_path(folder, "nul.conf");
    ck_assert_int_eq(io_replace_file(io_posix(), path, "workers=1\n\0x", 12, false, &e), 0);
    ck_assert_int_eq(config_read_file(&cfg, io_posix(), path, &e), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "line 2: not text"));
    free(path);
    ck_assert_int_eq(config_read_file(&cfg, io_posix(), "/no/such/file", &e), ERR_NOTFOUND);
}
END_TEST

START_TEST(values_of_the_wrong_kind_or_out_of_range_are_refused)
{
    const char *const wrong[] = {
        "workers=-1",
        "workers=257",
        "workers=",
        "workers=1x",
        "workers= 1",
        "workers=99999999999999999999999",
        "brokerName=",
        "autoCreateTopicEnable=yes",
        "logLevel=loud",
        "logLevel=debug info",
        "logLevel=",
        "flushDiskType=SYNC",
        "noEquals",
        "=1",
        "noSuchOption=1",
        "mappedFileSizeCommitLog=65537",
        "populateWindow=4097",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct config before = cfg;
        ck_assert_msg(config_set(&cfg, wrong[i], &e) == ERR_INVAL, "%s", wrong[i]);
        ck_assert_mem_eq(&before, &cfg, sizeof cfg);
    }
}
END_TEST

START_TEST(a_name_of_any_length_is_refused_without_harm)
{
    char text[5000];
    memset(text, 'n', sizeof text);
    memcpy(text + sizeof text - 3, "=1", 3);
    ck_assert_int_eq(config_set(&cfg, text, &e), ERR_INVAL);
    memcpy(text, "brokerName=", 11);
    ck_assert_int_eq(config_set(&cfg, text, &e), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "longer than 511 bytes"));
}
END_TEST

START_TEST(a_later_setting_wins)
{
    ck_assert_int_eq(read_text("workers=3\n"), 0);
    ck_assert_int_eq(config_set(&cfg, "workers=4", &e), 0);
    ck_assert_int_eq(config_set_value(&cfg, "logLevel", "error", &e), 0);
    ck_assert_uint_eq(cfg.workers, 4);
    ck_assert_uint_eq(cfg.log_level, LOG_ERROR);
}
END_TEST

static int listen_on(const char *text, char host[CONFIG_TEXT_BYTES], uint16_t *port)
{
    ck_assert_int_eq(config_set_value(&cfg, "listen", text, &e), 0);
    return config_listen(&cfg, host, port, &e);
}

START_TEST(the_address_to_listen_on_is_split)
{
    char host[CONFIG_TEXT_BYTES];
    uint16_t port;
    ck_assert_int_eq(listen_on("127.0.0.1:0", host, &port), 0);
    ck_assert_str_eq(host, "127.0.0.1");
    ck_assert_uint_eq(port, 0);
    ck_assert_int_eq(listen_on("[::1]:8081", host, &port), 0);
    ck_assert_str_eq(host, "::1");
    ck_assert_uint_eq(port, 8081);
}
END_TEST

START_TEST(an_address_that_is_none_is_refused)
{
    const char *const wrong[] = {"localhost",
                                 ":80",
                                 "host:",
                                 "host:x",
                                 "host:65536",
                                 "::1:80",
                                 "[]:80",
                                 "host:80 ",
                                 "host:-1",
                                 "[::1]",
                                 "host:+80",
                                 "a:b:80",
                                 "host:99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char host[CONFIG_TEXT_BYTES];
        uint16_t port;
        ck_assert_msg(listen_on(wrong[i], host, &port) == ERR_INVAL, "%s", wrong[i]);
        ck_assert_int_eq(config_check(&cfg, &e), ERR_INVAL);
    }
}
END_TEST

static uint32_t hours_of(const char *text)
{
    uint32_t hours;
    ck_assert_int_eq(config_set_value(&cfg, "deleteWhen", text, &e), 0);
    ck_assert_int_eq(config_delete_hours(&cfg, &hours, &e), 0);
    return hours;
}

START_TEST(hours_to_delete_at_are_a_list)
{
    ck_assert_uint_eq(hours_of(""), 0);
    ck_assert_uint_eq(hours_of("04"), 1 << 4);
    ck_assert_uint_eq(hours_of("00;4;23"), 1 << 0 | 1 << 4 | 1 << 23);
    ck_assert_uint_eq(hours_of("4;"), 1 << 4);
    const char *const wrong[] = {"24",   "4,5", "-1",   " 4",
                                 "four", ";4",  "4;;5", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(config_set_value(&cfg, "deleteWhen", wrong[i], &e), 0);
        ck_assert_msg(config_check(&cfg, &e) == ERR_INVAL, "%s", wrong[i]);
        ck_assert_ptr_nonnull(strstr(e.msg, "deleteWhen"));
    }
}
END_TEST

static void expect_conflict(const char *assignment, const char *named)
{
    config_init(&cfg);
    ck_assert_int_eq(config_set(&cfg, assignment, &e), 0);
    ck_assert_int_eq(config_check(&cfg, &e), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, named));
}

START_TEST(options_that_contradict_each_other_are_refused)
{
    expect_conflict("maxInvisibleTimeMillis=9999", "minInvisibleTimeMillis");
    expect_conflict("minLongPollingMillis=20001", "minLongPollingMillis");
    expect_conflict("maxRequestSize=65536", "maxRequestSize");
    expect_conflict("maxRequestMemory=16777216", "maxRequestMemory");
    expect_conflict("storePathCommitLog=/elsewhere", "storePathCommitLog");
    expect_conflict("brokerIP1=localhost", "brokerIP1");
    expect_conflict("tls.server.certPath=cert.pem", "tls.server.keyPath");
    expect_conflict("tls.server.keyPath=key.pem", "tls.server.certPath");
}
END_TEST

START_TEST(the_commit_log_may_be_named_where_it_is)
{
    ck_assert_int_eq(config_set(&cfg, "storePathRootDir=/data", &e), 0);
    ck_assert_int_eq(config_set(&cfg, "storePathCommitLog=/data/commitlog", &e), 0);
    ck_assert_int_eq(config_check(&cfg, &e), 0);
}
END_TEST

START_TEST(the_manual_is_what_the_table_says)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config_print_doc(out);
    ck_assert_int_eq(fclose(out), 0);
    char *page = config_folder_read(data, "../../docs/options.md");
    ck_assert_msg(strcmp(page, text) == 0, "docs/options.md: write it anew from the table");
    free(page);
    free(text);
}
END_TEST

int main(int argc, char **argv)
{
    data = argc > 1 ? argv[1] : "tests/data";
    Suite *suite = suite_create("config");
    TCase *tc = tcase_create("options");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, defaults_pass_the_check);
    tcase_add_test(tc, topics_are_not_created_by_use_unless_the_file_says_so);
    tcase_add_test(tc, a_broker_conf_of_rocketmq_is_read);
    tcase_add_test(tc, an_error_names_option_file_and_line_and_changes_nothing);
    tcase_add_test(tc, lines_too_long_and_bytes_that_are_no_text_are_refused);
    tcase_add_test(tc, values_of_the_wrong_kind_or_out_of_range_are_refused);
    tcase_add_test(tc, a_name_of_any_length_is_refused_without_harm);
    tcase_add_test(tc, a_later_setting_wins);
    tcase_add_test(tc, the_address_to_listen_on_is_split);
    tcase_add_test(tc, an_address_that_is_none_is_refused);
    tcase_add_test(tc, options_that_contradict_each_other_are_refused);
    tcase_add_test(tc, hours_to_delete_at_are_a_list);
    tcase_add_test(tc, the_commit_log_may_be_named_where_it_is);
    tcase_add_test(tc, the_manual_is_what_the_table_says);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
