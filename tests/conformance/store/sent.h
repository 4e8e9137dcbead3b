/* Messages of every shape, sent to a broker, and what RocketMQ must read of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CONFORMANCE_STORE_SENT_H
#define TESTS_CONFORMANCE_STORE_SENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/client.h"

enum { SENT_MAX = 4000 };

/* What was sent so far. Zeroed memory is nothing. */
struct sent {
    size_t n;
    uint64_t first_ms; /* when the first was sent */
    size_t n_found;
    const char *topics[SENT_MAX];
    uint64_t queue_offs[SENT_MAX];
    bool found[SENT_MAX];
};

/* Makes the topics that sent_publish fills. */
void sent_make_topics(struct client *c);

/* Sends `n` more messages, of 1 byte to 64 KiB, over all topics; each must be accepted. */
void sent_publish(struct sent *s, struct client *c, size_t n);

/* Sends `n` more to a topic that is there. */
void sent_publish_to(struct sent *s, struct client *c, const char *topic, size_t n);

/* Whether the line of a listing is of a message that was sent; if so it must agree in everything
 * and not have been found before. */
bool sent_find(struct sent *s, const json_t *line);

/* The same for a message as a client receives it. */
bool sent_find_id(struct sent *s, const char *id, const uint8_t *body, size_t body_len);

/* Each was found; none is afterwards. */
void sent_expect_all(struct sent *s);

/* The topics of sent_make_topics, NULL at the end. */
extern const char *const sent_topics[];

#endif
