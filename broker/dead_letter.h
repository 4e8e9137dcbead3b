/* Moves a message that was delivered often enough to its group's dead-letter topic. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_DEAD_LETTER_H
#define BROKER_DEAD_LETTER_H

#include <stdint.h>

#include "broker/broker.h"
#include "broker/lease.h"
#include "store/store.h"

/* A message and the delivery of it that was not to be. */
struct dead_letter {
    struct lease *lease;
    struct span group, topic;
    int32_t queue_id;
    struct lease_entry entry;
    struct store_slice slice; /* its pin becomes dead_letter_move's */
};

/* Hands the message to the housekeeper, who copies it to %DLQ%GROUP with its properties and acks
 * it. When that cannot be done, the lease brings it up again later. Thread: any. */
void dead_letter_move(struct broker *b, const struct dead_letter *letter);

#endif
