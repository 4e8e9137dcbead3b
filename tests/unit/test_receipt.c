/* Tests of receipt handles: nothing but what was handed out is taken back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/receipt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static char *folder;
static struct receipt_key *key;
static struct err e;
static char text[RECEIPT_TEXT_BYTES + 1];

static const struct receipt sample = {
    .group_hash = 0x0102030405060708,
    .topic_hash = UINT64_MAX,
    .queue_id = 7,
    .queue_off = 1234567890123,
    .attempt = 3,
    .nonce = 42,
    .until_ms = 1700000000000,
};

static void setup(void)
{
    folder = tmpdir_make();
    ck_assert_msg(receipt_key_open(&key, folder, io_posix(), &e) == 0, "%s", e.msg);
    receipt_encode(key, &sample, text);
    text[RECEIPT_TEXT_BYTES] = '\0';
}

static void teardown(void)
{
    receipt_key_free(key);
    key = NULL;
    tmpdir_remove(folder);
}

static int decode(struct span from)
{
    struct receipt got;
    return receipt_decode(key, from, &got, &e);
}

START_TEST(a_handle_comes_back_as_it_was_made)
{
    struct receipt got;
    ck_assert_int_eq(receipt_decode(key, span_of(text, RECEIPT_TEXT_BYTES), &got, &e), 0);
    ck_assert_uint_eq(got.group_hash, sample.group_hash);
    ck_assert_uint_eq(got.topic_hash, sample.topic_hash);
    ck_assert_int_eq(got.queue_id, sample.queue_id);
    ck_assert_uint_eq(got.queue_off, sample.queue_off);
    ck_assert_uint_eq(got.attempt, sample.attempt);
    ck_assert_uint_eq(got.nonce, sample.nonce);
    ck_assert_uint_eq(got.until_ms, sample.until_ms);
}
END_TEST

START_TEST(a_handle_is_plain_text_of_url_safe_characters)
{
    ck_assert_uint_eq(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789-_"),
                      RECEIPT_TEXT_BYTES);
}
END_TEST

/* Puts the bytes of the handle in `bytes`. */
static void read_text(unsigned char bytes[66])
{
    char plain[RECEIPT_TEXT_BYTES];
    for (size_t i = 0; i < RECEIPT_TEXT_BYTES; i++)
        plain[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    ck_assert_int_eq(EVP_DecodeBlock(bytes, (unsigned char *)plain, RECEIPT_TEXT_BYTES), 66);
}

START_TEST(a_handle_ends_with_the_hmac_of_its_fields)
{
    uint8_t *secret;
    size_t len;
    unsigned char bytes[66], mac[EVP_MAX_MD_SIZE];
    char *path = tmpdir_path(folder, "sluiceReceiptKey");
    ck_assert_int_eq(io_read_file(io_posix(), path, 32, &secret, &len, &e), 0);
    read_text(bytes);
    ck_assert_ptr_nonnull(HMAC(EVP_sha256(), secret, 32, bytes, 49, mac, NULL));
    ck_assert_mem_eq(bytes + 49, mac, 17);
    free(secret);
    free(path);
}
END_TEST

START_TEST(any_changed_character_is_refused)
{
    for (size_t i = 0; i < RECEIPT_TEXT_BYTES; i++) {
        char saved = text[i];
        for (int c = 0; c < 256; c++) {
            text[i] = (char)c;
            ck_assert_int_eq(decode(span_of(text, RECEIPT_TEXT_BYTES)),
                             (char)c == saved ? 0 : ERR_INVAL);
        }
        text[i] = saved;
    }
}
END_TEST

START_TEST(a_shorter_or_longer_text_is_refused)
{
    char longer[RECEIPT_TEXT_BYTES + 8];
    memcpy(longer, text, RECEIPT_TEXT_BYTES);
    memcpy(longer + RECEIPT_TEXT_BYTES, "AAAA====", 8);
    for (size_t len = 0; len < sizeof longer; len++)
        ck_assert_int_eq(decode(span_of(longer, len)), len == RECEIPT_TEXT_BYTES ? 0 : ERR_INVAL);
    ck_assert_int_eq(decode((struct span){0}), ERR_INVAL);
}
END_TEST

START_TEST(a_handle_of_another_broker_is_refused)
{
    char *other_folder = tmpdir_make();
    struct receipt_key *other;
    struct receipt got;
    ck_assert_int_eq(receipt_key_open(&other, other_folder, io_posix(), &e), 0);
    ck_assert_int_eq(receipt_decode(other, span_of(text, RECEIPT_TEXT_BYTES), &got, &e), ERR_INVAL);
    receipt_key_free(other);
    tmpdir_remove(other_folder);
}
END_TEST

START_TEST(a_handle_outlives_a_restart)
{
    receipt_key_free(key);
    ck_assert_int_eq(receipt_key_open(&key, folder, io_posix(), &e), 0);
    ck_assert_int_eq(decode(span_of(text, RECEIPT_TEXT_BYTES)), 0);
}
END_TEST

START_TEST(only_the_owner_may_read_the_secret)
{
    char *path = tmpdir_path(folder, "sluiceReceiptKey");
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(st.st_size, 32);
    free(path);
}
END_TEST

static bool was_private;

/* The real write, once the file was seen with nothing in it yet. */
static int64_t note_mode(struct io *io, int fd, const void *buf, size_t len, uint64_t off)
{
    struct stat st;
    ck_assert_int_eq(fstat(fd, &st), 0);
    was_private = st.st_size == 0 && (st.st_mode & 0777) == 0600;
    return io_posix()->pwrite(io, fd, buf, len, off);
}

START_TEST(the_secret_is_private_before_its_first_byte_is_written)
{
    char *empty = tmpdir_make();
    char *tmp = tmpdir_path(empty, "sluiceReceiptKey.tmp");
    struct io io = *io_posix();
    struct receipt_key *made;
    io.pwrite = note_mode;
    mode_t before = umask(0);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_CLOEXEC, 0666); /* as a crash or somebody left it */
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_msg(receipt_key_open(&made, empty, &io, &e) == 0, "%s", e.msg);
    (void)umask(before);
    ck_assert(was_private);
    receipt_key_free(made);
    free(tmp);
    tmpdir_remove(empty);
}
END_TEST

