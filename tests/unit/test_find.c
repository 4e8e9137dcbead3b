/* Finding messages in a store by key, by unique key and by id. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/key_index.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { SLOTS = 100, ITEMS = 400, MAX_FOUND = 64 };

static struct store_fixture f;
static uint64_t found[MAX_FOUND];
static size_t n_found, max_found;

static void set_up(void)
{
    store_fixture_init(&f);
    f.opt.index_slots = SLOTS;
    f.opt.index_items = ITEMS;
    store_fixture_open(&f);
    max_found = MAX_FOUND;
}

static void tear_down(void)
{
    store_fixture_fini(&f);
}

static struct store_appended append_body(const char *topic, const char *properties,
                                         struct span body)
{
    const struct store_message m = {.topic = span_str(topic),
                                    .born_host = {.addr_len = 4},
                                    .properties = span_str(properties),
                                    .body = &body,
                                    .n_body = 1};
    struct store_appended at;
    struct err e = {0};
    int rc = store_append(f.store, &m, &at, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
    return at;
}

static struct store_appended append(const char *topic, const char *properties)
{
    return append_body(topic, properties, span_str("body"));
}

/* With a body of that many bytes. */
static void append_large(size_t bytes)
{
    static const uint8_t zeros[FIXTURE_FILE_BYTES];
    (void)append_body("T", "KEYS\001k\002", span_of(zeros, bytes));
}

/* Waits until all that is published is indexed. */
static void await(void)
{
    struct store_stats st;
    do {
        (void)sched_yield(); /* the indexer gets there; the test's own limit is the timeout */
        store_stats(f.store, &st);
    } while (st.indexed < st.published);
}

static int take(void *arg, const struct store_walk_item *item)
{
    (void)arg;
    ck_assert(item->body_ok);
    found[n_found++] = item->log_off;
    return n_found == max_found;
}

static size_t look_up(struct store_query q)
{
    struct store_find *find;
    struct err e;
    enum store_query_end end;
    n_found = 0;
    ck_assert_int_eq(store_find_open(&find, f.root, SLOTS, f.io, &e), 0);
    ck_assert_int_eq(store_query(find, &q, take, /* arg = */ NULL, &end, &e), 0);
    ck_assert_int_eq(end, n_found == max_found ? STORE_QUERY_STOPPED : STORE_QUERY_ALL);
    store_find_close(find);
    return n_found;
}

static size_t by_key(const char *topic, const char *key)
{
    return look_up((struct store_query){.topic = span_str(topic), .key = span_str(key)});
}

START_TEST(a_message_is_found_by_each_of_its_keys_and_its_unique_key)
{
    struct store_appended at = append("T", "KEYS\001a b\002UNIQ_KEY\001u\002");
    await();
    ck_assert_uint_eq(by_key("T", "a"), 1);
    ck_assert_uint_eq(found[0], at.log_off);
    ck_assert_uint_eq(by_key("T", "b"), 1);
    ck_assert_uint_eq(by_key("T", "u"), 0);
    struct store_query q = {
        .topic = span_str("T"), .key = span_str("u"), .by = STORE_FIND_BY_UNIQUE_KEY};
    ck_assert_uint_eq(look_up(q), 1);
    q.key = span_str("a");
    ck_assert_uint_eq(look_up(q), 0);
}
END_TEST

START_TEST(keys_and_topics_of_the_same_hash_are_told_apart)
{
    struct store_appended at = append("T", "KEYS\001Aa\002");
    (void)append("T", "KEYS\001BB\002");
    (void)append("TAa", "KEYS\001k\002");
    (void)append("TBB", "KEYS\001k\002");
    await();
    ck_assert_uint_eq(by_key("T", "Aa"), 1);
    ck_assert_uint_eq(found[0], at.log_off);
    ck_assert_uint_eq(by_key("TBB", "k"), 1);
}
END_TEST

START_TEST(the_newest_come_first_and_a_look_up_can_go_on)
{
    struct store_appended at[10];
    for (int i = 0; i < 10; i++)
        at[i] = append("T", "KEYS\001k\002");
    await();
    max_found = 4;
    ck_assert_uint_eq(by_key("T", "k"), 4);
    ck_assert_uint_eq(found[0], at[9].log_off);
    ck_assert_uint_eq(found[3], at[6].log_off);
    struct store_query q = {
        .topic = span_str("T"), .key = span_str("k"), .below_log_off = found[3]};
    ck_assert_uint_eq(look_up(q), 4);
    ck_assert_uint_eq(found[0], at[5].log_off);
}
END_TEST

