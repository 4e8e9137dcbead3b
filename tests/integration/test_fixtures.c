/* Reads and opens stores that Apache RocketMQ wrote, and compares every record with RocketMQ's own
 * listing.
 * Usage: test_fixtures FOLDER. Skipped (77) when the folder is not there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <openssl/evp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/record.h"
#include "store/store.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"
#include "tools/dump_place.h"
#include "tools/dump_record.h"

enum { EXIT_SKIPPED = 77 };

struct fixture {
    const char *name;
    int n_listed;      /* records that RocketMQ lists */
    int n_unlisted;    /* that we find behind those: RocketMQ stops at damage in the last file */
    int n_bad_bodies;  /* of all these */
    int n_damaged;     /* places passed over */
    uint64_t end;      /* log_off behind the last record */
    bool lacks_queues; /* some consume-queue entries are lost */
    uint64_t n_cut;    /* bytes behind the last record, told at the start */
};

static const struct fixture fixtures[] = {
    {"mixed", 1110, 0, 0, 0, 1462145, false, 0},
    {"killed", 1496, 0, 0, 0, 493551, false, 0},
    {"powerloss", 1496, 0, 0, 0, 493551, true, 0},
    {"tail-garbage", 1110, 0, 0, 1, 1462145, false, 1536},
    {"flipped", 1109, 0, 1, 1, 1462145, false, 0},
    {"flipped-last", 992, 118, 1, 0, 1462145, false, 0},
    {"missing-cq", 1110, 0, 0, 0, 1462145, true, 0},
    {"truncated", 932, 0, 0, 1, 1380565, false, 202},
    {"timer", 276, 0, 0, 0, 103790, false, 0},
    {"index", 160, 0, 0, 0, 45714, false, 0},
    {"appendable", 1, 0, 0, 0, 267, false, 0},
    {"v2-long-topic", 24, 0, 0, 0, 28801, false, 0},
    {"store-lib", 16, 0, 0, 0, 3115, false, 0},
};

static const char *folder;

/* What was read of a fixture so far. */
struct reading {
    const struct fixture *fixture;
    FILE *listing;
    struct queue_files *queues;
    char *line;
    size_t line_cap;
    int n_listed, n_unlisted, n_bad_bodies, n_damaged;
    uint64_t end;
};

static char *unpack(const char *dir, const char *name)
{
    char *command = NULL;
    ck_assert_int_gt(
        asprintf(&command, "zstd -dc '%s/%s.tar.zst' | tar -x -C '%s'", folder, name, dir), 0);
    ck_assert_int_eq(system(command), 0);
    free(command);
    return tmpdir_path(dir, name);
}

static FILE *open_listing(const char *name)
{
    char *path = NULL;
    ck_assert_int_gt(asprintf(&path, "%s/%s.expected.jsonl", folder, name), 0);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    free(path);
    return f;
}

/* The next line of the listing; NULL at its end. */
static json_t *next_expected(struct reading *r)
{
    if (getline(&r->line, &r->line_cap, r->listing) < 0)
        return NULL;
    json_error_t error;
    json_t *expected = json_loads(r->line, JSON_ALLOW_NUL, &error);
    ck_assert_msg(expected != NULL, "%s", error.text);
    return expected;
}

/* RocketMQ's tag code is what a queue is rebuilt with. */
static void check_tag_code(const json_t *expected, const struct store_record *rec)
{
    if (!json_is_true(json_object_get(expected, "dispatched")))
        return;
    ck_assert(record_is_queued(rec));
    ck_assert_int_eq(json_integer_value(json_object_get(expected, "tagsCode")),
                     record_tag_code(rec));
}

static void forget(json_t *a, json_t *b, const char *name)
{
    (void)json_object_del(a, name);
    (void)json_object_del(b, name);
}

static void check_fields(struct reading *r, json_t *expected, const struct store_walk_item *item)
{
    struct dump_place place;
    struct err e;
    ck_assert_int_eq(dump_place_find(r->queues, &item->rec, &place, &e), 0);
    json_t *found = dump_record_json(item, &place, DUMP_WITHOUT_BODY);
    ck_assert_ptr_nonnull(found);
    if (!json_object_get(expected, "propertiesString")) /* absent in some listings */
        forget(expected, found, "propertiesString");
    if (r->fixture->lacks_queues && !place.is_dispatched) {
        forget(expected, found, "tagsCode");
        forget(expected, found, "dispatched");
        forget(expected, found, "batchNum");
    }
    if (!json_equal(expected, found)) {
        char *a = json_dumps(expected, JSON_SORT_KEYS), *b = json_dumps(found, JSON_SORT_KEYS);
        ck_abort_msg("expected %s\n   found %s", a, b);
    }
    json_decref(found);
}

