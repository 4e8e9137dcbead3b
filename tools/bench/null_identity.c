/* Makes a self-signed certificate with OpenSSL. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/null_identity.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum { VALID_S = 24 * 3600 };

static bool sign(X509 *cert, EVP_PKEY *key)
{
    return ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -VALID_S) &&
           X509_gmtime_adj(X509_getm_notAfter(cert), VALID_S) && X509_set_pubkey(cert, key) &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

/* What was written to the BIO, as a string; frees the BIO. */
static char *take_text(BIO *bio)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = len > 0 ? calloc(1, (size_t)len + 1) : NULL;
    if (text)
        memcpy(text, bytes, (size_t)len);
    BIO_free(bio);
    return text;
}

int null_identity_make(struct null_identity *ret_id, struct err *e)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    BIO *cert_bio = BIO_new(BIO_s_mem());
    BIO *key_bio = BIO_new(BIO_s_mem());
    bool is_made = key && cert && cert_bio && key_bio && sign(cert, key) &&
                   PEM_write_bio_X509(cert_bio, cert) &&
                   PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
    struct null_identity id = {.cert = take_text(cert_bio), .key = take_text(key_bio)};
    if (is_made && id.cert && id.key) {
        *ret_id = id;
        return 0;
    }
    null_identity_free(&id);
    return err_set(e, ERR_FAILED, "make a self-signed certificate");
}

void null_identity_free(struct null_identity *id)
{
    free(id->cert);
    free(id->key);
    *id = (struct null_identity){0};
}