START_TEST(times_are_kept_to_the_millisecond)
{
    struct store_appended at = append("T", "KEYS\001k\002");
    await();
    struct store_query q = {.topic = span_str("T"), .key = span_str("k")};
    q.begin_ms = q.end_ms = at.store_ms;
    ck_assert_uint_eq(look_up(q), 1);
    q.begin_ms = q.end_ms = at.store_ms + 1;
    ck_assert_uint_eq(look_up(q), 0);
    q.begin_ms = q.end_ms = at.store_ms - 1;
    ck_assert_uint_eq(look_up(q), 0);
}
END_TEST

START_TEST(a_message_is_found_by_its_position)
{
    struct store_find *find;
    struct store_walk_item item;
    struct err e;
    (void)append("T", "KEYS\001a\002");
    struct store_appended at = append("T", "KEYS\001b\002");
    ck_assert_int_eq(store_find_open(&find, f.root, SLOTS, f.io, &e), 0);
    ck_assert_int_eq(store_find_at(find, at.log_off, &item, &e), 0);
    ck_assert_uint_eq(item.rec.queue_off, 1);
    ck_assert_int_eq(store_find_at(find, at.log_off + 1, &item, &e), ERR_NOTFOUND);
    ck_assert_int_eq(store_find_at(find, UINT64_MAX, &item, &e), ERR_NOTFOUND);
    store_find_close(find);
}
END_TEST

START_TEST(an_id_tells_a_host_and_a_position)
{
    struct store_host host;
    uint64_t log_off;
    ck_assert(store_parse_id(span_str("7F00000100002AB30000000000164f61"), &host, &log_off));
    ck_assert_uint_eq(host.addr_len, 4);
    ck_assert_uint_eq(host.addr[0], 127);
    ck_assert_uint_eq(host.port, 10931);
    ck_assert_uint_eq(log_off, 1462113);
    ck_assert(!store_parse_id(span_str("7F00000100002AB30000000000164f6"), &host, &log_off));
    ck_assert(!store_parse_id(span_str("7F00000100002AB30000000000164f6g"), &host, &log_off));
    ck_assert(!store_parse_id(span_str("7F00000100002AB3ffffffffffffffff"), &host, &log_off));
    ck_assert(store_parse_id(span_str("0000000000000000000000000000000100002AB30000000000000007"),
                             &host, &log_off));
    ck_assert_uint_eq(host.addr_len, 16);
}
END_TEST

static struct store_query by_id(const char *topic, const char *id)
{
    return (struct store_query){
        .topic = span_str(topic), .key = span_str(id), .by = STORE_FIND_BY_ID};
}

START_TEST(an_id_is_a_position_or_a_unique_key)
{
    static const char unique[] = "7F000001000000000000000000000AA0"; /* looks like a position */
    char id[64];
    (void)append("T", "KEYS\001a\002");
    struct store_appended at = append("T", "UNIQ_KEY\0017F000001000000000000000000000AA0\002");
    await();
    (void)snprintf(id, sizeof id, "7F00000100000000%016llX", (unsigned long long)at.log_off);
    ck_assert_uint_eq(look_up(by_id("", id)), 1);
    ck_assert_uint_eq(found[0], at.log_off);
    ck_assert_uint_eq(look_up(by_id("Other", id)), 0);
    ck_assert_uint_eq(look_up(by_id("", unique)), 0);
    ck_assert_uint_eq(look_up(by_id("T", unique)), 1);
    ck_assert_uint_eq(found[0], at.log_off);
}
END_TEST

START_TEST(a_position_of_another_host_is_not_believed)
{
    struct store_appended at = append("T", "KEYS\001a\002");
    char id[64];
    (void)snprintf(id, sizeof id, "7F00000200000000%016llX", (unsigned long long)at.log_off);
    ck_assert_uint_eq(look_up(by_id("", id)), 0);
}
END_TEST

/* ---- what a look-up reads ---- */