static void take_record(struct reading *r, const struct store_walk_item *item)
{
    r->n_bad_bodies += !item->body_ok;
    r->end = item->log_off + item->len;
    json_t *expected = next_expected(r);
    if (!expected) {
        r->n_unlisted++;
        return;
    }
    r->n_listed++;
    check_tag_code(expected, &item->rec);
    check_fields(r, expected, item);
    json_decref(expected);
}

static void walk_all(struct reading *r, const char *root)
{
    struct store_walk *walk;
    struct store_walk_item item = {.kind = STORE_WALK_RECORD};
    struct err e;
    ck_assert_msg(store_walk_open(&walk, root, 0, io_posix(), &e) == 0, "%s", e.msg);
    while (item.kind != STORE_WALK_END) {
        ck_assert_msg(store_walk_next(walk, &item, &e) == 0, "%s", e.msg);
        if (item.kind == STORE_WALK_RECORD)
            take_record(r, &item);
        r->n_damaged += item.kind == STORE_WALK_DAMAGE;
    }
    store_walk_close(walk);
}

START_TEST(every_record_reads_as_in_the_listing)
{
    const struct fixture *fixture = &fixtures[_i];
    struct reading r = {.fixture = fixture, .listing = open_listing(fixture->name)};
    char *dir = tmpdir_make();
    char *root = unpack(dir, fixture->name);
    struct err e;
    ck_assert_int_eq(queue_files_open(&r.queues, root, io_posix(), &e), 0);
    walk_all(&r, root);
    ck_assert_ptr_null(next_expected(&r));
    ck_assert_int_eq(r.n_listed, fixture->n_listed);
    ck_assert_int_eq(r.n_unlisted, fixture->n_unlisted);
    ck_assert_int_eq(r.n_bad_bodies, fixture->n_bad_bodies);
    ck_assert_int_eq(r.n_damaged, fixture->n_damaged);
    ck_assert_uint_eq(r.end, fixture->end);
    queue_files_close(r.queues);
    fclose(r.listing);
    free(r.line);
    free(root);
    tmpdir_remove(dir);
}
END_TEST

/* ---- opening ---- */

static json_t *load_state(const char *name)
{
    char *path = NULL;
    ck_assert_int_gt(asprintf(&path, "%s/%s.state.json", folder, name), 0);
    json_error_t error;
    json_t *state = json_load_file(path, JSON_ALLOW_NUL, &error);
    ck_assert_msg(state != NULL, "%s", error.text);
    free(path);
    return state;
}

/* What RocketMQ has after opening; of the store it would have cut, what it has of the whole one. */
static json_t *load_queues(const char *name)
{
    json_t *state = load_state(strcmp(name, "flipped-last") == 0 ? "mixed" : name);
    json_t *queues = json_object_get(json_object_get(state, "afterOpen"), "consumeQueues");
    json_incref(queues);
    json_decref(state);
    return queues;
}

static int64_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* Queues of batches are left alone, so nothing is said of them. */
static void check_bounds(struct store *store, json_t *queues)
{
    const char *topic, *queue_id;
    json_t *of_topic, *queue;
    json_object_foreach(queues, topic, of_topic)
    {
        json_object_foreach(of_topic, queue_id, queue)
        {
            uint64_t min, max;
            const char *type = json_string_value(json_object_get(queue, "type"));
            if (strcmp(type, "SimpleCQ") != 0)
                continue;
            store_queue_bounds(store, span_str(topic), atoi(queue_id), &min, &max);
            ck_assert_msg((int64_t)min == number_of(queue, "minOffset") &&
                              (int64_t)max == number_of(queue, "maxOffset"),
                          "%s/%s has %d..%d", topic, queue_id, (int)min, (int)max);
        }
    }
}

/* A copy of a fixture, opened. */
struct opened {
    const struct fixture *fixture;
    char *dir, *root;
    struct store *store;
};

static uint32_t n_slots(const struct fixture *fixture)
{
    return strcmp(fixture->name, "index") == 0 ? 100 : 1000;
}

