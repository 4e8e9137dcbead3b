/* The RPC handlers, and what all of them need: requests in, replies out. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_HANDLER_H
#define BROKER_HANDLER_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/broker.h"
#include "broker/rpc.h"
#include "broker/status.h"
#include "proto/proto.h"

/* A generated type of apache.rocketmq.v2. */
#define V2(name) Apache__Rocketmq__V2__##name

/* Every call that is served. */
extern const struct rpc_method handler_methods[];
extern const size_t handler_n_methods;

/* ---- the handlers: rpc_method.on_request and .on_end; `ctx` is the broker ---- */

void h_route_query(void *ctx, struct rpc_call *call);
void h_route_assignment(void *ctx, struct rpc_call *call);
void h_session_telemetry_open(void *ctx, struct rpc_call *call);
void h_session_telemetry(void *ctx, struct rpc_call *call);
void h_session_telemetry_end(void *ctx, struct rpc_call *call, enum rpc_end end);
void h_session_heartbeat(void *ctx, struct rpc_call *call);
void h_session_termination(void *ctx, struct rpc_call *call);
void h_send(void *ctx, struct rpc_call *call);
void h_receive(void *ctx, struct rpc_call *call);
void h_receive_end(void *ctx, struct rpc_call *call, enum rpc_end end);
void h_ack(void *ctx, struct rpc_call *call);
void h_ack_change_invisible(void *ctx, struct rpc_call *call);
void h_ack_forward_dead(void *ctx, struct rpc_call *call);
void h_admin_create_topic(void *ctx, struct rpc_call *call);
void h_admin_list_topics(void *ctx, struct rpc_call *call);
void h_admin_get_topic(void *ctx, struct rpc_call *call);
void h_admin_delete_topic(void *ctx, struct rpc_call *call);
void h_admin_create_group(void *ctx, struct rpc_call *call);
void h_admin_list_groups(void *ctx, struct rpc_call *call);
void h_admin_get_group(void *ctx, struct rpc_call *call);
void h_admin_delete_group(void *ctx, struct rpc_call *call);
void h_admin_seek_group(void *ctx, struct rpc_call *call);
void h_admin_get_memory(void *ctx, struct rpc_call *call);
void h_admin_get_stats(void *ctx, struct rpc_call *call);
void h_admin_find_messages(void *ctx, struct rpc_call *call);
void h_admin_get_activity(void *ctx, struct rpc_call *call);

/* Free what requests keep from one to the next (stop, after the server). */
void h_send_free_idle(struct broker *b);
void h_ack_free_idle(struct broker *b);

/* Completes all open telemetry streams (stop). */
void h_session_end_streams(struct broker *b);

/* ---- requests ---- */

/* The request as a message, which goes when the handler returns, or NULL: it was malformed or too
 * big, and the call has been finished saying so. */
void *handler_unpack(struct rpc_call *call, const ProtobufCMessageDescriptor *type);

/* The same as a message that stays until it is freed. */
void *handler_unpack_own(struct rpc_call *call, const ProtobufCMessageDescriptor *type);
void handler_free(void *message); /* NULL is fine */

/* The client's id, or CLIENT_ID_REQUIRED. Counts as hearing from the client. */
int handler_client_id(struct broker *b, const struct rpc_call *call, struct span *ret_id,
                      struct status *ret_status) MUST_CHECK;

/* The name in a resource; empty when there is none. */
struct span handler_name(const V2(Resource) *resource);

/* Milliseconds, rounded down; saturates. */
int64_t handler_duration_ms(const Google__Protobuf__Duration *d);

/* ---- what a request names ---- */

enum { HANDLER_PUT_OFF = 1 };

/* Before a request's topic is looked up: has an unknown one made when topics are made on first use.
 * HANDLER_PUT_OFF: the handler returns at once, and is called again when that is done; it must not
 * have answered or changed anything. A failure says that the topic could not be made. */
int handler_await_topic(struct broker *b, struct rpc_call *call, struct span name,
                        struct status *ret_status) MUST_CHECK;

/* The topic. ILLEGAL_TOPIC, TOPIC_NOT_FOUND. */
int handler_topic(struct broker *b, struct span name, struct topic_info *ret,
                  struct status *ret_status) MUST_CHECK;

/* The group, made on first use. ILLEGAL_CONSUMER_GROUP, CONSUMER_GROUP_NOT_FOUND. */
int handler_group(struct broker *b, struct span name, struct group_info *ret,
                  struct status *ret_status) MUST_CHECK;

/* The lease of a group and topic: dropped with lease_unref. */
int handler_lease(struct broker *b, const struct group_info *group, struct span topic,
                  struct lease **ret_lease, struct status *ret_status) MUST_CHECK;

/* ---- replies ---- */

/* A status as a message; points into `st`. */
V2(Status) handler_status(struct status *st);

/* Sends one message; false: no memory, and the call has been finished saying so. */
bool handler_send(struct rpc_call *call, const ProtobufCMessage *message);

/* Sends the reply of a unary call and finishes it. */
void handler_reply(struct rpc_call *call, const ProtobufCMessage *message);

/* Clocks. */
uint64_t handler_now_ms(const struct broker *b);  /* since the epoch, of leases and sessions */
uint64_t handler_mono_ms(const struct broker *b); /* that of rpc_deadline_ms and timers */

#endif
