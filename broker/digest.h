/* The body digest of a delivered message, in the text form of the client's language. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_DIGEST_H
#define BROKER_DIGEST_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/* Each official client compares the CRC-32 with a text of its own making; one that is not known
 * gets MD5, which all write alike. */
enum digest_form {
    DIGEST_CRC32_HEX,     /* upper case, no leading zeros: Java, Go, C#; Rust does not look */
    DIGEST_CRC32_HEX8,    /* upper case, eight digits: Python, C++ */
    DIGEST_CRC32_DECIMAL, /* Node.js */
    DIGEST_MD5,           /* upper-case hex */
};

enum { DIGEST_TEXT_BYTES = 33 }; /* 32 digits and a NUL */

/* From the header `x-mq-language`. */
enum digest_form digest_form_of(struct span language);

/* Writes the text and its NUL. `crc` is the CRC-32 of `body`; the body is read for MD5 only. */
int digest_text(enum digest_form form, uint32_t crc, struct span body,
                char ret_text[DIGEST_TEXT_BYTES], struct err *e) MUST_CHECK;

#endif