static void open_store(struct opened *o)
{
    struct store_options opt = {.root = o->root,
                                .file_bytes = 262144,
                                .queue_file_bytes = 2000,
                                .index_slots = n_slots(o->fixture),
                                .index_items = 4 * n_slots(o->fixture)};
    if (strcmp(o->fixture->name, "index") != 0)
        opt.index_items *= 2;
    struct err e;
    int rc = store_open(&o->store, &opt, io_posix(), &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
}

static void close_store(struct opened *o)
{
    struct err e;
    ck_assert_msg(store_close(o->store, &e) == 0, "%s", e.msg);
    o->store = NULL;
}

static struct opened open_copy(const struct fixture *fixture)
{
    struct opened o = {.fixture = fixture, .dir = tmpdir_make()};
    o.root = unpack(o.dir, fixture->name);
    open_store(&o);
    return o;
}

static void drop_copy(struct opened *o)
{
    close_store(o);
    free(o->root);
    tmpdir_remove(o->dir);
}

START_TEST(every_store_opens_with_its_queues_whole)
{
    struct opened o = open_copy(&fixtures[_i]);
    struct store_stats stats;
    struct store_recovery found;
    store_stats(o.store, &stats);
    ck_assert_uint_eq(stats.published, o.fixture->end);
    store_recovery_report(o.store, &found);
    ck_assert_uint_eq(found.cut_bytes, o.fixture->n_cut);
    /* RocketMQ refuses the truncated one for a file's length, so it has no queues to compare. */
    if (strcmp(o.fixture->name, "truncated") != 0) {
        json_t *queues = load_queues(o.fixture->name);
        ck_assert_uint_gt(json_object_size(queues), 0);
        check_bounds(o.store, queues);
        json_decref(queues);
    }
    drop_copy(&o);
}
END_TEST

static bool has_sha256(struct span body, const char *expected)
{
    enum { DIGEST_BYTES = 32 };
    uint8_t digest[DIGEST_BYTES];
    char text[2 * DIGEST_BYTES + 1];
    const uint8_t *bytes = body.ptr ? body.ptr : (const uint8_t *)"";
    ck_assert_int_eq(EVP_Digest(bytes, body.len, digest, /* size = */ NULL, EVP_sha256(), NULL), 1);
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return strcmp(text, expected) == 0;
}

/* Whether a record comes out of its queue as it went in. */
static bool is_readable(struct store *store, const json_t *expected)
{
    struct store_slice slice;
    struct err e;
    struct span topic = span_str(json_string_value(json_object_get(expected, "topic")));
    if (store_get(store, topic, (int32_t)number_of(expected, "queueId"),
                  (uint64_t)number_of(expected, "queueOffset"), &slice, &e) < 0)
        return false;
    ck_assert_int_eq((int64_t)slice.rec.log_off, number_of(expected, "physicalOffset"));
    bool is_same =
        has_sha256(slice.rec.body, json_string_value(json_object_get(expected, "bodySha256")));
    store_unpin(slice.pin);
    return is_same;
}

/* Whether a queue of ours should hold it: batch queues are left alone. */
static bool is_ours(const json_t *expected)
{
    return json_is_true(json_object_get(expected, "dispatched")) &&
           json_is_true(json_object_get(expected, "recoveryCheckOk")) &&
           !json_object_get(expected, "batchNum");
}

static void check_readable(const struct opened *o)
{
    /* what RocketMQ would cut is in the listing of the whole one, with the damaged record */
    bool is_cut = strcmp(o->fixture->name, "flipped-last") == 0;
    struct reading r = {.listing = open_listing(is_cut ? "mixed" : o->fixture->name)};
    int n_lost = 0, n_read = 0;
    for (json_t *expected; (expected = next_expected(&r)); json_decref(expected)) {
        if (!is_ours(expected))
            continue;
        if (is_readable(o->store, expected))
            n_read++;
        else
            n_lost++;
    }
    ck_assert_int_gt(n_read, 0);
    ck_assert_int_eq(n_lost, is_cut ? o->fixture->n_bad_bodies : 0);
    fclose(r.listing);
    free(r.line);
}

START_TEST(every_undamaged_record_is_read_through_its_queue)
{
    struct opened o = open_copy(&fixtures[_i]);
    check_readable(&o);
    drop_copy(&o);
}
END_TEST

START_TEST(a_message_appended_stays_with_all_that_was_there)
{
    static const char topic[] = "AppendedByUs", text[] = "one more";
    struct opened o = open_copy(&fixtures[_i]);
    struct span body = span_str(text);
    const struct store_message m = {
        .topic = span_str(topic), .born_host = {.addr_len = 4}, .body = &body, .n_body = 1};
    struct store_appended at;
    struct store_slice slice;
    struct err e;
    ck_assert_msg(store_append(o.store, &m, &at, &e) == 0, "%s", e.msg);
    close_store(&o);
    open_store(&o);
    check_readable(&o);
    ck_assert_msg(store_get(o.store, span_str(topic), 0, 0, &slice, &e) == 0, "%s", e.msg);
    ck_assert(span_equal(slice.rec.body, body));
    store_unpin(slice.pin);
    drop_copy(&o);
}
END_TEST

/* ---- looking up ---- */

static void await_index(const struct opened *o)
{
    struct store_stats st;
    do {
        (void)sched_yield(); /* the indexer gets there; the test's own limit is the timeout */
        store_stats(o->store, &st);
        ck_assert(!st.index_failed);
    } while (st.indexed < st.published);
}

static int add_offset(void *arg, const struct store_walk_item *item)
{
    return json_array_append_new(arg, json_integer((json_int_t)item->log_off));
}

/* The positions of the records with a key, of either kind, ascending. */
static json_t *find_offsets(struct store_find *find, const json_t *lookup)
{
    struct store_query q = {
        .topic = span_str(json_string_value(json_object_get(lookup, "topic"))),
        .key = span_str(json_string_value(json_object_get(lookup, "key"))),
    };
    struct err e;
    enum store_query_end end;
    json_t *found = json_array(), *ascending = json_array();
    ck_assert_int_eq(store_query(find, &q, add_offset, found, &end, &e), 0);
    q.by = STORE_FIND_BY_UNIQUE_KEY;
    ck_assert_int_eq(store_query(find, &q, add_offset, found, &end, &e), 0);
    for (size_t i = json_array_size(found); i-- > 0;)
        (void)json_array_append(ascending, json_array_get(found, i));
    json_decref(found);
    return ascending;
}

/* All that really carry the key, also where RocketMQ's own index has lost them. */
static void check_lookup(struct store_find *find, const json_t *lookup)
{
    json_t *expected = json_object_get(lookup, "withThisKey");
    json_t *found = find_offsets(find, lookup);
    if (!json_equal(expected, found)) {
        char *a = json_dumps(lookup, JSON_SORT_KEYS), *b = json_dumps(found, 0);
        ck_abort_msg("expected %s\n   found %s", a, b);
    }
    json_decref(found);
}

/* RocketMQ indexes no rolled-back half, so nothing finds this one. */
static bool is_rolled_back(const struct opened *o, const json_t *lookup)
{
    return strcmp(o->fixture->name, "store-lib") == 0 &&
           strcmp(json_string_value(json_object_get(lookup, "key")), "k4") == 0;
}

START_TEST(every_key_that_rocketmq_lists_is_found)
{
    struct opened o = open_copy(&fixtures[_i]);
    json_t *state = load_state(o.fixture->name), *lookup;
    struct store_find *find;
    struct err e;
    size_t i;
    await_index(&o);
    ck_assert_int_eq(store_find_open(&find, o.root, n_slots(o.fixture), io_posix(), &e), 0);
    json_array_foreach(json_object_get(state, "indexLookups"), i, lookup)
    {
        if (!is_rolled_back(&o, lookup))
            check_lookup(find, lookup);
    }
    ck_assert_uint_gt(i, 0);
    store_find_close(find);
    json_decref(state);
    drop_copy(&o);
}
END_TEST

START_TEST(an_index_that_rocketmq_wrote_is_kept)
{
    struct store_stats st;
    struct opened o = open_copy(&fixtures[_i]);
    await_index(&o);
    store_stats(o.store, &st);
    ck_assert_uint_eq(st.n_index_dropped, 0);
    drop_copy(&o);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc < 2 || access(argv[1], R_OK) < 0)
        return EXIT_SKIPPED;
    folder = argv[1];
    Suite *suite = suite_create("fixtures");
    TCase *tc = tcase_create("fixtures");
    tcase_add_loop_test(tc, every_record_reads_as_in_the_listing, 0,
                        (int)(sizeof fixtures / sizeof fixtures[0]));
    tcase_add_loop_test(tc, every_store_opens_with_its_queues_whole, 0,
                        (int)(sizeof fixtures / sizeof fixtures[0]));
    tcase_add_loop_test(tc, every_undamaged_record_is_read_through_its_queue, 0,
                        (int)(sizeof fixtures / sizeof fixtures[0]));
    tcase_add_loop_test(tc, a_message_appended_stays_with_all_that_was_there, 0,
                        (int)(sizeof fixtures / sizeof fixtures[0]));
    tcase_add_loop_test(tc, every_key_that_rocketmq_lists_is_found, 0,
                        (int)(sizeof fixtures / sizeof fixtures[0]));
    tcase_add_loop_test(tc, an_index_that_rocketmq_wrote_is_kept, 0,
                        (int)(sizeof fixtures / sizeof fixtures[0]));
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
