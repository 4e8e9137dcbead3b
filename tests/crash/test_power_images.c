/* Power cuts at every moment: while several threads append, the disk is looked at before every
 * change to it, several times with other dice each. With sync flush whatever was acknowledged by
 * then is in every one of these images, with async flush whatever was flushed; what is there beside
 * that is whole. SLUICE_SEED repeats a run's dice, SLUICE_ROUNDS says how many runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/crash_io.h"
#include "tests/lib/crew.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum {
    N_THREADS = 3,
    N_EACH = 30,
    N_RECORDS = N_THREADS * N_EACH,
    BODY_MIN = 100,
    BODY_SPAN = 6000, /* so that groups end anywhere in a page, and files roll */
    IMAGES_EACH = 6,
    IMAGES_MAX = 20000,
    ROUNDS = 2,
    PATH_BYTES = 512,
};

/* One record, and where its append said that it is. */
struct acked {
    int thread, number;
    uint64_t queue_off;
    uint64_t end; /* in the log */
};

static struct {
    struct store_fixture store;
    struct crash_io *crash;
    char *images; /* folder of the images: 0, 1, ... */
    uint64_t seed, dice;
    pthread_mutex_t mutex;
    struct acked acked[N_RECORDS]; /* guarded by mutex */
    _Atomic int n_acked;           /* stored under mutex (release), loaded by the watch (acquire) */
    int n_images;                  /* the watch, then the test */
    int n_acked_at[IMAGES_MAX];    /* when each image was made */
    uint64_t flushed_at[IMAGES_MAX];
    _Atomic uint64_t flushed; /* stored under mutex (release), loaded by the watch (acquire) */
} f = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static struct span body_of(int thread, int number, char buf[BODY_MIN + BODY_SPAN])
{
    uint64_t state = f.seed + (uint64_t)(thread * 1000 + number);
    size_t len = BODY_MIN + crash_io_random(&state) % BODY_SPAN;
    memset(buf, 'a' + (thread * 7 + number) % 26, len);
    (void)snprintf(buf, BODY_MIN, "thread %d, record %d", thread, number);
    return span_of(buf, len);
}

static void name_image(int i, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/%d", f.images, i);
}

/* ---- the run ---- */

static void take_images(void *arg)
{
    (void)arg;
    int n_acked = atomic_load_explicit(&f.n_acked, memory_order_acquire);
    uint64_t flushed = atomic_load_explicit(&f.flushed, memory_order_acquire);
    for (int i = 0; i < IMAGES_EACH; i++) {
        char path[PATH_BYTES];
        ck_assert_int_lt(f.n_images, IMAGES_MAX);
        name_image(f.n_images, path);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        crash_io_image(f.crash, crash_io_random(&f.dice), path);
        f.flushed_at[f.n_images] = flushed;
        f.n_acked_at[f.n_images++] = n_acked;
    }
}

static void note_acked(int thread, int number, const struct store_appended *at)
{
    struct store_stats st;
    store_stats(f.store.store, &st);
    pthread_mutex_lock(&f.mutex);
    int n = atomic_load_explicit(&f.n_acked, memory_order_relaxed); /* stored under mutex */
    f.acked[n] = (struct acked){.thread = thread,
                                .number = number,
                                .queue_off = at->queue_off,
                                .end = at->log_off + at->size};
    if (st.flushed > atomic_load_explicit(&f.flushed, memory_order_relaxed)) /* as above */
        atomic_store_explicit(&f.flushed, st.flushed, memory_order_release);
    atomic_store_explicit(&f.n_acked, n + 1, memory_order_release);
    pthread_mutex_unlock(&f.mutex);
}

static void append_some(int thread)
{
    char buf[BODY_MIN + BODY_SPAN];
    for (int i = 0; i < N_EACH; i++) {
        struct store_appended at;
        struct err e = {0};
        int rc = store_fixture_try(&f.store, "T", thread, body_of(thread, i, buf), &at, &e);
        ck_assert_msg(rc == 0, "%s", e.msg);
        note_acked(thread, i, &at);
    }
}

