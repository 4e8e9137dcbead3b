/* A store that sluiced and RocketMQ have in turn: our side of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/store/our_side.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"
#include "tests/lib/messaging.h"
#include "tests/lib/tmpdir.h"
#include "tools/inflate.h"

enum { LONG_BYTES = 8000 }; /* as in BrokerProbe.java */

const char *const our_options[] = {"--set", "mappedFileSizeCommitLog=1048576",
                                   "--set", "mappedFileSizeConsumeQueue=20000",
                                   "--set", "minLongPollingMillis=500",
                                   "--set", "maxHashSlotNum=1000",
                                   "--set", "maxIndexNum=8000",
                                   NULL};
const char *const fixture_options[] = {"--set", "mappedFileSizeCommitLog=262144",
                                       "--set", "mappedFileSizeConsumeQueue=2000",
                                       "--set", "minLongPollingMillis=500",
                                       "--set", "maxHashSlotNum=1000",
                                       "--set", "maxIndexNum=8000",
                                       NULL};

/* ---- the folder ---- */

void our_side_init(struct our_side *o)
{
    memset(o, 0, sizeof *o);
    o->dir = tmpdir_make();
    o->root = tmpdir_path(o->dir, "store");
}

void our_side_fini(struct our_side *o)
{
    if (o->broker.pid > 0) /* the test failed */
        broker_child_kill(&o->broker);
    free(o->root);
    tmpdir_remove(o->dir);
}

void our_side_shell(const char *format, ...)
{
    char *command = NULL;
    va_list list;
    va_start(list, format);
    ck_assert_int_gt(vasprintf(&command, format, list), 0);
    va_end(list);
    ck_assert_msg(system(command) == 0, "%s", command);
    free(command);
}

void our_side_take(struct our_side *o, const char *fixtures, const char *name)
{
    our_side_shell("zstd -dc '%s/%s.tar.zst' | tar -x -C '%s'", fixtures, name, o->dir);
    our_side_shell("mv '%s/%s' '%s'", o->dir, name, o->root);
}

bool our_side_has_abort_file(const struct our_side *o)
{
    char *path = tmpdir_path(o->root, "abort");
    bool is_there = access(path, F_OK) == 0;
    free(path);
    return is_there;
}

uint64_t our_side_end_of_log(const struct our_side *o, size_t *ret_fillers)
{
    struct store_walk *walk;
    struct store_walk_item item = {.kind = STORE_WALK_RECORD};
    struct err e;
    ck_assert_msg(store_walk_open(&walk, o->root, 0, io_posix(), &e) == 0, "%s", e.msg);
    for (*ret_fillers = 0; item.kind != STORE_WALK_END;) {
        ck_assert_msg(store_walk_next(walk, &item, &e) == 0, "%s", e.msg);
        ck_assert(item.kind != STORE_WALK_DAMAGE);
        *ret_fillers += item.kind == STORE_WALK_FILLER;
    }
    store_walk_close(walk);
    return item.log_off;
}

/* ---- the broker ---- */

void our_side_start(struct our_side *o, const char *const *options)
{
    broker_child_start(&o->broker, o->root, options);
    o->client = messaging_connect(o->broker.endpoint, "c");
}

void our_side_stop(struct our_side *o)
{
    client_close(o->client);
    ck_assert_int_eq(broker_child_stop(&o->broker), 0);
}

void our_side_crash(struct our_side *o)
{
    client_close(o->client);
    broker_child_kill(&o->broker);
}

void our_side_publish(struct our_side *o, size_t n)
{
    our_side_start(o, our_options);
    sent_make_topics(o->client);
    sent_publish(&o->sent, o->client, n);
}

/* ---- receiving ---- */

/* The i-th message that RocketMQ appends has this text, and dots behind it in a long one. */
static void expect_text(size_t i, const uint8_t *body, size_t len)
{
    char text[32];
    size_t text_len = (size_t)snprintf(text, sizeof text, "from RocketMQ %zu", i);
    ck_assert_uint_ge(len, text_len);
    ck_assert_mem_eq(body, text, text_len);
    for (size_t at = text_len; at < len; at++)
        ck_assert_int_eq(body[at], '.');
}

/* A long one was compressed by RocketMQ's client. */
static void expect_long_text(size_t i, struct span body)
{
    struct inflated plain;
    struct err e;
    int rc = inflate_body(STORE_SYSFLAG_COMPRESSED, body, LONG_BYTES + 1, &plain, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
    ck_assert_uint_eq(plain.len, LONG_BYTES);
    expect_text(i, plain.bytes, plain.len);
    free(plain.bytes);
}

static void take_appended(const V2(Message) *m, size_t i, struct our_side_received *r)
{
    ck_assert_uint_lt(i, APPENDED_MAX);
    ck_assert_msg(!r->appended[i], "message %zu of RocketMQ's is there twice", i);
    r->appended[i] = true;
    r->n_appended++;
    if (m->system_properties->body_encoding == APACHE__ROCKETMQ__V2__ENCODING__GZIP) {
        expect_long_text(i, span_of(m->body.data, m->body.len));
        r->n_compressed++;
    } else {
        expect_text(i, m->body.data, m->body.len);
    }
}

static void take(struct our_side *o, const V2(Message) *m, struct our_side_received *r)
{
    size_t i;
    const char *id = m->system_properties->message_id;
    if (sent_find_id(&o->sent, id, m->body.data, m->body.len))
        return;
    if (sscanf(id, "R%7zu", &i) == 1)
        take_appended(m, i, r);
    else
        r->n_others++;
}

void our_side_receive(struct our_side *o, const char *topic, const char *group,
                      struct our_side_received *r)
{
    struct messaging_batch b;
    struct messaging_receive receive = {
        .topic = topic, .group = group, .invisible_ms = 600000, .polling_ms = 500};
    size_t n;
    do {
        messaging_receive(o->client, &receive, &b);
        n = b.n;
        for (size_t i = 0; i < n; i++)
            take(o, messaging_at(&b, i), r);
        messaging_batch_free(&b);
    } while (n > 0);
}
