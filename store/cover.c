/* Bytes that hold places in a log which is written anew: covers, fillers, padding.
 *
 * A log has no holes: each record is found behind the one before it. Where some were lost, others
 * must fill their place exactly, or every position behind them would change, and with it what
 * queues, index, timers and clients know. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/crc32.h"
#include "store/format.h"
#include "store/record.h"
#include "store/store.h"

static_assert(STORE_COVER_MIN == FORMAT_RECORD_MIN_BYTES + sizeof STORE_COVER_TOPIC - 1,
              "a cover has a topic and nothing else");
static_assert((int)STORE_FILLER_MIN == (int)FORMAT_FILLER_BYTES, "as in the format");

void store_queue_entry_encode(uint8_t dst[STORE_QUEUE_ENTRY_BYTES],
                              const struct store_queue_entry *entry)
{
    record_queue_entry_encode(dst, entry);
}

void store_checkpoint_encode(uint8_t dst[STORE_CHECKPOINT_BYTES], const struct store_checkpoint *cp)
{
    record_checkpoint_encode(dst, cp);
}

bool store_record_decode(struct span bytes, struct store_record *ret)
{
    return record_decode(bytes, RECORD_OFF_UNKNOWN, ret, /* ret_why = */ NULL) == RECORD_OK &&
           ret->size == bytes.len;
}

void store_filler_write(uint8_t *dst, uint32_t left)
{
    record_write_filler(dst, left);
}

void store_cover_write(uint8_t *dst, uint32_t size, uint64_t log_off, uint64_t store_ms)
{
    assert(size >= STORE_COVER_MIN && size <= STORE_COVER_MAX);
    const uint32_t body_len = size - STORE_COVER_MIN,
                   tail_len = STORE_COVER_MIN - FORMAT_HEAD_MIN_BYTES;
    const struct store_message m = {
        .topic = span_str(STORE_COVER_TOPIC), .born_ms = store_ms, .born_host = {.addr_len = 4}};
    struct record_plan plan = {.size = size,
                               .magic = STORE_MAGIC_V1,
                               .body_len = body_len,
                               .sys_flag = STORE_SYSFLAG_ROLLBACK,
                               .store_host = {.addr_len = 4}};
    memset(dst, 0, size);
    if (body_len > 0)
        plan.body_crc = crc32_stored(crc32_add(0, dst, body_len));
    uint8_t *body = dst + record_write_around(dst, &plan, &m);
    memmove(body + body_len, body, tail_len);
    memset(body, 0, body_len < tail_len ? body_len : tail_len);
    record_patch(dst, &plan, /* queue_off = */ 0, log_off, store_ms);
}

bool store_record_pad(uint8_t *bytes, uint32_t size, uint32_t n)
{
    struct store_record rec;
    if (!store_record_decode(span_of(bytes, size), &rec) ||
        rec.properties.len + n > FORMAT_PROPERTIES_MAX)
        return false;
    uint8_t *end = bytes + size;
    be16_put(end - rec.properties.len - 2, (uint16_t)(rec.properties.len + n));
    memset(end, FORMAT_PAIR_SEPARATOR, n); /* a piece of nothing: readers pass over it (2.3) */
    be32_put(bytes + FORMAT_AT_SIZE, size + n);
    return true;
}
