/* Cuts the power at the n-th change to the disk, and opens what the disk may hold then. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/crash_io.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_RECORDS = 60, N_QUEUES = 3, BODY_BYTES = 2500, N_CUTS = 60, CUT_WITHIN = 90 };

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
    bool has_lost;    /* a queue went after the cut */
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
    }
    /* a close makes durable what it can, and that counts too */
    bool was_closed = store_close(f->store, &e) == 0;
    f->store = NULL;
    if (was_closed && o->n > 0)
        o->flushed = o->at[o->n - 1].log_off + o->at[o->n - 1].size;
}

static void check_image(const char *image, const struct store_options *opt, const struct outcome *o)
{
    struct store_options at_image = *opt;
    struct store_fixture f = {.opt = at_image, .io = io_posix()};
    char buf[BODY_BYTES];
    f.opt.root = image;
    if (o->has_lost)
        store_fixture_open(&f);
    else
        store_fixture_open_after_crash(&f);
    for (int i = 0; i < o->n; i++) {
        struct store_slice slice;
        struct err e = {0};
        int rc = store_get(f.store, span_str("T"), i % N_QUEUES, o->at[i].queue_off, &slice, &e);
        bool must = o->at[i].log_off + o->at[i].size <= o->flushed;
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
}

/* Every other time one of the queues goes, or the end of one: it comes again from the log. */
static bool lose_a_queue(const char *image, uint64_t *seed)
{
    static const uint8_t zeros[20 * N_RECORDS];
    char name[64];
    uint64_t dice = crash_io_random(seed), kept = dice / 8 % (N_RECORDS / N_QUEUES);
    (void)snprintf(name, sizeof name, "consumequeue/T/%d", (int)(dice / 2 % N_QUEUES));
    char *folder = tmpdir_path(image, name), *file = tmpdir_path(folder, "00000000000000000000");
    bool has_lost = dice % 2 && access(file, F_OK) == 0;
    int fd = has_lost && kept > 0 ? open(file, O_WRONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        ck_assert_int_gt(pwrite(fd, zeros, sizeof zeros, (off_t)(20 * kept)), 0);
        (void)close(fd);
    }
    if (has_lost && kept == 0)
        tmpdir_remove(folder);
    else
        free(folder);
    free(file);
    return has_lost;
}

static void cut_once(uint64_t *seed)
{
    struct store_fixture f;
    struct outcome o = {0};
    char *scratch = tmpdir_make(), *image = tmpdir_make();
    store_fixture_init(&f);
    f.opt.flush_interval_ms = 1;
    struct crash_io *c = crash_io_new(f.root, scratch);
    uint64_t cut_at = 1 + crash_io_random(seed) % CUT_WITHIN;
    crash_io_arm(c, cut_at, crash_io_random(seed), image);
    f.io = crash_io_seam(c);
    append_all(&f, &o);
    if (!crash_io_is_off(c))
        crash_io_cut(c, crash_io_random(seed), image);
    o.has_lost = lose_a_queue(image, seed);
    check_image(image, &f.opt, &o);
    crash_io_free(c);
    tmpdir_remove(image);
    tmpdir_remove(scratch);
    tmpdir_remove(f.root);
}

START_TEST(what_was_flushed_survives_a_power_cut)
{
    uint64_t seed = crash_io_seed();
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < N_CUTS; i++)
        cut_once(&seed);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("power");
    TCase *tc = tcase_create("power");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, what_was_flushed_survives_a_power_cut);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}
