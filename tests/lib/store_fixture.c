/* An open store in a scratch folder. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/store_fixture.h"

#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/checkpoint.h"
#include "tests/lib/tmpdir.h"

void store_fixture_init(struct store_fixture *f)
{
    *f = (struct store_fixture){.root = tmpdir_make(), .io = io_posix()};
    f->opt = (struct store_options){
        .root = f->root,
        .file_bytes = FIXTURE_FILE_BYTES,
        .queue_file_bytes = FIXTURE_QUEUE_FILE_BYTES,
        .max_message_bytes = 16 * 1024,
    };
}

void store_fixture_open(struct store_fixture *f)
{
    struct err e = {0};
    int rc = store_open(&f->store, &f->opt, f->io, &e);
    ck_assert_msg(rc == 0, "open: %s", e.msg);
}

/* Of the last file of the log. */
static uint64_t log_end_on_disk(const struct store_fixture *f)
{
    uint64_t end = 0;
    for (bool is_there = true; is_there;) {
        char name[64];
        (void)snprintf(name, sizeof name, "commitlog/%020" PRIu64, end);
        char *path = tmpdir_path(f->opt.root, name);
        is_there = access(path, F_OK) == 0;
        end += is_there ? f->opt.file_bytes : 0;
        free(path);
    }
    return end;
}

void store_fixture_open_after_crash(struct store_fixture *f)
{
    struct store_checkpoint cp;
    struct store_recovery r;
    struct err e;
    ck_assert_int_eq(checkpoint_read(f->opt.root, io_posix(), &cp, &e), 0);
    uint64_t end = log_end_on_disk(f), begin = (uint64_t)cp.queue_off;
    if (end > 0 && begin >= end)
        begin = end - 1;
    begin -= begin % f->opt.file_bytes;
    store_fixture_open(f);
    store_recovery_report(f->store, &r);
    ck_assert_msg(r.scanned_bytes <= end - begin,
                  "%" PRIu64 " bytes were walked from %" PRIu64 " on, of %" PRIu64, r.scanned_bytes,
                  begin, end);
}

void store_fixture_close(struct store_fixture *f)
{
    struct err e = {0};
    int rc = store_close(f->store, &e);
    ck_assert_msg(rc == 0, "close: %s", e.msg);
    f->store = NULL;
}

void store_fixture_fini(struct store_fixture *f)
{
    store_fixture_close(f);
    tmpdir_remove(f->root);
}

int store_fixture_try(struct store_fixture *f, const char *topic, int32_t queue_id,
                      struct span body, struct store_appended *ret, struct err *e)
{
    struct store_message m = {
        .topic = span_str(topic),
        .queue_id = queue_id,
        .born_ms = 1700000000000,
        .born_host = {.addr = {10, 0, 0, 1}, .addr_len = 4, .port = 50000},
        .properties = span_str("TAGS\001TagA\002"),
        .body = &body,
        .n_body = 1,
    };
    return store_append(f->store, &m, ret, e);
}

struct store_appended store_fixture_append(struct store_fixture *f, const char *topic,
                                           int32_t queue_id, const char *body)
{
    struct err e = {0};
    struct store_appended at = {0};
    int rc = store_fixture_try(f, topic, queue_id, span_str(body), &at, &e);
    ck_assert_msg(rc == 0, "append: %s", e.msg);
    return at;
}

void store_fixture_await(struct store_fixture *f, const char *topic, int32_t queue_id, uint64_t n)
{
    uint64_t min_off, max_off;
    do {
        (void)sched_yield(); /* the dispatcher gets there; the test's own limit is the timeout */
        store_queue_bounds(f->store, span_str(topic), queue_id, &min_off, &max_off);
    } while (max_off < n);
}

void store_fixture_expect(struct store_fixture *f, const char *topic, int32_t queue_id,
                          uint64_t queue_off, const char *body)
{
    struct store_slice slice;
    struct err e = {0};
    int rc = store_get(f->store, span_str(topic), queue_id, queue_off, &slice, &e);
    ck_assert_msg(rc == 0, "get: %s", e.msg);
    ck_assert(span_equal(slice.rec.body, span_str(body)));
    ck_assert(store_body_check(&slice.rec, /* ret_crc = */ NULL));
    store_unpin(slice.pin);
}

void store_fixture_poke(struct store_fixture *f, const char *name, uint64_t off, const void *bytes,
                        size_t len)
{
    char *path = tmpdir_path(f->root, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, len, (off_t)off), (ssize_t)len);
    ck_assert_int_eq(close(fd), 0);
    free(path);
}

void store_fixture_kill(struct store_fixture *f)
{
    store_fixture_close(f);
    store_fixture_poke(f, "abort", 0, "1", 1);
}
