/* Tests of store/parts.c: which part of a mapping is the coldest. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/parts.h"

#include "store/mapped_file.h"
#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_PARTS = 8, FILE_BYTES = N_PARTS * PART_BYTES - PART_BYTES / 2 };

static char *folder;
static struct fault seam;
static struct parts parts;
static struct worker worker;
static struct mapped_file *f;
static int is_resident;
static bool was_cold;

static int step(void *arg)
{
    (void)arg;
    return WORKER_WHEN_WOKEN;
}

static int say_resident(struct io *io, uint8_t *page)
{
    (void)io, (void)page;
    return is_resident;
}

static void set_up(void)
{
    struct err e;
    folder = tmpdir_make();
    is_resident = 1;
    fault_init(&seam, io_posix());
    seam.io.is_resident = say_resident;
    worker_init(&worker, step, NULL);
    parts_init(&parts);
    parts_watch(&parts, &worker);
    ck_assert_int_eq(mapped_file_create(&f, &seam.io, folder, 0, FILE_BYTES, 4096, &e), 0);
    ck_assert_int_eq(parts_begin(&parts, f, &e), 0);
}

static void tear_down(void)
{
    mapped_file_free(f);
    parts_fini(&parts);
    worker_fini(&worker);
    tmpdir_remove(folder);
}

static void use(int n)
{
    parts_use(f, (uint64_t)n * PART_BYTES + 1, (uint64_t)n * PART_BYTES + 2);
}

/* Number of the coldest part, which is taken out; -1: there is none. */
static int take(void)
{
    struct part *part = parts_take_oldest(&parts, &was_cold);
    return part ? (int)(part - f->parts) : -1;
}

START_TEST(the_one_used_longest_ago_is_the_coldest)
{
    for (int i = 0; i < 3; i++)
        use(i);
    use(0);
    ck_assert_int_eq(take(), 1);
    ck_assert_int_eq(take(), 2);
    ck_assert_int_eq(take(), 0);
    ck_assert_int_eq(take(), -1);
}
END_TEST

START_TEST(a_use_among_the_latest_moves_nothing)
{
    for (int i = 0; i < N_PARTS; i++)
        use(i);
    uint64_t tick = parts.tick;
    use(N_PARTS - 1);
    use(N_PARTS - 2);
    ck_assert_uint_eq(parts.tick, tick);
    use(0);
    ck_assert_uint_eq(parts.tick, tick + 1);
}
END_TEST

START_TEST(a_use_across_parts_is_one_of_each)
{
    parts_use(f, PART_BYTES - 1, 2 * PART_BYTES + 1);
    ck_assert_uint_eq(parts.n, 3);
    parts_use(f, 5, 5);
    ck_assert_uint_eq(parts.n, 3);
}
END_TEST

START_TEST(what_was_read_from_disk_is_remembered_as_cold)
{
    is_resident = 0;
    use(0);
    is_resident = 1;
    use(1);
    use(0);
    ck_assert_int_eq(take(), 1);
    ck_assert(!was_cold);
    ck_assert_int_eq(take(), 0);
    ck_assert(was_cold);
}
END_TEST

START_TEST(what_was_written_is_not_asked_about)
{
    is_resident = 0;
    parts_fill(f, 0, 1);
    ck_assert_int_eq(take(), 0);
    ck_assert(!was_cold);
}
END_TEST

START_TEST(parts_that_lie_whole_in_a_range_are_dropped)
{
    for (int i = 0; i < N_PARTS; i++)
        use(i);
    parts_drop(f, 1, 3 * PART_BYTES - 1);
    ck_assert_uint_eq(parts.n, N_PARTS - 1);
    ck_assert_int_eq(take(), 0);
    ck_assert_int_eq(take(), 2);
}
END_TEST

START_TEST(the_short_part_at_the_end_of_a_file_is_whole)
{
    for (int i = 0; i < N_PARTS; i++)
        use(i);
    parts_drop(f, 0, FILE_BYTES);
    ck_assert_int_eq(take(), -1);
    ck_assert_uint_eq(parts.n, 0);
}
END_TEST

START_TEST(one_that_is_put_back_is_the_newest_unless_it_was_used_meanwhile)
{
    for (int i = 0; i < 3; i++)
        use(i);
    struct part *part = parts_take_oldest(&parts, &was_cold);
    parts_put_back(&parts, part);
    ck_assert_int_eq(take(), 1);
    part = parts_take_oldest(&parts, &was_cold);
    use(2);
    parts_put_back(&parts, part);
    ck_assert_uint_eq(parts.n, 2);
}
END_TEST

START_TEST(the_worker_is_woken_when_enough_are_listed)
{
    parts.wake_n = 2;
    use(0);
    ck_assert(!worker.woken);
    use(0);
    ck_assert(!worker.woken);
    use(1);
    ck_assert(worker.woken);
}
END_TEST

START_TEST(an_unmapped_file_has_no_parts_listed)
{
    use(0);
    mapped_file_unmap(f);
    ck_assert_int_eq(take(), -1);
}
END_TEST

START_TEST(without_a_worker_nothing_is_listed)
{
    struct parts off;
    struct mapped_file *g;
    struct err e;
    parts_init(&off);
    ck_assert_int_eq(mapped_file_create(&g, &seam.io, folder, 1, FILE_BYTES, 4096, &e), 0);
    ck_assert_int_eq(parts_begin(&off, g, &e), 0);
    parts_use(g, 0, 1);
    parts_drop(g, 0, FILE_BYTES);
    ck_assert_uint_eq(off.n, 0);
    mapped_file_free(g);
    parts_fini(&off);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("parts");
    TCase *c = tcase_create("parts");
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, the_one_used_longest_ago_is_the_coldest);
    tcase_add_test(c, a_use_among_the_latest_moves_nothing);
    tcase_add_test(c, a_use_across_parts_is_one_of_each);
    tcase_add_test(c, what_was_read_from_disk_is_remembered_as_cold);
    tcase_add_test(c, what_was_written_is_not_asked_about);
    tcase_add_test(c, parts_that_lie_whole_in_a_range_are_dropped);
    tcase_add_test(c, the_short_part_at_the_end_of_a_file_is_whole);
    tcase_add_test(c, one_that_is_put_back_is_the_newest_unless_it_was_used_meanwhile);
    tcase_add_test(c, the_worker_is_woken_when_enough_are_listed);
    tcase_add_test(c, an_unmapped_file_has_no_parts_listed);
    tcase_add_test(c, without_a_worker_nothing_is_listed);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
