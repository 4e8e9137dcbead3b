/* The bytes of a key-index file, and which keys a record has. Pure: no files, no locks. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_INDEX_FORMAT_H
#define STORE_INDEX_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "store/store.h"

/* The decoders are in store.h. */
void index_header_encode(uint8_t dst[STORE_INDEX_HEADER_BYTES], const struct store_index_header *h);
void index_item_encode(uint8_t dst[STORE_INDEX_ITEM_BYTES], const struct store_index_item *item);

/* The hash of `topic#key` as items have it: not negative. */
uint32_t index_hash(struct span topic, struct span key);

/* The same in two steps, for many keys of one topic. */
int32_t index_hash_topic(struct span topic);
uint32_t index_hash_key(int32_t topic_hash, struct span key);

/* The keys of a record that are still to come. */
struct index_keys {
    struct span unique; /* UNIQ_KEY; empty: none, or done */
    struct span words;  /* what is left of KEYS */
};

/* A rolled-back half has no keys (rocketmq-store 4). */
struct index_keys index_keys_of(const struct store_record *rec);

/* The next key: the unique one first, then the words of KEYS. False when there is none. */
bool index_keys_next(struct index_keys *keys, struct span *ret_key);

/* How many there are. */
uint32_t index_keys_count(struct index_keys keys);

#endif
