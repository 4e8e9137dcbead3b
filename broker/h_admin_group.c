/* The Admin service: groups and their positions. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/h_admin.h"

#include <stdlib.h>

#include "broker/bounds.h"
#include "broker/lease_table.h"

/* ---- groups in both forms ---- */

/* Points into `info`. */
static SV1(Group) group_to_wire(struct group_info *info)
{
    SV1(Group) group = SLUICE__V1__GROUP__INIT;
    group.name = info->name;
    group.fifo = info->fifo;
    group.max_attempts = (int32_t)info->max_attempts;
    return group;
}

static int group_from_wire(const SV1(Group) *group, struct group_info *ret, struct status *st)
{
    if (!group)
        return bounds_check_group((struct span){0}, st);
    struct span name = span_str(group->name);
    int rc = bounds_check_group(name, st);
    if (rc)
        return rc;
    if (group->max_attempts < 0)
        return status_set(st, CODE(BAD_REQUEST), "the number of attempts is negative");
    group_info_init(ret, name);
    ret->fifo = group->fifo;
    if (group->max_attempts > 0)
        ret->max_attempts = (uint32_t)group->max_attempts;
    return 0;
}

static int find_group(struct broker *b, const char *name, struct group_info *ret, struct status *st)
{
    if (group_get(b->groups, span_str(name), ret))
        return 0;
    return status_set(st, CODE(CONSUMER_GROUP_NOT_FOUND), "consumer group '%s' does not exist",
                      name);
}

/* ---- create, list, delete ---- */

static void create_group(struct broker *b, const void *request, struct rpc_call *call)
{
    const SV1(CreateGroupRequest) *req = request;
    struct status st;
    struct err e;
    struct group_info info;
    SV1(CreateGroupResponse) reply = SLUICE__V1__CREATE_GROUP_RESPONSE__INIT;
    SV1(Group) group;
    status_ok(&st);
    int rc = group_from_wire(req->group, &info, &st);
    if (!rc && group_create(b->groups, &info, &e))
        rc = status_of_err(&st, &e);
    if (!rc)
        rc = find_group(b, req->group->name, &info, &st);
    if (!rc) {
        group = group_to_wire(&info);
        reply.group = &group;
    }
    reply.code = st.code;
    reply.message = st.text;
    handler_reply(call, &reply.base);
}

/* The groups as messages; one allocation, the pointers first. NULL: no memory. */
static SV1(Group) **groups_to_wire(struct group_info *infos, size_t n)
{
    SV1(Group) **list = calloc(n + 1, sizeof list[0] + sizeof *list[0]);
    SV1(Group) *groups = list ? (void *)(list + n) : NULL;
    for (size_t i = 0; list && i < n; i++) {
        groups[i] = group_to_wire(&infos[i]);
        list[i] = &groups[i];
    }
    return list;
}

static void list_groups(struct broker *b, const void *request, struct rpc_call *call)
{
    struct status st;
    struct err e;
    struct group_info *infos = NULL;
    SV1(ListGroupsResponse) reply = SLUICE__V1__LIST_GROUPS_RESPONSE__INIT;
    size_t n = 0;
    (void)request; /* it has no fields */
    status_ok(&st);
    if (group_list(b->groups, &infos, &n, &e))
        (void)status_of_err(&st, &e);
    reply.groups = groups_to_wire(infos, n);
    if (reply.groups)
        reply.n_groups = n;
    else
        (void)status_set(&st, CODE(TOO_MANY_REQUESTS), "no memory for %zu groups", n);
    reply.code = st.code;
    reply.message = st.text;
    handler_reply(call, &reply.base);
    free(reply.groups);
    free(infos);
}

static void delete_group(struct broker *b, const void *request, struct rpc_call *call)
{
    const SV1(DeleteGroupRequest) *req = request;
    struct status st;
    struct err e;
    struct group_info info;
    SV1(DeleteGroupResponse) reply = SLUICE__V1__DELETE_GROUP_RESPONSE__INIT;
    status_ok(&st);
    int rc = find_group(b, req->name, &info, &st);
    if (!rc && group_delete(b->groups, span_str(req->name), &e))
        rc = status_of_err(&st, &e);
    if (!rc) {
        lease_drop_group(b->leases, span_str(req->name));
        (void)hold_notify_whole_group(b->holds, span_str(req->name)); /* maybe nobody waits */
    }
    reply.code = st.code;
    reply.message = st.text;
    handler_reply(call, &reply.base);
}

