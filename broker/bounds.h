/* What a request may hold: sizes, characters and times (rocketmq-grpc 4 and 14). Pure. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_BOUNDS_H
#define BROKER_BOUNDS_H

#include <stdint.h>

#include "broker/config.h"
#include "broker/status.h"
#include "broker/topic.h"
#include "proto/proto.h"

enum {
    BOUNDS_PROPERTIES_MAX = 128,
    BOUNDS_PROPERTY_BYTES = 16384, /* keys and values of user properties, tag and keys together */
    BOUNDS_GROUP_BYTES = 63,       /* of a message group */
    BOUNDS_BATCH_MAX = 32,         /* messages of one receive */
    BOUNDS_TEXT_BYTES = 255,       /* of a resource namespace, and of an attempt id */
};

/* One message of a publish request, but for its topic and type. */
int bounds_check_message(const struct proto_message *m, uint64_t max_body_bytes,
                         struct status *ret_status) MUST_CHECK;

/* The type that its fields and its declaration make a message (rocketmq-grpc 4). */
enum topic_type bounds_message_type(const struct proto_message *m);

/* Names; the status is ILLEGAL_TOPIC or ILLEGAL_CONSUMER_GROUP. */
int bounds_check_topic(struct span name, struct status *ret_status) MUST_CHECK;
int bounds_check_group(struct span name, struct status *ret_status) MUST_CHECK;

/* The invisible time of a receive, and that of a change (which may be 0). */
int bounds_check_receive_invisible(const struct config *cfg, int64_t invisible_ms,
                                   struct status *ret_status) MUST_CHECK;
int bounds_check_change_invisible(const struct config *cfg, int64_t invisible_ms,
                                  struct status *ret_status) MUST_CHECK;

/* When a receive asks for how long, what its client waits at most. */
struct bounds_poll {
    int64_t asked_ms;      /* long_polling_timeout; negative: absent */
    uint64_t remaining_ms; /* until the client gives up; UINT64_MAX: never */
    uint64_t request_ms;   /* the client's request timeout */
};

enum {
    BOUNDS_POLL_MARGIN_MS = 200, /* kept before the client's deadline */
    /* A deadline may lack this part of the minimum: a client whose deadline is the shortest wait
     * that is allowed (Rust) has spent some of it before the request is here. */
    BOUNDS_POLL_SLACK_DIVISOR = 10,
};

/* How long to wait for a message. Never shorter than asked for within the limits, unless the
 * client's deadline is; ILLEGAL_POLLING_TIME when that leaves too little. */
int bounds_poll_time(const struct config *cfg, const struct bounds_poll *poll, uint64_t *ret_ms,
                     struct status *ret_status) MUST_CHECK;

#endif
