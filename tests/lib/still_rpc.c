/* The functions that stand in the place of those of broker/rpc.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/still_rpc.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "proto/proto.h"

#define V2(name) Apache__Rocketmq__V2__##name
#define CONTENT(name) APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_RESPONSE__CONTENT_##name

enum { PIECES_MAX = 2 };

enum timer_state {
    TIMER_WAITS,
    TIMER_CALLED, /* its function is called, or posted */
    TIMER_OVER,   /* its function has returned: nobody may know it any more */
};

/* Of the test, until still_rpc_fini. */
struct rpc_timer {
    struct rpc_timer *next;
    uint64_t at_ms;
    void (*fn)(void *arg, bool fired);
    void *arg;
    enum timer_state state;
};

struct posted {
    struct posted *next;
    void (*fn)(void *arg);
    void *arg;
};

static struct {
    struct lock lock; /* LOCK_LEAF */
    /* guarded by lock */
    struct posted *first, **last_next;
    size_t n_posted;
    struct rpc_timer *timers;
} server;

struct rpc_call *__wrap_rpc_ref(struct rpc_call *call);
void __wrap_rpc_unref(struct rpc_call *call);
bool __wrap_rpc_has_unread(const struct rpc_call *call);
void __wrap_rpc_send(struct rpc_call *call, const struct rpc_piece *pieces, size_t n, bool more);
void __wrap_rpc_finish(struct rpc_call *call, int status, const char *text);
void __wrap_rpc_post(struct rpc_server *s, void (*fn)(void *arg), void *arg);
struct rpc_timer *__wrap_rpc_timer_start(struct rpc_server *s, uint64_t at_ms,
                                         void (*fn)(void *arg, bool fired), void *arg);
void __wrap_rpc_timer_cancel(struct rpc_timer *timer);

/* ---- calls ---- */

struct rpc_call *still_rpc_call(struct still_call *call)
{
    return (struct rpc_call *)(void *)call;
}

static struct still_call *still(struct rpc_call *call)
{
    return (struct still_call *)(void *)call;
}

struct rpc_call *__wrap_rpc_ref(struct rpc_call *call)
{
    atomic_fetch_add_explicit(&still(call)->n_refs, 1, memory_order_relaxed);
    return call;
}

void __wrap_rpc_unref(struct rpc_call *call)
{
    int n_before = atomic_fetch_sub_explicit(&still(call)->n_refs, 1, memory_order_acq_rel);
    ck_assert_int_ge(n_before, 1);
}

bool __wrap_rpc_has_unread(const struct rpc_call *call)
{
    return ((const struct still_call *)(const void *)call)->has_unread;
}

static void note_message(struct still_call *c, const V2(Message) *m)
{
    ck_assert_uint_lt(c->n_messages, STILL_MESSAGES_MAX);
    ck_assert_uint_lt(m->body.len, STILL_TEXT_BYTES);
    struct still_message *noted = &c->messages[c->n_messages++];
    memcpy(noted->body, m->body.data, m->body.len);
    noted->body[m->body.len] = '\0';
    noted->attempt = m->system_properties->delivery_attempt;
}

