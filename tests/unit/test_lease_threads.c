/* Leases used by several threads at once, as the broker's workers do: nothing is delivered twice
 * while it is hidden, and in the end everything is acked. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/lib/crew.h"
#include "tests/lib/lease_case.h"
#include "tests/lib/suite.h"

enum { N_MESSAGES = 3000, N_THREADS = 4, BATCH = 16 };

static atomic_int holders[N_MESSAGES]; /* relaxed: the lease's lock orders what is checked */
static atomic_int n_acked;             /* relaxed: a count */

/* The number of messages in the queue that a scan from `position` finds. */
static size_t found_from(uint64_t position)
{
    uint64_t left = N_MESSAGES - position;
    return left < BATCH ? (size_t)left : BATCH;
}

/* One receive: what is visible again, then what is new. */
static size_t receive(const struct lease_take *mine, struct lease_entry *entries)
{
    struct err why;
    struct lease_scan scan;
    enum lease_begin begun;
    enum lease_taken taken;
    ck_assert_int_eq(lease_begin(lease, 0, mine, &begun, &scan, &why), 0);
    if (begun != LEASE_READY && begun != LEASE_FULL)
        return 0;
    size_t n = lease_take_back(&scan, mine, entries, BATCH);
    if (n == 0 && begun == LEASE_READY) {
        n = found_from(scan.position);
        uint64_t next = scan.position + n;
        for (size_t i = 0; i < n; i++)
            entries[i].queue_off = scan.position + i;
        ck_assert_int_eq(lease_take_new(&scan, mine, entries, n, next, &taken, &why), 0);
        ck_assert_int_eq(taken, LEASE_TAKEN);
    }
    lease_end(&scan);
    return n;
}

/* Gives every fifth back, acks the others. */
static void settle(const struct lease_entry *entry, unsigned turn)
{
    struct lease_handle handle = handle_of(entry);
    int before = atomic_fetch_sub_explicit(&holders[entry->queue_off], 1, memory_order_relaxed);
    ck_assert_int_eq(before, 1);
    if (turn % 5 == 0) {
        ck_assert_uint_eq(lease_give_back(lease, 0, entry, 1, START), 1);
        return;
    }
    ck_assert_int_eq(lease_ack(lease, &handle, START), LEASE_OK);
    (void)atomic_fetch_add_explicit(&n_acked, 1, memory_order_relaxed);
}

static void consume(int number)
{
    struct lease_take mine = take;
    struct lease_entry entries[BATCH];
    unsigned turn = (unsigned)number;
    while (atomic_load_explicit(&n_acked, memory_order_relaxed) < N_MESSAGES) {
        size_t n = receive(&mine, entries);
        for (size_t i = 0; i < n; i++) {
            int others =
                atomic_fetch_add_explicit(&holders[entries[i].queue_off], 1, memory_order_relaxed);
            ck_assert_int_eq(others, 0);
        }
        for (size_t i = 0; i < n; i++)
            settle(&entries[i], turn++);
    }
}

static void *save_and_renew(void *arg)
{
    const struct lease_renewal nobody = {.now_ms = START, .invisible_ms = INVISIBLE};
    struct err why;
    while (atomic_load_explicit(&n_acked, memory_order_relaxed) < N_MESSAGES) {
        ck_assert_int_eq(lease_save(table, &why), 0);
        ck_assert_int_eq(lease_renew(table, &nobody, &why), 0);
        (void)lease_next_visible_ms(lease);
        lease_check(lease);
    }
    return arg;
}

START_TEST(several_consumers_share_a_queue_and_each_message_is_held_by_one)
{
    struct crew consumers;
    pthread_t saver;
    ck_assert_int_eq(pthread_create(&saver, NULL, save_and_renew, NULL), 0);
    crew_start(&consumers, N_THREADS, consume);
    crew_join(&consumers);
    ck_assert_int_eq(pthread_join(saver, NULL), 0);
    ck_assert_uint_eq(progress().lowest, N_MESSAGES);
    ck_assert_uint_eq(progress().n_in_flight, 0);
    save();
    reopen(LEASE_PLAIN);
    ck_assert_uint_eq(progress().position, N_MESSAGES);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lease_threads");
    TCase *tc = tcase_create("threads");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, several_consumers_share_a_queue_and_each_message_is_held_by_one);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
