/* The ways to send over a socket: what arrives, and the account they keep. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/transfer.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { FILE_BYTES = 3 << 20, N_SLICES = 4 };

/* Unaligned, small and as large as they come. */
static const struct transfer_slice slices[N_SLICES] = {
    {.off = 1, .len = 100},
    {.off = 5000, .len = 4096},
    {.off = 70001, .len = 1 << 20},
    {.off = 2 << 20, .len = 1000},
};

struct link {
    struct transfer t;
    char *folder;
    pthread_t reader;
    int reader_fd;
    uint8_t *got;
    size_t n_got;
};

static void *read_all(void *arg)
{
    struct link *l = arg;
    ssize_t n;
    while ((n = recv(l->reader_fd, l->got + l->n_got, FILE_BYTES - l->n_got, 0)) > 0)
        l->n_got += (size_t)n;
    return NULL;
}

static void make_file(struct link *l)
{
    char *path = tmpdir_path(l->folder, "log");
    uint8_t *bytes = malloc(FILE_BYTES);
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        bytes[i] = (uint8_t)(i * UINT32_C(2654435761) >> 24);
    l->t.file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(l->t.file, bytes, FILE_BYTES), FILE_BYTES);
    l->t.file_bytes = FILE_BYTES;
    l->t.base = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, l->t.file, 0);
    ck_assert_ptr_ne(l->t.base, MAP_FAILED);
    free(bytes);
    free(path);
}

/* TCP, since a local socket knows nothing of MSG_ZEROCOPY. */
static void make_connection(struct link *l)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    l->reader_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(l->reader_fd, (struct sockaddr *)&at, sizeof at), 0);
    l->t.socket = accept(listener, NULL, NULL);
    ck_assert_int_ge(l->t.socket, 0);
    (void)close(listener);
}

/* Sends all slices and waits until they have arrived. */
static void send_by(const struct transfer_method *m, size_t head_bytes, struct link *l)
{
    struct err e;
    *l = (struct link){.folder = tmpdir_make(), .got = malloc(FILE_BYTES)};
    l->t.head_bytes = head_bytes;
    make_file(l);
    make_connection(l);
    ck_assert_int_eq(pthread_create(&l->reader, NULL, read_all, l), 0);
    if (m->open)
        ck_assert_int_eq(m->open(&l->t, &e), 0);
    if (m->before_pass)
        ck_assert_int_eq(m->before_pass(&l->t, &e), 0);
    ck_assert_int_eq(m->send(&l->t, slices, N_SLICES, &e), 0);
    (void)shutdown(l->t.socket, SHUT_WR);
    (void)pthread_join(l->reader, NULL);
    if (m->close)
        m->close(&l->t);
}

static void end_link(struct link *l)
{
    (void)munmap((void *)l->t.base, FILE_BYTES);
    (void)close(l->t.file);
    (void)close(l->t.socket);
    (void)close(l->reader_fd);
    tmpdir_remove(l->folder);
    free(l->got);
}

static uint64_t slice_bytes(void)
{
    uint64_t n = 0;
    for (size_t i = 0; i < N_SLICES; i++)
        n += slices[i].len;
    return n;
}

static void check_arrived(const struct link *l)
{
    const uint8_t *at = l->got;
    for (size_t i = 0; i < N_SLICES; i++) {
        ck_assert_int_eq(memcmp(at, transfer_head, l->t.head_bytes), 0);
        at += l->t.head_bytes;
        ck_assert_int_eq(memcmp(at, l->t.base + slices[i].off, slices[i].len), 0);
        at += slices[i].len;
    }
    ck_assert_uint_eq(l->n_got, (size_t)(at - l->got));
    ck_assert_uint_eq(l->t.counts.bytes, slice_bytes());
}

static const struct transfer_method *const methods[] = {
    &transfer_read,     &transfer_mmap,   &transfer_unmapped, &transfer_writev,
    &transfer_sendfile, &transfer_splice, &transfer_zerocopy,
};

START_TEST(every_way_sends_heads_and_slices_in_their_order)
{
    struct link l;
    send_by(methods[_i / 2], _i % 2 ? TRANSFER_HEAD_BYTES : 0, &l);
    check_arrived(&l);
    end_link(&l);
}
END_TEST

START_TEST(read_and_send_copies_twice_in_the_kernel)
{
    struct link l;
    send_by(&transfer_read, 0, &l);
    ck_assert_uint_eq(l.t.counts.kernel_copied, 2 * slice_bytes());
    ck_assert_uint_eq(l.t.counts.user_copied, 0);
    ck_assert_uint_eq(l.t.counts.n_calls, 2 * N_SLICES + 2);
    end_link(&l);
}
END_TEST

START_TEST(slices_of_a_mapping_go_together_and_are_copied_once)
{
    struct link l;
    send_by(&transfer_writev, TRANSFER_HEAD_BYTES, &l);
    ck_assert_uint_eq(l.t.counts.kernel_copied,
                      slice_bytes() + N_SLICES * (uint64_t)TRANSFER_HEAD_BYTES);
    ck_assert_uint_eq(l.t.counts.n_calls, 1);
    end_link(&l);
}
END_TEST

START_TEST(sendfile_and_splice_copy_nothing_but_heads)
{
    struct link l;
    send_by(_i ? &transfer_splice : &transfer_sendfile, TRANSFER_HEAD_BYTES, &l);
    ck_assert_uint_eq(l.t.counts.kernel_copied, N_SLICES * (uint64_t)TRANSFER_HEAD_BYTES);
    ck_assert_uint_eq(l.t.counts.user_copied, 0);
    end_link(&l);
}
END_TEST

START_TEST(what_was_not_taken_is_sent_from_where_it_begins)
{
    uint8_t bytes[30];
    struct iovec parts[] = {{bytes, 10}, {bytes + 10, 10}, {bytes + 20, 10}};
    ck_assert_uint_eq(transfer_parts_done(parts, 3, 13), 1);
    ck_assert_ptr_eq(parts[1].iov_base, bytes + 13);
    ck_assert_uint_eq(parts[1].iov_len, 7);
    ck_assert_uint_eq(transfer_parts_done(&parts[1], 2, 7), 1);
    ck_assert_ptr_eq(parts[2].iov_base, bytes + 20);
    ck_assert_uint_eq(transfer_parts_done(&parts[2], 1, 10), 1);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("transfer");
    TCase *tc = tcase_create("transfer");
    tcase_add_loop_test(tc, every_way_sends_heads_and_slices_in_their_order, 0,
                        2 * sizeof methods / sizeof methods[0]);
    tcase_add_test(tc, read_and_send_copies_twice_in_the_kernel);
    tcase_add_test(tc, slices_of_a_mapping_go_together_and_are_copied_once);
    tcase_add_loop_test(tc, sendfile_and_splice_copy_nothing_but_heads, 0, 2);
    tcase_add_test(tc, what_was_not_taken_is_sent_from_where_it_begins);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
