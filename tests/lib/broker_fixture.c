/* A broker without a server. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/broker_fixture.h"

#include <check.h>

#include "tests/lib/tmpdir.h"

enum { IN_FLIGHT = 1000, PARKED = 10, NEVER_MS = 3600000 };

static uint64_t read_wall(struct io *io)
{
    (void)io;
    return 1700000000000;
}

static uint64_t read_mono(struct io *io)
{
    const struct still_clock *clock = (const struct still_clock *)io;
    return clock->mono_ms * 1000000;
}

static uint64_t no_chores(void *arg)
{
    (void)arg;
    return NEVER_MS;
}

static void start_keeper(struct broker_fixture *f)
{
    struct err e;
    const struct keeper_options opt = {.round = no_chores};
    ck_assert_int_eq(keeper_start(&f->b.keeper, &opt, &e), 0);
}

void broker_fixture_init(struct broker_fixture *f)
{
    *f = (struct broker_fixture){.clock = {.io = *io_posix()}};
    f->clock.io.now_ms = read_wall;
    f->clock.io.mono_ns = read_mono;
    store_fixture_init(&f->store);
    f->config = tmpdir_make();
}

void broker_fixture_open(struct broker_fixture *f)
{
    struct err e = {0};
    struct broker *b = &f->b;
    store_fixture_open(&f->store);
    b->store = f->store.store;
    b->io = &f->clock.io;
    config_init(&b->cfg);
    steady_clock_init(&b->clock, &f->clock.io);
    ck_assert_int_eq(receipt_key_open(&b->receipts, f->config, f->store.io, &e), 0);
    ck_assert_int_eq(
        topic_table_open(&b->topics, f->config, BROKER_FIXTURE_TOPICS, f->store.io, &e), 0);
    ck_assert_int_eq(lease_table_open(&b->leases, f->config, IN_FLIGHT, &b->clock, &e), 0);
    ck_assert_int_eq(hold_table_open(&b->holds, PARKED, PARKED, &e), 0);
    start_keeper(f);
}

void broker_fixture_fini(struct broker_fixture *f)
{
    keeper_stop(f->b.keeper);
    hold_table_close(f->b.holds);
    lease_table_close(f->b.leases);
    topic_table_close(f->b.topics);
    receipt_key_free(f->b.receipts);
    store_fixture_fini(&f->store);
    tmpdir_remove(f->config);
}

struct lease *broker_fixture_lease(struct broker_fixture *f)
{
    struct err e;
    struct lease *lease = NULL;
    ck_assert_int_eq(lease_get(f->b.leases, span_str("G"), span_str("T"), LEASE_PLAIN, &lease, &e),
                     0);
    return lease;
}

void broker_fixture_settle(struct broker_fixture *f)
{
    keeper_stop(f->b.keeper); /* runs what is queued */
    start_keeper(f);
}

uint64_t broker_fixture_entries(struct broker_fixture *f, const char *topic, int32_t queue_id)
{
    uint64_t min_off, max_off;
    store_queue_bounds(f->store.store, span_str(topic), queue_id, &min_off, &max_off);
    return max_off - min_off;
}
