/* The Admin service: handing calls over, and the topics. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/h_admin.h"

#include <stdlib.h>

#include "broker/bounds.h"

/* ---- handing over ---- */

struct job {
    struct broker *b;
    struct rpc_call *call; /* a reference */
    void *request;         /* owned */
    h_admin_fn fn;
};

static void run_job(void *arg)
{
    struct job *job = arg;
    job->fn(job->b, job->request, job->call);
    handler_free(job->request);
    rpc_unref(job->call);
    free(job);
}

void h_admin_hand_over(struct broker *b, struct rpc_call *call,
                       const ProtobufCMessageDescriptor *type, h_admin_fn fn)
{
    struct err e = {0};
    void *request = handler_unpack_own(call, type);
    if (!request)
        return;
    struct job *job = malloc(sizeof *job);
    if (job) {
        *job = (struct job){.b = b, .call = rpc_ref(call), .request = request, .fn = fn};
        if (keeper_post(b->keeper, run_job, job, &e) == 0)
            return;
        rpc_unref(call);
    }
    rpc_finish(call, RPC_RESOURCE_EXHAUSTED, job ? e.msg : "no memory for the call");
    free(job);
    handler_free(request);
}

/* ---- topics in both forms ---- */

static SV1(TopicType) type_to_wire(enum topic_type type)
{
    return type == TOPIC_MIXED ? SLUICE__V1__TOPIC_TYPE__TOPIC_MIXED : (SV1(TopicType))type;
}

static enum topic_type type_from_wire(SV1(TopicType) type)
{
    if (type == SLUICE__V1__TOPIC_TYPE__TOPIC_TYPE_UNSPECIFIED)
        return TOPIC_NORMAL;
    return type == SLUICE__V1__TOPIC_TYPE__TOPIC_MIXED ? TOPIC_MIXED : (enum topic_type)type;
}

/* Points into `info`. */
static SV1(Topic) topic_to_wire(struct topic_info *info)
{
    SV1(Topic) topic = SLUICE__V1__TOPIC__INIT;
    topic.name = info->name;
    topic.type = type_to_wire(info->type);
    topic.read_queues = (int32_t)info->n_read_queues;
    topic.write_queues = (int32_t)info->n_write_queues;
    topic.perm = (int32_t)info->perm;
    return topic;
}

static int topic_from_wire(const struct broker *b, const SV1(Topic) *topic, struct topic_info *ret,
                           struct status *st)
{
    struct topic_info info = {0};
    if (!topic)
        return bounds_check_topic((struct span){0}, st);
    struct span name = span_str(topic->name);
    int rc = bounds_check_topic(name, st);
    if (rc)
        return rc;
    if (topic->read_queues < 0 || topic->write_queues < 0 || topic->perm < 0)
        return status_set(st, CODE(BAD_REQUEST), "a number of queues or a permission is negative");
    memcpy(info.name, name.ptr, name.len);
    info.type = type_from_wire(topic->type);
    info.n_read_queues =
        topic->read_queues ? (uint32_t)topic->read_queues : (uint32_t)b->cfg.default_queues;
    info.n_write_queues = topic->write_queues ? (uint32_t)topic->write_queues : info.n_read_queues;
    info.perm = topic->perm ? (uint32_t)topic->perm : TOPIC_PERM_READ | TOPIC_PERM_WRITE;
    *ret = info;
    return 0;
}

/* Any topic on record, the broker's own too. */
static int find_topic(struct broker *b, const char *name, struct topic_info *ret, struct status *st)
{
    if (topic_get(b->topics, span_str(name), ret))
        return 0;
    return status_set(st, CODE(TOPIC_NOT_FOUND), "topic '%s' does not exist", name);
}

/* ---- topic calls ---- */

static void create_topic(struct broker *b, const void *request, struct rpc_call *call)
{
    const SV1(CreateTopicRequest) *req = request;
    struct status st;
    struct err e;
    struct topic_info info;
    SV1(CreateTopicResponse) reply = SLUICE__V1__CREATE_TOPIC_RESPONSE__INIT;
    SV1(Topic) topic;
    status_ok(&st);
    int rc = topic_from_wire(b, req->topic, &info, &st);
    if (!rc && topic_create(b->topics, &info, &e))
        rc = status_of_err(&st, &e);
    if (!rc)
        rc = find_topic(b, req->topic->name, &info, &st);
    if (!rc) {
        topic = topic_to_wire(&info);
        reply.topic = &topic;
    }
    reply.code = st.code;
    reply.message = st.text;
    handler_reply(call, &reply.base);
}

