/* Asks a broker for what is watched. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "tools/admin.h"
#include "tools/top.h"

static int ask_stats(struct client *c, struct top_sample *s, struct err *e)
{
    const Sluice__V1__GetStatsRequest request = SLUICE__V1__GET_STATS_REQUEST__INIT;
    return admin_call(c, PROTO_GET_STATS, &request.base,
                      &sluice__v1__get_stats_response__descriptor, &s->stats, e);
}

static int ask_memory(struct client *c, struct top_sample *s, struct err *e)
{
    Sluice__V1__GetMemoryRequest request = SLUICE__V1__GET_MEMORY_REQUEST__INIT;
    request.without_files = true;
    return admin_call(c, PROTO_GET_MEMORY, &request.base,
                      &sluice__v1__get_memory_response__descriptor, &s->memory, e);
}

static int ask_activity(struct client *c, struct top_sample *s, struct err *e)
{
    const Sluice__V1__GetActivityRequest request = SLUICE__V1__GET_ACTIVITY_REQUEST__INIT;
    return admin_call(c, PROTO_GET_ACTIVITY, &request.base,
                      &sluice__v1__get_activity_response__descriptor, &s->activity, e);
}

int top_sample_take(struct client *c, struct top_sample *ret, struct err *e)
{
    struct top_sample s = {0};
    int rc = ask_activity(c, &s, e);
    if (rc == 0)
        rc = ask_memory(c, &s, e);
    if (rc == 0)
        rc = ask_stats(c, &s, e);
    s.mono_ns = io_posix()->mono_ns(io_posix());
    if (rc < 0) {
        top_sample_fini(&s);
        return err_wrap(e, "ask the broker what it does");
    }
    *ret = s;
    return 0;
}

void top_sample_fini(struct top_sample *s)
{
    wire_free(s->stats);
    wire_free(s->memory);
    wire_free(s->activity);
    *s = (struct top_sample){0};
}
