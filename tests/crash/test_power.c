/* Cuts the power at the n-th change to the disk, and opens what the disk may hold then. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
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
    N_RECORDS = 60,
    N_QUEUES = 3,
    BODY_BYTES = 2500,
    N_CUTS = 60,
    CUT_WITHIN = 90,
    /* where files of the log go meanwhile: what is appended has to be flushed for that */
    EXPIRING_CUT_WITHIN = 400,
    EXPIRING_US = 500,
    LOG_BYTES_MAX = 2 * N_RECORDS * BODY_BYTES,
    EXPIRING_QUEUE_BYTES = 3 * 20, /* so that files of queues go, too */
};

static struct span body_of(int i, char buf[BODY_BYTES])
{
    memset(buf, 'a' + i % 26, BODY_BYTES);
    (void)snprintf(buf, BODY_BYTES, "record %d", i);
    return span_of(buf, BODY_BYTES);
}

struct outcome {
    struct store_appended at[N_RECORDS];
    int n;            /* acknowledged */
    uint64_t flushed; /* the disk was told to have everything below */
    uint64_t first;   /* of the log at the cut: files before it were removed, on disk or not */
    bool has_lost;    /* a queue went after the cut */
    bool expires;     /* files of the log go as soon as they may */
};

/* Appends until done or until the power is off. */
static void append_all(struct store_fixture *f, struct outcome *o)
{
    char buf[BODY_BYTES];
    struct err e;
    struct store_stats st;
    if (store_open(&f->store, &f->opt, f->io, &e) < 0)
        return;
    for (; o->n < N_RECORDS; o->n++) {
        struct span body = body_of(o->n, buf);
        if (store_fixture_try(f, "T", o->n % N_QUEUES, body, &o->at[o->n], &e) < 0)
            break;
        store_stats(f->store, &st);
        o->flushed = st.flushed; /* a sync that came after the cut failed */
        if (o->expires)
            (void)usleep(EXPIRING_US);
    }
    /* a close makes durable what it can, and that counts too */
    bool was_closed = store_close(f->store, &e) == 0;
    f->store = NULL;
    if (was_closed && o->n > 0)
        o->flushed = o->at[o->n - 1].log_off + o->at[o->n - 1].size;
}

/* Where the log of `root` begins; 0 when there is none. */
static uint64_t first_of(const char *root)
{
    for (uint64_t at = 0; at <= LOG_BYTES_MAX; at += FIXTURE_FILE_BYTES) {
        char name[64];
        (void)snprintf(name, sizeof name, "commitlog/%020llu", (unsigned long long)at);
        char *path = tmpdir_path(root, name);
        bool is_there = access(path, F_OK) == 0;
        free(path);
        if (is_there)
            return at;
    }
    return 0;
}

/* Returns where the log begins. */
static uint64_t check_image(const char *image, const struct store_options *opt,
                            const struct outcome *o)
{
    struct store_options at_image = *opt;
    struct store_fixture f = {.opt = at_image, .io = io_posix()};
    char buf[BODY_BYTES];
    f.opt.root = image;
    f.opt.retention.is_on = false; /* what is there stays to be looked at */
    if (o->has_lost || o->expires)
        store_fixture_open(&f);
    else
        store_fixture_open_after_crash(&f);
    struct store_stats stats;
    store_stats(f.store, &stats);
    ck_assert_uint_le(stats.log_min, o->first);
    for (int i = 0; i < o->n; i++) {
        struct store_slice slice;
        struct err e = {0};
        int rc = store_get(f.store, span_str("T"), i % N_QUEUES, o->at[i].queue_off, &slice, &e);
        bool must = o->at[i].log_off + o->at[i].size <= o->flushed && o->at[i].log_off >= o->first;
        ck_assert_msg(rc == 0 || !must, "record %d of %d: %s", i, o->n, e.msg);
        if (rc < 0)
            continue;
        ck_assert(span_equal(slice.rec.body, body_of(i, buf)));
        ck_assert_uint_eq(slice.rec.log_off, o->at[i].log_off);
        store_unpin(slice.pin);
    }
    /* and it goes on from there */
    (void)store_fixture_append(&f, "T", 0, "after");
    store_fixture_close(&f);
    store_fixture_open(&f);
    struct store_recovery r;
    store_recovery_report(f.store, &r);
    ck_assert(r.was_clean);
    store_fixture_close(&f);
    return stats.log_min;
}

