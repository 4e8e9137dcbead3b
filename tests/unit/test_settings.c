/* A client's settings: whose names are legal, and what the server's answer says once it is packed.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/settings.h"

#include <string.h>

#include "broker/bounds.h"
#include "tests/lib/packed.h"
#include "tests/lib/suite.h"

static struct config cfg;

static void setup(void)
{
    config_init(&cfg);
}

static V2(Resource) resource(const char *name)
{
    V2(Resource) r = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    r.name = (char *)name;
    return r;
}

static V2(Settings) settings_of_producer(V2(Publishing) *p)
{
    V2(Settings) s = APACHE__ROCKETMQ__V2__SETTINGS__INIT;
    s.pub_sub_case = APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_PUBLISHING;
    s.publishing = p;
    return s;
}

static V2(Settings) settings_of_consumer(V2(Subscription) *sub, V2(Resource) *group)
{
    V2(Settings) s = APACHE__ROCKETMQ__V2__SETTINGS__INIT;
    sub->_group_case = APACHE__ROCKETMQ__V2__SUBSCRIPTION___GROUP_GROUP;
    sub->group = group;
    s.pub_sub_case = APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_SUBSCRIPTION;
    s.subscription = sub;
    return s;
}

static int32_t code_of(const V2(Settings) *s)
{
    struct status st;
    return settings_check(s, &st) ? st.code : CODE(OK);
}

/* The answer as the client reads it. */
static V2(Settings) *answer(const V2(Settings) *s, const struct group_info *group)
{
    struct settings_reply reply;
    memset(&reply, 0xa5, sizeof reply); /* the caller's memory, with whatever is in it */
    settings_answer(s, &cfg, group, &reply);
    return packed_read_back(&reply.settings.base);
}

static V2(Settings) *answer_consumer(const struct group_info *group)
{
    V2(Subscription) sub = APACHE__ROCKETMQ__V2__SUBSCRIPTION__INIT;
    V2(Resource) name = resource("G");
    V2(Settings) s = settings_of_consumer(&sub, &name);
    return answer(&s, group);
}

static struct group_info default_group(void)
{
    struct group_info group;
    group_info_init(&group, span_str("G"));
    return group;
}

static uint64_t ms_of(const Google__Protobuf__Duration *d)
{
    ck_assert_ptr_nonnull(d);
    ck_assert_int_lt(d->nanos, 1000000000);
    return (uint64_t)handler_duration_ms(d);
}

/* ---- what a client may say ---- */

START_TEST(settings_of_neither_side_are_refused)
{
    V2(Settings) s = APACHE__ROCKETMQ__V2__SETTINGS__INIT;
    ck_assert_int_eq(code_of(&s), CODE(BAD_REQUEST));
    s.pub_sub_case = APACHE__ROCKETMQ__V2__SETTINGS__PUB_SUB_PUBLISHING; /* and nothing there */
    ck_assert_int_eq(code_of(&s), CODE(BAD_REQUEST));
}
END_TEST

START_TEST(every_topic_of_a_producer_is_checked)
{
    V2(Resource) good = resource("T"), bad = resource("no topic");
    V2(Resource) *topics[] = {&good, &bad};
    V2(Publishing) p = APACHE__ROCKETMQ__V2__PUBLISHING__INIT;
    V2(Settings) s = settings_of_producer(&p);
    p.topics = topics;
    p.n_topics = 1;
    ck_assert_int_eq(code_of(&s), CODE(OK));
    p.n_topics = 2;
    ck_assert_int_eq(code_of(&s), CODE(ILLEGAL_TOPIC));
}
END_TEST

START_TEST(a_producer_may_name_no_topic_and_has_no_group)
{
    V2(Publishing) p = APACHE__ROCKETMQ__V2__PUBLISHING__INIT;
    V2(Settings) s = settings_of_producer(&p);
    ck_assert_int_eq(code_of(&s), CODE(OK));
    ck_assert_uint_eq(settings_group(&s).len, 0);
}
END_TEST

START_TEST(a_consumer_needs_a_legal_group)
{
    V2(Subscription) sub = APACHE__ROCKETMQ__V2__SUBSCRIPTION__INIT;
    V2(Resource) name = resource("G");
    V2(Settings) s = settings_of_consumer(&sub, &name);
    ck_assert_int_eq(code_of(&s), CODE(OK));
    ck_assert(span_equal(settings_group(&s), span_str("G")));
    name = resource("no group");
    ck_assert_int_eq(code_of(&s), CODE(ILLEGAL_CONSUMER_GROUP));
    sub._group_case = APACHE__ROCKETMQ__V2__SUBSCRIPTION___GROUP__NOT_SET;
    ck_assert_int_eq(code_of(&s), CODE(ILLEGAL_CONSUMER_GROUP));
}
END_TEST

/* ---- what it is answered ---- */

START_TEST(a_producer_is_told_how_large_a_body_may_be_and_when_to_try_again)
{
    V2(Publishing) p = APACHE__ROCKETMQ__V2__PUBLISHING__INIT;
    V2(Settings) s = settings_of_producer(&p);
    cfg.max_message_bytes = 12345;
    V2(Settings) *got = answer(&s, NULL);
    ck_assert_int_eq(got->publishing->max_body_size, 12345);
    ck_assert(got->publishing->validate_message_type);
    ck_assert_int_eq(got->backoff_policy->max_attempts, 3);
    const V2(ExponentialBackoff) *backoff = got->backoff_policy->exponential_backoff;
    ck_assert_uint_eq(ms_of(backoff->initial), 10);
    ck_assert_uint_eq(ms_of(backoff->max), 1000);
    ck_assert(backoff->multiplier == 2);
    handler_free(got);
}
END_TEST

