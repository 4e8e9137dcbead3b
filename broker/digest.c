/* The body digest of a delivered message, in the text form of the client's language. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/digest.h"

#include <inttypes.h>
#include <stdio.h>

#include <openssl/evp.h>

static const struct {
    const char *language;
    enum digest_form form;
} forms[] = {
    {"JAVA", DIGEST_CRC32_HEX},     {"GO", DIGEST_CRC32_HEX},      {"DOTNET", DIGEST_CRC32_HEX},
    {"RUST", DIGEST_CRC32_HEX},     {"PYTHON", DIGEST_CRC32_HEX8}, {"CPP", DIGEST_CRC32_HEX8},
    {"HTTP", DIGEST_CRC32_DECIMAL},
};

enum digest_form digest_form_of(struct span language)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (span_equal(language, span_str(forms[i].language)))
            return forms[i].form;
    return DIGEST_MD5;
}

static int put_md5(struct span body, char *text, struct err *e)
{
    unsigned char sum[16];
    unsigned int len = sizeof sum;
    if (!EVP_Digest(body.ptr, body.len, sum, &len, EVP_md5(), /* engine = */ NULL))
        return err_set(e, ERR_UNSUPPORTED, "compute the MD5 of a body of %zu bytes", body.len);
    for (size_t i = 0; i < len; i++)
        (void)snprintf(text + 2 * i, 3, "%02X", sum[i]);
    return 0;
}

/* Upper-case hexadecimal, at least `n_digits`. */
static void put_hex(uint32_t value, unsigned n_digits, char *text)
{
    while (n_digits < 8 && value >> (4 * n_digits) != 0)
        n_digits++;
    text[n_digits] = '\0';
    for (; n_digits > 0; value >>= 4)
        text[--n_digits] = "0123456789ABCDEF"[value & 15];
}

int digest_text(enum digest_form form, uint32_t crc, struct span body,
                char ret_text[DIGEST_TEXT_BYTES], struct err *e)
{
    switch (form) {
    case DIGEST_CRC32_HEX:
        put_hex(crc, 1, ret_text);
        return 0;
    case DIGEST_CRC32_HEX8:
        put_hex(crc, 8, ret_text);
        return 0;
    case DIGEST_CRC32_DECIMAL:
        (void)snprintf(ret_text, DIGEST_TEXT_BYTES, "%" PRIu32, crc);
        return 0;
    case DIGEST_MD5:
        return put_md5(body, ret_text, e);
    }
    return err_set(e, ERR_INVAL, "digest form %d", (int)form);
}