START_TEST(a_secret_of_another_length_is_an_error)
{
    const char *const wrong[] = {"", "short", "rather a lot longer than thirty-two bytes are"};
    char *path = tmpdir_path(folder, "sluiceReceiptKey");
    for (size_t i = 0; i < 3; i++) {
        struct receipt_key *other;
        ck_assert_int_eq(io_replace_file(io_posix(), path, wrong[i], strlen(wrong[i]), false, &e),
                         0);
        ck_assert_int_eq(receipt_key_open(&other, folder, io_posix(), &e), ERR_CORRUPT);
        ck_assert_ptr_nonnull(strstr(e.msg, "sluiceReceiptKey"));
    }
    free(path);
}
END_TEST

/* Makes a key in a new folder with the n-th call failing, then without a failure. */
static bool make_with_fault(uint64_t n)
{
    struct fault fault;
    struct receipt_key *made;
    char *empty = tmpdir_make();
    fault_init(&fault, io_posix());
    fault_arm(&fault, FAULT_ALL & ~(unsigned)FAULT_CLOSE, n, EIO, FAULT_FROM_NOW);
    int rc = receipt_key_open(&made, empty, &fault.io, &e);
    bool fired = fault_fired(&fault);
    fault_disarm(&fault);
    ck_assert_int_eq(rc == 0, !fired);
    if (rc == 0)
        receipt_key_free(made);
    ck_assert_msg(receipt_key_open(&made, empty, &fault.io, &e) == 0, "%s", e.msg);
    receipt_key_free(made);
    tmpdir_remove(empty);
    return fired;
}

START_TEST(a_failure_at_any_call_leaves_no_secret_or_a_whole_one)
{
    uint64_t n = 1;
    while (make_with_fault(n))
        n++;
    ck_assert_uint_gt(n, 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("receipt");
    TCase *tc = tcase_create("handles");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_handle_comes_back_as_it_was_made);
    tcase_add_test(tc, a_handle_is_plain_text_of_url_safe_characters);
    tcase_add_test(tc, a_handle_ends_with_the_hmac_of_its_fields);
    tcase_add_test(tc, any_changed_character_is_refused);
    tcase_add_test(tc, a_shorter_or_longer_text_is_refused);
    tcase_add_test(tc, a_handle_of_another_broker_is_refused);
    tcase_add_test(tc, a_handle_outlives_a_restart);
    tcase_add_test(tc, only_the_owner_may_read_the_secret);
    tcase_add_test(tc, the_secret_is_private_before_its_first_byte_is_written);
    tcase_add_test(tc, a_secret_of_another_length_is_an_error);
    tcase_add_test(tc, a_failure_at_any_call_leaves_no_secret_or_a_whole_one);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
