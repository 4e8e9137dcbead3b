/* The Admin service: what to watch of topics and groups, as sums over their queues. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/h_admin.h"

#include <stdlib.h>

#include "broker/lease_table.h"

/* ---- topics ---- */

/* Points into `info`. */
static SV1(TopicActivity) topic_to_wire(struct broker *b, struct topic_info *info)
{
    SV1(TopicActivity) topic = SLUICE__V1__TOPIC_ACTIVITY__INIT;
    topic.name = info->name;
    topic.queues =
        info->n_read_queues > info->n_write_queues ? info->n_read_queues : info->n_write_queues;
    for (uint32_t i = 0; i < topic.queues; i++) {
        uint64_t min = 0, max = 0;
        store_queue_bounds(b->store, span_str(info->name), (int32_t)i, &min, &max);
        topic.stored += max - min;
        topic.appended += max;
    }
    return topic;
}

/* One allocation, the pointers first. NULL: no memory. */
static SV1(TopicActivity) **topics_to_wire(struct broker *b, struct topic_info *infos, size_t n)
{
    SV1(TopicActivity) **list = calloc(n + 1, sizeof list[0] + sizeof *list[0]);
    SV1(TopicActivity) *topics = list ? (void *)(list + n) : NULL;
    for (size_t i = 0; list && i < n; i++) {
        topics[i] = topic_to_wire(b, &infos[i]);
        list[i] = &topics[i];
    }
    return list;
}

/* ---- groups ---- */

/* One group at one topic, with its names as C strings. */
struct group_row {
    SV1(GroupActivity) message;
    char group[GROUP_STORED_MAX + 1], topic[TOPIC_STORED_MAX + 1];
};

static void add_queue(struct broker *b, struct lease *l, int32_t queue_id, SV1(GroupActivity) *ret)
{
    uint64_t min = 0, max = 0;
    struct lease_progress progress;
    lease_progress(l, queue_id, &progress);
    store_queue_bounds(b->store, l->topic, queue_id, &min, &max);
    uint64_t position = progress.position < min ? min : progress.position;
    ret->position += position;
    ret->lag += max > position ? max - position : 0;
    ret->in_flight += progress.n_in_flight;
}

/* False: the topic is gone, or a name is none. */
static bool group_to_wire(struct broker *b, struct lease *l, struct group_row *ret)
{
    struct topic_info topic;
    if (l->group.len > GROUP_STORED_MAX || l->topic.len > TOPIC_STORED_MAX ||
        !topic_get(b->topics, l->topic, &topic))
        return false;
    ret->message = (SV1(GroupActivity))SLUICE__V1__GROUP_ACTIVITY__INIT;
    memcpy(ret->group, l->group.ptr, l->group.len);
    memcpy(ret->topic, l->topic.ptr, l->topic.len);
    ret->message.group = ret->group;
    ret->message.topic = ret->topic;
    for (uint32_t i = 0; i < topic.n_read_queues; i++)
        add_queue(b, l, (int32_t)i, &ret->message);
    return true;
}

/* One allocation, the pointers first. NULL: no memory. */
static SV1(GroupActivity) **groups_to_wire(struct broker *b, struct lease **leases, size_t n,
                                           size_t *ret_n)
{
    SV1(GroupActivity) **list = calloc(n + 1, sizeof list[0] + sizeof(struct group_row));
    struct group_row *rows = list ? (void *)(list + n) : NULL;
    size_t n_rows = 0;
    for (size_t i = 0; list && i < n; i++) {
        if (!group_to_wire(b, leases[i], &rows[n_rows]))
            continue;
        list[n_rows] = &rows[n_rows].message;
        n_rows++;
    }
    *ret_n = n_rows;
    return list;
}

/* ---- the call ---- */

/* What the reply is made of. */
struct activity {
    struct topic_info *topics;
    size_t n_topics;
    struct lease **leases; /* references */
    size_t n_leases;
};

static void activity_fini(struct activity *a)
{
    for (size_t i = 0; i < a->n_leases; i++)
        lease_unref(a->leases[i]);
    free(a->leases);
    free(a->topics);
}

static int collect(struct broker *b, struct activity *ret, struct status *st)
{
    struct err e;
    int rc = topic_list(b->topics, &ret->topics, &ret->n_topics, &e);
    if (!rc)
        rc = lease_table_refs(b->leases, &ret->leases, &ret->n_leases, &e);
    return rc ? status_of_err(st, &e) : 0;
}

static void get_activity(struct broker *b, const void *request, struct rpc_call *call)
{
    struct status st;
    struct activity a = {0};
    SV1(GetActivityResponse) reply = SLUICE__V1__GET_ACTIVITY_RESPONSE__INIT;
    (void)request; /* it has no fields */
    status_ok(&st);
    if (collect(b, &a, &st) == 0) {
        reply.topics = topics_to_wire(b, a.topics, a.n_topics);
        reply.groups = groups_to_wire(b, a.leases, a.n_leases, &reply.n_groups);
        reply.n_topics = reply.topics ? a.n_topics : 0;
        if (!reply.topics || !reply.groups)
            (void)status_set(&st, CODE(TOO_MANY_REQUESTS), "no memory for topics and groups");
    }
    reply.code = st.code;
    reply.message = st.text;
    handler_reply(call, &reply.base);
    free(reply.topics);
    free(reply.groups);
    activity_fini(&a);
}

void h_admin_get_activity(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__get_activity_request__descriptor, get_activity);
}
