/* Damages a store anywhere (a bit, a sector that is zero, random or of another place, a lost page),
 * opens it, and reads everything: what was not hit is there, what was hit is whole or not there and
 * then counted, and nothing that nobody sent ever comes. SLUICE_SEED repeats a run's dice,
 * SLUICE_ROUNDS says how many stores are damaged. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/crash_io.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum {
    N_QUEUES = 3,
    N_EACH = 120, /* more than one file of a queue, and several of the log */
    BODY_MIN = 40,
    BODY_SPAN = 3000,
    SECTOR = 512,
    PAGE = 4096,
    ROUNDS = 400,
    HITS_MAX = 3, /* places damaged in one store */
    FILES_MAX = 64,
    PATH_BYTES = 300,
    SLOTS = 100,
    ITEMS = 1000,
};

enum part { PART_LOG, PART_QUEUES, PART_INDEX, PART_CHECKPOINT, N_PARTS };

struct file {
    enum part part;
    char name[PATH_BYTES]; /* under the root */
    int queue_id;          /* PART_QUEUES */
    uint64_t start;        /* its name as a number */
    uint64_t bytes;
};

/* One damaged range of one file. */
struct hit {
    const struct file *file;
    uint64_t from, to;
    const char *kind;
};

/* How the store was left. After a kill the checkpoint tells how many entries all queues had, not
 * how many each: what one lost another hit may hide, in the checkpoint or at the end of a queue. */
enum end { STOPPED, KILLED, KILLED_EARLY, N_ENDS };

static const char *const end_names[N_ENDS] = {"stopped", "killed", "killed before a checkpoint"};

static struct {
    struct store_fixture made; /* the store that is damaged, copy by copy */
    struct store_appended at[N_QUEUES][N_EACH];
    uint64_t used; /* of the log */
    struct file files[FILES_MAX];
    size_t n_files;
    enum end end; /* of this round */
    struct hit hits[HITS_MAX];
    size_t n_hits;
    char story[1024]; /* of this round, for a failure */
} f;

static const char *body_of(int queue_id, int n)
{
    static char body[BODY_MIN + BODY_SPAN + 1];
    uint64_t state = (uint64_t)(queue_id * 1000 + n);
    size_t len = BODY_MIN + crash_io_random(&state) % BODY_SPAN;
    memset(body, 'a' + (queue_id * 7 + n) % 26, len);
    body[len] = '\0';
    (void)snprintf(body, BODY_MIN, "queue %d, record %d", queue_id, n);
    body[strlen(body)] = '.';
    return body;
}

/* ---- the store ---- */

static void append(int queue_id, int n)
{
    char properties[64];
    struct span body = span_str(body_of(queue_id, n));
    (void)snprintf(properties, sizeof properties, "TAGS\001TagA\002KEYS\001k%d-%d\002", queue_id,
                   n);
    const struct store_message m = {.topic = span_str("T"),
                                    .queue_id = queue_id,
                                    .born_host = {.addr_len = 4},
                                    .properties = span_str(properties),
                                    .body = &body,
                                    .n_body = 1};
    struct err e = {0};
    ck_assert_msg(store_append(f.made.store, &m, &f.at[queue_id][n], &e) == 0, "%s", e.msg);
}

static void list_files(enum part part, const char *folder, int queue_id)
{
    char *path = tmpdir_path(f.made.root, folder);
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *at; (at = readdir(dir));) {
        struct file *file = &f.files[f.n_files];
        struct stat st;
        if (at->d_name[0] == '.')
            continue;
        ck_assert_uint_lt(f.n_files, FILES_MAX);
        *file = (struct file){.part = part, .queue_id = queue_id};
        ck_assert_int_lt(snprintf(file->name, PATH_BYTES, "%s/%.40s", folder, at->d_name),
                         PATH_BYTES);
        ck_assert_int_eq(fstatat(dirfd(dir), at->d_name, &st, 0), 0);
        file->start = strtoull(at->d_name, /* endptr = */ NULL, 10);
        file->bytes = (uint64_t)st.st_size;
        f.n_files += part != PART_LOG || file->start < f.used;
    }
    ck_assert_int_eq(closedir(dir), 0);
    free(path);
}

