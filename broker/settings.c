/* A client's settings, and what the server answers with. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/settings.h"

#include "broker/bounds.h"

enum {
    PRODUCER_ATTEMPTS = 3,
    PRODUCER_BACKOFF_MS = 10,
    PRODUCER_BACKOFF_MAX_MS = 1000,
    PRODUCER_BACKOFF_FACTOR = 2,
    /* Lite topics are not served; their clients do not start without these two. */
    LITE_QUOTA = 1200,
    LITE_TOPIC_BYTES = 64,
};

static bool is_publishing(const V2(Settings) *s)
{
    return s->pub_sub_case == APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_PUBLISHING && s->publishing;
}

static bool is_subscription(const V2(Settings) *s)
{
    return s->pub_sub_case == APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_SUBSCRIPTION &&
           s->subscription;
}

struct span settings_group(const V2(Settings) *s)
{
    if (!is_subscription(s) || s->subscription->_group_case == 0)
        return (struct span){0};
    return handler_name(s->subscription->group);
}

static int check_publishing(const V2(Publishing) *p, struct status *st)
{
    for (size_t i = 0; i < p->n_topics; i++) {
        int rc = bounds_check_topic(handler_name(p->topics[i]), st);
        if (rc)
            return rc;
    }
    return 0;
}

int settings_check(const V2(Settings) *s, struct status *ret_status)
{
    if (is_publishing(s))
        return check_publishing(s->publishing, ret_status);
    if (is_subscription(s))
        return bounds_check_group(settings_group(s), ret_status);
    return status_set(ret_status, CODE(BAD_REQUEST),
                      "settings have neither publishing nor subscription");
}

static Google__Protobuf__Duration duration(uint64_t ms)
{
    Google__Protobuf__Duration d = GOOGLE__PROTOBUF__DURATION__INIT;
    d.seconds = (int64_t)(ms / 1000);
    d.nanos = (int32_t)(ms % 1000) * 1000000;
    return d;
}

static void set_exponential(struct settings_reply *r, uint64_t initial_ms, uint64_t max_ms,
                            uint32_t factor)
{
    r->initial = duration(initial_ms);
    r->max = duration(max_ms);
    r->exponential = (V2(ExponentialBackoff))APACHE__ROCKETMQ__V2__EXPONENTIAL_BACKOFF__INIT;
    r->exponential.initial = &r->initial;
    r->exponential.max = &r->max;
    r->exponential.multiplier = (float)factor;
    r->policy.strategy_case = APACHE__ROCKETMQ__V2__RETRY_POLICY__STRATEGY_EXPONENTIAL_BACKOFF;
    r->policy.exponential_backoff = &r->exponential;
}

static void set_customized(struct settings_reply *r, const struct group_retry *retry)
{
    for (size_t i = 0; i < retry->n_steps; i++) {
        r->steps[i] = duration(retry->step_ms[i]);
        r->step_list[i] = &r->steps[i];
    }
    r->customized = (V2(CustomizedBackoff))APACHE__ROCKETMQ__V2__CUSTOMIZED_BACKOFF__INIT;
    r->customized.next = r->step_list;
    r->customized.n_next = retry->n_steps;
    r->policy.strategy_case = APACHE__ROCKETMQ__V2__RETRY_POLICY__STRATEGY_CUSTOMIZED_BACKOFF;
    r->policy.customized_backoff = &r->customized;
}

static void answer_producer(const V2(Settings) *s, const struct config *cfg,
                            struct settings_reply *r)
{
    r->policy.max_attempts = PRODUCER_ATTEMPTS;
    set_exponential(r, PRODUCER_BACKOFF_MS, PRODUCER_BACKOFF_MAX_MS, PRODUCER_BACKOFF_FACTOR);
    r->publishing = *s->publishing;
    r->publishing.max_body_size = (int32_t)cfg->max_message_bytes;
    r->publishing.validate_message_type = true;
    r->settings.publishing = &r->publishing;
}

static void answer_consumer(const V2(Settings) *s, const struct config *cfg,
                            const struct group_info *group, struct settings_reply *r)
{
    r->policy.max_attempts = (int32_t)group->max_attempts;
    if (group->retry.kind == GROUP_RETRY_EXPONENTIAL)
        set_exponential(r, group->retry.initial_ms, group->retry.max_ms, group->retry.multiplier);
    else
        set_customized(r, &group->retry);
    r->polling = duration(cfg->max_polling_ms);
    V2(Subscription) *sub = &r->subscription;
    *sub = *s->subscription;
    sub->_fifo_case = APACHE__ROCKETMQ__V2__SUBSCRIPTION___FIFO_FIFO;
    sub->fifo = group->fifo;
    sub->_receive_batch_size_case =
        APACHE__ROCKETMQ__V2__SUBSCRIPTION___RECEIVE_BATCH_SIZE_RECEIVE_BATCH_SIZE;
    sub->receive_batch_size = BOUNDS_BATCH_MAX;
    sub->_long_polling_timeout_case =
        APACHE__ROCKETMQ__V2__SUBSCRIPTION___LONG_POLLING_TIMEOUT_LONG_POLLING_TIMEOUT;
    sub->long_polling_timeout = &r->polling;
    sub->_lite_subscription_quota_case =
        APACHE__ROCKETMQ__V2__SUBSCRIPTION___LITE_SUBSCRIPTION_QUOTA_LITE_SUBSCRIPTION_QUOTA;
    sub->lite_subscription_quota = LITE_QUOTA;
    sub->_max_lite_topic_size_case =
        APACHE__ROCKETMQ__V2__SUBSCRIPTION___MAX_LITE_TOPIC_SIZE_MAX_LITE_TOPIC_SIZE;
    sub->max_lite_topic_size = LITE_TOPIC_BYTES;
    r->settings.subscription = sub;
}

void settings_answer(const V2(Settings) *s, const struct config *cfg,
                     const struct group_info *group, struct settings_reply *ret)
{
    ret->settings = *s;
    ret->policy = (V2(RetryPolicy))APACHE__ROCKETMQ__V2__RETRY_POLICY__INIT;
    ret->settings._backoff_policy_case =
        APACHE__ROCKETMQ__V2__SETTINGS___BACKOFF_POLICY_BACKOFF_POLICY;
    ret->settings.backoff_policy = &ret->policy;
    ret->metric = (V2(Metric))APACHE__ROCKETMQ__V2__METRIC__INIT;
    ret->settings.metric = &ret->metric;
    if (group)
        answer_consumer(s, cfg, group, ret);
    else
        answer_producer(s, cfg, ret);
}
