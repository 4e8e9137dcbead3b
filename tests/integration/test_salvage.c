/* Salvages damaged stores with the real program and opens what comes out: every message that was
 * good is under its number with its body, and new ones go on behind.
 * Usage: test_salvage SLUICE FIXTURES. Without fixtures only stores made here are salvaged. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_MESSAGES = 1500, N_QUEUES = 3, FOUND = 3 };

static const char *sluice, *folder;
static struct store_fixture f;
static uint64_t log_offs[N_MESSAGES];
static uint32_t sizes[N_MESSAGES];

/* ---- a store of ours ---- */

/* Message i is in queue i % N_QUEUES under number i / N_QUEUES, and its body says i. */
static void fill_store(void)
{
    store_fixture_init(&f);
    store_fixture_open(&f);
    for (int i = 0; i < N_MESSAGES; i++) {
        char body[200];
        (void)snprintf(body, sizeof body, "message %d %.*s", i, i % 100,
                       "....................................................................."
                       "...............................");
        struct store_appended at = store_fixture_append(&f, "T", i % N_QUEUES, body);
        log_offs[i] = at.log_off;
        sizes[i] = at.size;
    }
    for (int q = 0; q < N_QUEUES; q++)
        store_fixture_await(&f, "T", q, N_MESSAGES / N_QUEUES);
    store_fixture_close(&f);
}

/* Overwrites bytes of the log at a position. */
static void poke_log(uint64_t log_off, const void *bytes, size_t len)
{
    char name[64];
    uint64_t start = log_off / FIXTURE_FILE_BYTES * FIXTURE_FILE_BYTES;
    (void)snprintf(name, sizeof name, "commitlog/%020" PRIu64, start);
    store_fixture_poke(&f, name, log_off - start, bytes, len);
}

/* Runs a command of the shell; its exit status. */
static int run(const char *fmt, ...) PRINTF_LIKE(1, 2);

static int run(const char *fmt, ...)
{
    char command[2048];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    int status = system(command);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Salvages the store and opens the new one in its place. */
static void salvage(int wanted)
{
    char out[512];
    (void)snprintf(out, sizeof out, "%s-new", f.root);
    ck_assert_int_eq(run("'%s' salvage '%s' '%s' >/dev/null", sluice, f.root, out), wanted);
    ck_assert_int_eq(run("'%s' verify '%s' >/dev/null", sluice, out), 0);
    ck_assert_int_eq(run("rm -rf '%s' && mv '%s' '%s'", f.root, out, f.root), 0);
    store_fixture_open(&f);
}

/* Checks each message; those with lost[i] must not be delivered. New ones go on behind. */
static void check_messages(const bool lost[N_MESSAGES])
{
    for (int i = 0; i < N_MESSAGES; i++) {
        struct store_slice slice;
        struct err e = {0};
        char start[32];
        int rc =
            store_get(f.store, span_str("T"), i % N_QUEUES, (uint64_t)(i / N_QUEUES), &slice, &e);
        if (lost[i]) {
            ck_assert_int_lt(rc, 0);
            continue;
        }
        ck_assert_msg(rc == 0, "message %d: %s", i, e.msg);
        int n = snprintf(start, sizeof start, "message %d ", i);
        ck_assert(slice.rec.body.len >= (size_t)n &&
                  memcmp(slice.rec.body.ptr, start, (size_t)n) == 0);
        ck_assert(store_body_check(&slice.rec, NULL));
        ck_assert_uint_eq(slice.rec.log_off, log_offs[i]);
        store_unpin(slice.pin);
    }
    for (int q = 0; q < N_QUEUES; q++) {
        struct store_appended at = store_fixture_append(&f, "T", q, "new");
        ck_assert_uint_eq(at.queue_off, N_MESSAGES / N_QUEUES);
        store_fixture_await(&f, "T", q, N_MESSAGES / N_QUEUES + 1);
    }
}

START_TEST(a_sound_store_comes_out_as_it_was)
{
    static bool lost[N_MESSAGES];
    fill_store();
    salvage(0);
    check_messages(lost);
    store_fixture_fini(&f);
}
END_TEST

START_TEST(lost_messages_keep_their_numbers)
{
    static bool lost[N_MESSAGES];
    static const int bodies[] = {5, 6, 7, 300, N_MESSAGES / 2}, heads[] = {50, 51, 400, 900};
    fill_store();
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        poke_log(log_offs[bodies[i]] + 90, "\xff\xff", 2);
        lost[bodies[i]] = true;
    }
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        poke_log(log_offs[heads[i]], "\x7f\x00\x01\x02", 4);
        lost[heads[i]] = true;
    }
    salvage(FOUND);
    check_messages(lost);
    store_fixture_fini(&f);
}
END_TEST

START_TEST(zeroed_pages_and_lost_queues_are_made_good)
{
    static bool lost[N_MESSAGES];
    static const uint8_t zeros[8192];
    fill_store();
    poke_log(FIXTURE_FILE_BYTES + 4096, zeros, sizeof zeros);
    for (int i = 0; i < N_MESSAGES; i++)
        lost[i] = log_offs[i] < FIXTURE_FILE_BYTES + 4096 + sizeof zeros &&
                  log_offs[i] + sizes[i] > FIXTURE_FILE_BYTES + 4096;
    ck_assert_int_eq(run("rm -rf '%s/consumequeue/T/1'", f.root), 0);
    salvage(FOUND);
    check_messages(lost);
    store_fixture_fini(&f);
}
END_TEST