/* Written at once: what was lent is given back. */
void __wrap_rpc_send(struct rpc_call *call, const struct rpc_piece *pieces, size_t n, bool more)
{
    struct err e;
    struct span slices[PIECES_MAX];
    ProtobufCMessage *read = NULL;
    (void)more;
    ck_assert(!still(call)->is_finished);
    ck_assert(n >= 1 && n <= PIECES_MAX);
    for (size_t i = 0; i < n; i++)
        slices[i] = pieces[i].bytes;
    int rc = proto_unpack(&apache__rocketmq__v2__receive_message_response__descriptor, slices, n, 0,
                          &read, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
    V2(ReceiveMessageResponse) *response = (V2(ReceiveMessageResponse) *)read;
    if (response->content_case == CONTENT(STATUS))
        still(call)->code = (int32_t)response->status->code;
    if (response->content_case == CONTENT(MESSAGE))
        note_message(still(call), response->message);
    protobuf_c_message_free_unpacked(read, NULL);
    for (size_t i = 0; i < n; i++)
        if (pieces[i].release)
            pieces[i].release(pieces[i].arg);
}

void __wrap_rpc_finish(struct rpc_call *call, int status, const char *text)
{
    (void)text;
    ck_assert_int_eq(status, RPC_OK);
    ck_assert(!still(call)->is_finished);
    still(call)->is_finished = true;
}

/* ---- what is posted ---- */

void still_rpc_init(void)
{
    memset(&server, 0, sizeof server);
    lock_init(&server.lock, LOCK_LEAF);
    server.last_next = &server.first;
}

void still_rpc_fini(void)
{
    ck_assert_uint_eq(server.n_posted, 0);
    for (struct rpc_timer *t = server.timers; t; t = server.timers) {
        ck_assert_int_eq(t->state, TIMER_OVER);
        server.timers = t->next;
        free(t);
    }
    lock_fini(&server.lock);
}

static void add_posted(void (*fn)(void *arg), void *arg)
{
    struct posted *p = malloc(sizeof *p);
    ck_assert_ptr_nonnull(p);
    *p = (struct posted){.fn = fn, .arg = arg};
    *server.last_next = p;
    server.last_next = &p->next;
    server.n_posted++;
}

void __wrap_rpc_post(struct rpc_server *s, void (*fn)(void *arg), void *arg)
{
    (void)s;
    lock_take(&server.lock);
    add_posted(fn, arg);
    lock_drop(&server.lock);
}

/* NULL: nothing is posted. */
static struct posted *take_posted(void)
{
    lock_take(&server.lock);
    struct posted *p = server.first;
    if (p) {
        server.first = p->next;
        server.n_posted--;
    }
    if (!server.first)
        server.last_next = &server.first;
    lock_drop(&server.lock);
    return p;
}

bool still_rpc_run_one(void)
{
    struct posted *p = take_posted();
    if (!p)
        return false;
    p->fn(p->arg);
    free(p);
    return true;
}

void still_rpc_run(void)
{
    while (still_rpc_run_one())
        continue;
}

size_t still_rpc_n_posted(void)
{
    lock_take(&server.lock);
    size_t n = server.n_posted;
    lock_drop(&server.lock);
    return n;
}

/* ---- timers ---- */

struct rpc_timer *__wrap_rpc_timer_start(struct rpc_server *s, uint64_t at_ms,
                                         void (*fn)(void *arg, bool fired), void *arg)
{
    (void)s;
    struct rpc_timer *t = malloc(sizeof *t);
    ck_assert_ptr_nonnull(t);
    lock_take(&server.lock);
    *t = (struct rpc_timer){.next = server.timers, .at_ms = at_ms, .fn = fn, .arg = arg};
    server.timers = t;
    lock_drop(&server.lock);
    return t;
}

static void call_timer(struct rpc_timer *t, bool fired)
{
    t->fn(t->arg, fired);
    lock_take(&server.lock);
    t->state = TIMER_OVER;
    lock_drop(&server.lock);
}

static void end_timer(void *timer)
{
    call_timer(timer, /* fired = */ false);
}

void __wrap_rpc_timer_cancel(struct rpc_timer *timer)
{
    lock_take(&server.lock);
    ck_assert_int_ne(timer->state, TIMER_OVER);
    if (timer->state == TIMER_WAITS)
        add_posted(end_timer, timer);
    timer->state = TIMER_CALLED;
    lock_drop(&server.lock);
}

/* One that is due is called by whoever gets it; NULL: none is. */
static struct rpc_timer *take_due(uint64_t mono_ms)
{
    lock_take(&server.lock);
    struct rpc_timer *t = server.timers;
    while (t && (t->state != TIMER_WAITS || t->at_ms > mono_ms))
        t = t->next;
    if (t)
        t->state = TIMER_CALLED;
    lock_drop(&server.lock);
    return t;
}

void still_rpc_fire(uint64_t mono_ms)
{
    for (struct rpc_timer *t = take_due(mono_ms); t; t = take_due(mono_ms))
        call_timer(t, /* fired = */ true);
}

void still_rpc_stop(void)
{
    for (struct rpc_timer *t = take_due(UINT64_MAX); t; t = take_due(UINT64_MAX))
        call_timer(t, /* fired = */ false);
    still_rpc_run();
}

size_t still_rpc_n_timers(void)
{
    size_t n = 0;
    lock_take(&server.lock);
    for (const struct rpc_timer *t = server.timers; t; t = t->next)
        n += t->state == TIMER_WAITS;
    lock_drop(&server.lock);
    return n;
}
