/* The broker's certificate and key: read from files, or made for this run. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/acceptor_internal.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/io.h"

enum {
    PEM_MAX_BYTES = 1 << 20,
    VALID_S = 10 * 365 * 24 * 3600,
    SKEW_S = 24 * 3600, /* clocks of clients may be behind */
};

static char *text_of(BIO *bio)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *text = len > 0 ? malloc((size_t)len + 1) : NULL;
    if (!text)
        return NULL;
    memcpy(text, data, (size_t)len); /* no string yet: no NUL follows it */
    text[len] = '\0';
    return text;
}

static char *cert_text(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = bio && PEM_write_bio_X509(bio, cert) ? text_of(bio) : NULL;
    BIO_free(bio);
    return text;
}

static char *key_text(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool is_written = bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    char *text = is_written ? text_of(bio) : NULL;
    BIO_free(bio);
    return text;
}

static bool add_names(X509 *cert)
{
    X509_EXTENSION *names =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1");
    bool is_added = names && X509_add_ext(cert, names, -1);
    X509_EXTENSION_free(names);
    return is_added;
}

static bool fill_in(X509 *cert, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_set_version(cert, X509_VERSION_3) &&
           ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -SKEW_S) &&
           X509_gmtime_adj(X509_getm_notAfter(cert), VALID_S) && X509_set_pubkey(cert, key) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"sluice", -1, -1,
                                      0) &&
           X509_set_issuer_name(cert, name) && add_names(cert) &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

static int make_identity(struct tls_identity *ret_id, struct err *e)
{
    struct tls_identity id = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    if (key && cert && fill_in(cert, key)) {
        id.cert = cert_text(cert);
        id.key = key_text(key);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    if (id.cert && id.key) {
        *ret_id = id;
        return 0;
    }
    tls_identity_free(&id);
    ERR_clear_error();
    return err_set(e, ERR_FAILED, "make a self-signed certificate");
}

static int check_pair(const struct tls_identity *id, const struct acceptor_options *opt,
                      struct err *e)
{
    BIO *cert_bio = BIO_new_mem_buf(id->cert, -1);
    BIO *key_bio = BIO_new_mem_buf(id->key, -1);
    X509 *cert = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, (void *)"");
    int rc = 0;
    if (!cert)
        rc = err_set(e, ERR_INVAL, "read certificate '%s': not PEM", opt->tls_cert_path);
    else if (!key)
        rc = err_set(e, ERR_INVAL, "read key '%s': not PEM, or encrypted", opt->tls_key_path);
    else if (!X509_check_private_key(cert, key))
        rc = err_set(e, ERR_INVAL, "key '%s' is not the certificate's", opt->tls_key_path);
    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(key_bio);
    BIO_free(cert_bio);
    ERR_clear_error();
    return rc;
}

int tls_identity_load(struct tls_identity *ret_id, const struct acceptor_options *opt,
                      struct err *e)
{
    if (!opt->tls_cert_path && !opt->tls_key_path)
        return make_identity(ret_id, e);
    if (!opt->tls_cert_path || !opt->tls_key_path)
        return err_set(e, ERR_INVAL, "a certificate and its key are configured together");
    struct tls_identity id = {0};
    size_t len;
    int rc =
        io_read_file(io_posix(), opt->tls_cert_path, PEM_MAX_BYTES, (uint8_t **)&id.cert, &len, e);
    if (rc == 0)
        rc = io_read_file(io_posix(), opt->tls_key_path, PEM_MAX_BYTES, (uint8_t **)&id.key, &len,
                          e);
    if (rc == 0)
        rc = check_pair(&id, opt, e);
    if (rc == 0)
        *ret_id = id;
    else
        tls_identity_free(&id);
    return rc;
}

void tls_identity_free(struct tls_identity *id)
{
    free(id->cert);
    if (id->key)
        OPENSSL_cleanse(id->key, strlen(id->key));
    free(id->key);
}
