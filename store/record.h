/* Encodes, decodes and checks one record, and the two small fixed formats beside it: consume-queue
 * entries and the checkpoint. Pure: no files, no clock, no locks. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "store/store.h"

/* ---- encoding: plan outside the lock, write into the mapping, patch the late fields ---- */

/* What can be known of a record before it has its place. */
struct record_plan {
    uint32_t size;     /* whole record */
    uint32_t magic;    /* V2 when the topic has more than 127 bytes */
    uint32_t body_crc; /* 31 bits */
    uint32_t body_len;
    int32_t sys_flag; /* the message's, with the address family bits of both hosts */
    struct store_host store_host;
};

/* Checks the limits, measures, and computes the CRC of the body: the one pass over the body before
 * the copy. `host` is the store host. ERR_TOOBIG: body over `max_body_bytes`, topic over 255 or
 * properties over 32,767 bytes. ERR_INVAL: an empty topic or one that cannot name a folder, a
 * negative queue id, properties that end in a NUL (how record_decode knows a torn end). */
int record_plan(const struct store_message *m, const struct store_host *host,
                uint32_t max_body_bytes, struct record_plan *ret_plan, struct err *e) MUST_CHECK;

/* Writes all plan->size bytes at `dst`, each body piece copied once; late fields are zero. */
void record_write(uint8_t *dst, const struct record_plan *plan, const struct store_message *m);

/* Writes a record without its body, plan->size - plan->body_len bytes, for who writes the body from
 * where it lies; returns where in them it belongs. Late fields are zero, and all before the body.
 */
size_t record_write_around(uint8_t *dst, const struct record_plan *plan,
                           const struct store_message *m);

/* Fills in the late fields of a record written before: what is known only under the append lock. */
void record_patch(uint8_t *dst, const struct record_plan *plan, uint64_t queue_off,
                  uint64_t log_off, uint64_t store_ms);

/* Writes the 8 bytes that end a file of which `left` bytes remain (8 <= left <= INT32_MAX). */
void record_write_filler(uint8_t *dst, uint32_t left);

/* ---- decoding ---- */

enum record_check {
    RECORD_OK,
    RECORD_BLANK, /* a filler: the rest of the file is unused */
    RECORD_ZERO,  /* size and magic are zero: nothing was written here */
    RECORD_SHORT, /* good as far as it goes, but the bytes end before the record does */
    RECORD_BAD,   /* not a record */
};

/* The caller does not know where the record should be. */
#define RECORD_OFF_UNKNOWN UINT64_MAX

/* Looks at the record at the start of `bytes` and checks all of it but the body's CRC: magic, its
 * own position against `expect_log_off`, every length against the total, the end of the properties.
 * On OK `*ret` is filled. On BLANK only ret->size (what the filler says is left) and ret->magic
 * are; on SHORT only ret->size (0 when fewer than 8 bytes are there); else it is untouched.
 * `*ret_why` (may be NULL) says on BAD what failed, a constant text. */
enum record_check record_decode(struct span bytes, uint64_t expect_log_off,
                                struct store_record *ret, const char **ret_why);

/* The first place at or behind `from` in `bytes` where a record or filler may start, to go on
 * behind damage: record_decode gives OK, BLANK or SHORT there. `log_off` is that of byte 0.
 * bytes.len when there is none; a magic cut by the end of `bytes` is not seen. */
size_t record_find(struct span bytes, uint64_t log_off, size_t from);

/* The tag code of a consume-queue entry: jhash of TAGS, sign-extended, 0 without; for a delayed
 * record of the schedule topic the time of its delivery (rocketmq-store 2.11). */
int64_t record_tag_code(const struct store_record *rec);

/* The same before the record is written; false when it hangs on the time of storing. */
bool record_tag_code_ahead(const struct store_message *m, int64_t *ret_code);

/* Several messages in one record, as RocketMQ's batch topics have them; not served. */
enum { RECORD_SYSFLAG_INNER_BATCH = 0x80 };

/* Whether the record gets a consume-queue entry: prepared and rolled back halves do not. */
static inline bool record_is_queued(const struct store_record *rec)
{
    int32_t type = rec->sys_flag & STORE_SYSFLAG_TRANSACTION_MASK;
    return type != STORE_SYSFLAG_PREPARED && type != STORE_SYSFLAG_ROLLBACK;
}

/* Whether a topic can name a folder: 1..255 bytes, no NUL, no '/', not "." and not "..". */
bool record_topic_is_safe(struct span topic);

/* ---- the two fixed formats; their decoders are in store.h ---- */

void record_queue_entry_encode(uint8_t dst[STORE_QUEUE_ENTRY_BYTES],
                               const struct store_queue_entry *entry);

/* Writes all 4096 bytes. */
void record_checkpoint_encode(uint8_t dst[STORE_CHECKPOINT_BYTES],
                              const struct store_checkpoint *cp);

#endif
