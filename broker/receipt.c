/* Receipt handles. One is 66 bytes, written in base64url as 88 characters with nothing left over:
 *
 *  offset  size  field
 *       0     1  version, 2
 *       1     8  group hash
 *       9     8  topic hash
 *      17     4  queue id
 *      21     8  queue offset
 *      29     4  attempt
 *      33     8  nonce
 *      41     8  end of its time, ms
 *      49    17  HMAC-SHA256 of the bytes before, cut
 *
 * All numbers big-endian. A crash while the secret is made leaves no file, or a whole one: without
 * it only handles given out before are lost. */
/* SPDX-License-Identifier: Apache-2.0 */
/* The hash's own functions are deprecated, but a context of EVP cannot be copied without memory. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "broker/receipt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <xxhash.h>

enum {
    VERSION = 2,
    SECRET_BYTES = 32,
    FIELD_BYTES = 49,
    MAC_BYTES = 17,
    HANDLE_BYTES = FIELD_BYTES + MAC_BYTES,
};

static_assert(FIELD_BYTES + 1 + 8 <= SHA256_CBLOCK, "the fields and their padding are one block");
static_assert(HANDLE_BYTES % 3 == 0 && HANDLE_BYTES / 3 * 4 == RECEIPT_TEXT_BYTES,
              "the text has no padding and no unused bits");

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum { NO_DIGIT = 0x80 }; /* no value has this bit */

/* HMAC (RFC 2104) as far as it depends on the secret alone: a copy goes on from there. */
struct receipt_key {
    SHA256_CTX inner, outer;
    uint8_t values[256]; /* of the digits of a handle's text */
};

/* ---- the secret ---- */

static void begin_half(SHA256_CTX *half, const uint8_t secret[SECRET_BYTES], uint8_t pad)
{
    uint8_t block[SHA256_CBLOCK];
    memset(block, pad, sizeof block);
    for (size_t i = 0; i < SECRET_BYTES; i++)
        block[i] ^= secret[i];
    (void)SHA256_Init(half); /* these three cannot fail */
    (void)SHA256_Update(half, block, sizeof block);
    OPENSSL_cleanse(block, sizeof block);
}

static int key_from_secret(const uint8_t secret[SECRET_BYTES], struct receipt_key **ret_key,
                           struct err *e)
{
    struct receipt_key *key = calloc(1, sizeof *key);
    if (key == NULL)
        return err_set(e, ERR_NOMEM, "set up receipt handles");
    begin_half(&key->inner, secret, 0x36);
    begin_half(&key->outer, secret, 0x5c);
    memset(key->values, NO_DIGIT, sizeof key->values);
    for (uint8_t i = 0; i < 64; i++)
        key->values[(uint8_t)digits[i]] = i;
    *ret_key = key;
    return 0;
}

static int write_secret(struct io *io, const char *tmp, const uint8_t secret[SECRET_BYTES],
                        struct err *e)
{
    int rc = io->unlink(io, tmp); /* one left behind may be open to others */
    if (rc < 0 && rc != -ENOENT)
        return err_sys(e, -rc, "remove '%s'", tmp);
    int fd = io->open(io, tmp, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return err_sys(e, -fd, "create '%s'", tmp);
    rc = 0;
    int64_t n = io->pwrite(io, fd, secret, SECRET_BYTES, 0);
    if (n != SECRET_BYTES)
        rc = n < 0 ? err_sys(e, (int)-n, "write '%s'", tmp)
                   : err_set(e, ERR_IO, "write '%s': only in part", tmp);
    if (rc == 0) {
        rc = io->sync_fd(io, fd);
        if (rc < 0)
            rc = err_sys(e, -rc, "sync '%s'", tmp);
    }
    (void)io->close(io, fd); /* synced, or failed already */
    return rc;
}

/* Makes a secret and its file, which appears whole or not at all. */
static int make_secret(struct io *io, const char *folder, const char *path,
                       uint8_t secret[SECRET_BYTES], struct err *e)
{
    char tmp[PATH_MAX];
    if (snprintf(tmp, sizeof tmp, "%s.tmp", path) >= (int)sizeof tmp)
        return err_set(e, ERR_TOOBIG, "make receipt key: folder name too long");
    if (RAND_bytes(secret, SECRET_BYTES) != 1)
        return err_set(e, ERR_IO, "make receipt key: no random bytes");
    int rc = io_make_dirs(io, folder, e);
    if (rc == 0)
        rc = write_secret(io, tmp, secret, e);
    if (rc < 0)
        return rc;
    rc = io->rename(io, tmp, path);
    if (rc < 0)
        return err_sys(e, -rc, "rename '%s'", tmp);
    rc = io->sync_dir(io, folder);
    return rc < 0 ? err_sys(e, -rc, "sync folder '%s'", folder) : 0;
}

static int read_secret(struct io *io, const char *path, uint8_t secret[SECRET_BYTES], struct err *e)
{
    uint8_t *buf;
    size_t len;
    int rc = io_read_file(io, path, SECRET_BYTES, &buf, &len, e);
    if (rc == ERR_TOOBIG)
        return err_set(e, ERR_CORRUPT, "read '%s': longer than %d bytes", path, SECRET_BYTES);
    if (rc < 0)
        return rc;
    if (len == SECRET_BYTES)
        memcpy(secret, buf, SECRET_BYTES);
    else
        rc = err_set(e, ERR_CORRUPT, "read '%s': %zu bytes, not %d", path, len, SECRET_BYTES);
    OPENSSL_cleanse(buf, len);
    free(buf);
    return rc;
}

int receipt_key_open(struct receipt_key **ret_key, const char *config_folder, struct io *io,
                     struct err *e)
{
    char path[PATH_MAX];
    uint8_t secret[SECRET_BYTES];
    if (snprintf(path, sizeof path, "%s/sluiceReceiptKey", config_folder) >= (int)sizeof path)
        return err_set(e, ERR_TOOBIG, "open receipt key: folder name too long");
    struct err why;
    int rc = read_secret(io, path, secret, &why);
    if (rc == ERR_NOTFOUND)
        rc = make_secret(io, config_folder, path, secret, &why);
    if (rc == 0)
        rc = key_from_secret(secret, ret_key, &why);
    OPENSSL_cleanse(secret, sizeof secret);
    if (rc < 0)
        *e = why;
    return rc;
}

void receipt_key_free(struct receipt_key *key)
{
    if (key == NULL)
        return;
    OPENSSL_cleanse(key, sizeof *key);
    free(key);
}

/* ---- handles ---- */

uint64_t receipt_hash(struct span name)
{
    return XXH3_64bits(name.ptr, name.len);
}

/* Ends a half with its last block: `n` bytes and the hash's padding, which is a bit, zeros and the
 * number of bits there were. */
static void end_half(const SHA256_CTX *from, const uint8_t *bytes, size_t n,
                     uint8_t ret_digest[SHA256_DIGEST_LENGTH])
{
    uint8_t block[SHA256_CBLOCK] = {0};
    SHA256_CTX half = *from;
    memcpy(block, bytes, n);
    block[n] = 0x80;
    be64_put(block + sizeof block - 8, (SHA256_CBLOCK + n) * 8);
    SHA256_Transform(&half, block);
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH / 4; i++)
        be32_put(ret_digest + 4 * i, half.h[i]);
}

