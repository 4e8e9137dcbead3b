/* What the inner parts of a broker need of it: store, tables and housekeeper, but no server, and a
 * clock that only the test moves. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_BROKER_FIXTURE_H
#define TESTS_LIB_BROKER_FIXTURE_H

#include "broker/broker.h"
#include "tests/lib/store_fixture.h"

/* The real seam with a clock that stands still. */
struct still_clock {
    struct io io; /* first, so that the seam's pointer is ours */
    uint64_t mono_ms;
};

struct broker_fixture {
    struct store_fixture store; /* its options may be changed between init and open */
    struct broker b;
    struct still_clock clock; /* what leases go by */
    char *config;             /* folder */
};

enum { BROKER_FIXTURE_TOPICS = 2 }; /* as many can be made */

void broker_fixture_init(struct broker_fixture *f);
void broker_fixture_open(struct broker_fixture *f); /* fails the test on error */
void broker_fixture_fini(struct broker_fixture *f); /* no pin or lease may be held */

/* The lease of group "G" and topic "T"; the caller drops it. */
struct lease *broker_fixture_lease(struct broker_fixture *f);

/* Returns when the housekeeper has done what it was handed. */
void broker_fixture_settle(struct broker_fixture *f);

/* How many entries a queue has. */
uint64_t broker_fixture_entries(struct broker_fixture *f, const char *topic, int32_t queue_id);

#endif
