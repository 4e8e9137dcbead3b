/* Receipt handles. One is 75 bytes, written in base64url as 100 characters with nothing left over:
 *
 *  offset  size  field
 *       0     1  version, 1
 *       1     8  group hash
 *       9     8  topic hash
 *      17     4  queue id
 *      21     8  queue offset
 *      29     8  log offset
 *      37     4  attempt
 *      41     8  nonce
 *      49     8  end of its time, ms
 *      57    18  HMAC-SHA256 of the bytes before, cut
 *
 * All numbers big-endian. A crash while the secret is made leaves no file, or a whole one: without
 * it only handles given out before are lost. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/receipt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <xxhash.h>

enum {
    VERSION = 1,
    SECRET_BYTES = 32,
    FIELD_BYTES = 57,
    MAC_BYTES = 18,
    HANDLE_BYTES = FIELD_BYTES + MAC_BYTES,
    SHA256_BYTES = 32,
};

static_assert(HANDLE_BYTES % 3 == 0 && HANDLE_BYTES / 3 * 4 == RECEIPT_TEXT_BYTES,
              "the text has no padding and no unused bits");

struct receipt_key {
    EVP_MAC_CTX *keyed; /* never used itself: each use copies it */
};

/* ---- the secret ---- */

static int key_from_secret(const uint8_t secret[SECRET_BYTES], struct receipt_key **ret_key,
                           struct err *e)
{
    struct receipt_key *key = calloc(1, sizeof *key);
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (key == NULL || hmac == NULL)
        goto fail;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0),
                           OSSL_PARAM_construct_end()};
    key->keyed = EVP_MAC_CTX_new(hmac);
    if (key->keyed == NULL || EVP_MAC_init(key->keyed, secret, SECRET_BYTES, params) != 1)
        goto fail;
    EVP_MAC_free(hmac);
    *ret_key = key;
    return 0;
fail:
    EVP_MAC_free(hmac);
    receipt_key_free(key);
    return err_set(e, ERR_NOMEM, "set up receipt handles");
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
    EVP_MAC_CTX_free(key->keyed);
    free(key);
}

/* ---- handles ---- */

uint64_t receipt_hash(struct span name)
{
    return XXH3_64bits(name.ptr, name.len);
}

static int make_mac(const struct receipt_key *key, const uint8_t fields[FIELD_BYTES],
                    uint8_t ret_mac[SHA256_BYTES], struct err *e)
{
    size_t len = 0;
    EVP_MAC_CTX *mac = EVP_MAC_CTX_dup(key->keyed);
    bool is_ok = mac != NULL && EVP_MAC_update(mac, fields, FIELD_BYTES) == 1 &&
                 EVP_MAC_final(mac, ret_mac, &len, SHA256_BYTES) == 1 && len == SHA256_BYTES;
    EVP_MAC_CTX_free(mac);
    return is_ok ? 0 : err_set(e, ERR_NOMEM, "authenticate a receipt handle");
}

static void put_fields(uint8_t *p, const struct receipt *r)
{
    p[0] = VERSION;
    be64_put(p + 1, r->group_hash);
    be64_put(p + 9, r->topic_hash);
    be32_put(p + 17, (uint32_t)r->queue_id);
    be64_put(p + 21, r->queue_off);
    be64_put(p + 29, r->log_off);
    be32_put(p + 37, r->attempt);
    be64_put(p + 41, r->nonce);
    be64_put(p + 49, r->until_ms);
}

static void get_fields(const uint8_t *p, struct receipt *r)
{
    r->group_hash = be64_get(p + 1);
    r->topic_hash = be64_get(p + 9);
    r->queue_id = (int32_t)be32_get(p + 17);
    r->queue_off = be64_get(p + 21);
    r->log_off = be64_get(p + 29);
    r->attempt = be32_get(p + 37);
    r->nonce = be64_get(p + 41);
    r->until_ms = be64_get(p + 49);
}

static char digit_of(unsigned value)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    return digits[value & 63];
}

/* 0..63, or -1. */
static int value_of(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '-' ? 62 : digit == '_' ? 63 : -1;
}

static void to_text(const uint8_t bytes[HANDLE_BYTES], char text[RECEIPT_TEXT_BYTES])
{
    for (size_t i = 0; i < HANDLE_BYTES / 3; i++) {
        const uint8_t *p = bytes + i * 3;
        unsigned group = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];
        for (size_t j = 0; j < 4; j++)
            text[i * 4 + j] = digit_of(group >> (18 - 6 * j));
    }
}

static bool from_text(const uint8_t *text, uint8_t bytes[HANDLE_BYTES])
{
    for (size_t i = 0; i < HANDLE_BYTES / 3; i++) {
        unsigned group = 0;
        for (size_t j = 0; j < 4; j++) {
            int value = value_of(text[i * 4 + j]);
            if (value < 0)
                return false;
            group = group << 6 | (unsigned)value;
        }
        bytes[i * 3] = (uint8_t)(group >> 16);
        bytes[i * 3 + 1] = (uint8_t)(group >> 8);
        bytes[i * 3 + 2] = (uint8_t)group;
    }
    return true;
}

int receipt_encode(const struct receipt_key *key, const struct receipt *r,
                   char ret_text[RECEIPT_TEXT_BYTES], struct err *e)
{
    uint8_t bytes[HANDLE_BYTES];
    uint8_t mac[SHA256_BYTES];
    put_fields(bytes, r);
    int rc = make_mac(key, bytes, mac, e);
    if (rc < 0)
        return rc;
    memcpy(bytes + FIELD_BYTES, mac, MAC_BYTES);
    to_text(bytes, ret_text);
    return 0;
}

int receipt_decode(const struct receipt_key *key, struct span text, struct receipt *ret,
                   struct err *e)
{
    uint8_t bytes[HANDLE_BYTES];
    uint8_t mac[SHA256_BYTES];
    if (text.len != RECEIPT_TEXT_BYTES || !from_text(text.ptr, bytes) || bytes[0] != VERSION)
        return err_set(e, ERR_INVAL, "receipt handle is not one of this broker's");
    int rc = make_mac(key, bytes, mac, e);
    if (rc < 0)
        return rc;
    if (CRYPTO_memcmp(bytes + FIELD_BYTES, mac, MAC_BYTES) != 0)
        return err_set(e, ERR_INVAL, "receipt handle is not one of this broker's");
    get_fields(bytes, ret);
    return 0;
}