START_TEST(a_file_that_is_gone_leaves_its_place)
{
    static bool lost[N_MESSAGES];
    fill_store();
    ck_assert_int_eq(run("rm '%s/commitlog/00000000000000065536'", f.root), 0);
    for (int i = 0; i < N_MESSAGES; i++)
        lost[i] = log_offs[i] / FIXTURE_FILE_BYTES == 1;
    salvage(FOUND);
    check_messages(lost);
    store_fixture_fini(&f);
}
END_TEST

START_TEST(numbers_at_the_end_of_queues_are_not_given_again)
{
    static bool lost[N_MESSAGES];
    fill_store();
    for (int i = N_MESSAGES - 10; i < N_MESSAGES; i++) {
        poke_log(log_offs[i] + 4, "\0\0\0\0", 4);
        lost[i] = true;
    }
    salvage(FOUND);
    check_messages(lost);
    store_fixture_fini(&f);
}
END_TEST

START_TEST(a_folder_with_something_in_it_is_left_alone)
{
    fill_store();
    char *busy = tmpdir_make();
    char *name = tmpdir_path(busy, "precious");
    ck_assert_int_eq(run("touch '%s'", name), 0);
    ck_assert_int_eq(run("'%s' salvage '%s' '%s' 2>/dev/null", sluice, f.root, busy), 1);
    ck_assert_int_eq(access(name, F_OK), 0);
    free(name);
    tmpdir_remove(busy);
    store_fixture_fini(&f);
}
END_TEST

/* ---- stores of RocketMQ ---- */

static const struct {
    const char *name;
    int status;
    uint64_t n_records; /* saved */
} fixtures[] = {{"mixed", 0, 1110},        {"killed", 0, 1496},   {"powerloss", 0, 1496},
                {"tail-garbage", 3, 1110}, {"flipped", 3, 1108},  {"flipped-last", 3, 1109},
                {"missing-cq", 0, 1110},   {"truncated", 3, 932}, {"timer", 0, 276},
                {"index", 0, 160},         {"appendable", 0, 1},  {"v2-long-topic", 0, 24},
                {"store-lib", 0, 16}};
enum { N_FIXTURES = sizeof fixtures / sizeof fixtures[0] };

static uint64_t count_records(const char *root)
{
    struct store_walk *walk;
    struct store_walk_item item = {.kind = STORE_WALK_RECORD};
    struct err e = {0};
    uint64_t n = 0;
    ck_assert_msg(store_walk_open(&walk, root, 0, io_posix(), &e) == 0, "%s", e.msg);
    while (item.kind != STORE_WALK_END) {
        ck_assert_msg(store_walk_next(walk, &item, &e) == 0, "%s", e.msg);
        ck_assert_msg(item.kind != STORE_WALK_DAMAGE, "at %" PRIu64 ": %s", item.log_off, item.why);
        n += item.kind == STORE_WALK_RECORD &&
             !span_equal(item.rec.topic, span_str(STORE_COVER_TOPIC));
    }
    store_walk_close(walk);
    return n;
}

START_TEST(every_fixture_comes_out_whole)
{
    char *dir = tmpdir_make();
    const char *name = fixtures[_i].name;
    ck_assert_int_eq(run("zstd -dc '%s/%s.tar.zst' | tar -x -C '%s'", folder, name, dir), 0);
    char *from = tmpdir_path(dir, name), *to = tmpdir_path(dir, "new");
    ck_assert_int_eq(
        run("'%s' salvage --queue-file-size 2000 '%s' '%s' >/dev/null", sluice, from, to),
        fixtures[_i].status);
    ck_assert_int_eq(run("'%s' verify '%s' >/dev/null", sluice, to), 0);
    ck_assert_uint_eq(count_records(to), fixtures[_i].n_records);
    const struct store_options opt = {.root = to, .file_bytes = 262144, .queue_file_bytes = 2000};
    struct store *s;
    struct err e = {0};
    struct store_recovery report;
    ck_assert_msg(store_open(&s, &opt, io_posix(), &e) == 0, "%s", e.msg);
    store_recovery_report(s, &report);
    ck_assert(report.was_clean);
    ck_assert_uint_eq(report.n_damaged, 0);
    ck_assert_uint_eq(report.n_requeued, 0);
    ck_assert_msg(store_close(s, &e) == 0, "%s", e.msg);
    free(from);
    free(to);
    tmpdir_remove(dir);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: test_salvage SLUICE FIXTURES\n");
        return EXIT_FAILURE;
    }
    sluice = argv[1];
    folder = argv[2];
    Suite *suite = suite_create("salvage");
    TCase *tc = tcase_create("salvage");
    tcase_add_test(tc, a_sound_store_comes_out_as_it_was);
    tcase_add_test(tc, lost_messages_keep_their_numbers);
    tcase_add_test(tc, zeroed_pages_and_lost_queues_are_made_good);
    tcase_add_test(tc, a_file_that_is_gone_leaves_its_place);
    tcase_add_test(tc, numbers_at_the_end_of_queues_are_not_given_again);
    tcase_add_test(tc, a_folder_with_something_in_it_is_left_alone);
    if (access(folder, F_OK) == 0)
        tcase_add_loop_test(tc, every_fixture_comes_out_whole, 0, N_FIXTURES);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
