/* Damaged entries of a consume queue: which record is found for one, and which entries are kept.
 * Records and entries are put where a test wants them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_mend.h"

#include <stdlib.h>

#include "tests/lib/log_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N = 6, LARGE_BYTES = 20 * 1024 };

static struct log_fixture f;
static char *folder;
static struct consume_queue *q;
static struct store_appended at[N]; /* of the records that the queue is about */

static void set_up(void)
{
    struct err e;
    log_fixture_init(&f);
    folder = tmpdir_path(f.root, "apart/T/0");
    ck_assert_int_eq(
        consume_queue_new(&q, span_str("T"), 0, folder, 2000, io_posix(), &f.reclaimer, &e), 0);
}

static void tear_down(void)
{
    consume_queue_unref(q);
    free(folder);
    log_fixture_fini(&f);
}

/* A record with a number of its own choice. */
static struct store_appended add(const char *topic, int32_t queue_id, uint64_t queue_off)
{
    struct span body = span_str("body");
    struct queue_seq seq = {.next_off = queue_off};
    struct store_appended ret = {0};
    struct err e = {0};
    const struct store_message m = {.topic = span_str(topic),
                                    .queue_id = queue_id,
                                    .born_host = {.addr_len = 4},
                                    .properties = span_str("TAGS\001TagA\002"),
                                    .body = &body,
                                    .n_body = 1};
    int rc = commit_log_append(&f.log, &seq, &m, &ret, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
    return ret;
}

static struct store_queue_entry entry_of(const struct store_appended *a)
{
    return (struct store_queue_entry){.log_off = a->log_off, .size = a->size, .tag_code = 7};
}

static void put(uint64_t queue_off, const struct store_appended *a)
{
    const struct store_queue_entry entry = entry_of(a);
    enum queue_put done;
    struct err e = {0};
    int rc = consume_queue_put(q, queue_off, &entry, &done, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
    ck_assert_int_eq(done, QUEUE_PUT_NEW);
}

/* Records 0 to N-1 of the queue, with others' of the same numbers between them. */
static void fill(void)
{
    for (uint64_t i = 0; i < N; i++) {
        (void)add("T", 1, i);
        (void)add("U", 0, i);
        at[i] = add("T", 0, i);
        put(i, &at[i]);
    }
}

static void overwrite(uint64_t queue_off, const struct store_queue_entry *entry)
{
    struct err e = {0};
    ck_assert_msg(consume_queue_mend(q, queue_off, entry, &e) == 0, "%s", e.msg);
}

static void damage_entry(uint64_t queue_off)
{
    static const struct store_queue_entry junk = {.log_off = 12345678, .size = 99};
    overwrite(queue_off, &junk);
}

/* Of records in the file appended to. */
static uint8_t *bytes_of(const struct store_appended *a)
{
    ck_assert_uint_ge(a->log_off, f.log.active->start);
    return f.log.active->base + (a->log_off - f.log.active->start);
}

static void damage_record(const struct store_appended *a)
{
    bytes_of(a)[FORMAT_AT_MAGIC] ^= 1;
}

static void damage_body(const struct store_appended *a)
{
    uint8_t *body = memmem(bytes_of(a), a->size, "body", 4);
    ck_assert_ptr_nonnull(body);
    body[0] = 'B';
}

static uint64_t n_pins(void)
{
    struct mapped_files_usage usage;
    mapped_files_usage(&f.log.files, &usage);
    return usage.n_pins;
}

static void expect_found(uint64_t queue_off, const struct store_appended *a)
{
    struct store_record rec;
    struct mapped_file *file;
    uint64_t n_before = n_pins();
    ck_assert(queue_mend_find(&f.log, q, queue_off, &rec, &file));
    ck_assert_uint_eq(rec.log_off, a->log_off);
    ck_assert_uint_eq(n_pins(), n_before + 1);
    ck_assert(rec.log_off >= file->start && rec.log_off < file->start + file->bytes);
    mapped_file_unpin(file);
}

static void expect_lost(uint64_t queue_off)
{
    struct store_record rec;
    struct mapped_file *file;
    uint64_t n_before = n_pins();
    ck_assert(!queue_mend_find(&f.log, q, queue_off, &rec, &file));
    ck_assert_uint_eq(n_pins(), n_before);
}

/* ---- finding ---- */

/* Each in its turn, when no other entry is damaged. */
static void expect_each_found(void)
{
    for (uint64_t i = 0; i < N; i++) {
        const struct store_queue_entry entry = entry_of(&at[i]);
        damage_entry(i);
        expect_found(i, &at[i]);
        overwrite(i, &entry);
    }
}

static void expect_all_found_without_entries(void)
{
    for (uint64_t i = 0; i < N; i++)
        damage_entry(i);
    for (uint64_t i = 0; i < N; i++)
        expect_found(i, &at[i]);
}

START_TEST(each_record_is_found_whatever_its_entry_says)
{
    fill();
    expect_each_found();
}
END_TEST

START_TEST(entries_around_it_that_are_damaged_too_are_passed_over)
{
    fill();
    for (uint64_t i = 1; i < N - 1; i++)
        damage_entry(i);
    for (uint64_t i = 1; i < N - 1; i++)
        expect_found(i, &at[i]);
}
END_TEST

START_TEST(an_entry_before_or_behind_that_has_anothers_record_is_not_believed)
{
    fill();
    const struct store_queue_entry first = entry_of(&at[0]), last = entry_of(&at[N - 1]);
    damage_entry(2);
    overwrite(1, &last);
    expect_found(2, &at[2]);
    overwrite(1, &first);
    overwrite(3, &first);
    expect_found(2, &at[2]);
}
END_TEST

START_TEST(it_is_found_where_the_record_before_ends)
{
    for (uint64_t i = 0; i < N; i++) {
        at[i] = add("T", 0, i);
        put(i, &at[i]);
    }
    damage_entry(3);
    expect_found(3, &at[3]);
}
END_TEST

/* Their own numbers are damaged, which no checksum is over. */
START_TEST(later_records_that_have_its_number_are_not_taken_for_it)
{
    fill();
    for (uint64_t i = 0; i < N; i++)
        (void)add("T", 0, i);
    for (uint64_t i = 0; i < N / 2; i++)
        damage_entry(i);
    for (uint64_t i = 0; i < N / 2; i++)
        expect_found(i, &at[i]);
    for (uint64_t i = 0; i < N / 2; i++) {
        const struct store_queue_entry entry = entry_of(&at[i]);
        overwrite(i, &entry);
        damage_entry(N - 1 - i);
    }
    for (uint64_t i = N / 2; i < N; i++)
        expect_found(i, &at[i]);
}
END_TEST

START_TEST(without_any_entry_that_is_right_each_is_found)
{
    fill();
    expect_all_found_without_entries();
}
END_TEST

START_TEST(a_damaged_record_on_the_way_does_not_hide_it)
{
    fill();
    damage_entry(2);
    damage_entry(3);
    damage_record(&at[2]);
    expect_found(3, &at[3]);
    expect_lost(2);
}
END_TEST

START_TEST(it_is_found_behind_the_end_of_a_file)
{
    at[0] = add("T", 0, 0);
    put(0, &at[0]);
    for (uint64_t i = 1; i <= 5; i++) {
        (void)log_fixture_append(&f, LARGE_BYTES);
        log_fixture_make_room(&f);
    }
    at[1] = add("T", 0, N);
    ck_assert_uint_ge(at[1].log_off, LOG_FILE_BYTES);
    for (uint64_t i = 1; i < N; i++)
        put(i, &(struct store_appended){.log_off = at[0].log_off + i, .size = 99});
    put(N, &(struct store_appended){.log_off = at[1].log_off + 1, .size = 99});
    expect_found(N, &at[1]);
}
END_TEST

/* The topic was deleted and made anew: the numbers begin again, the old records are still there. */
static void fill_twice(void)
{
    for (uint64_t i = 0; i < N; i++)
        (void)add("T", 0, i);
    fill();
}

START_TEST(a_record_from_before_the_topic_was_deleted_is_not_taken_for_it)
{
    fill_twice();
    expect_each_found();
}
END_TEST

START_TEST(nor_is_it_when_no_entry_is_right)
{
    fill_twice();
    expect_all_found_without_entries();
}
END_TEST

START_TEST(what_was_never_appended_is_not_found)
{
    fill();
    put(N, &(struct store_appended){.log_off = 1 << 20, .size = 99});
    expect_lost(N);
}
END_TEST

START_TEST(a_record_is_of_its_queue_by_topic_id_and_number)
{
    struct store_record rec = {.topic = span_str("T"), .queue_id = 0, .queue_off = 3};
    ck_assert(queue_mend_is_of(q, &rec, 3));
    ck_assert(!queue_mend_is_of(q, &rec, 2));
    rec.queue_id = 1;
    ck_assert(!queue_mend_is_of(q, &rec, 3));
    rec.queue_id = 0;
    rec.topic = span_str("TT");
    ck_assert(!queue_mend_is_of(q, &rec, 3));
}
END_TEST

/* ---- what recovery believes ---- */

START_TEST(a_record_is_whole_with_its_size_and_its_body)
{
    fill();
    struct store_queue_entry entry = entry_of(&at[2]);
    uint64_t n_before = n_pins();
    ck_assert(queue_mend_is_whole(&f.log, &entry));
    entry.size++;
    ck_assert(!queue_mend_is_whole(&f.log, &entry));
    entry = entry_of(&at[2]);
    entry.log_off++;
    ck_assert(!queue_mend_is_whole(&f.log, &entry));
    entry.log_off = 100 * LOG_FILE_BYTES;
    ck_assert(!queue_mend_is_whole(&f.log, &entry));
    damage_body(&at[2]);
    entry = entry_of(&at[2]);
    ck_assert(!queue_mend_is_whole(&f.log, &entry));
    ck_assert_uint_eq(n_pins(), n_before);
}
END_TEST

static bool has_last(void)
{
    uint64_t n_before = n_pins();
    bool has = queue_mend_has_last(&f.log, q);
    ck_assert_uint_eq(n_pins(), n_before);
    return has;
}

START_TEST(the_last_entry_has_a_whole_record_of_this_queue)
{
    ck_assert(!has_last()); /* there is no entry */
    fill();
    ck_assert(has_last());
    struct store_appended other = add("T", 1, N - 1), ahead = add("T", 0, N);
    q->last = entry_of(&other);
    ck_assert(!has_last());
    q->last = entry_of(&ahead); /* its number is behind the end */
    ck_assert(!has_last());
    q->last = entry_of(&at[N - 1]);
    damage_body(&at[N - 1]);
    ck_assert(!has_last());
}
END_TEST

static struct store_record record_at(const struct store_appended *a)
{
    struct store_record rec;
    ck_assert_int_eq(record_decode(span_of(bytes_of(a), a->size), a->log_off, &rec, NULL),
                     RECORD_OK);
    return rec;
}

/* Whether the entry was written again, for the record; if not, it is as before. */
static bool is_mended(const struct store_appended *a, int code)
{
    struct store_record rec = record_at(a);
    struct store_queue_entry before, after;
    uint64_t n_before = n_pins();
    bool mended = false;
    size_t n;
    struct err e = {0};
    ck_assert_int_eq(consume_queue_read(q, rec.queue_off, &before, 1, &n, &e), 0);
    int rc = queue_mend_taken(&f.log, q, &rec, &mended, &e);
    ck_assert_msg(rc == code, "%s", e.msg);
    ck_assert_int_eq(consume_queue_read(q, rec.queue_off, &after, 1, &n, &e), 0);
    const struct store_queue_entry *expected = mended ? NULL : &before;
    ck_assert_uint_eq(after.log_off, expected ? expected->log_off : a->log_off);
    ck_assert_uint_eq(after.size, expected ? expected->size : a->size);
    ck_assert_int_eq(after.tag_code, expected ? expected->tag_code : record_tag_code(&rec));
    ck_assert_uint_eq(n_pins(), n_before);
    return mended;
}

START_TEST(an_entry_that_points_nowhere_is_written_again)
{
    fill();
    for (uint64_t i = 0; i < N; i++) {
        damage_entry(i);
        ck_assert(is_mended(&at[i], 0));
    }
}
END_TEST

START_TEST(an_entry_that_points_at_anothers_record_is_written_again)
{
    fill();
    const struct store_queue_entry other = entry_of(&at[4]);
    overwrite(3, &other);
    ck_assert(is_mended(&at[3], 0));
}
END_TEST

START_TEST(an_entry_whose_record_is_not_whole_is_written_again)
{
    fill();
    struct store_appended again = add("T", 0, 3);
    damage_body(&at[3]);
    ck_assert(is_mended(&again, 0));
}
END_TEST

START_TEST(a_right_entry_keeps_its_number)
{
    fill();
    struct store_appended misnumbered = add("T", 0, 3);
    ck_assert(!is_mended(&misnumbered, ERR_CORRUPT));
}
END_TEST

START_TEST(a_right_entry_behind_one_that_cannot_be_keeps_its_number_too)
{
    static const struct store_queue_entry impossible = {.log_off = UINT64_MAX - 1, .size = 99};
    fill();
    struct store_appended misnumbered = add("T", 0, 3);
    overwrite(2, &impossible);
    ck_assert(!is_mended(&misnumbered, ERR_CORRUPT));
}
END_TEST

START_TEST(a_record_from_before_the_topic_was_deleted_is_passed_over)
{
    struct store_appended old = add("T", 0, 3);
    fill();
    ck_assert(!is_mended(&old, 0));
}
END_TEST

START_TEST(an_entry_that_points_before_the_one_in_front_of_it_is_written_again)
{
    struct store_appended old = add("T", 0, 3);
    fill();
    const struct store_queue_entry entry = entry_of(&old);
    overwrite(3, &entry);
    ck_assert(is_mended(&at[3], 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue_mend");
    TCase *tc = suite_add_case(suite, "finding", set_up, tear_down);
    tcase_add_test(tc, each_record_is_found_whatever_its_entry_says);
    tcase_add_test(tc, entries_around_it_that_are_damaged_too_are_passed_over);
    tcase_add_test(tc, an_entry_before_or_behind_that_has_anothers_record_is_not_believed);
    tcase_add_test(tc, it_is_found_where_the_record_before_ends);
    tcase_add_test(tc, later_records_that_have_its_number_are_not_taken_for_it);
    tcase_add_test(tc, without_any_entry_that_is_right_each_is_found);
    tcase_add_test(tc, a_damaged_record_on_the_way_does_not_hide_it);
    tcase_add_test(tc, it_is_found_behind_the_end_of_a_file);
    tcase_add_test(tc, a_record_from_before_the_topic_was_deleted_is_not_taken_for_it);
    tcase_add_test(tc, nor_is_it_when_no_entry_is_right);
    tcase_add_test(tc, what_was_never_appended_is_not_found);
    tcase_add_test(tc, a_record_is_of_its_queue_by_topic_id_and_number);
    tc = suite_add_case(suite, "recovery", set_up, tear_down);
    tcase_add_test(tc, a_record_is_whole_with_its_size_and_its_body);
    tcase_add_test(tc, the_last_entry_has_a_whole_record_of_this_queue);
    tcase_add_test(tc, an_entry_that_points_nowhere_is_written_again);
    tcase_add_test(tc, an_entry_that_points_at_anothers_record_is_written_again);
    tcase_add_test(tc, an_entry_whose_record_is_not_whole_is_written_again);
    tcase_add_test(tc, a_right_entry_keeps_its_number);
    tcase_add_test(tc, a_right_entry_behind_one_that_cannot_be_keeps_its_number_too);
    tcase_add_test(tc, a_record_from_before_the_topic_was_deleted_is_passed_over);
    tcase_add_test(tc, an_entry_that_points_before_the_one_in_front_of_it_is_written_again);
    return suite_run(suite);
}
