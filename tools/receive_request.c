/* A ReceiveMessage, put together. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/receive_request.h"

static Google__Protobuf__Duration duration(uint64_t ms)
{
    Google__Protobuf__Duration d = GOOGLE__PROTOBUF__DURATION__INIT;
    d.seconds = (int64_t)(ms / 1000);
    d.nanos = (int32_t)(ms % 1000 * 1000000);
    return d;
}

static Apache__Rocketmq__V2__Resource resource(const char *name)
{
    Apache__Rocketmq__V2__Resource r = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    r.name = (char *)name;
    return r;
}

static void set_queue(struct receive_request *r, const struct receive_wanted *wanted)
{
    r->topic = resource(wanted->topic);
    apache__rocketmq__v2__broker__init(&r->broker);
    r->broker.name = (char *)wanted->broker;
    apache__rocketmq__v2__message_queue__init(&r->queue);
    r->queue.topic = &r->topic;
    r->queue.broker = wanted->broker ? &r->broker : NULL;
    r->queue.id = wanted->queue_id;
    r->request.message_queue = &r->queue;
}

static void set_times(struct receive_request *r, const struct receive_wanted *wanted)
{
    r->invisible = duration(wanted->invisible_ms);
    r->request._invisible_duration_case =
        APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_REQUEST___INVISIBLE_DURATION_INVISIBLE_DURATION;
    r->request.invisible_duration = &r->invisible;
    r->poll = duration(wanted->poll_ms);
    r->request._long_polling_timeout_case =
        APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_REQUEST___LONG_POLLING_TIMEOUT_LONG_POLLING_TIMEOUT;
    r->request.long_polling_timeout = &r->poll;
}

void receive_request_make(struct receive_request *ret, const struct receive_wanted *wanted)
{
    apache__rocketmq__v2__receive_message_request__init(&ret->request);
    ret->group = resource(wanted->group);
    ret->request.group = &ret->group;
    set_queue(ret, wanted);
    apache__rocketmq__v2__filter_expression__init(&ret->filter);
    ret->filter.type = APACHE__ROCKETMQ__V2__FILTER_TYPE__TAG;
    ret->filter.expression = (char *)wanted->expression;
    ret->request.filter_expression = &ret->filter;
    ret->request.batch_size = (int32_t)wanted->max;
    set_times(ret, wanted);
}
