/* The bytes of RocketMQ's timer files (rocketmq-store 9.3). Pure. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_TIMER_FORMAT_H
#define TOOLS_TIMER_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    TIMER_RECORD_BYTES = 52,
    TIMER_FILLER_BYTES = 16,
    TIMER_SLOT_BYTES = 32,
    TIMER_CHECK_BYTES = 56,

    TIMER_ROLL = 2,   /* due beyond the wheel: goes around again */
    TIMER_DELETE = 4, /* recalls a message */
};

/* One record of the timer log. */
struct timer_record {
    int64_t prev; /* position of the one before of the same slot; -1: none */
    uint32_t magic;
    int64_t written_ms;
    int32_t delay_ms; /* the slot's time is written_ms + delay_ms */
    int64_t log_off;  /* of the record in the commit log */
    int32_t size;     /* of that */
    int32_t topic_hash;
};

enum timer_check { TIMER_RECORD, TIMER_FILLER, TIMER_EMPTY, TIMER_BAD };

/* What is at the start of `bytes`, which hold a whole record or end with their file; `ret` is
 * filled in for a record. */
enum timer_check timer_record_decode(struct span bytes, struct timer_record *ret);

/* A second of the timer wheel. */
struct timer_slot {
    int64_t unit;        /* time in units of the wheel's precision: seconds by default */
    int64_t first, last; /* positions in the timer log */
    int32_t n;           /* messages; a recall counts as one less */
};

/* False for an empty slot. */
bool timer_slot_decode(const uint8_t bytes[TIMER_SLOT_BYTES], struct timer_slot *ret);

/* The fields of config/timercheck. */
struct timer_progress {
    int64_t read_ms, log_flushed, queue_off, master_queue_off;
    int64_t version_state, version_ms, version_counter;
};

/* False when it is too short. */
bool timer_progress_decode(struct span bytes, struct timer_progress *ret);

#endif
