/* A commit log and what hangs on it, without threads. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/log_fixture.h"

#include <check.h>
#include <stdlib.h>

#include "tests/lib/tmpdir.h"

static void init_log(struct log_fixture *f, bool is_written)
{
    struct err e = {0};
    struct commit_log_options opt = {
        .folder = f->folder,
        .file_bytes = LOG_FILE_BYTES,
        .max_message_bytes = LOG_FILE_BYTES,
        .is_written = is_written,
        .host = {.addr = {127, 0, 0, 1}, .addr_len = 4},
    };
    int rc = commit_log_init(&f->log, &opt, &f->fault.io, &f->reclaimer, &e);
    ck_assert_msg(rc == 0, "init: %s", e.msg);
    ck_assert_int_eq(commit_log_begin(&f->log, 0, 0, &e), 0);
}

static void init(struct log_fixture *f, bool is_written)
{
    struct err e;
    struct store_checkpoint cp = {0};
    *f = (struct log_fixture){.root = tmpdir_make()};
    f->folder = tmpdir_path(f->root, "commitlog");
    struct store_options opt = {
        .root = f->root,
        .flush_bytes = LOG_FLUSH_BYTES,
    };
    struct io *io = &f->fault.io;
    fault_init(&f->fault, io_posix());
    reclaimer_init(&f->reclaimer, &f->log.files, 0, &f->flusher.flushed);
    init_log(f, is_written);
    ck_assert_int_eq(consume_queues_init(&f->queues, io, f->root, 2000, &f->reclaimer, &e), 0);
    dispatcher_init(&f->dispatcher, &f->log, &f->queues, &opt);
    dispatcher_begin(&f->dispatcher, 0, 0);
    ck_assert_int_eq(flusher_init(&f->flusher, &opt, io, &f->log, &f->queues, &f->dispatcher, &e),
                     0);
    flusher_begin(&f->flusher, 0, &cp);
}

void log_fixture_init(struct log_fixture *f)
{
    init(f, /* is_written = */ false);
}

void log_fixture_init_written(struct log_fixture *f)
{
    init(f, /* is_written = */ true);
    group_commit_init(&f->commit, &f->log, /* dispatcher = */ NULL, &f->flusher.flushed,
                      LOG_PENDING_BYTES);
}

void log_fixture_fini(struct log_fixture *f)
{
    struct err e;
    if (f->commit.log)
        group_commit_stop(&f->commit);
    group_commit_fini(&f->commit);
    dispatcher_stop(&f->dispatcher);
    flusher_fini(&f->flusher);
    dispatcher_fini(&f->dispatcher);
    ck_assert_int_eq(commit_log_stop(&f->log, &e), 0);
    commit_log_fini(&f->log);
    consume_queues_fini(&f->queues);
    reclaimer_fini(&f->reclaimer);
    free(f->folder);
    tmpdir_remove(f->root);
}

int log_fixture_try(struct log_fixture *f, size_t body_len, int32_t sys_flag,
                    struct store_appended *ret, struct err *e)
{
    static const uint8_t zeros[LOG_FILE_BYTES];
    struct span body = span_of(zeros, body_len);
    struct store_message m = {
        .topic = span_str("T"),
        .sys_flag = sys_flag,
        .born_host = {.addr_len = 4},
        .body = &body,
        .n_body = 1,
    };
    return commit_log_append(&f->log, &f->seq, &m, ret, e);
}

struct store_appended log_fixture_append(struct log_fixture *f, size_t body_len)
{
    struct store_appended at = {0};
    struct err e = {0};
    int rc = log_fixture_try(f, body_len, 0, &at, &e);
    ck_assert_msg(rc == 0, "append: %s", e.msg);
    return at;
}

void log_fixture_make_room(struct log_fixture *f)
{
    (void)allocator_window_step(&f->log.allocator);
    (void)allocator_maker_step(&f->log.allocator);
    (void)allocator_window_step(&f->log.allocator);
}
