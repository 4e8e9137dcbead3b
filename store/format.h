/* Every on-disk offset, magic and limit: RocketMQ's numbers, each with its section of
 * rocketmq-store (docs/rocketmq.md). All integers are big-endian; offsets are bytes from the start
 * of the thing. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_FORMAT_H
#define STORE_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* ---- one record of the commit log (2.1) ----
 *
 * offset      size  field                   filled
 *  0          4     size of the record      before the append
 *  4          4     magic V1 or V2          before
 *  8          4     body CRC, 31 bits       before
 * 12          4     queue id                before
 * 16          4     user flag               before
 * 20          8     queue_off               late: under the append lock
 * 28          8     log_off of byte 0       late
 * 36          4     sys_flag                before
 * 40          8     born_ms                 before
 * 48          b     born host               before; b = 8 (IPv4) or 20 (IPv6): address, i32 port
 * 48+b        8     store_ms                late
 * 56+b        s     store host              before; s = 8 or 20
 * 56+b+s      4     reconsume times         before
 * 60+b+s      8     prepared_off            before
 * 68+b+s      4     body length L           before
 * 72+b+s      L     body                    before
 * ...         1|2   topic length T          before; i8 in V1 (at most 127), i16 in V2
 * ...         T     topic, UTF-8            before
 * ...         2     properties length P     before; i16, at most 32,767
 * ...         P     properties              before
 */
enum {
    FORMAT_AT_SIZE = 0,
    FORMAT_AT_MAGIC = 4,
    FORMAT_AT_BODY_CRC = 8,
    FORMAT_AT_QUEUE_ID = 12,
    FORMAT_AT_FLAG = 16,
    FORMAT_AT_QUEUE_OFF = 20,
    FORMAT_AT_LOG_OFF = 28,
    FORMAT_AT_SYS_FLAG = 36,
    FORMAT_AT_BORN_MS = 40,
    FORMAT_AT_BORN_HOST = 48,

    FORMAT_HOST_V4_BYTES = 8,
    FORMAT_HOST_V6_BYTES = 20,

    /* size, magic, ..., born_ms + store_ms + reconsume times + prepared_off + body length */
    FORMAT_HEAD_FIXED_BYTES = 48 + 8 + 4 + 8 + 4,
    FORMAT_HEAD_MIN_BYTES = FORMAT_HEAD_FIXED_BYTES + 2 * FORMAT_HOST_V4_BYTES,
    FORMAT_HEAD_MAX_BYTES = FORMAT_HEAD_FIXED_BYTES + 2 * FORMAT_HOST_V6_BYTES,

    /* A record with IPv4 hosts, no body, no topic, no properties. */
    FORMAT_RECORD_MIN_BYTES = FORMAT_HEAD_MIN_BYTES + 1 + 2,

    FORMAT_TOPIC_V1_MAX = 127,      /* the length is a signed byte (2.1, 17) */
    FORMAT_TOPIC_MAX = 255,         /* 2.5 */
    FORMAT_PROPERTIES_MAX = 32767,  /* 2.5 */
    FORMAT_BODY_MAX = 4194304,      /* maxMessageSize's default (2.5) */
    FORMAT_RECORD_OVERHEAD = 65536, /* a record is at most maxMessageSize + this (2.5) */

    FORMAT_NAME_SEPARATOR = 0x01, /* between a property's name and value (2.3) */
    FORMAT_PAIR_SEPARATOR = 0x02, /* behind each property */
};

static_assert(FORMAT_HEAD_MIN_BYTES == 88, "the body of a record with IPv4 hosts is at 88 (2.1)");
static_assert(FORMAT_RECORD_MIN_BYTES == 91, "91+L+T+P in V1 with IPv4 hosts (2.1)");
static_assert(FORMAT_AT_LOG_OFF == FORMAT_AT_QUEUE_OFF + 8, "late fields adjoin (2.1)");
static_assert(FORMAT_HEAD_MAX_BYTES + 2 + FORMAT_TOPIC_MAX + 2 + FORMAT_PROPERTIES_MAX <=
                  FORMAT_RECORD_OVERHEAD,
              "a body within its limit makes a record within its limit (2.5)");

/* ---- a commit-log file (1.2, 2.4) ----
 *
 * Records one behind the other, then a filler of which only 8 bytes are written: what is left of
 * the file, counted from the filler, and the blank magic. At least 8 bytes are left behind any
 * record. */
enum {
    FORMAT_FILLER_BYTES = 8,
    FORMAT_NAME_DIGITS = 20, /* log_off of the first byte, zero-padded decimal */
};

#define FORMAT_LOG_FILE_BYTES (UINT64_C(1) << 30) /* mappedFileSizeCommitLog */

/* Whether a record of `size` bytes may be written where `left` bytes of the file remain (2.4). */
static inline bool format_record_fits(uint32_t size, uint64_t left)
{
    return (uint64_t)size + FORMAT_FILLER_BYTES <= left;
}