/* The topics as messages; one allocation, the pointers first. NULL: no memory. */
static SV1(Topic) **topics_to_wire(struct topic_info *infos, size_t n)
{
    SV1(Topic) **list = calloc(n + 1, sizeof list[0] + sizeof *list[0]);
    SV1(Topic) *topics = list ? (void *)(list + n) : NULL;
    for (size_t i = 0; list && i < n; i++) {
        topics[i] = topic_to_wire(&infos[i]);
        list[i] = &topics[i];
    }
    return list;
}

static void list_topics(struct broker *b, const void *request, struct rpc_call *call)
{
    struct status st;
    struct err e;
    struct topic_info *infos = NULL;
    SV1(ListTopicsResponse) reply = SLUICE__V1__LIST_TOPICS_RESPONSE__INIT;
    size_t n = 0;
    (void)request; /* it has no fields */
    status_ok(&st);
    if (topic_list(b->topics, &infos, &n, &e))
        (void)status_of_err(&st, &e);
    reply.topics = topics_to_wire(infos, n);
    if (reply.topics)
        reply.n_topics = n;
    else
        (void)status_set(&st, CODE(TOO_MANY_REQUESTS), "no memory for %zu topics", n);
    reply.code = st.code;
    reply.message = st.text;
    handler_reply(call, &reply.base);
    free(reply.topics);
    free(infos);
}

/* The bounds of every queue; one allocation, the pointers first. NULL: no memory. */
static SV1(TopicQueue) **queues_to_wire(struct broker *b, const struct topic_info *info, size_t n)
{
    SV1(TopicQueue) **list = calloc(n + 1, sizeof list[0] + sizeof *list[0]);
    SV1(TopicQueue) *queues = list ? (void *)(list + n) : NULL;
    for (size_t i = 0; list && i < n; i++) {
        uint64_t min = 0, max = 0;
        store_queue_bounds(b->store, span_str(info->name), (int32_t)i, &min, &max);
        queues[i] = (SV1(TopicQueue))SLUICE__V1__TOPIC_QUEUE__INIT;
        queues[i].queue_id = (int32_t)i;
        queues[i].min_offset = (int64_t)min;
        queues[i].max_offset = (int64_t)max;
        list[i] = &queues[i];
    }
    return list;
}

static void get_topic(struct broker *b, const void *request, struct rpc_call *call)
{
    const SV1(GetTopicRequest) *req = request;
    struct status st;
    struct topic_info info;
    SV1(GetTopicResponse) reply = SLUICE__V1__GET_TOPIC_RESPONSE__INIT;
    SV1(Topic) topic;
    status_ok(&st);
    if (find_topic(b, req->name, &info, &st) == 0) {
        size_t n =
            info.n_read_queues > info.n_write_queues ? info.n_read_queues : info.n_write_queues;
        topic = topic_to_wire(&info);
        reply.topic = &topic;
        reply.queues = queues_to_wire(b, &info, n);
        reply.n_queues = reply.queues ? n : 0;
    }
    reply.code = st.code;
    reply.message = st.text;
    handler_reply(call, &reply.base);
    free(reply.queues);
}

static int remove_topic(struct broker *b, const char *name, struct status *st)
{
    struct err e;
    uint64_t below_log_off; /* of no use: the name's mark leaves out everything */
    struct topic_info info;
    int rc = find_topic(b, name, &info, st);
    if (!rc && topic_delete(b->topics, span_str(name), &e))
        rc = status_of_err(st, &e);
    if (rc)
        return rc;
    lease_drop_topic(b->leases, span_str(name));
    (void)hold_notify_topic(b->holds, span_str(name)); /* maybe nobody waits */
    rc = store_drop_topic(b->store, span_str(name), &below_log_off, &e);
    return rc ? status_of_err(st, &e) : 0;
}

static void delete_topic(struct broker *b, const void *request, struct rpc_call *call)
{
    const SV1(DeleteTopicRequest) *req = request;
    struct status st;
    SV1(DeleteTopicResponse) reply = SLUICE__V1__DELETE_TOPIC_RESPONSE__INIT;
    if (remove_topic(b, req->name, &st) == 0)
        status_ok(&st);
    reply.code = st.code;
    reply.message = st.text;
    handler_reply(call, &reply.base);
}

void h_admin_create_topic(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__create_topic_request__descriptor, create_topic);
}

void h_admin_list_topics(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__list_topics_request__descriptor, list_topics);
}

void h_admin_get_topic(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__get_topic_request__descriptor, get_topic);
}

void h_admin_delete_topic(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__delete_topic_request__descriptor, delete_topic);
}