/* Every other time one of the queues goes, or the end of one: it comes again from the log. */
static bool lose_a_queue(const char *image, uint64_t *seed)
{
    static const uint8_t zeros[20 * N_RECORDS];
    char name[64];
    uint64_t dice = crash_io_random(seed), kept = dice / 8 % (N_RECORDS / N_QUEUES);
    (void)snprintf(name, sizeof name, "consumequeue/T/%d", (int)(dice / 2 % N_QUEUES));
    char *folder = tmpdir_path(image, name), *file = tmpdir_path(folder, "00000000000000000000");
    struct stat st; /* an empty one was not made whole before the cut */
    bool has_lost = dice % 2 && stat(file, &st) == 0 && st.st_size > 0;
    uint64_t left = has_lost && 20 * kept < (uint64_t)st.st_size ? st.st_size - 20 * kept : 0;
    int fd = kept > 0 && left > 0 ? open(file, O_WRONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        left = left < sizeof zeros ? left : sizeof zeros;
        ck_assert_int_gt(pwrite(fd, zeros, left, (off_t)(20 * kept)), 0);
        (void)close(fd);
    }
    if (has_lost && fd < 0)
        tmpdir_remove(folder);
    else
        free(folder);
    free(file);
    return has_lost;
}

/* Whether files of the log were gone. */
static bool cut_once(uint64_t *seed, bool expires)
{
    struct store_fixture f;
    struct outcome o = {.expires = expires};
    char *scratch = tmpdir_make(), *image = tmpdir_make();
    store_fixture_init(&f);
    f.opt.flush_interval_ms = 1;
    f.opt.retention = (struct store_retention){
        .is_on = expires, .hours = (1 << 24) - 1, .interval_ms = 1}; /* at any age */
    if (expires)
        f.opt.queue_file_bytes = EXPIRING_QUEUE_BYTES;
    struct crash_io *c = crash_io_new(f.root, scratch);
    uint64_t cut_at = 1 + crash_io_random(seed) % (expires ? EXPIRING_CUT_WITHIN : CUT_WITHIN);
    crash_io_arm(c, cut_at, crash_io_random(seed), image);
    f.io = crash_io_seam(c);
    append_all(&f, &o);
    if (!crash_io_is_off(c))
        crash_io_cut(c, crash_io_random(seed), image);
    o.first = first_of(f.root);
    o.has_lost = lose_a_queue(image, seed);
    uint64_t log_min = check_image(image, &f.opt, &o);
    crash_io_free(c);
    tmpdir_remove(image);
    tmpdir_remove(scratch);
    tmpdir_remove(f.root);
    return log_min > 0;
}

START_TEST(what_was_flushed_survives_a_power_cut)
{
    uint64_t seed = crash_io_seed();
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < N_CUTS; i++)
        (void)cut_once(&seed, /* expires = */ false);
}
END_TEST

START_TEST(what_was_flushed_and_is_young_survives_while_old_files_go)
{
    uint64_t seed = crash_io_seed();
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    int n_shorter = 0;
    for (int i = 0; i < N_CUTS; i++)
        n_shorter += cut_once(&seed, /* expires = */ true);
    ck_assert_int_gt(n_shorter, 0);
}
END_TEST

/* ---- queues that a start builds again ---- */

enum {
    N_QUEUED = 1000, /* entries in five pages of one file */
    QUEUE_BYTES = 40000,
    N_TRIES = 10,
    IMAGES_EACH = 2,
    IMAGES_MAX = 400,
};

/* Fails the test unless the queue's file has an entry for each record. */
static void expect_entries(const char *root)
{
    static uint8_t bytes[20 * N_QUEUED];
    char *file = tmpdir_path(root, "consumequeue/T/0/00000000000000000000");
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, bytes, sizeof bytes, 0), (ssize_t)sizeof bytes);
    (void)close(fd);
    free(file);
    for (size_t i = 0; i < N_QUEUED; i++) {
        struct store_queue_entry entry;
        ck_assert_msg(store_queue_entry_decode(bytes + 20 * i, &entry), "entry %zu is lost", i);
    }
}

/* A store closed well that has lost its only queue since. */
static void make_without_queue(struct store_fixture *f)
{
    store_fixture_init(f);
    f->opt.queue_file_bytes = QUEUE_BYTES;
    f->opt.flush_interval_ms = 60000;
    store_fixture_open(f);
    for (int i = 0; i < N_QUEUED; i++)
        (void)store_fixture_append(f, "T", 0, "body");
    store_fixture_close(f);
    tmpdir_remove(tmpdir_path(f->root, "consumequeue"));
}

START_TEST(queues_built_again_are_on_disk_after_a_clean_stop)
{
    uint64_t seed = crash_io_seed();
    for (int i = 0; i < N_TRIES; i++) {
        struct store_fixture f;
        char *scratch = tmpdir_make(), *image = tmpdir_make();
        make_without_queue(&f);
        struct crash_io *c = crash_io_new(f.root, scratch);
        f.io = crash_io_seam(c);
        store_fixture_open(&f);
        store_fixture_close(&f);
        crash_io_cut(c, crash_io_random(&seed), image);
        expect_entries(image);
        crash_io_free(c);
        tmpdir_remove(image);
        tmpdir_remove(scratch);
        tmpdir_remove(f.root);
    }
}
END_TEST

/* What the disk may hold before each change to it. */
struct images {
    struct crash_io *crash;
    uint64_t seed;
    char *roots[IMAGES_MAX];
    int n;
};

