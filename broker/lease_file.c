/* The lease file, all numbers big-endian:
 *
 *  size  field
 *     8  magic "SLUICELE"
 *     4  version, 2
 *     8  when it was written, ms
 *        queues, one after the other:
 *     2    length of the group's name, then the name
 *     2    length of the topic's name, then the name
 *     4    queue id
 *     8    position
 *     8    attempt hash
 *     4    number of slots, then for each:
 *     8      queue offset
 *     8      nonce
 *     8      visible from, ms
 *     8      renewed up to, ms
 *     8      owner
 *     4      attempts
 *     4      bit 0: in the last batch
 *     4  CRC-32 of all before */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/lease_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"

static const uint8_t magic[8] = {'S', 'L', 'U', 'I', 'C', 'E', 'L', 'E'};

enum {
    VERSION = 2,
    HEAD_BYTES = 20,
    CRC_BYTES = 4,
    QUEUE_BYTES = 2 + 2 + 4 + 8 + 8 + 4, /* without the names */
    SLOT_BYTES = 5 * 8 + 2 * 4,
    FLAG_IN_BATCH = 1,
};

#define TIME_END_MS                                                                                \
    UINT64_C(253402300800000) /* the year 10000: a clock that adds to it is safe                   \
                               */

/* ---- writing ---- */

void lease_file_fini(struct lease_file *file)
{
    free(file->bytes);
    memset(file, 0, sizeof *file);
}

static int make_room(struct lease_file *file, size_t n, struct err *e)
{
    if (n <= file->n_room - file->len)
        return 0;
    size_t n_room = file->n_room ? file->n_room : 4096;
    while (n_room - file->len < n)
        n_room *= 2;
    uint8_t *bytes = realloc(file->bytes, n_room);
    if (bytes == NULL)
        return err_set(e, ERR_NOMEM, "write leases: no memory for %zu bytes", n_room);
    file->bytes = bytes;
    file->n_room = n_room;
    return 0;
}

/* The next `n` bytes of the buffer, for which there is room. */
static uint8_t *take_bytes(struct lease_file *file, size_t n)
{
    uint8_t *p = file->bytes + file->len;
    file->len += n;
    return p;
}

static void put_name(struct lease_file *file, struct span name)
{
    be16_put(take_bytes(file, 2), (uint16_t)name.len);
    memcpy(take_bytes(file, name.len), name.ptr, name.len);
}

static void put_slot(uint8_t *p, const struct lease_slot *slot)
{
    be64_put(p, slot->queue_off);
    be64_put(p + 8, slot->nonce);
    be64_put(p + 16, slot->visible_ms);
    be64_put(p + 24, slot->until_ms);
    be64_put(p + 32, slot->owner);
    be32_put(p + 40, slot->attempts);
    be32_put(p + 44, slot->is_in_batch ? FLAG_IN_BATCH : 0);
}

int lease_file_begin(struct lease_file *file, uint64_t now_ms, struct err *e)
{
    int rc = make_room(file, HEAD_BYTES, e);
    if (rc < 0)
        return rc;
    memcpy(take_bytes(file, sizeof magic), magic, sizeof magic);
    be32_put(take_bytes(file, 4), VERSION);
    be64_put(take_bytes(file, 8), now_ms);
    return 0;
}

int lease_file_add(struct lease_file *file, struct span group, struct span topic, int32_t queue_id,
                   const struct lease_queue *q, struct err *e)
{
    size_t n_slots = lease_queue_in_flight(q);
    int rc = make_room(file, QUEUE_BYTES + group.len + topic.len + n_slots * SLOT_BYTES, e);
    if (rc < 0)
        return rc;
    put_name(file, group);
    put_name(file, topic);
    be32_put(take_bytes(file, 4), (uint32_t)queue_id);
    be64_put(take_bytes(file, 8), q->position);
    be64_put(take_bytes(file, 8), q->attempt_hash);
    be32_put(take_bytes(file, 4), (uint32_t)n_slots);
    for (size_t i = 0; i < q->n_slots; i++)
        if (!q->slots[q->first + i].is_acked)
            put_slot(take_bytes(file, SLOT_BYTES), &q->slots[q->first + i]);
    return 0;
}

