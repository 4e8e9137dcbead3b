/* Publishes many messages fast: several in a request, several requests under way. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_PUBLISHER_H
#define TOOLS_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "tools/client.h"

struct publisher;

struct publisher_options {
    const char *topic;
    const char *tag; /* of each message; NULL: none */
    const char *key; /* of each message; NULL: none */
    /* For a FIFO topic: of each message; the messages are stored in the order they were added,
     * since one request at a time is under way. NULL: none, and several are. */
    const char *message_group;
};

/* Strings in `opt` and the client outlive the publisher. ERR_NOMEM. */
int publisher_open(struct publisher **ret_publisher, struct client *c,
                   const struct publisher_options *opt, struct err *e) MUST_CHECK;

/* Waits for what is under way. NULL is fine. */
void publisher_close(struct publisher *p);

/* Adds a message, copied; it leaves when its request is full or at a flush. May wait for earlier
 * requests. Fails with the first failure of any earlier message. */
int publisher_add(struct publisher *p, struct span body, struct err *e) MUST_CHECK;

/* Sends what was added. */
int publisher_flush(struct publisher *p, struct err *e) MUST_CHECK;

/* Handles answers, waiting up to `wait_ms` for the first. */
int publisher_poll(struct publisher *p, uint64_t wait_ms, struct err *e) MUST_CHECK;

/* Requests under way. */
bool publisher_is_busy(const struct publisher *p);

/* Flushes and waits for every answer. */
int publisher_finish(struct publisher *p, struct err *e) MUST_CHECK;

/* Messages that the broker has said to have stored. */
uint64_t publisher_n_sent(const struct publisher *p);

#endif
