/* A client's settings, and what the server answers with (rocketmq-grpc 6.13): the same, with the
 * fields that the server decides filled in. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_SETTINGS_H
#define BROKER_SETTINGS_H

#include "broker/handler.h"

/* Everything a reply points to; big, the caller's memory. */
struct settings_reply {
    V2(Settings) settings;
    V2(Publishing) publishing;
    V2(Subscription) subscription;
    V2(Metric) metric;
    V2(RetryPolicy) policy;
    V2(ExponentialBackoff) exponential;
    V2(CustomizedBackoff) customized;
    Google__Protobuf__Duration initial, max, polling;
    Google__Protobuf__Duration steps[GROUP_RETRY_STEPS_MAX];
    Google__Protobuf__Duration *step_list[GROUP_RETRY_STEPS_MAX];
};

/* Checks the settings' names. The status is that of the first that is illegal; settings that are
 * neither of a producer nor of a consumer are BAD_REQUEST. */
int settings_check(const V2(Settings) *settings, struct status *ret_status) MUST_CHECK;

/* Whose: the group's name, empty for a producer. */
struct span settings_group(const V2(Settings) *settings);

/* Fills in `ret`, which points into itself and into `settings`. `group` is that of a consumer, NULL
 * for a producer. */
void settings_answer(const V2(Settings) *settings, const struct config *cfg,
                     const struct group_info *group, struct settings_reply *ret);

#endif