int lease_file_end(struct lease_file *file, struct err *e)
{
    int rc = make_room(file, CRC_BYTES, e);
    if (rc < 0)
        return rc;
    uint32_t crc = crc32_add(0, file->bytes, file->len);
    be32_put(take_bytes(file, CRC_BYTES), crc);
    return 0;
}

/* ---- reading ---- */

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "read leases: %s", what);
}

/* Adds the slot unless it does not fit behind those before it. */
static int read_slot(struct reader *r, struct lease_queue *q, struct err *e)
{
    uint64_t queue_off = reader_be64(r);
    bool is_first = q->n_slots == 0;
    if (queue_off >= q->position ||
        (!is_first && queue_off <= q->slots[q->first + q->n_slots - 1].queue_off))
        return damaged(e, "messages out of order");
    struct lease_slot *slot = lease_queue_add(q, queue_off);
    slot->nonce = reader_be64(r);
    slot->visible_ms = reader_be64(r);
    slot->until_ms = reader_be64(r);
    slot->owner = reader_be64(r);
    slot->attempts = reader_be32(r);
    slot->is_in_batch = reader_be32(r) & FLAG_IN_BATCH;
    q->has_owned |= slot->owner != 0;
    lease_queue_schedule(q, slot);
    return 0;
}

static int read_slots(struct reader *r, struct lease_queue *q, struct err *e)
{
    q->position = reader_be64(r);
    q->attempt_hash = reader_be64(r);
    q->is_known = true;
    uint32_t n_slots = reader_be32(r);
    if (r->bad || n_slots > r->left / SLOT_BYTES)
        return damaged(e, "cut short");
    if (q->position > INT64_MAX)
        return damaged(e, "no such position");
    int rc = lease_queue_reserve(q, n_slots, e);
    for (uint32_t i = 0; rc == 0 && i < n_slots; i++)
        rc = read_slot(r, q, e);
    return rc;
}

static int read_queue(struct reader *r, lease_file_fn fn, void *arg, struct err *e)
{
    struct lease_queue q = {0};
    struct span group = reader_take(r, reader_be16(r));
    struct span topic = reader_take(r, reader_be16(r));
    int32_t queue_id = (int32_t)reader_be32(r);
    int rc = read_slots(r, &q, e);
    if (rc == 0)
        rc = fn(arg, group, topic, queue_id, &q, e);
    lease_queue_fini(&q);
    return rc;
}

static int check_frame(struct span bytes, struct err *e)
{
    if (bytes.len < HEAD_BYTES + CRC_BYTES || memcmp(bytes.ptr, magic, sizeof magic) != 0)
        return damaged(e, "not a lease file");
    uint32_t version = be32_get(bytes.ptr + sizeof magic);
    if (version != VERSION)
        return err_set(e, ERR_CORRUPT, "read leases: version %" PRIu32 ", not %d", version,
                       VERSION);
    size_t len = bytes.len - CRC_BYTES;
    if (be32_get(bytes.ptr + len) != crc32_add(0, bytes.ptr, len))
        return damaged(e, "wrong checksum");
    if (be64_get(bytes.ptr + HEAD_BYTES - 8) >= TIME_END_MS)
        return damaged(e, "no such time");
    return 0;
}

int lease_file_read(struct span bytes, lease_file_fn fn, void *arg, uint64_t *ret_begun_ms,
                    struct err *e)
{
    int rc = check_frame(bytes, e);
    if (rc < 0)
        return rc;
    *ret_begun_ms = be64_get(bytes.ptr + HEAD_BYTES - 8);
    struct reader r =
        reader_of(span_of(bytes.ptr + HEAD_BYTES, bytes.len - HEAD_BYTES - CRC_BYTES));
    while (rc == 0 && r.left > 0)
        rc = read_queue(&r, fn, arg, e);
    return rc;
}