/* ---- positions ---- */

/* The positions of a group, growing. */
struct positions {
    SV1(GroupQueue) *queues;
    SV1(GroupQueue) **list; /* made last: the queues move while they grow */
    size_t n, max;
};

static void positions_fini(struct positions *p)
{
    free(p->queues);
    free(p->list);
}

static int add_position(struct broker *b, struct positions *p, struct lease *l, int32_t queue_id)
{
    uint64_t min = 0, max = 0;
    struct lease_progress progress;
    if (p->n == p->max) {
        size_t more = p->max ? 2 * p->max : 16;
        SV1(GroupQueue) *queues = realloc(p->queues, more * sizeof queues[0]);
        if (!queues)
            return ERR_NOMEM;
        p->queues = queues;
        p->max = more;
    }
    lease_progress(l, queue_id, &progress);
    store_queue_bounds(b->store, l->topic, queue_id, &min, &max);
    uint64_t position = progress.position < min ? min : progress.position;
    SV1(GroupQueue) *q = &p->queues[p->n++];
    *q = (SV1(GroupQueue))SLUICE__V1__GROUP_QUEUE__INIT;
    q->queue_id = queue_id;
    q->position = (int64_t)position;
    q->lag = max > position ? (int64_t)(max - position) : 0;
    q->in_flight = (int64_t)progress.n_in_flight;
    return 0;
}

/* All queues of a topic, under its name. */
static int add_topic(struct broker *b, struct positions *p, struct lease *l, char *name)
{
    struct topic_info topic;
    if (!topic_get(b->topics, l->topic, &topic))
        return 0;
    for (uint32_t i = 0; i < topic.n_read_queues; i++) {
        int rc = add_position(b, p, l, (int32_t)i);
        if (rc)
            return rc;
        p->queues[p->n - 1].topic = name;
    }
    return 0;
}

static int list_positions(struct positions *p)
{
    p->list = calloc(p->n + 1, sizeof(SV1(GroupQueue) *));
    for (size_t i = 0; p->list && i < p->n; i++)
        p->list[i] = &p->queues[i];
    return p->list ? 0 : ERR_NOMEM;
}

/* ---- show ---- */

/* The names of the group's topics as C strings, sorted, with their leases. */
struct shown {
    char name[TOPIC_STORED_MAX + 1];
    struct lease *lease; /* a reference of the list it came from */
};

static int compare_shown(const void *a, const void *b)
{
    return strcmp(((const struct shown *)a)->name, ((const struct shown *)b)->name);
}

static size_t pick_topics(struct lease **leases, size_t n, struct span group, struct shown *shown)
{
    size_t n_shown = 0;
    for (size_t i = 0; i < n; i++) {
        struct shown *s = &shown[n_shown];
        if (!span_equal(leases[i]->group, group) || leases[i]->topic.len > TOPIC_STORED_MAX)
            continue;
        memcpy(s->name, leases[i]->topic.ptr, leases[i]->topic.len);
        s->lease = leases[i];
        n_shown++;
    }
    qsort(shown, n_shown, sizeof shown[0], compare_shown);
    return n_shown;
}

static void reply_group(struct broker *b, struct rpc_call *call, struct group_info *info,
                        const struct shown *shown, size_t n)
{
    struct status st;
    struct positions p = {0};
    SV1(Group) group = group_to_wire(info);
    SV1(GetGroupResponse) reply = SLUICE__V1__GET_GROUP_RESPONSE__INIT;
    int rc = 0;
    status_ok(&st);
    for (size_t i = 0; i < n && !rc; i++)
        rc = add_topic(b, &p, shown[i].lease, (char *)shown[i].name);
    if (rc || list_positions(&p))
        (void)status_set(&st, CODE(TOO_MANY_REQUESTS), "no memory for the positions");
    reply.group = &group;
    reply.queues = p.list;
    reply.n_queues = p.list ? p.n : 0;
    reply.code = st.code;
    reply.message = st.text;
    handler_reply(call, &reply.base);
    positions_fini(&p);
}

static void refuse_group(struct rpc_call *call, struct status *st)
{
    SV1(GetGroupResponse) reply = SLUICE__V1__GET_GROUP_RESPONSE__INIT;
    reply.code = st->code;
    reply.message = st->text;
    handler_reply(call, &reply.base);
}

