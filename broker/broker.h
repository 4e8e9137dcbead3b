/* The broker: owns every long-lived object, starts them in order and stops them in reverse. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/idle.h"
#include "base/io.h"
#include "base/lock.h"
#include "broker/alarm.h"
#include "broker/config.h"
#include "broker/group.h"
#include "broker/hold.h"
#include "broker/keeper.h"
#include "broker/lease.h"
#include "broker/receipt.h"
#include "broker/rpc.h"
#include "broker/session.h"
#include "broker/status.h"
#include "broker/steady_clock.h"
#include "broker/topic.h"
#include "store/store.h"

struct stream; /* an open telemetry stream: h_session.c */

/* Only handlers and broker.c look inside. */
struct broker {
    /* set before the server starts, then constant */
    struct config cfg;
    struct io *io;
    struct steady_clock clock; /* what leases, sessions and alarms go by */
    char config_folder[CONFIG_TEXT_BYTES + 16];
    struct receipt_key *receipts;
    struct topic_table *topics;
    struct group_table *groups;
    struct session_table *sessions;
    struct lease_table *leases;
    struct hold_table *holds;
    struct alarm_table *alarms;
    struct store *store;
    struct keeper *keeper;
    struct rpc_server *server;

    /* atomic, relaxed: spreads messages over queues, no order is meant */
    _Atomic uint32_t next_write_queue;
    /* atomic, relaxed: statistics */
    _Atomic uint64_t n_damaged_bodies;
    _Atomic uint64_t n_unread_refused;
    _Atomic uint64_t n_dead_letters;
    _Atomic uint64_t n_delivered, delivered_bytes; /* bytes of bodies */
    /* atomic: stored by broker_stop (seq_cst) before it wakes parked receives, loaded by a receive
     * (seq_cst) after it parked: one of the two sees the other, so that none waits on */
    _Atomic bool is_stopping;

    struct idle sends;               /* of h_send.c */
    struct idle acks;                /* of h_ack.c */
    struct idle receives, delivered; /* of receive.c */
    struct idle heads;               /* of deliver.c */

    struct lock stream_lock; /* LOCK_STREAM */
    struct stream *streams;  /* guarded by stream_lock */

    uint64_t saved_ms, renewed_ms; /* the housekeeper only, monotonic */
};

/* Starts everything and serves; `cfg` is copied. What recovery found is logged. On failure nothing
 * is left running; the message names what could not be had. Thread: one. */
int broker_start(struct broker **ret_broker, const struct config *cfg, struct io *io,
                 struct err *e) MUST_CHECK;

uint16_t broker_port(const struct broker *b);

/* Ends calls, saves leases and groups, closes the store; the broker is gone whatever is returned.
 * An error says what could not be saved. NULL is fine. */
int broker_stop(struct broker *b, struct err *e);

/* Saves positions, leases and groups when something changed. Thread: the housekeeper's. */
void broker_save(struct broker *b);

/* Renews the leases of living clients and ends those of others. Thread: the housekeeper's. */
void broker_renew_leases(void *broker);

#endif