static void take_images(void *arg)
{
    struct images *m = arg;
    for (int i = 0; i < IMAGES_EACH; i++) {
        ck_assert_int_lt(m->n, IMAGES_MAX);
        m->roots[m->n] = tmpdir_make();
        crash_io_image(m->crash, crash_io_random(&m->seed), m->roots[m->n++]);
    }
}

static void check_rebuilt(char *root)
{
    struct store_fixture f;
    store_fixture_init(&f);
    f.opt.queue_file_bytes = QUEUE_BYTES;
    f.opt.root = root;
    store_fixture_open(&f);
    store_fixture_close(&f);
    expect_entries(root);
    tmpdir_remove(root);
    tmpdir_remove(f.root);
}

START_TEST(queues_built_again_are_not_vouched_for_before_they_are_on_disk)
{
    struct store_fixture f;
    struct images m = {.seed = crash_io_seed()};
    char *scratch = tmpdir_make();
    make_without_queue(&f);
    m.crash = crash_io_new(f.root, scratch);
    f.io = crash_io_seam(m.crash);
    crash_io_watch(m.crash, take_images, &m);
    store_fixture_open(&f);
    store_fixture_close(&f);
    for (int i = 0; i < m.n; i++)
        check_rebuilt(m.roots[i]);
    crash_io_free(m.crash);
    tmpdir_remove(scratch);
    tmpdir_remove(f.root);
}
END_TEST

/* ---- queues that a start cuts ---- */

enum {
    N_KEPT = 200,            /* of N_QUEUED */
    CUT_QUEUE_BYTES = 16000, /* 800 entries: a file with pages to be cut, and one to go */
    LOG_BYTES = 1 << 20,     /* of the one file of the log */
};

/* A store whose queue points at records that its log has lost: as after a power loss before the
 * first checkpoint, when the queue was written and the log was not. */
static void make_ahead_of_log(struct store_fixture *f)
{
    struct store_appended at[N_QUEUED];
    store_fixture_init(f);
    f->opt.file_bytes = LOG_BYTES;
    f->opt.queue_file_bytes = CUT_QUEUE_BYTES;
    f->opt.flush_interval_ms = 60000;
    store_fixture_open(f);
    for (int i = 0; i < N_QUEUED; i++)
        at[i] = store_fixture_append(f, "T", 0, "body");
    store_fixture_close(f);
    static const uint8_t zeros[LOG_BYTES];
    uint64_t from = at[N_KEPT].log_off, upto = at[N_QUEUED - 1].log_off + at[N_QUEUED - 1].size;
    store_fixture_poke(f, "commitlog/00000000000000000000", from, zeros, upto - from);
    store_fixture_kill(f);
    char *checkpoint = tmpdir_path(f->root, "checkpoint");
    ck_assert_int_eq(unlink(checkpoint), 0);
    free(checkpoint);
}

static void expect_no_more_entries(const char *root)
{
    static uint8_t bytes[CUT_QUEUE_BYTES];
    char *file = tmpdir_path(root, "consumequeue/T/0/00000000000000000000");
    char *second = tmpdir_path(root, "consumequeue/T/0/00000000000000016000");
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(read(fd, bytes, sizeof bytes), CUT_QUEUE_BYTES);
    (void)close(fd);
    ck_assert_int_lt(access(second, F_OK), 0);
    free(second);
    free(file);
    for (size_t i = (size_t)N_KEPT * 20; i < sizeof bytes; i++)
        ck_assert_msg(bytes[i] == 0, "entry %zu has come back", i / 20);
}

START_TEST(entries_that_were_cut_do_not_come_back)
{
    uint64_t seed = crash_io_seed();
    for (int i = 0; i < N_TRIES; i++) {
        struct store_fixture f;
        char *scratch = tmpdir_make(), *image = tmpdir_make();
        uint64_t first, end;
        make_ahead_of_log(&f);
        struct crash_io *c = crash_io_new(f.root, scratch);
        f.io = crash_io_seam(c);
        store_fixture_open(&f);
        store_queue_bounds(f.store, span_str("T"), 0, &first, &end);
        ck_assert_uint_eq(end, N_KEPT);
        store_fixture_close(&f);
        crash_io_cut(c, crash_io_random(&seed), image);
        expect_no_more_entries(image);
        crash_io_free(c);
        tmpdir_remove(image);
        tmpdir_remove(scratch);
        tmpdir_remove(f.root);
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("power");
    TCase *tc = tcase_create("power");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, what_was_flushed_survives_a_power_cut);
    tcase_add_test(tc, what_was_flushed_and_is_young_survives_while_old_files_go);
    tcase_add_test(tc, queues_built_again_are_on_disk_after_a_clean_stop);
    tcase_add_test(tc, queues_built_again_are_not_vouched_for_before_they_are_on_disk);
    tcase_add_test(tc, entries_that_were_cut_do_not_come_back);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}