static void make_mac(const struct receipt_key *key, const uint8_t fields[FIELD_BYTES],
                     uint8_t ret_mac[SHA256_DIGEST_LENGTH])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    end_half(&key->inner, fields, FIELD_BYTES, digest);
    end_half(&key->outer, digest, sizeof digest, ret_mac);
}

static void put_fields(uint8_t *p, const struct receipt *r)
{
    p[0] = VERSION;
    be64_put(p + 1, r->group_hash);
    be64_put(p + 9, r->topic_hash);
    be32_put(p + 17, (uint32_t)r->queue_id);
    be64_put(p + 21, r->queue_off);
    be32_put(p + 29, r->attempt);
    be64_put(p + 33, r->nonce);
    be64_put(p + 41, r->until_ms);
}

static void get_fields(const uint8_t *p, struct receipt *r)
{
    r->group_hash = be64_get(p + 1);
    r->topic_hash = be64_get(p + 9);
    r->queue_id = (int32_t)be32_get(p + 17);
    r->queue_off = be64_get(p + 21);
    r->attempt = be32_get(p + 29);
    r->nonce = be64_get(p + 33);
    r->until_ms = be64_get(p + 41);
}

static void to_text(const uint8_t bytes[HANDLE_BYTES], char text[RECEIPT_TEXT_BYTES])
{
    for (size_t i = 0; i < HANDLE_BYTES / 3; i++) {
        const uint8_t *p = bytes + i * 3;
        unsigned group = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];
        for (size_t j = 0; j < 4; j++)
            text[i * 4 + j] = digits[group >> (18 - 6 * j) & 63];
    }
}

static bool from_text(const uint8_t values[256], const uint8_t *text, uint8_t bytes[HANDLE_BYTES])
{
    unsigned seen = 0;
    for (size_t i = 0; i < HANDLE_BYTES / 3; i++) {
        unsigned group = 0;
        for (size_t j = 0; j < 4; j++) {
            uint8_t value = values[text[i * 4 + j]];
            seen |= value;
            group = group << 6 | value;
        }
        bytes[i * 3] = (uint8_t)(group >> 16);
        bytes[i * 3 + 1] = (uint8_t)(group >> 8);
        bytes[i * 3 + 2] = (uint8_t)group;
    }
    return !(seen & NO_DIGIT);
}

void receipt_encode(const struct receipt_key *key, const struct receipt *r,
                    char ret_text[RECEIPT_TEXT_BYTES])
{
    uint8_t bytes[HANDLE_BYTES];
    uint8_t mac[SHA256_DIGEST_LENGTH];
    put_fields(bytes, r);
    make_mac(key, bytes, mac);
    memcpy(bytes + FIELD_BYTES, mac, MAC_BYTES);
    to_text(bytes, ret_text);
}

int receipt_decode(const struct receipt_key *key, struct span text, struct receipt *ret,
                   struct err *e)
{
    uint8_t bytes[HANDLE_BYTES];
    uint8_t mac[SHA256_DIGEST_LENGTH];
    if (text.len != RECEIPT_TEXT_BYTES || !from_text(key->values, text.ptr, bytes) ||
        bytes[0] != VERSION)
        return err_set(e, ERR_INVAL, "receipt handle is not one of this broker's");
    make_mac(key, bytes, mac);
    if (CRYPTO_memcmp(bytes + FIELD_BYTES, mac, MAC_BYTES) != 0)
        return err_set(e, ERR_INVAL, "receipt handle is not one of this broker's");
    get_fields(bytes, ret);
    return 0;
}