/* Bytes that this thread had the disk read. */
static uint64_t bytes_read(void)
{
    char line[128];
    unsigned long long n = 0;
    FILE *in = fopen("/proc/thread-self/io", "r");
    ck_assert_ptr_nonnull(in);
    while (fgets(line, sizeof line, in))
        (void)sscanf(line, "read_bytes: %llu", &n);
    (void)fclose(in);
    return n;
}

/* Out of the page cache. */
static void evict(const char *name)
{
    char *path = tmpdir_path(f.root, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fdatasync(fd), 0);
    ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    ck_assert_int_eq(close(fd), 0);
    free(path);
}

static void evict_all(void)
{
    char name[64];
    uint64_t *names;
    size_t n;
    struct err e;
    char *folder = tmpdir_path(f.root, "index");
    ck_assert_int_eq(key_index_list(folder, &names, &n, &e), 0);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(name, sizeof name, "index/%017llu", (unsigned long long)names[i]);
        evict(name);
    }
    evict("commitlog/00000000000000000000");
    free(names);
    free(folder);
}

/* A read-ahead of the kernel may be megabytes, of which a look-up needs pages. */
START_TEST(a_cold_look_up_reads_pages_and_no_whole_files)
{
    char properties[64];
    store_fixture_close(&f);
    f.opt.index_slots = 50000;
    f.opt.index_items = 100000; /* a file of 2.2 MB */
    f.opt.file_bytes = 4 << 20;
    tmpdir_remove(f.root);
    f.root = tmpdir_make();
    f.opt.root = f.root;
    store_fixture_open(&f);
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(properties, sizeof properties, "KEYS\001k%d\002", i);
        (void)append("T", properties);
    }
    await();
    store_fixture_close(&f);
    evict_all();
    struct store_find *find;
    struct err e;
    enum store_query_end end;
    struct store_query q = {.topic = span_str("T"), .key = span_str("k10000")};
    ck_assert_int_eq(store_find_open(&find, f.root, f.opt.index_slots, f.io, &e), 0);
    uint64_t before = bytes_read();
    n_found = 0;
    ck_assert_int_eq(store_query(find, &q, take, /* arg = */ NULL, &end, &e), 0);
    uint64_t n = bytes_read() - before;
    store_find_close(find);
    store_fixture_open(&f);
    ck_assert_uint_eq(n_found, 1);
    ck_assert_msg(n <= 128 * 1024, "read %llu bytes", (unsigned long long)n);
}
END_TEST

/* ---- over stops ---- */

static void append_many(int n)
{
    for (int i = 0; i < n; i++)
        (void)append("T", "KEYS\001k other\002");
    await();
}

static size_t count(void)
{
    max_found = MAX_FOUND;
    return by_key("T", "k");
}

static void remove_index(void)
{
    tmpdir_remove(tmpdir_path(f.root, "index"));
}

START_TEST(the_index_outlives_a_clean_stop)
{
    append_many(20);
    store_fixture_close(&f);
    ck_assert_uint_eq(count(), 20); /* cold */
    store_fixture_open(&f);
    append_many(20);
    ck_assert_uint_eq(count(), 40);
}
END_TEST

START_TEST(a_lost_index_is_built_again)
{
    append_many(30);
    store_fixture_close(&f);
    remove_index();
    ck_assert_uint_eq(count(), 0);
    store_fixture_open(&f);
    await();
    ck_assert_uint_eq(count(), 30);
}
END_TEST

START_TEST(an_index_that_was_off_catches_up)
{
    append_many(10);
    store_fixture_close(&f);
    f.opt.without_index = true;
    store_fixture_open(&f);
    for (int i = 0; i < 10; i++)
        (void)append("T", "KEYS\001k\002");
    store_fixture_close(&f);
    ck_assert_uint_eq(count(), 10);
    f.opt.without_index = false;
    store_fixture_open(&f);
    await();
    ck_assert_uint_eq(count(), 20);
}
END_TEST

START_TEST(a_kill_leaves_the_index_whole)
{
    append_many(30);
    store_fixture_kill(&f);
    store_fixture_open(&f);
    await();
    ck_assert_uint_eq(count(), 30);
    append_many(5);
    ck_assert_uint_eq(count(), 35);
}
END_TEST

