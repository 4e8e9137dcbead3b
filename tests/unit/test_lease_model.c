/* Leases beside a naive model: random steps from a seed that is printed; SEED=n repeats them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/lib/lease_case.h"
#include "tests/lib/suite.h"

enum { MODEL_MESSAGES = 400 };

struct model_message {
    bool is_out; /* delivered and not acked */
    uint32_t attempts;
    uint64_t visible_ms;
    struct lease_entry last;
};

struct model {
    struct model_message messages[MODEL_MESSAGES];
    uint64_t position;
    unsigned seed;
};

static unsigned pick(struct model *m, unsigned n)
{
    return (unsigned)rand_r(&m->seed) % n;
}

static size_t model_in_flight(const struct model *m)
{
    size_t n = 0;
    for (size_t i = 0; i < MODEL_MESSAGES; i++)
        n += m->messages[i].is_out;
    return n;
}

static uint64_t model_lowest(const struct model *m)
{
    for (uint64_t i = 0; i < m->position; i++)
        if (m->messages[i].is_out)
            return i;
    return m->position;
}

/* What is taken back must be visible in the model, in order, and as many as there are. */
static void model_take_back(struct model *m, size_t max)
{
    struct lease_entry got[MAX];
    size_t n = take_back(got, max);
    size_t n_visible = 0;
    for (size_t i = 0; i < MODEL_MESSAGES; i++)
        n_visible += m->messages[i].is_out && m->messages[i].visible_ms <= take.now_ms;
    ck_assert_uint_eq(n, n_visible < max ? n_visible : max);
    for (size_t i = 0; i < n; i++) {
        struct model_message *message = &m->messages[got[i].queue_off];
        ck_assert(i == 0 || got[i - 1].queue_off < got[i].queue_off);
        ck_assert(message->is_out && message->visible_ms <= take.now_ms);
        ck_assert(got[i].is_dead == (message->attempts >= take.max_attempts));
        message->attempts += !got[i].is_dead;
        ck_assert_uint_eq(got[i].attempt, message->attempts);
        message->visible_ms = take.now_ms + take.invisible_ms;
        message->last = got[i];
    }
}

static void model_take_new(struct model *m, size_t n)
{
    struct lease_entry got[MAX];
    if (m->position + n > MODEL_MESSAGES || model_in_flight(m) >= 100)
        return;
    deliver(m->position, n, got);
    for (size_t i = 0; i < n; i++)
        m->messages[m->position + i] =
            (struct model_message){.is_out = true,
                                   .attempts = 1,
                                   .visible_ms = take.now_ms + take.invisible_ms,
                                   .last = got[i]};
    m->position += n;
}

static void model_ack(struct model *m)
{
    if (m->position == 0)
        return;
    struct model_message *message = &m->messages[pick(m, (unsigned)m->position)];
    enum lease_outcome outcome = ack(&message->last);
    if (outcome == LEASE_FREED) /* an OK to the model, which has no limit */
        outcome = LEASE_OK;
    if (!message->is_out)
        ck_assert_int_ne(outcome, LEASE_OK);
    else
        ck_assert_int_eq(outcome, message->visible_ms > take.now_ms ? LEASE_OK : LEASE_EXPIRED);
    if (outcome == LEASE_OK)
        message->is_out = false;
}

static void model_change(struct model *m)
{
    if (m->position == 0)
        return;
    struct model_message *message = &m->messages[pick(m, (unsigned)m->position)];
    uint64_t invisible_ms = pick(m, 50);
    struct lease_entry changed;
    enum lease_outcome outcome = change(&message->last, invisible_ms, &changed);
    ck_assert_int_eq(outcome == LEASE_OK, message->is_out && message->visible_ms > take.now_ms);
    if (outcome != LEASE_OK)
        return;
    message->visible_ms = take.now_ms + invisible_ms;
    message->last = changed;
}

static void model_give_back(struct model *m)
{
    if (m->position == 0)
        return;
    struct model_message *message = &m->messages[pick(m, (unsigned)m->position)];
    if (!message->is_out || message->last.is_dead || message->attempts == 0)
        return;
    if (lease_give_back(lease, 0, &message->last, 1, take.now_ms) == 0)
        return;
    message->attempts--;
    message->visible_ms = take.now_ms;
}

static void model_step(struct model *m)
{
    switch (pick(m, 8)) {
    case 0:
        model_take_new(m, 1 + pick(m, 10));
        break;
    case 1:
        model_take_back(m, 1 + pick(m, 32));
        break;
    case 2:
        model_change(m);
        break;
    case 3:
        model_give_back(m);
        break;
    case 4:
        take.now_ms += pick(m, 40);
        break;
    default:
        model_ack(m);
        break;
    }
    lease_check(lease);
    ck_assert_uint_eq(progress().position, m->position);
    ck_assert_uint_eq(progress().lowest, model_lowest(m));
    ck_assert_uint_eq(progress().n_in_flight, model_in_flight(m));
}

START_TEST(random_steps_agree_with_a_naive_model)
{
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    for (unsigned round = 0; round < 20; round++) {
        struct model m = {.seed = seed + round};
        printf("SEED=%u\n", m.seed);
        fflush(stdout);
        take.now_ms = START;
        take.invisible_ms = 100;
        ck_assert_int_eq(lease_seek(lease, 0, 0, &e), 0);
        for (int step = 0; step < 1000; step++)
            model_step(&m);
        save();
        reopen(LEASE_PLAIN);
        ck_assert_uint_eq(progress().position, m.position);
        ck_assert_uint_eq(progress().n_in_flight, model_in_flight(&m));
        take.now_ms += 1000;
        model_take_back(&m, MAX);
    }
}
END_TEST

static void add_model_tests(Suite *suite)
{
    TCase *tc = tcase_create("model");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, random_steps_agree_with_a_naive_model);
    suite_add_tcase(suite, tc);
}

int main(void)
{
    Suite *suite = suite_create("lease_model");
    add_model_tests(suite);
    return suite_run(suite);
}
