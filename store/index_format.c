/* Encodes and decodes the header and items of a key-index file, and takes a record's keys apart. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/index_format.h"

#include "base/jhash.h"
#include "store/format.h"

/* ---- header and items ---- */

bool store_index_header_decode(const uint8_t bytes[STORE_INDEX_HEADER_BYTES],
                               struct store_index_header *ret)
{
    int32_t n_used = (int32_t)be32_get(bytes + FORMAT_INDEX_AT_N_USED);
    int32_t n_next = (int32_t)be32_get(bytes + FORMAT_INDEX_AT_N_NEXT);
    struct store_index_header h = {
        .begin_ms = be64_get(bytes + FORMAT_INDEX_AT_BEGIN_MS),
        .end_ms = be64_get(bytes + FORMAT_INDEX_AT_END_MS),
        .begin_log_off = be64_get(bytes + FORMAT_INDEX_AT_BEGIN_OFF),
        .end_log_off = be64_get(bytes + FORMAT_INDEX_AT_END_OFF),
        .n_used_slots = (uint32_t)n_used,
        .n_next = n_next < 1 ? 1 : (uint32_t)n_next,
    };
    if (n_used < 0 || h.end_ms > INT64_MAX || h.begin_ms > h.end_ms || h.end_log_off > INT64_MAX ||
        h.begin_log_off > h.end_log_off)
        return false;
    *ret = h;
    return true;
}

bool store_index_item_decode(const uint8_t bytes[STORE_INDEX_ITEM_BYTES],
                             struct store_index_item *ret)
{
    struct store_index_item item = {
        .hash = be32_get(bytes + FORMAT_ITEM_AT_HASH),
        .log_off = be64_get(bytes + FORMAT_ITEM_AT_LOG_OFF),
        .seconds = be32_get(bytes + FORMAT_ITEM_AT_SECONDS),
        .prev = be32_get(bytes + FORMAT_ITEM_AT_PREV),
    };
    if (item.hash > INT32_MAX || item.log_off > INT64_MAX || item.seconds > INT32_MAX ||
        item.prev > INT32_MAX)
        return false;
    *ret = item;
    return true;
}

uint32_t store_index_items(uint64_t file_bytes, uint32_t n_slots)
{
    uint64_t head = store_index_item_at(n_slots, 0);
    if (n_slots == 0 || n_slots > INT32_MAX || file_bytes <= head)
        return 0;
    uint64_t n = (file_bytes - head) / STORE_INDEX_ITEM_BYTES;
    bool is_whole = store_index_item_at(n_slots, (uint32_t)n) == file_bytes;
    return is_whole && n <= INT32_MAX ? (uint32_t)n : 0;
}

void index_header_encode(uint8_t dst[STORE_INDEX_HEADER_BYTES], const struct store_index_header *h)
{
    be64_put(dst + FORMAT_INDEX_AT_BEGIN_MS, h->begin_ms);
    be64_put(dst + FORMAT_INDEX_AT_END_MS, h->end_ms);
    be64_put(dst + FORMAT_INDEX_AT_BEGIN_OFF, h->begin_log_off);
    be64_put(dst + FORMAT_INDEX_AT_END_OFF, h->end_log_off);
    be32_put(dst + FORMAT_INDEX_AT_N_USED, h->n_used_slots);
    be32_put(dst + FORMAT_INDEX_AT_N_NEXT, h->n_next);
}

void index_item_encode(uint8_t dst[STORE_INDEX_ITEM_BYTES], const struct store_index_item *item)
{
    be32_put(dst + FORMAT_ITEM_AT_HASH, item->hash);
    be64_put(dst + FORMAT_ITEM_AT_LOG_OFF, item->log_off);
    be32_put(dst + FORMAT_ITEM_AT_SECONDS, item->seconds);
    be32_put(dst + FORMAT_ITEM_AT_PREV, item->prev);
}

/* ---- keys ---- */

int32_t index_hash_topic(struct span topic)
{
    return jhash_more(jhash(topic), span_str("#"));
}

uint32_t index_hash_key(int32_t topic_hash, struct span key)
{
    int32_t h = jhash_more(topic_hash, key);
    return h == INT32_MIN ? 0 : (uint32_t)(h < 0 ? -h : h);
}

uint32_t index_hash(struct span topic, struct span key)
{
    return index_hash_key(index_hash_topic(topic), key);
}

struct index_keys index_keys_of(const struct store_record *rec)
{
    struct index_keys keys = {0};
    if ((rec->sys_flag & STORE_SYSFLAG_TRANSACTION_MASK) == STORE_SYSFLAG_ROLLBACK)
        return keys;
    struct span rest = rec->properties, name, value;
    while (!(keys.unique.ptr && keys.words.ptr) && store_property_next(&rest, &name, &value)) {
        if (!keys.unique.ptr && span_equal(name, span_str("UNIQ_KEY")))
            keys.unique = value;
        else if (!keys.words.ptr && span_equal(name, span_str("KEYS")))
            keys.words = value;
    }
    return keys;
}

uint32_t index_keys_count(struct index_keys keys)
{
    struct span key;
    uint32_t n = 0;
    while (index_keys_next(&keys, &key))
        n++;
    return n;
}

bool index_keys_next(struct index_keys *keys, struct span *ret_key)
{
    if (keys->unique.len > 0) {
        *ret_key = keys->unique;
        keys->unique.len = 0;
        return true;
    }
    while (keys->words.len > 0) {
        const uint8_t *blank = memchr(keys->words.ptr, ' ', keys->words.len);
        size_t len = blank ? (size_t)(blank - keys->words.ptr) : keys->words.len;
        size_t used = blank ? len + 1 : len;
        *ret_key = span_of(keys->words.ptr, len);
        keys->words = span_of(keys->words.ptr + used, keys->words.len - used);
        if (len > 0)
            return true;
    }
    return false;
}