START_TEST(other_sizes_have_the_index_built_again)
{
    struct store_stats st;
    append_many(30);
    store_fixture_close(&f);
    f.opt.index_items = ITEMS * 2;
    store_fixture_open(&f);
    await();
    store_stats(f.store, &st);
    ck_assert_uint_eq(st.n_index_dropped, 1);
    ck_assert_uint_eq(count(), 30);
}
END_TEST

START_TEST(a_store_without_keys_gets_no_index)
{
    struct store_stats st;
    (void)store_fixture_append(&f, "T", 0, "no keys");
    await();
    store_fixture_close(&f);
    char *folder = tmpdir_path(f.root, "index");
    ck_assert_int_ne(access(folder, F_OK), 0);
    free(folder);
    store_fixture_open(&f);
    await();
    store_stats(f.store, &st);
    ck_assert(!st.index_failed);
}
END_TEST

/* As when the log's oldest file goes while somebody looks. */
START_TEST(a_file_that_went_meanwhile_holds_nothing)
{
    struct store_find *find;
    struct err e = {0};
    enum store_query_end end;
    char *path = tmpdir_path(f.root, "commitlog/00000000000000000000");
    for (int i = 0; i < 8; i++) /* four in a file */
        append_large(14 * 1024);
    await();
    ck_assert_int_eq(store_find_open(&find, f.root, SLOTS, f.io, &e), 0);
    ck_assert_int_eq(unlink(path), 0);
    const struct store_query q = {.topic = span_str("T"), .key = span_str("k")};
    for (int i = 0; i < 2; i++) {
        n_found = 0;
        int rc = store_query(find, &q, take, /* arg = */ NULL, &end, &e);
        ck_assert_msg(rc == 0, "%s", e.msg);
        ck_assert_uint_ge(n_found, 4);
        ck_assert_uint_ge(found[n_found - 1], FIXTURE_FILE_BYTES);
    }
    store_find_close(find);
    free(path);
}
END_TEST

/* Removes the first file of the log before it can be opened. */
static int open_too_late(struct io *io, const char *path, int flags, unsigned mode)
{
    (void)io;
    if (strstr(path, "commitlog/00000000000000000000"))
        (void)unlink(path);
    return io_posix()->open(io_posix(), path, flags, mode);
}

START_TEST(a_file_that_goes_at_once_holds_nothing)
{
    struct io io = *io_posix();
    struct store_walk *walk;
    struct store_walk_bounds bounds;
    struct err e = {0};
    for (int i = 0; i < 8; i++)
        append_large(14 * 1024);
    await();
    io.open = open_too_late;
    int rc = store_walk_open(&walk, f.root, /* file_bytes = */ 0, &io, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
    store_walk_bounds(walk, &bounds);
    ck_assert_uint_eq(bounds.begin, FIXTURE_FILE_BYTES);
    store_walk_close(walk);
}
END_TEST

static TCase *finding_case(void)
{
    TCase *tc = tcase_create("finding");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_message_is_found_by_each_of_its_keys_and_its_unique_key);
    tcase_add_test(tc, keys_and_topics_of_the_same_hash_are_told_apart);
    tcase_add_test(tc, the_newest_come_first_and_a_look_up_can_go_on);
    tcase_add_test(tc, times_are_kept_to_the_millisecond);
    tcase_add_test(tc, a_message_is_found_by_its_position);
    tcase_add_test(tc, an_id_tells_a_host_and_a_position);
    tcase_add_test(tc, an_id_is_a_position_or_a_unique_key);
    tcase_add_test(tc, a_position_of_another_host_is_not_believed);
    tcase_add_test(tc, a_cold_look_up_reads_pages_and_no_whole_files);
    tcase_add_test(tc, a_file_that_went_meanwhile_holds_nothing);
    tcase_add_test(tc, a_file_that_goes_at_once_holds_nothing);
    return tc;
}

static TCase *stops_case(void)
{
    TCase *tc = tcase_create("stops");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_index_outlives_a_clean_stop);
    tcase_add_test(tc, a_lost_index_is_built_again);
    tcase_add_test(tc, an_index_that_was_off_catches_up);
    tcase_add_test(tc, a_kill_leaves_the_index_whole);
    tcase_add_test(tc, other_sizes_have_the_index_built_again);
    tcase_add_test(tc, a_store_without_keys_gets_no_index);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("find");
    suite_add_tcase(suite, finding_case());
    suite_add_tcase(suite, stops_case());
    return suite_run(suite);
}
