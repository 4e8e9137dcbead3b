/* Decodes RocketMQ's timer files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/timer_format.h"

enum { KNOWN_BITS = 0xf };
#define BLANK_MAGIC 0xcbd43194u

enum timer_check timer_record_decode(struct span bytes, struct timer_record *ret)
{
    struct reader r = reader_of(bytes);
    uint32_t size = reader_be32(&r);
    struct timer_record rec = {.prev = (int64_t)reader_be64(&r)};
    rec.magic = reader_be32(&r);
    if (!r.bad && rec.magic == BLANK_MAGIC)
        return TIMER_FILLER;
    rec.written_ms = (int64_t)reader_be64(&r);
    rec.delay_ms = (int32_t)reader_be32(&r);
    rec.log_off = (int64_t)reader_be64(&r);
    rec.size = (int32_t)reader_be32(&r);
    rec.topic_hash = (int32_t)reader_be32(&r);
    (void)reader_be64(&r); /* not used */
    if (!r.bad && size == 0 && rec.magic == 0)
        return TIMER_EMPTY;
    if (r.bad || size != TIMER_RECORD_BYTES || (rec.magic & ~(uint32_t)KNOWN_BITS) != 0 ||
        rec.magic == 0 || rec.prev < -1 || rec.log_off < 0 || rec.size <= 0 || rec.written_ms < 0)
        return TIMER_BAD;
    *ret = rec;
    return TIMER_RECORD;
}

bool timer_slot_decode(const uint8_t bytes[TIMER_SLOT_BYTES], struct timer_slot *ret)
{
    struct timer_slot slot = {
        .unit = (int64_t)be64_get(bytes),
        .first = (int64_t)be64_get(bytes + 8),
        .last = (int64_t)be64_get(bytes + 16),
        .n = (int32_t)be32_get(bytes + 24),
    };
    if (slot.unit == 0 && slot.first == 0 && slot.last == 0 && slot.n == 0)
        return false;
    *ret = slot;
    return true;
}

bool timer_progress_decode(struct span bytes, struct timer_progress *ret)
{
    struct reader r = reader_of(bytes);
    int64_t fields[TIMER_CHECK_BYTES / 8];
    for (size_t i = 0; i < TIMER_CHECK_BYTES / 8; i++)
        fields[i] = (int64_t)reader_be64(&r);
    if (r.bad)
        return false;
    *ret = (struct timer_progress){.read_ms = fields[0],
                                   .log_flushed = fields[1],
                                   .queue_off = fields[2],
                                   .master_queue_off = fields[3],
                                   .version_state = fields[4],
                                   .version_ms = fields[5],
                                   .version_counter = fields[6]};
    return true;
}