static void run(void)
{
    struct crew appenders;
    store_fixture_open(&f.store);
    crew_start(&appenders, N_THREADS, append_some);
    crew_join(&appenders);
    store_fixture_close(&f.store);
}

/* ---- the images ---- */

static void check_record(struct store *s, int image, const struct acked *a)
{
    char buf[BODY_MIN + BODY_SPAN];
    struct store_slice slice;
    struct err e = {0};
    bool must = f.store.opt.flush == STORE_FLUSH_SYNC || a->end <= f.flushed_at[image];
    int rc = store_get(s, span_str("T"), a->thread, a->queue_off, &slice, &e);
    if (rc < 0 && !must)
        return;
    ck_assert_msg(rc == 0, "seed %" PRIu64 ", image %d: record %d of thread %d is lost: %s", f.seed,
                  image, a->number, a->thread, e.msg);
    ck_assert(span_equal(slice.rec.body, body_of(a->thread, a->number, buf)));
    ck_assert(store_body_check(&slice.rec, /* ret_crc = */ NULL));
    store_unpin(slice.pin);
}

/* Opens the image with either engine, in turns; what was acknowledged is there, and it goes on. */
static void check_image(int i)
{
    char path[PATH_BYTES];
    struct store_fixture image = {.opt = f.store.opt, .io = io_posix()};
    name_image(i, path);
    image.opt.root = path;
    image.opt.flush = i % 2 ? STORE_FLUSH_SYNC : STORE_FLUSH_ASYNC;
    store_fixture_open_after_crash(&image);
    for (int k = 0; k < f.n_acked_at[i]; k++)
        check_record(image.store, i, &f.acked[k]);
    (void)store_fixture_append(&image, "T", 0, "after");
    store_fixture_close(&image);
}

static void run_round(enum store_flush flush)
{
    char *scratch = tmpdir_make();
    f.images = tmpdir_make();
    f.n_images = 0;
    atomic_store_explicit(&f.n_acked, 0, memory_order_relaxed); /* no thread is there yet */
    atomic_store_explicit(&f.flushed, 0, memory_order_relaxed);
    store_fixture_init(&f.store);
    f.store.opt.flush = flush;
    f.store.opt.flush_interval_ms = 1;
    f.crash = crash_io_new(f.store.root, scratch);
    f.store.io = crash_io_seam(f.crash);
    crash_io_watch(f.crash, take_images, NULL);
    run();
    int n_checked = 0;
    for (int i = 0; i < f.n_images; i++, n_checked++)
        check_image(i);
    printf("seed %" PRIu64 ": %d images, %d records acknowledged; none lost\n", f.seed, n_checked,
           f.n_acked);
    crash_io_free(f.crash);
    tmpdir_remove(f.images);
    tmpdir_remove(scratch);
    tmpdir_remove(f.store.root);
}

static void run_rounds(enum store_flush flush)
{
    const char *text = getenv("SLUICE_ROUNDS");
    int rounds = text ? atoi(text) : ROUNDS;
    for (int i = 0; i < rounds; i++) {
        f.seed = f.dice = crash_io_seed() + (uint64_t)i;
        run_round(flush);
    }
}

START_TEST(what_was_acknowledged_survives_a_power_cut_at_any_moment)
{
    run_rounds(STORE_FLUSH_SYNC);
}
END_TEST

START_TEST(with_async_flush_what_was_flushed_survives_a_power_cut_at_any_moment)
{
    run_rounds(STORE_FLUSH_ASYNC);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("power_images");
    TCase *tc = tcase_create("power_images");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, what_was_acknowledged_survives_a_power_cut_at_any_moment);
    tcase_add_test(tc, with_async_flush_what_was_flushed_survives_a_power_cut_at_any_moment);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    tmpdir_use_memory();
    return suite_run(make_suite());
}