/* ---- one entry of a consume queue (3.1); entry n is at byte 20 n ----
 *
 * offset size field
 *  0     8    log_off of the record
 *  8     4    size of the record; an entry with size 0 is the end of the queue
 * 12     8    tag code; for the schedule topic the delivery time (2.11)
 */
enum {
    FORMAT_ENTRY_AT_LOG_OFF = 0,
    FORMAT_ENTRY_AT_SIZE = 8,
    FORMAT_ENTRY_AT_TAG_CODE = 12,
    FORMAT_QUEUE_FILE_BYTES = 6000000,  /* mappedFileSizeConsumeQueue */
    FORMAT_PRE_BLANK_SIZE = 0x7fffffff, /* size of an entry before the first real one (3.2) */
};

static_assert(STORE_QUEUE_ENTRY_BYTES == FORMAT_ENTRY_AT_TAG_CODE + 8, "20 bytes (3.1)");
static_assert(FORMAT_QUEUE_FILE_BYTES % STORE_QUEUE_ENTRY_BYTES == 0, "whole entries (1.1)");

/* ---- a file of the key index (4; what 5.5 adds: 17.4) ----
 *
 * offset  size field
 *  0       8    begin_ms: store time of the first item's record
 *  8       8    end_ms: of the last item's
 * 16       8    begin_log_off: position of the first item's record
 * 24       8    end_log_off: of the last item's
 * 32       4    slots in use
 * 36       4    number of the next item; the first is 1
 * 40       4 s  slots: number of the newest item of the chain, or 0
 * 40+4s   20 n  items: i32 hash, i64 log_off, i32 seconds after begin_ms, i32 previous in the chain
 */
enum {
    FORMAT_INDEX_AT_BEGIN_MS = 0,
    FORMAT_INDEX_AT_END_MS = 8,
    FORMAT_INDEX_AT_BEGIN_OFF = 16,
    FORMAT_INDEX_AT_END_OFF = 24,
    FORMAT_INDEX_AT_N_USED = 32,
    FORMAT_INDEX_AT_N_NEXT = 36,
    FORMAT_ITEM_AT_HASH = 0,
    FORMAT_ITEM_AT_LOG_OFF = 4,
    FORMAT_ITEM_AT_SECONDS = 12,
    FORMAT_ITEM_AT_PREV = 16,
    FORMAT_INDEX_NAME_DIGITS = 17, /* yyyyMMddHHmmssSSS, local time (1.1) */
};

static_assert(STORE_INDEX_HEADER_BYTES == FORMAT_INDEX_AT_N_NEXT + 4, "40 bytes (4)");
static_assert(STORE_INDEX_ITEM_BYTES == FORMAT_ITEM_AT_PREV + 4, "20 bytes (4)");

/* ---- the checkpoint (5.1; the sixth field: 17.1); the rest of the 4096 bytes is zero ---- */
enum {
    FORMAT_CHECKPOINT_AT_LOG_MS = 0,
    FORMAT_CHECKPOINT_AT_QUEUE_MS = 8,
    FORMAT_CHECKPOINT_AT_INDEX_MS = 16,
    FORMAT_CHECKPOINT_AT_MASTER_FLUSHED_OFF = 24,
    FORMAT_CHECKPOINT_AT_CONFIRM_OFF = 32,
    FORMAT_CHECKPOINT_AT_QUEUE_OFF = 40, /* log_off below which the consume queues are on disk */
    FORMAT_CHECKPOINT_FIELDS_BYTES = 48,
    /* ours, at the end of the page, where RocketMQ neither reads nor writes */
    FORMAT_CHECKPOINT_AT_COUNT_OFF = 4048,
    FORMAT_CHECKPOINT_AT_INDEX_OFF = 4056,
    FORMAT_CHECKPOINT_AT_INDEX_NAME = 4064,
    FORMAT_CHECKPOINT_AT_N_INDEX_NEXT = 4072, /* 8 bytes */
    FORMAT_CHECKPOINT_AT_N_QUEUES = 4080,
    FORMAT_CHECKPOINT_AT_N_ENTRIES = 4088,
};

/* ---- names under the root (1.1) ---- */
#define FORMAT_DIR_LOG "commitlog"
#define FORMAT_DIR_QUEUES "consumequeue"
#define FORMAT_DIR_INDEX "index"
#define FORMAT_FILE_CHECKPOINT "checkpoint"
#define FORMAT_FILE_ABORT "abort"
#define FORMAT_FILE_LOCK "lock"
#define FORMAT_LOCK_TEXT "lock"

/* ---- the schedule topic, whose tag codes are times (2.11, 9.1) ---- */
#define FORMAT_SCHEDULE_TOPIC "SCHEDULE_TOPIC_XXXX"

#endif