static void make_store(void)
{
    char folder[64];
    struct store_stats st;
    store_fixture_init(&f.made);
    f.made.opt.index_slots = SLOTS;
    f.made.opt.index_items = ITEMS;
    store_fixture_open(&f.made);
    for (int n = 0; n < N_EACH; n++)
        for (int q = 0; q < N_QUEUES; q++)
            append(q, n);
    store_stats(f.made.store, &st);
    f.used = st.published;
    store_fixture_close(&f.made);
    list_files(PART_LOG, "commitlog", 0);
    for (int q = 0; q < N_QUEUES; q++) {
        (void)snprintf(folder, sizeof folder, "consumequeue/T/%d", q);
        list_files(PART_QUEUES, folder, q);
    }
    list_files(PART_INDEX, "index", 0);
    f.files[f.n_files++] =
        (struct file){.part = PART_CHECKPOINT, .name = "checkpoint", .bytes = PAGE};
}

/* ---- damage ---- */

static bool is_of_count(enum part part)
{
    return part == PART_QUEUES || part == PART_CHECKPOINT;
}

static bool has_count_hit(void)
{
    for (size_t i = 0; i < f.n_hits; i++)
        if (is_of_count(f.hits[i].file->part))
            return true;
    return false;
}

/* Any file of a part that is chosen first: small parts are hit as often as the log. */
static const struct file *choose_file(uint64_t *dice)
{
    enum part part = (enum part)(crash_io_random(dice) % N_PARTS);
    if (f.end == KILLED && is_of_count(part) && has_count_hit())
        part = PART_LOG;
    for (;;) {
        const struct file *file = &f.files[crash_io_random(dice) % f.n_files];
        if (file->part == part)
            return file;
    }
}

/* Bytes of the range that are used by something. */
static uint64_t used_bytes(const struct file *file)
{
    if (file->part == PART_LOG && f.used - file->start < file->bytes)
        return f.used - file->start;
    return file->bytes;
}

static void range_of(struct hit *h, uint64_t unit, uint64_t at)
{
    h->from = at - at % unit;
    h->to = h->from + unit < h->file->bytes ? h->from + unit : h->file->bytes;
}

static void damage(int fd, struct hit *h, uint64_t *dice)
{
    static const char *const kinds[] = {"bit", "zeros", "random bytes", "another place", "page"};
    uint8_t bytes[PAGE] = {0};
    size_t kind = crash_io_random(dice) % (sizeof kinds / sizeof kinds[0]);
    uint64_t at = crash_io_random(dice) % used_bytes(h->file);
    h->kind = kinds[kind];
    range_of(h, kind == 0 ? 1 : kind == 4 ? PAGE : SECTOR, at);
    size_t len = (size_t)(h->to - h->from);
    if (kind == 0) {
        ck_assert_int_eq(pread(fd, bytes, 1, (off_t)h->from), 1);
        bytes[0] ^= (uint8_t)(1u << crash_io_random(dice) % 8);
    } else if (kind == 2) {
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)crash_io_random(dice);
    } else if (kind == 3) {
        uint64_t other = crash_io_random(dice) % used_bytes(h->file);
        ck_assert_int_gt(pread(fd, bytes, len, (off_t)(other - other % SECTOR)), 0);
    }
    ck_assert_int_eq(pwrite(fd, bytes, len, (off_t)h->from), (ssize_t)len);
}

static void damage_some(const char *root, uint64_t *dice)
{
    size_t n = 1 + crash_io_random(dice) % HITS_MAX;
    for (f.n_hits = 0; f.n_hits < n; f.n_hits++) {
        struct hit *h = &f.hits[f.n_hits];
        h->file = choose_file(dice);
        char *path = tmpdir_path(root, h->file->name);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        damage(fd, h, dice);
        ck_assert_int_eq(close(fd), 0);
        free(path);
        size_t len = strlen(f.story);
        (void)snprintf(f.story + len, sizeof f.story - len, "; %s in %s at %" PRIu64 " to %" PRIu64,
                       h->kind, h->file->name, h->from, h->to);
    }
}

/* Whether any damage of the part lies in bytes [from, to), counted over the part's files. */
static bool is_hit(enum part part, int queue_id, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < f.n_hits; i++) {
        const struct hit *h = &f.hits[i];
        if (h->file->part == part && h->file->queue_id == queue_id &&
            h->file->start + h->from < to && h->file->start + h->to > from)
            return true;
    }
    return false;
}

/* ---- what is left ---- */

