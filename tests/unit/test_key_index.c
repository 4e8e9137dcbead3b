/* The files of the key index: adding, rolling, what is believed after a stop, and looking up. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/key_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/index_format.h"
#include "store/index_search.h"
#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { SLOTS = 5, ITEMS = 20, BEGIN_MS = 1700000000, MAX_FOUND = 100 };

static char *root, *folder;
static struct fault fault;
static struct key_index ki;
static uint64_t from; /* where indexing goes on */
static uint64_t found[MAX_FOUND];
static size_t n_found;

static void init(void)
{
    struct err e;
    ck_assert_int_eq(key_index_init(&ki, &fault.io, root, SLOTS, ITEMS, &e), 0);
}

static size_t load(const struct key_index_start *start)
{
    struct err e;
    size_t n_dropped;
    int rc = key_index_load(&ki, start, &n_dropped, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
    for (bool more = true; more;)
        ck_assert_int_eq(key_index_settle(&ki, &more, &from, &e), 0);
    return n_dropped;
}

static void set_up(void)
{
    root = tmpdir_make();
    folder = tmpdir_path(root, "index");
    fault_init(&fault, io_posix());
    init();
    (void)load(&(struct key_index_start){.was_clean = true, .tail = 0});
}

static void tear_down(void)
{
    key_index_fini(&ki);
    free(folder);
    tmpdir_remove(root);
}

static struct store_record record(uint64_t log_off, const char *properties)
{
    return (struct store_record){.topic = span_str("T"),
                                 .log_off = log_off,
                                 .store_ms = BEGIN_MS + 1000 * log_off,
                                 .properties = span_str(properties)};
}

static void put(uint64_t log_off, const char *properties)
{
    struct err e;
    struct store_record rec = record(log_off, properties);
    int rc = key_index_put(&ki, &rec, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
}

/* Records at first, first+1, ...: each with key k and a key of its own. */
static void put_many(uint64_t first, size_t n)
{
    char properties[64];
    for (uint64_t i = first; i < first + n; i++) {
        (void)snprintf(properties, sizeof properties, "KEYS\001k k%d\002", (int)i);
        put(i, properties);
    }
}

static struct key_index_mark sync_at(uint64_t log_off)
{
    struct err e;
    ck_assert_int_eq(key_index_sync(&ki, log_off, &e), 0);
    return ki.mark;
}

/* Opens the index again, as after a stop. */
static size_t reload(const struct key_index_start *start)
{
    key_index_fini(&ki);
    init();
    return load(start);
}

static int take(void *arg, uint64_t log_off, struct err *e)
{
    (void)e;
    const size_t *max = arg;
    found[n_found++] = log_off;
    return n_found == *max;
}

static enum index_search_end search(const char *key, uint64_t begin, uint64_t end, size_t max)
{
    const struct index_search s = {.io = &fault.io,
                                   .folder = folder,
                                   .n_slots = SLOTS,
                                   .hash = index_hash(span_str("T"), span_str(key)),
                                   .begin_ms = begin ? BEGIN_MS + 1000 * begin : 0,
                                   .end_ms = end ? BEGIN_MS + 1000 * end : UINT64_MAX,
                                   .below_log_off = UINT64_MAX,
                                   .max_items = 1000};
    enum index_search_end how;
    struct err e;
    n_found = 0;
    ck_assert_int_eq(index_search(&s, take, &max, &how, &e), 0);
    return how;
}

static size_t count(const char *key)
{
    ck_assert_int_eq(search(key, 0, 0, MAX_FOUND), INDEX_SEARCH_ALL);
    return n_found;
}

static size_t n_files(void)
{
    uint64_t *names;
    size_t n;
    struct err e;
    ck_assert_int_eq(key_index_list(folder, &names, &n, &e), 0);
    free(names);
    return n;
}

START_TEST(nothing_is_made_before_there_is_a_key)
{
    put(1, "TAGS\001a\002");
    ck_assert_uint_eq(n_files(), 0);
    ck_assert_uint_eq(count("k"), 0);
}
END_TEST

START_TEST(every_key_of_a_record_is_found)
{
    put(7, "KEYS\001a b\002UNIQ_KEY\001u\002");
    ck_assert_uint_eq(count("a"), 1);
    ck_assert_uint_eq(found[0], 7);
    ck_assert_uint_eq(count("b"), 1);
    ck_assert_uint_eq(count("u"), 1);
    ck_assert_uint_eq(count("c"), 0);
}
END_TEST

START_TEST(records_are_found_newest_first_over_files)
{
    put_many(1, 30);
    ck_assert_uint_gt(n_files(), 2);
    ck_assert_uint_eq(count("k"), 30);
    for (size_t i = 0; i < 30; i++)
        ck_assert_uint_eq(found[i], 30 - i);
    ck_assert_int_eq(search("k", 0, 0, 3), INDEX_SEARCH_STOPPED);
    ck_assert_uint_eq(n_found, 3);
}
END_TEST

START_TEST(a_time_range_is_kept_to_the_second)
{
    put_many(1, 30);
    (void)search("k", 12, 14, MAX_FOUND);
    ck_assert_uint_eq(n_found, 3);
    ck_assert_uint_eq(found[0], 14);
    ck_assert_uint_eq(found[2], 12);
}
END_TEST

START_TEST(a_record_put_twice_is_there_once)
{
    put(7, "KEYS\001a\002");
    put(7, "KEYS\001a\002");
    put(6, "KEYS\001a\002");
    ck_assert_uint_eq(count("a"), 1);
    ck_assert_uint_eq(ki.active->head.n_next, 2);
}
END_TEST

START_TEST(a_record_of_more_keys_than_a_file_has_items_goes_over_files)
{
    char properties[256] = "KEYS\001";
    for (int i = 0; i < 45; i++)
        (void)snprintf(properties + strlen(properties), 8, "w%d ", i);
    put(1, strcat(properties, "\002"));
    ck_assert_uint_eq(count("w0"), 1);
    ck_assert_uint_eq(count("w44"), 1);
    ck_assert_uint_eq(n_files(), 3);
}
END_TEST

START_TEST(a_full_disk_in_the_middle_of_a_record_loses_no_key)
{
    struct err e;
    struct store_record rec = record(50, "KEYS\001x1 x2 x3 x4 x5 x6 x7 x8 x9 x10 x11 x12 x13 x14 "
                                         "x15 x16 x17 x18 x19 x20 x21 x22\002");
    put_many(1, 3);
    fault_arm(&fault, FAULT_ALLOCATE, 2, ENOSPC, FAULT_FROM_NOW);
    ck_assert_int_eq(key_index_put(&ki, &rec, &e), ERR_NOSPACE);
    ck_assert_int_eq(key_index_put(&ki, &rec, &e), ERR_NOSPACE);
    fault_disarm(&fault);
    ck_assert_int_eq(key_index_put(&ki, &rec, &e), 0);
    ck_assert_uint_eq(count("x1"), 1);
    ck_assert_uint_eq(count("x22"), 1);
}
END_TEST

START_TEST(after_a_clean_stop_indexing_goes_on_at_the_mark)
{
    put_many(1, 5);
    struct key_index_mark mark = sync_at(90);
    ck_assert_uint_eq(
        reload(&(struct key_index_start){.was_clean = true, .mark = mark, .tail = 100}), 0);
    ck_assert_uint_eq(from, 90);
    put_many(6, 2);
    ck_assert_uint_eq(count("k"), 7);
    ck_assert_uint_eq(n_files(), 1);
}
END_TEST

START_TEST(a_foreign_index_goes_on_at_its_newest_record)
{
    put_many(1, 30);
    ck_assert_uint_eq(reload(&(struct key_index_start){.was_clean = true, .tail = 100}), 0);
    ck_assert_uint_eq(from, 30);
    put_many(30, 2);
    ck_assert_uint_eq(count("k"), 31);
}
END_TEST

START_TEST(an_index_that_is_missing_is_built_from_the_first_record)
{
    put_many(1, 5);
    struct key_index_mark mark = sync_at(90);
    key_index_fini(&ki);
    tmpdir_remove(strdup(folder));
    init();
    (void)load(
        &(struct key_index_start){.was_clean = true, .mark = mark, .first_off = 1, .tail = 100});
    ck_assert_uint_eq(from, 1);
}
END_TEST

START_TEST(after_a_crash_what_the_items_prove_is_kept)
{
    put_many(1, 30);
    struct key_index_mark mark = ki.mark; /* of the last file that is full */
    ck_assert_uint_gt(mark.log_off, 0);
    (void)reload(&(struct key_index_start){.mark = mark, .tail = 100});
    ck_assert_uint_eq(from, 29);
    put_many(29, 3);
    ck_assert_uint_eq(count("k"), 31);
    ck_assert_uint_eq(count("k30"), 1);
}
END_TEST

START_TEST(an_index_ahead_of_the_log_is_cut)
{
    put_many(1, 30);
    struct key_index_mark mark = sync_at(31);
    (void)reload(&(struct key_index_start){.was_clean = true, .mark = mark, .tail = 14});
    ck_assert_uint_le(from, 13);
    put_many(from, 3);
    (void)count("k");
    ck_assert_uint_eq(found[0], from + 2);
    for (size_t i = 1; i < n_found; i++)
        ck_assert_uint_eq(found[i], found[i - 1] - 1);
    ck_assert_uint_eq(found[n_found - 1], 1);
}
END_TEST

START_TEST(files_of_records_that_the_log_has_no_more_are_removed)
{
    put_many(1, 30);
    struct key_index_mark mark = sync_at(31);
    size_t n = n_files();
    ck_assert_uint_eq(reload(&(struct key_index_start){
                          .was_clean = true, .mark = mark, .first_off = 21, .tail = 31}),
                      0); /* none is damaged */
    ck_assert_uint_eq(n_files(), n - 2);
    ck_assert_uint_eq(from, 31);
    ck_assert_uint_ge(count("k"), 10);
    ck_assert_uint_eq(count("k30"), 1);
    put_many(31, 3);
    ck_assert_uint_eq(count("k33"), 1);
    (void)reload(&(struct key_index_start){
        .was_clean = true, .mark = sync_at(34), .first_off = 1000, .tail = 1000});
    ck_assert_uint_eq(n_files(), 1); /* the last one stays to be gone on with */
}
END_TEST

static void poke_file(size_t i, off_t at, const void *bytes, size_t len)
{
    char *path = NULL;
    ck_assert_int_gt(asprintf(&path, "%s/%017llu", folder, (unsigned long long)ki.names[i]), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    if (bytes)
        ck_assert_int_eq(pwrite(fd, bytes, len, at), (ssize_t)len);
    else
        ck_assert_int_eq(ftruncate(fd, at), 0);
    ck_assert_int_eq(close(fd), 0);
    free(path);
}

START_TEST(a_file_of_another_length_is_removed_with_those_behind_it)
{
    put_many(1, 30);
    struct key_index_mark mark = sync_at(31);
    size_t n = n_files();
    poke_file(1, 100, /* bytes = */ NULL, 0);
    struct key_index_start start = {.was_clean = true, .mark = mark, .first_off = 1, .tail = 100};
    ck_assert_uint_eq(reload(&start), n - 1);
    ck_assert_uint_eq(n_files(), 1);
    put_many(from, 31 - from);
    ck_assert_uint_eq(count("k"), 30);
}
END_TEST

START_TEST(a_header_that_cannot_be_is_removed)
{
    put_many(1, 5);
    struct key_index_mark mark = sync_at(6);
    poke_file(0, 24, "\377\377\377\377\377\377\377\377", 8);
    struct key_index_start start = {.was_clean = true, .mark = mark, .first_off = 1, .tail = 100};
    ck_assert_uint_eq(reload(&start), 1);
    ck_assert_uint_eq(from, 1);
}
END_TEST

START_TEST(files_that_somebody_made_after_removing_the_marked_one_are_not_believed)
{
    put_many(1, 5);
    struct key_index_mark mark = sync_at(6);
    mark.name -= 1;
    struct key_index_start start = {.was_clean = true, .mark = mark, .first_off = 1, .tail = 100};
    ck_assert_uint_eq(reload(&start), 1);
    ck_assert_uint_eq(from, 1);
}
END_TEST

START_TEST(a_damaged_chain_ends_a_search)
{
    put_many(1, 8);
    poke_file(0, (off_t)store_index_item_at(SLOTS, 5) + 16, "\0\0\0\005", 4); /* itself */
    (void)count("k");
    ck_assert_uint_lt(n_found, 8);
}
END_TEST

START_TEST(a_search_ends_at_its_limit)
{
    struct index_search s = {.io = &fault.io,
                             .folder = folder,
                             .n_slots = SLOTS,
                             .hash = index_hash(span_str("T"), span_str("k")),
                             .end_ms = UINT64_MAX,
                             .below_log_off = UINT64_MAX,
                             .max_items = 3};
    enum index_search_end how;
    struct err e;
    size_t max = MAX_FOUND;
    put_many(1, 8);
    n_found = 0;
    ck_assert_int_eq(index_search(&s, take, &max, &how, &e), 0);
    ck_assert_int_eq(how, INDEX_SEARCH_LIMIT);
    ck_assert_uint_le(n_found, 3);
}
END_TEST

static TCase *adding_case(void)
{
    TCase *tc = tcase_create("adding");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, nothing_is_made_before_there_is_a_key);
    tcase_add_test(tc, every_key_of_a_record_is_found);
    tcase_add_test(tc, records_are_found_newest_first_over_files);
    tcase_add_test(tc, a_time_range_is_kept_to_the_second);
    tcase_add_test(tc, a_record_put_twice_is_there_once);
    tcase_add_test(tc, a_record_of_more_keys_than_a_file_has_items_goes_over_files);
    tcase_add_test(tc, a_full_disk_in_the_middle_of_a_record_loses_no_key);
    tcase_add_test(tc, a_damaged_chain_ends_a_search);
    tcase_add_test(tc, a_search_ends_at_its_limit);
    return tc;
}

static TCase *loading_case(void)
{
    TCase *tc = tcase_create("loading");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, after_a_clean_stop_indexing_goes_on_at_the_mark);
    tcase_add_test(tc, a_foreign_index_goes_on_at_its_newest_record);
    tcase_add_test(tc, an_index_that_is_missing_is_built_from_the_first_record);
    tcase_add_test(tc, after_a_crash_what_the_items_prove_is_kept);
    tcase_add_test(tc, an_index_ahead_of_the_log_is_cut);
    tcase_add_test(tc, files_of_records_that_the_log_has_no_more_are_removed);
    tcase_add_test(tc, a_file_of_another_length_is_removed_with_those_behind_it);
    tcase_add_test(tc, a_header_that_cannot_be_is_removed);
    tcase_add_test(tc, files_that_somebody_made_after_removing_the_marked_one_are_not_believed);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("key_index");
    suite_add_tcase(suite, adding_case());
    suite_add_tcase(suite, loading_case());
    return suite_run(suite);
}
