/* A ReceiveMessage as the commands send it: tags, any or one queue, a time to wait. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_RECEIVE_REQUEST_H
#define TOOLS_RECEIVE_REQUEST_H

#include <stdint.h>

#include "proto/proto.h"

struct receive_wanted {
    const char *group, *topic;
    const char *broker; /* its name in the route; NULL: left out */
    int32_t queue_id;   /* -1: any */
    const char *expression;
    uint32_t max; /* messages */
    uint64_t invisible_ms, poll_ms;
};

/* The request and everything it points to; big, the caller's memory. */
struct receive_request {
    Apache__Rocketmq__V2__ReceiveMessageRequest request;
    Apache__Rocketmq__V2__Resource group, topic;
    Apache__Rocketmq__V2__Broker broker;
    Apache__Rocketmq__V2__MessageQueue queue;
    Apache__Rocketmq__V2__FilterExpression filter;
    Google__Protobuf__Duration invisible, poll;
};

/* Fills in `ret`, which points into itself and to the texts of `wanted`. */
void receive_request_make(struct receive_request *ret, const struct receive_wanted *wanted);

#endif
