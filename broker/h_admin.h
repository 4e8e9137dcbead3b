/* The sluice.v1 Admin service: its calls run on the housekeeper, since most wait for the disk. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_H_ADMIN_H
#define BROKER_H_ADMIN_H

#include "broker/handler.h"

/* A generated type of sluice.v1. */
#define SV1(name) Sluice__V1__##name

/* One Admin call: reads the request, acts, replies to and finishes the call. Thread: the
 * housekeeper's. */
typedef void (*h_admin_fn)(struct broker *b, const void *request, struct rpc_call *call);

/* Unpacks the request and hands the call to the housekeeper. */
void h_admin_hand_over(struct broker *b, struct rpc_call *call,
                       const ProtobufCMessageDescriptor *type, h_admin_fn fn);

#endif
