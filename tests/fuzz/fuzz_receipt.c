/* Fuzzes receipt handles: as text, which is refused whatever it is, since the key is new each run;
 * and as fields, which come back as they went, and not when a bit of the text is turned. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/receipt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct receipt_key *key;

/* A key of a folder that is gone again at once. */
static void make_key(void)
{
    struct err e;
    char folder[] = "/tmp/sluice-fuzz-XXXXXX";
    char path[sizeof folder + sizeof "/sluiceReceiptKey"];
    if (mkdtemp(folder) == NULL || receipt_key_open(&key, folder, io_posix(), &e) < 0)
        abort();
    strcpy(path, folder);
    strcat(path, "/sluiceReceiptKey");
    if (unlink(path) != 0 || rmdir(folder) != 0)
        abort();
}

static void check_fields(struct reader r)
{
    struct err e;
    struct receipt out;
    char text[RECEIPT_TEXT_BYTES];
    struct receipt in = {.group_hash = reader_be64(&r),
                         .topic_hash = reader_be64(&r),
                         .queue_id = (int32_t)reader_be32(&r),
                         .queue_off = reader_be64(&r),
                         .attempt = reader_be32(&r),
                         .nonce = reader_be64(&r),
                         .until_ms = reader_be64(&r)};
    unsigned place = reader_u8(&r);
    unsigned bit = reader_u8(&r) % 8;
    receipt_encode(key, &in, text);
    if (receipt_decode(key, span_of(text, sizeof text), &out, &e) < 0)
        abort();
    if (in.group_hash != out.group_hash || in.topic_hash != out.topic_hash ||
        in.queue_id != out.queue_id || in.queue_off != out.queue_off || in.attempt != out.attempt ||
        in.nonce != out.nonce || in.until_ms != out.until_ms)
        abort();
    text[place % RECEIPT_TEXT_BYTES] ^= (char)(1u << bit);
    if (receipt_decode(key, span_of(text, sizeof text), &out, &e) != ERR_INVAL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err e;
    struct receipt got;
    if (key == NULL)
        make_key();
    if (receipt_decode(key, span_of(data, len), &got, &e) != ERR_INVAL)
        abort();
    check_fields(reader_of(span_of(data, len)));
    return 0;
}
