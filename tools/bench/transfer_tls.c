/* Sends the mapping over TLS the way gRPC does: bytes are gathered into records of 16 KiB, OpenSSL
 * encrypts each into memory (a BIO pair), and what lies there is read out and sent. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "tools/bench/null_identity.h"
#include "tools/bench/transfer.h"

enum {
    RECORD_BYTES = 16 << 10, /* TLS's most */
    ENCRYPTED_MAX = RECORD_BYTES + 512,
    OUT_BYTES = TRANSFER_BATCH_BYTES + ENCRYPTED_MAX,
    OPENSSL_COPIES = 2, /* of each encrypted byte: to the record, which is encrypted where it lies,
                           and from there to the BIO */
};

struct tls {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *network; /* what OpenSSL writes comes out here */
    size_t n_record, n_out;
    uint8_t record[RECORD_BYTES]; /* gathered, not encrypted yet */
    uint8_t out[OUT_BYTES];       /* encrypted, not sent yet */
};

/* ---- the connection ---- */

static bool use_identity(SSL_CTX *ctx, const struct null_identity *id)
{
    BIO *cert_bio = BIO_new_mem_buf(id->cert, -1);
    BIO *key_bio = BIO_new_mem_buf(id->key, -1);
    X509 *cert = cert_bio ? PEM_read_bio_X509(cert_bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL) : NULL;
    bool is_used = cert && key && SSL_CTX_use_certificate(ctx, cert) == 1 &&
                   SSL_CTX_use_PrivateKey(ctx, key) == 1;
    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(key_bio);
    BIO_free(cert_bio);
    return is_used;
}

/* Hands are shaken over the socket; from then on OpenSSL has only memory to write to. */
static bool shake_hands(struct tls *tls, int socket, const struct null_identity *id)
{
    BIO *inside;
    tls->ctx = SSL_CTX_new(TLS_server_method());
    if (!tls->ctx || !use_identity(tls->ctx, id))
        return false;
    tls->ssl = SSL_new(tls->ctx);
    if (!tls->ssl || !SSL_set_fd(tls->ssl, socket) || SSL_accept(tls->ssl) <= 0)
        return false;
    if (!BIO_new_bio_pair(&inside, ENCRYPTED_MAX, &tls->network, ENCRYPTED_MAX))
        return false;
    SSL_set_bio(tls->ssl, inside, inside); /* it belongs to the connection now */
    return true;
}

static int open_tls(struct transfer *t, struct err *e)
{
    struct null_identity id;
    struct tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return err_set(e, ERR_NOMEM, "make a TLS connection");
    t->state = tls;
    int rc = null_identity_make(&id, e);
    if (rc < 0)
        return rc;
    bool is_open = shake_hands(tls, t->socket, &id);
    null_identity_free(&id);
    return is_open ? 0 : err_set(e, ERR_FAILED, "shake hands with the receiver");
}

static void close_tls(struct transfer *t)
{
    struct tls *tls = t->state;
    if (!tls)
        return;
    BIO_free(tls->network);
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->ctx);
    free(tls);
}

/* ---- sending ---- */

static int send_out(struct transfer *t, struct err *e)
{
    struct tls *tls = t->state;
    size_t n = tls->n_out;
    tls->n_out = 0;
    return transfer_send_all(t, tls->out, n, 0, e);
}

/* Encrypts what was gathered, and takes it out of the BIO. */
static int end_record(struct transfer *t, struct err *e)
{
    struct tls *tls = t->state;
    int len = (int)tls->n_record;
    if (len == 0)
        return 0;
    tls->n_record = 0;
    if (SSL_write(tls->ssl, tls->record, len) != len)
        return err_set(e, ERR_FAILED, "encrypt");
    int n = BIO_read(tls->network, tls->out + tls->n_out, (int)(OUT_BYTES - tls->n_out));
    if (n <= len)
        return err_set(e, ERR_FAILED, "read what was encrypted");
    tls->n_out += (size_t)n;
    t->counts.user_copied += (uint64_t)n * (OPENSSL_COPIES + 1); /* and out of the BIO */
    return tls->n_out > OUT_BYTES - ENCRYPTED_MAX ? send_out(t, e) : 0;
}

static int gather(struct transfer *t, const uint8_t *at, size_t len, struct err *e)
{
    struct tls *tls = t->state;
    int rc = 0;
    t->counts.user_copied += len;
    while (len > 0 && rc == 0) {
        size_t room = RECORD_BYTES - tls->n_record, n = len < room ? len : room;
        memcpy(tls->record + tls->n_record, at, n);
        tls->n_record += n;
        at += n;
        len -= n;
        if (tls->n_record == RECORD_BYTES)
            rc = end_record(t, e);
    }
    return rc;
}

static int send_encrypted(struct transfer *t, const struct transfer_slice *slices, size_t n,
                          struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = gather(t, transfer_head, t->head_bytes, e);
        if (rc == 0)
            rc = gather(t, t->base + slices[i].off, slices[i].len, e);
        t->counts.bytes += slices[i].len;
    }
    if (rc == 0)
        rc = end_record(t, e);
    return rc < 0 ? rc : send_out(t, e);
}

const struct transfer_method transfer_tls = {
    .drain = DRAIN_TLS, .open = open_tls, .close = close_tls, .send = send_encrypted};