START_TEST(what_a_client_said_of_itself_is_sent_back)
{
    V2(Resource) topic = resource("T");
    V2(Resource) *topics[] = {&topic};
    V2(Publishing) p = APACHE__ROCKETMQ__V2__PUBLISHING__INIT;
    V2(Settings) s = settings_of_producer(&p);
    p.topics = topics;
    p.n_topics = 1;
    s._client_type_case = APACHE__ROCKETMQ__V2__SETTINGS___CLIENT_TYPE_CLIENT_TYPE;
    s.client_type = APACHE__ROCKETMQ__V2__CLIENT_TYPE__PRODUCER;
    V2(Settings) *got = answer(&s, NULL);
    ck_assert_int_eq(got->client_type, APACHE__ROCKETMQ__V2__CLIENT_TYPE__PRODUCER);
    ck_assert_uint_eq(got->publishing->n_topics, 1);
    ck_assert_str_eq(got->publishing->topics[0]->name, "T");
    handler_free(got);
}
END_TEST

START_TEST(nobody_is_asked_for_metrics)
{
    V2(Publishing) p = APACHE__ROCKETMQ__V2__PUBLISHING__INIT;
    V2(Settings) s = settings_of_producer(&p);
    V2(Settings) *got = answer(&s, NULL);
    ck_assert_ptr_nonnull(got->metric);
    ck_assert(!got->metric->on);
    handler_free(got);
}
END_TEST

START_TEST(a_consumer_gets_the_order_and_attempts_of_its_group)
{
    struct group_info group = default_group();
    group.fifo = true;
    group.max_attempts = 5;
    V2(Settings) *got = answer_consumer(&group);
    ck_assert_int_eq(got->backoff_policy->max_attempts, 5);
    ck_assert(got->subscription->fifo);
    ck_assert_str_eq(got->subscription->group->name, "G");
    handler_free(got);
}
END_TEST

START_TEST(a_consumer_is_told_how_much_and_how_long_a_receive_asks_for)
{
    const struct group_info group = default_group();
    cfg.max_polling_ms = 20500;
    V2(Settings) *got = answer_consumer(&group);
    ck_assert_int_eq(got->subscription->receive_batch_size, BOUNDS_BATCH_MAX);
    ck_assert_uint_eq(ms_of(got->subscription->long_polling_timeout), 20500);
    ck_assert(!got->subscription->fifo);
    /* Java's client does not start without them */
    ck_assert_int_gt(got->subscription->lite_subscription_quota, 0);
    ck_assert_int_gt(got->subscription->max_lite_topic_size, 0);
    handler_free(got);
}
END_TEST

START_TEST(a_group_that_waits_a_list_of_times_tells_all_of_it)
{
    struct group_info group = default_group();
    group.retry.n_steps = GROUP_RETRY_STEPS_MAX;
    for (size_t i = 0; i < GROUP_RETRY_STEPS_MAX; i++)
        group.retry.step_ms[i] = 1500 * (i + 1);
    V2(Settings) *got = answer_consumer(&group);
    ck_assert_int_eq(got->backoff_policy->strategy_case,
                     APACHE__ROCKETMQ__V2__RETRY_POLICY__STRATEGY_CUSTOMIZED_BACKOFF);
    const V2(CustomizedBackoff) *backoff = got->backoff_policy->customized_backoff;
    ck_assert_uint_eq(backoff->n_next, GROUP_RETRY_STEPS_MAX);
    for (size_t i = 0; i < GROUP_RETRY_STEPS_MAX; i++)
        ck_assert_uint_eq(ms_of(backoff->next[i]), 1500 * (i + 1));
    handler_free(got);
}
END_TEST

START_TEST(a_group_that_waits_ever_longer_tells_by_how_much)
{
    struct group_info group = default_group();
    group.retry = (struct group_retry){
        .kind = GROUP_RETRY_EXPONENTIAL, .initial_ms = 5000, .max_ms = 7200000, .multiplier = 3};
    V2(Settings) *got = answer_consumer(&group);
    ck_assert_int_eq(got->backoff_policy->strategy_case,
                     APACHE__ROCKETMQ__V2__RETRY_POLICY__STRATEGY_EXPONENTIAL_BACKOFF);
    const V2(ExponentialBackoff) *backoff = got->backoff_policy->exponential_backoff;
    ck_assert_uint_eq(ms_of(backoff->initial), 5000);
    ck_assert_uint_eq(ms_of(backoff->max), 7200000);
    ck_assert(backoff->multiplier == 3);
    handler_free(got);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("settings");
    TCase *tc = tcase_create("settings");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, settings_of_neither_side_are_refused);
    tcase_add_test(tc, every_topic_of_a_producer_is_checked);
    tcase_add_test(tc, a_producer_may_name_no_topic_and_has_no_group);
    tcase_add_test(tc, a_consumer_needs_a_legal_group);
    tcase_add_test(tc, a_producer_is_told_how_large_a_body_may_be_and_when_to_try_again);
    tcase_add_test(tc, what_a_client_said_of_itself_is_sent_back);
    tcase_add_test(tc, nobody_is_asked_for_metrics);
    tcase_add_test(tc, a_consumer_gets_the_order_and_attempts_of_its_group);
    tcase_add_test(tc, a_consumer_is_told_how_much_and_how_long_a_receive_asks_for);
    tcase_add_test(tc, a_group_that_waits_a_list_of_times_tells_all_of_it);
    tcase_add_test(tc, a_group_that_waits_ever_longer_tells_by_how_much);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
