/* Wakes the parked receives of a group and topic when one of its messages becomes visible again:
 * one timer for each, armed at the earliest such time that is known. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_ALARM_H
#define BROKER_ALARM_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "broker/hold.h"
#include "broker/lease.h"
#include "broker/rpc.h"
#include "broker/steady_clock.h"

struct alarm_table;

int alarm_table_open(struct alarm_table **ret_table, struct hold_table *holds,
                     const struct steady_clock *clock, struct err *e) MUST_CHECK;

/* After the server has stopped, and whoever set alarms before it: no timer is out. NULL is fine. */
void alarm_table_close(struct alarm_table *t);

/* Sees to it that parked receives of the group and topic are woken once the lease's next message is
 * visible. Call it after parking, and after whatever made a message visible earlier than before. A
 * want of memory costs that wake only: the receive then ends at its own deadline.
 * Thread: any. Locks: takes LOCK_ALARM, then LOCK_LEASE. */
void alarm_set(struct alarm_table *t, struct rpc_server *server, struct lease *lease,
               struct span group, struct span topic);

/* The same for everyone who waits already: after leases were cut short behind their back. */
void alarm_refresh(struct alarm_table *t);

#endif
