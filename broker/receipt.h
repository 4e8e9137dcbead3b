/* Receipt handles: text that names one delivery of one message, authenticated, so that nothing made
 * up, altered or appended to is ever acted on. Pure but for the key file. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RECEIPT_H
#define BROKER_RECEIPT_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/io.h"

struct receipt_key;

enum { RECEIPT_TEXT_BYTES = 88 }; /* every handle has this length; no NUL */

struct receipt {
    uint64_t group_hash; /* receipt_hash of the group's name */
    uint64_t topic_hash;
    int32_t queue_id;
    uint64_t queue_off;
    uint32_t attempt;  /* 1: first delivery */
    uint64_t nonce;    /* lease_entry.nonce */
    uint64_t until_ms; /* lease_entry.until_ms */
};

/* Reads the secret from `config_folder`/sluiceReceiptKey (mode 0600), or makes it. ERR_CORRUPT: the
 * file has another length. The key is immutable, for any thread. */
int receipt_key_open(struct receipt_key **ret_key, const char *config_folder, struct io *io,
                     struct err *e) MUST_CHECK;

void receipt_key_free(struct receipt_key *key); /* NULL is fine */

/* The 64-bit name of a group or topic in handles. */
uint64_t receipt_hash(struct span name);

void receipt_encode(const struct receipt_key *key, const struct receipt *r,
                    char ret_text[RECEIPT_TEXT_BYTES]);

/* ERR_INVAL: not a handle that this key made, to the last bit. */
int receipt_decode(const struct receipt_key *key, struct span text, struct receipt *ret,
                   struct err *e) MUST_CHECK;

#endif
