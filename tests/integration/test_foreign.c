/* What stores that RocketMQ wrote leave to do. Usage: test_foreign FOLDER; skipped (77) without it.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/foreign.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { EXIT_SKIPPED = 77 };

/* Counted from the listings: queue ends less noted positions; timers of `timerlog` whose slots were
 * not delivered, less the recalled ones and their recalls. */
static const struct {
    const char *name;
    uint64_t n[FOREIGN_KINDS];
} fixtures[] = {
    {"mixed",
     {[FOREIGN_DELAYED] = 17,
      [FOREIGN_TIMED] = 12,
      [FOREIGN_POPPED] = 10 + 9,
      [FOREIGN_HALF] = 4,
      [FOREIGN_RETRIED] = 5 + 1}},
    {"timer", {[FOREIGN_TIMED] = 246 - 30 - 2 * 6}},
    {"index", {0}},
};

static const char *folder;

static void unpack(const char *dir, const char *name)
{
    char *command = NULL;
    ck_assert_int_gt(
        asprintf(&command, "zstd -dc '%s/%s.tar.zst' | tar -x -C '%s'", folder, name, dir), 0);
    ck_assert_int_eq(system(command), 0);
    free(command);
}

static void take(void *arg, const struct foreign_work *work)
{
    uint64_t *n = arg;
    n[work->kind] += work->n;
}

START_TEST(what_rocketmq_left_to_do_is_counted)
{
    uint64_t n[FOREIGN_KINDS] = {0};
    char *dir = tmpdir_make();
    unpack(dir, fixtures[_i].name);
    char *root = tmpdir_path(dir, fixtures[_i].name);
    char *config = tmpdir_path(root, "config");
    struct store_options opt = {
        .root = root, .file_bytes = 262144, .queue_file_bytes = 2000, .without_index = true};
    struct store *store = NULL;
    struct err e;
    ck_assert_msg(store_open(&store, &opt, io_posix(), &e) == 0, "%s", e.msg);
    ck_assert_msg(foreign_find(store, config, io_posix(), take, n, &e) == 0, "%s", e.msg);
    for (int kind = 0; kind < FOREIGN_KINDS; kind++)
        ck_assert_msg(n[kind] == fixtures[_i].n[kind], "%s: %d %s", fixtures[_i].name, (int)n[kind],
                      foreign_kind_name((enum foreign_kind)kind));
    ck_assert_int_eq(store_close(store, &e), 0);
    free(config);
    free(root);
    tmpdir_remove(dir);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc < 2 || access(argv[1], R_OK) < 0)
        return EXIT_SKIPPED;
    folder = argv[1];
    Suite *suite = suite_create("foreign");
    TCase *tc = tcase_create("foreign");
    tcase_add_loop_test(tc, what_rocketmq_left_to_do_is_counted, 0,
                        (int)(sizeof fixtures / sizeof fixtures[0]));
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