static void show_group(struct broker *b, struct rpc_call *call, struct group_info *info)
{
    struct status st;
    struct err e;
    struct lease **leases = NULL;
    size_t n = 0;
    if (lease_table_refs(b->leases, &leases, &n, &e)) {
        (void)status_of_err(&st, &e);
        refuse_group(call, &st);
        return;
    }
    struct shown *shown = calloc(n + 1, sizeof shown[0]);
    size_t n_shown = shown ? pick_topics(leases, n, span_str(info->name), shown) : 0;
    reply_group(b, call, info, shown, n_shown);
    for (size_t i = 0; i < n; i++)
        lease_unref(leases[i]);
    free(leases);
    free(shown);
}

static void get_group(struct broker *b, const void *request, struct rpc_call *call)
{
    const SV1(GetGroupRequest) *req = request;
    struct status st;
    struct group_info info;
    if (find_group(b, req->name, &info, &st))
        refuse_group(call, &st);
    else
        show_group(b, call, &info);
}

/* ---- seek ---- */

static int target_of(struct broker *b, const SV1(SeekGroupRequest) *req, int32_t queue_id,
                     uint64_t *ret_off, struct err *e)
{
    uint64_t min = 0, max = 0, off;
    store_queue_bounds(b->store, span_str(req->topic), queue_id, &min, &max);
    off = min;
    if (req->to_case == SLUICE__V1__SEEK_GROUP_REQUEST__TO_OFFSET)
        off = req->offset > 0 ? (uint64_t)req->offset : 0;
    else if (req->to_case == SLUICE__V1__SEEK_GROUP_REQUEST__TO_TIMESTAMP_MS && max > 0) {
        uint64_t ms = req->timestamp_ms > 0 ? (uint64_t)req->timestamp_ms : 0;
        int rc = store_queue_off_by_time(b->store, span_str(req->topic), queue_id, ms, &off, e);
        if (rc)
            return rc;
    } else if (req->edge == SLUICE__V1__SEEK_EDGE__SEEK_LATEST)
        off = max;
    off = off > max ? max : off;
    *ret_off = off < min ? min : off;
    return 0;
}

static int seek_all(struct broker *b, const SV1(SeekGroupRequest) *req,
                    const struct topic_info *topic, struct lease *l, struct err *e)
{
    for (uint32_t i = 0; i < topic->n_read_queues; i++) {
        uint64_t off = 0;
        int rc = target_of(b, req, (int32_t)i, &off, e);
        if (!rc)
            rc = lease_seek(l, (int32_t)i, off, e);
        if (rc)
            return rc;
    }
    (void)hold_notify_group(b->holds, span_str(req->group), span_str(req->topic));
    return 0;
}

static int seek(struct broker *b, const SV1(SeekGroupRequest) *req, struct positions *p,
                struct status *st)
{
    struct err e;
    struct topic_info topic;
    struct group_info group;
    struct lease *l = NULL;
    if (!topic_get(b->topics, span_str(req->topic), &topic))
        return status_set(st, CODE(TOPIC_NOT_FOUND), "topic '%s' does not exist", req->topic);
    int rc = handler_group(b, span_str(req->group), &group, st);
    if (!rc)
        rc = handler_lease(b, &group, span_str(req->topic), &l, st);
    if (!rc && seek_all(b, req, &topic, l, &e))
        rc = status_of_err(st, &e);
    if (!rc && (add_topic(b, p, l, req->topic) || list_positions(p)))
        rc = status_set(st, CODE(TOO_MANY_REQUESTS), "no memory for the positions");
    lease_unref(l);
    return rc;
}

static void seek_group(struct broker *b, const void *request, struct rpc_call *call)
{
    struct status st;
    struct positions p = {0};
    SV1(SeekGroupResponse) reply = SLUICE__V1__SEEK_GROUP_RESPONSE__INIT;
    if (seek(b, request, &p, &st) == 0)
        status_ok(&st);
    reply.code = st.code;
    reply.message = st.text;
    reply.queues = p.list;
    reply.n_queues = p.list ? p.n : 0;
    handler_reply(call, &reply.base);
    positions_fini(&p);
}

void h_admin_create_group(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__create_group_request__descriptor, create_group);
}

void h_admin_list_groups(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__list_groups_request__descriptor, list_groups);
}

void h_admin_get_group(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__get_group_request__descriptor, get_group);
}

void h_admin_delete_group(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__delete_group_request__descriptor, delete_group);
}

void h_admin_seek_group(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__seek_group_request__descriptor, seek_group);
}
