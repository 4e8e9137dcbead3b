/* The part of the RPC server that a receive sees, in which nothing happens by itself: what is
 * posted waits until the test runs it, timers until it says that their time has come, and calls
 * until it ends them. For programs that are linked with still_rpc_dep of tests/meson.build: the
 * linker puts still_rpc.c in the place of the functions of broker/rpc.h (--wrap). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_STILL_RPC_H
#define TESTS_LIB_STILL_RPC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/rpc.h"

enum { STILL_MESSAGES_MAX = 32, STILL_TEXT_BYTES = 64 };

/* A call, and the reply of a receive to it. */
struct still_call {
    _Atomic int n_refs; /* relaxed up by who has one, acq_rel down */
    bool has_unread;    /* what rpc_has_unread says */
    /* stored by the receive under its lock */
    bool is_finished; /* a second reply fails the test */
    int32_t code;
    size_t n_messages;
    struct still_message {
        char body[STILL_TEXT_BYTES];
        int32_t attempt;
    } messages[STILL_MESSAGES_MAX];
};

void still_rpc_init(void);
void still_rpc_fini(void); /* nothing may be posted, no timer out */

/* What rpc_* and receives take for their call. */
struct rpc_call *still_rpc_call(struct still_call *call);

/* Runs the oldest of what is posted, the functions of cancelled timers with it; false: there is
 * none. Thread: any. */
bool still_rpc_run_one(void);

/* Runs what is posted until nothing is left. */
void still_rpc_run(void);

/* How much is posted. */
size_t still_rpc_n_posted(void);

/* Timers that were started, and are neither cancelled nor over. */
size_t still_rpc_n_timers(void);

/* It is that time of the monotonic clock: calls the functions of the timers that are due. Thread:
 * any. */
void still_rpc_fire(uint64_t mono_ms);

/* The server stops: runs all that is posted, and ends the timers before their time. */
void still_rpc_stop(void);

#endif
