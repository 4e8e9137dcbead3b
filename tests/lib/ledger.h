/* What producers sent and were promised, and what consumers were given and acknowledged, through
 * crashes of the broker. Each message is known by its id, and its body and tag follow from it: so
 * what was never sent, or comes altered, is found out. The first fault is kept. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_LEDGER_H
#define TESTS_LIB_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tests/lib/messaging.h"

struct ledger;

enum {
    LEDGER_BODY_MAX = 65536,
    LEDGER_ID_BYTES = 32,
    LEDGER_TAG_BYTES = 8,
    LEDGER_PRODUCERS = 4,
    LEDGER_QUEUES = 4,
};

/* One message. */
struct ledger_key {
    int producer; /* below LEDGER_PRODUCERS */
    uint64_t seq; /* from 0 */
};

/* Fails the test without memory. Thread: any, here and below. */
struct ledger *ledger_new(uint64_t seed);
void ledger_free(struct ledger *l); /* NULL is fine */

/* Counts a failure of the test's own that threads cannot raise. */
void ledger_fault(struct ledger *l, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The first fault, or NULL. Valid as long as the ledger. */
const char *ledger_first_fault(struct ledger *l);

/* ---- producers ---- */

/* The next message of a producer: from now on it may come. */
struct ledger_key ledger_next(struct ledger *l, int producer);

void ledger_id(struct ledger_key key, char id[LEDGER_ID_BYTES]);
void ledger_tag(struct ledger_key key, char tag[LEDGER_TAG_BYTES]);

/* 1..LEDGER_BODY_MAX bytes, short ones more often. */
size_t ledger_body(const struct ledger *l, struct ledger_key key, char body[LEDGER_BODY_MAX]);

/* It was answered: from now on it must come. */
void ledger_accepted(struct ledger *l, struct ledger_key key, uint64_t queue_off);

/* ---- a group that acknowledges some ---- */

/* A delivery. False: it is at fault. */
bool ledger_delivered(struct ledger *l, const V2(Message) *m, struct ledger_key *ret_key);

/* Its acknowledgement was answered with OK. */
void ledger_acked(struct ledger *l, struct ledger_key key);

/* ---- a group that reads all of it once, at the end ---- */

void ledger_read(struct ledger *l, const V2(Message) *m);

/* Whether all that was promised came to both groups, and `ends` are the ends of queues that were
 * read without a gap. */
void ledger_check_complete(struct ledger *l, const uint64_t ends[LEDGER_QUEUES]);

/* ---- crashes ---- */

enum { LEDGER_MARGIN_MS = 300 };

/* The broker was killed; what consumers did up to `saved_ms` (since the epoch) was saved, so that
 * what was done LEDGER_MARGIN_MS before must be known after it. */
void ledger_crashed(struct ledger *l, uint64_t saved_ms);

struct ledger_counts {
    uint64_t sent, accepted, unanswered_stored; /* the last: stored all the same */
    uint64_t delivered, again;                  /* deliveries; of them not the first */
    uint64_t acked, acked_again;                /* the last: came again within the window */
    uint64_t body_bytes;                        /* accepted */
    uint64_t longest_again_ms;                  /* most between an ack forgotten and the kill */
};

void ledger_counts(struct ledger *l, struct ledger_counts *ret);

#endif
