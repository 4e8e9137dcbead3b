/* What is asked of the disk for the hits of a scan, and when nothing is. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fetch.h"

#include <stdlib.h>

#include "tests/lib/log_fixture.h"
#include "tests/lib/suite.h"

enum { N_RECORDS = 100, BODY_BYTES = 1000, ASKED_MAX = 16 };

static struct log_fixture f;
static struct store_queue_entry entries[N_RECORDS]; /* of each record */

/* Ranges of the log that were asked for. */
static struct {
    uint64_t from[ASKED_MAX], upto[ASKED_MAX];
    size_t n;
    bool is_cached; /* what the kernel answers */
} asked;

static int answer_resident(struct io *io, uint8_t *page)
{
    (void)io;
    (void)page;
    return asked.is_cached;
}

static int note_advice(struct io *io, uint8_t *base, uint64_t len, enum io_advice advice)
{
    (void)io;
    struct mapped_file *file;
    struct err e;
    if (advice != IO_WILLNEED)
        return 0;
    ck_assert_uint_lt(asked.n, ASKED_MAX);
    for (uint64_t start = 0;; start += LOG_FILE_BYTES) {
        ck_assert_int_eq(mapped_files_pin(&f.log.files, start, &file, &e), 0);
        mapped_file_unpin(file);
        if (base < file->base || base >= file->base + file->bytes)
            continue;
        asked.from[asked.n] = start + (uint64_t)(base - file->base);
        asked.upto[asked.n] = asked.from[asked.n] + len;
        asked.n++;
        return 0;
    }
}

/* A log of two files that an earlier process wrote. */
static void set_up(void)
{
    log_fixture_init(&f);
    for (int i = 0; i < N_RECORDS; i++) {
        log_fixture_make_room(&f);
        struct store_appended at = log_fixture_append(&f, BODY_BYTES);
        entries[i] = (struct store_queue_entry){.log_off = at.log_off, .size = at.size};
    }
    ck_assert_uint_gt(entries[N_RECORDS - 1].log_off, LOG_FILE_BYTES);
    f.log.begin_off = commit_log_published(&f.log);
    f.fault.io.is_resident = answer_resident;
    f.fault.io.advise = note_advice;
    asked.n = 0;
    asked.is_cached = false;
}

static void tear_down(void)
{
    log_fixture_fini(&f);
}

static void expect_asked(size_t i, const struct store_queue_entry *entry)
{
    ck_assert_uint_lt(i, asked.n);
    ck_assert_uint_eq(asked.from[i], entry->log_off / 4096 * 4096);
    ck_assert_uint_eq(asked.upto[i], (entry->log_off + entry->size + 4095) / 4096 * 4096);
}

START_TEST(the_pages_of_hits_far_apart_are_asked_for_and_no_others)
{
    const struct store_queue_entry hits[] = {entries[0], entries[30], entries[99]};
    fetch_hits(&f.log, hits, 3, N_RECORDS);
    ck_assert_uint_eq(asked.n, 3);
    for (size_t i = 0; i < 3; i++)
        expect_asked(i, &hits[i]);
}
END_TEST

START_TEST(hits_that_share_pages_are_asked_for_once)
{
    const struct store_queue_entry hits[] = {entries[0], entries[1], entries[99]};
    fetch_hits(&f.log, hits, 3, N_RECORDS);
    ck_assert_uint_eq(asked.n, 2);
    ck_assert_uint_eq(asked.from[0], 0);
    ck_assert_uint_eq(asked.upto[0], 4096);
    expect_asked(1, &hits[2]);
}
END_TEST

START_TEST(a_single_hit_among_many_entries_is_asked_for)
{
    fetch_hits(&f.log, &entries[50], 1, 40);
    ck_assert_uint_eq(asked.n, 1);
    expect_asked(0, &entries[50]);
}
END_TEST

START_TEST(nothing_is_asked_for_when_most_is_wanted)
{
    fetch_hits(&f.log, entries, 32, 32);
    fetch_hits(&f.log, &entries[50], 1, 1);
    ck_assert_uint_eq(asked.n, 0);
}
END_TEST

START_TEST(nothing_is_asked_for_that_is_in_memory_or_was_just_appended)
{
    const struct store_queue_entry hits[] = {entries[0], entries[99]};
    asked.is_cached = true;
    fetch_hits(&f.log, hits, 2, N_RECORDS);
    asked.is_cached = false;
    f.log.begin_off = 0;
    fetch_hits(&f.log, hits, 2, N_RECORDS);
    fetch_hits(&f.log, hits, 0, N_RECORDS);
    ck_assert_uint_eq(asked.n, 0);
}
END_TEST

START_TEST(entries_that_cannot_be_true_are_left_out)
{
    const struct store_queue_entry beyond[] = {entries[0],
                                               {.log_off = 1 << 30, .size = 100},
                                               {.log_off = INT64_MAX, .size = 100},
                                               entries[70]};
    const struct store_queue_entry too_long[] = {{.log_off = 0, .size = LOG_FILE_BYTES + 1},
                                                 {.log_off = 0, .size = 0x7fffffff}};
    fetch_hits(&f.log, too_long, 1, N_RECORDS);
    fetch_hits(&f.log, &too_long[1], 1, N_RECORDS);
    ck_assert_uint_eq(asked.n, 0);
    fetch_hits(&f.log, beyond, 4, N_RECORDS);
    ck_assert_uint_eq(asked.n, 2);
    expect_asked(0, &entries[0]);
    expect_asked(1, &entries[70]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fetch");
    TCase *tc = tcase_create("fetch");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_pages_of_hits_far_apart_are_asked_for_and_no_others);
    tcase_add_test(tc, hits_that_share_pages_are_asked_for_once);
    tcase_add_test(tc, a_single_hit_among_many_entries_is_asked_for);
    tcase_add_test(tc, nothing_is_asked_for_when_most_is_wanted);
    tcase_add_test(tc, nothing_is_asked_for_that_is_in_memory_or_was_just_appended);
    tcase_add_test(tc, entries_that_cannot_be_true_are_left_out);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
