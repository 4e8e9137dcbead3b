/* The bytes of the roll, all numbers big-endian:
 *
 *  size  field
 *     8  magic "SLUICEQU"
 *     4  version, 1
 *     8  length of a queue's files
 *    40  of the checkpoint: positions and times of the queues, and how many there are of what
 *    12  when the folder of all queues changed: seconds, nanoseconds
 *        queues, one after the other:
 *     2    length of the topic's name, then the name
 *     4    queue id
 *    12    when its folder changed
 *    12    when its topic's folder changed
 *     8    first number
 *     8    one past the last
 *    20    the last entry that points at a record, or zeros
 *     4  CRC-32 of all before */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_roll.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "store/format.h"
#include "store/record.h"

static const uint8_t magic[8] = {'S', 'L', 'U', 'I', 'C', 'E', 'Q', 'U'};

enum {
    VERSION = 1,
    TIME_BYTES = 12,
    CHECKPOINT_BYTES = 5 * 8,
    HEAD_BYTES = 8 + 4 + 8 + CHECKPOINT_BYTES + TIME_BYTES,
    ITEM_BYTES = 2 + 4 + 2 * TIME_BYTES + 2 * 8 + STORE_QUEUE_ENTRY_BYTES, /* without the name */
    CRC_BYTES = 4,
    FIRST_ROOM = 4096,
};

/* ---- writing ---- */

/* Room for `n` bytes at the end, which are taken; NULL: no memory. */
static uint8_t *take_bytes(struct queue_roll *r, size_t n)
{
    if (n > r->n_room - r->len) {
        size_t n_room = r->n_room ? r->n_room : FIRST_ROOM;
        while (n_room - r->len < n)
            n_room *= 2;
        uint8_t *bytes = realloc(r->bytes, n_room);
        if (!bytes)
            return NULL;
        r->bytes = bytes;
        r->n_room = n_room;
    }
    uint8_t *p = r->bytes + r->len;
    r->len += n;
    return p;
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "write the roll of queues");
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
    be64_put(p, v);
    return p + 8;
}

static uint8_t *put_time(uint8_t *p, const struct timespec *t)
{
    be64_put(p, (uint64_t)t->tv_sec);
    be32_put(p + 8, (uint32_t)t->tv_nsec);
    return p + TIME_BYTES;
}

void queue_roll_fini(struct queue_roll *r)
{
    free(r->bytes);
    *r = (struct queue_roll){0};
}

int queue_roll_begin(struct queue_roll *r, const struct queue_roll_head *head, struct err *e)
{
    uint8_t *p = take_bytes(r, HEAD_BYTES);
    if (!p)
        return no_memory(e);
    memcpy(p, magic, sizeof magic);
    be32_put(p + sizeof magic, VERSION);
    p = put64(p + sizeof magic + 4, head->file_bytes);
    p = put64(p, head->cp.log_ms);
    p = put64(p, head->cp.queue_ms);
    p = put64(p, (uint64_t)head->cp.queue_off);
    p = put64(p, head->cp.n_queues);
    p = put64(p, head->cp.n_entries);
    (void)put_time(p, &head->changed);
    return 0;
}

int queue_roll_add(struct queue_roll *r, const struct queue_roll_item *item, struct err *e)
{
    uint8_t *p = take_bytes(r, ITEM_BYTES + item->topic.len);
    if (!p)
        return no_memory(e);
    be16_put(p, (uint16_t)item->topic.len);
    memcpy(p + 2, item->topic.ptr, item->topic.len);
    p += 2 + item->topic.len;
    be32_put(p, (uint32_t)item->queue_id);
    p = put_time(p + 4, &item->changed);
    p = put_time(p, &item->topic_changed);
    p = put64(p, item->ends.min_off);
    p = put64(p, item->ends.end_off);
    store_queue_entry_encode(p, &item->ends.last);
    r->n_items++;
    return 0;
}

int queue_roll_end(struct queue_roll *r, struct err *e)
{
    uint8_t *p = take_bytes(r, CRC_BYTES);
    if (!p)
        return no_memory(e);
    be32_put(p, crc32_add(0, r->bytes, r->len - CRC_BYTES));
    return 0;
}

/* ---- reading ---- */

static struct timespec read_time(struct reader *r)
{
    struct timespec t;
    t.tv_sec = (time_t)reader_be64(r);
    t.tv_nsec = (long)reader_be32(r);
    return t;
}

static bool is_whole(struct span file)
{
    return file.len >= HEAD_BYTES + CRC_BYTES && memcmp(file.ptr, magic, sizeof magic) == 0 &&
           be32_get(file.ptr + sizeof magic) == VERSION &&
           be32_get(file.ptr + file.len - CRC_BYTES) ==
               crc32_add(0, file.ptr, file.len - CRC_BYTES);
}

static void read_head(struct reader *r, struct queue_roll_head *ret)
{
    *ret = (struct queue_roll_head){.file_bytes = reader_be64(r)};
    ret->cp.log_ms = reader_be64(r);
    ret->cp.queue_ms = reader_be64(r);
    ret->cp.queue_off = (int64_t)reader_be64(r);
    ret->cp.n_queues = reader_be64(r);
    ret->cp.n_entries = reader_be64(r);
    ret->changed = read_time(r);
}

static void read_item(struct reader *r, struct queue_roll_item *ret)
{
    ret->topic = reader_take(r, reader_be16(r));
    ret->queue_id = (int32_t)reader_be32(r);
    ret->changed = read_time(r);
    ret->topic_changed = read_time(r);
    ret->ends.min_off = reader_be64(r);
    ret->ends.end_off = reader_be64(r);
    struct span last = reader_take(r, STORE_QUEUE_ENTRY_BYTES);
    if (last.len < STORE_QUEUE_ENTRY_BYTES || !store_queue_entry_decode(last.ptr, &ret->ends.last))
        ret->ends.last = (struct store_queue_entry){0};
}

static bool is_possible(const struct queue_roll_item *item)
{
    return item->queue_id >= 0 && item->topic.len <= FORMAT_TOPIC_MAX &&
           record_topic_is_safe(item->topic) && item->ends.min_off <= item->ends.end_off &&
           item->ends.end_off < INT64_MAX / STORE_QUEUE_ENTRY_BYTES;
}

int queue_roll_parse(struct span file, struct queue_roll_head *ret_head, queue_roll_fn fn,
                     void *arg, struct err *e)
{
    if (!is_whole(file))
        return err_set(e, ERR_CORRUPT, "read the roll of queues: it is not whole");
    struct reader r = reader_of(span_of(file.ptr, file.len - CRC_BYTES));
    (void)reader_take(&r, sizeof magic + 4);
    read_head(&r, ret_head);
    int rc = 0;
    while (rc == 0 && r.left > 0) {
        struct queue_roll_item item;
        read_item(&r, &item);
        if (r.bad || !is_possible(&item))
            return err_set(e, ERR_CORRUPT, "read the roll of queues: a queue cannot be");
        rc = fn(arg, &item, e);
    }
    return rc;
}