/* Marks the records that come out of a queue; whatever comes is one that was sent, whole. */
static size_t read_queue(struct store *s, int queue_id, bool has_come[N_EACH])
{
    enum { SLICES = 16 };
    struct store_slice slices[SLICES];
    struct store_scanned done;
    struct err e = {0};
    size_t n_bad = 0;
    struct store_scan scan = {.topic = span_str("T"),
                              .queue_id = queue_id,
                              .max_messages = SLICES,
                              .max_bytes = UINT64_MAX,
                              .max_entries = UINT64_MAX};
    do {
        ck_assert_msg(store_scan(s, &scan, slices, &done, &e) == 0, "%s%s", e.msg, f.story);
        for (size_t i = 0; i < done.n; i++) {
            const struct store_record *rec = &slices[i].rec;
            if (!store_body_check(rec, /* ret_crc = */ NULL)) { /* as on the way to a client */
                n_bad++;
            } else {
                ck_assert_uint_lt(rec->queue_off, N_EACH);
                ck_assert_msg(
                    span_equal(rec->body, span_str(body_of(queue_id, (int)rec->queue_off))),
                    "another body as %d/%" PRIu64 "%s", queue_id, rec->queue_off, f.story);
                ck_assert(!has_come[rec->queue_off]);
                has_come[rec->queue_off] = true;
            }
            store_unpin(slices[i].pin);
        }
        n_bad += done.n_damaged;
        scan.from_queue_off = done.next_queue_off;
    } while (done.end == STORE_SCAN_FULL);
    return n_bad;
}

static void check_read(struct store *s, const struct store_recovery *r)
{
    bool has_come[N_QUEUES][N_EACH] = {{false}};
    size_t n_counted = r->n_damaged + (r->cut_bytes > 0), n_lost = 0; /* at the end it is cut */
    for (int q = 0; q < N_QUEUES; q++)
        n_counted += read_queue(s, q, has_come[q]);
    for (int q = 0; q < N_QUEUES; q++) {
        for (int n = 0; n < N_EACH; n++) {
            const struct store_appended *at = &f.at[q][n];
            bool is_log_hit = is_hit(PART_LOG, 0, at->log_off, at->log_off + at->size);
            ck_assert_msg(has_come[q][n] || is_log_hit, "record %d/%d at %" PRIu64 " is hidden%s",
                          q, n, at->log_off, f.story);
            n_lost += !has_come[q][n];
        }
    }
    ck_assert_msg(n_counted > 0 || n_lost == 0, "%zu lost and none counted%s", n_lost, f.story);
}

static void run_round(uint64_t seed)
{
    static const uint8_t zeros[PAGE];
    struct store_fixture copy = f.made;
    struct store_recovery r;
    uint64_t dice = seed;
    copy.root = tmpdir_copy(f.made.root);
    copy.opt.root = copy.root;
    f.end = (enum end)(crash_io_random(&dice) % N_ENDS);
    (void)snprintf(f.story, sizeof f.story, " (seed %" PRIu64 ", %s", seed, end_names[f.end]);
    damage_some(copy.root, &dice);
    if (f.end != STOPPED)
        store_fixture_poke(&copy, "abort", 0, "1", 1);
    if (f.end == KILLED_EARLY)
        store_fixture_poke(&copy, "checkpoint", 0, zeros, sizeof zeros);
    struct err e = {0};
    ck_assert_msg(store_open(&copy.store, &copy.opt, copy.io, &e) == 0, "%s%s", e.msg, f.story);
    store_recovery_report(copy.store, &r);
    check_read(copy.store, &r);
    (void)store_fixture_append(&copy, "T", 0, "after");
    store_fixture_close(&copy);
    tmpdir_remove(copy.root);
}

START_TEST(damage_costs_what_it_hit_and_is_counted)
{
    const char *text = getenv("SLUICE_ROUNDS");
    int rounds = text ? atoi(text) : ROUNDS;
    uint64_t seed = crash_io_seed();
    make_store();
    for (int i = 0; i < rounds; i++)
        run_round(seed + (uint64_t)i);
    printf("seed %" PRIu64 ": %d damaged stores opened\n", seed, rounds);
    tmpdir_remove(f.made.root);
}
END_TEST

int main(void)
{
    tmpdir_use_memory();
    Suite *suite = suite_create("damage");
    TCase *tc = tcase_create("damage");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, damage_costs_what_it_hit_and_is_counted);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
