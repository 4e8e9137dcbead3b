/* Messages between pieces and gRPC's byte buffers, and what becomes of compressed ones. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc_internal.h"

#include <stdio.h>

#include <grpc/byte_buffer.h>
#include <grpc/compression.h>
#include <grpc/grpc_security.h>
#include <grpc/slice_buffer.h>
#include <grpc/support/time.h>

#include "tests/lib/suite.h"

static void count(void *arg)
{
    (*(int *)arg)++;
}

static void setup(void)
{
    grpc_init();
}

static void teardown(void)
{
    grpc_shutdown();
}

START_TEST(short_pieces_are_copied_and_counted)
{
    char text[] = "copied";
    struct rpc_piece piece = {.bytes = span_str(text)};
    uint64_t before = rpc_copied_bytes();
    struct rpc_message m = {.buffer = rpc_message_build(&piece, 1)};
    memset(text, 'x', sizeof text - 1);
    ck_assert_uint_eq(rpc_copied_bytes() - before, 6);
    rpc_message_view(&m);
    ck_assert_uint_eq(m.n_spans, 1);
    ck_assert(span_equal(m.spans[0], span_str("copied")));
    rpc_message_drop(&m);
}
END_TEST

START_TEST(lent_pieces_stay_where_they_are)
{
    static const uint8_t body[100];
    int n_released = 0;
    struct rpc_piece piece = {span_of(body, sizeof body), count, &n_released};
    uint64_t before = rpc_copied_bytes();
    struct rpc_message m = {.buffer = rpc_message_build(&piece, 1)};
    rpc_message_view(&m);
    ck_assert_ptr_eq(m.spans[0].ptr, body);
    ck_assert_uint_eq(rpc_copied_bytes(), before);
    ck_assert_int_eq(n_released, 0);
    rpc_message_drop(&m);
    ck_assert_int_eq(n_released, 1);
}
END_TEST

START_TEST(an_empty_lent_piece_is_released_at_once)
{
    int n_released = 0;
    struct rpc_piece piece = {.release = count, .arg = &n_released};
    struct rpc_message m = {.buffer = rpc_message_build(&piece, 1)};
    ck_assert_int_eq(n_released, 1);
    rpc_message_view(&m);
    ck_assert_uint_eq(m.n_spans, 0);
    rpc_message_drop(&m);
    ck_assert_int_eq(n_released, 1);
}
END_TEST

START_TEST(many_slices_are_many_spans)
{
    enum { N = 5 * RPC_INLINE_SPANS };
    static uint8_t bodies[N][64];
    struct rpc_piece pieces[N];
    int n_released = 0;
    for (int i = 0; i < N; i++)
        pieces[i] = (struct rpc_piece){span_of(bodies[i], sizeof bodies[i]), count, &n_released};
    struct rpc_message m = {.buffer = rpc_message_build(pieces, N)};
    rpc_message_view(&m);
    ck_assert_uint_eq(m.n_spans, N);
    for (int i = 0; i < N; i++)
        ck_assert_ptr_eq(m.spans[i].ptr, bodies[i]);
    rpc_message_drop(&m);
    ck_assert_int_eq(n_released, N);
    rpc_message_fini(&m);
}
END_TEST

/* With few spans, which lie in the message itself, and with many, which do not. */
static void release_message(int n_pieces)
{
    static uint8_t bodies[5 * RPC_INLINE_SPANS][64];
    struct rpc_piece pieces[5 * RPC_INLINE_SPANS];
    int n_released = 0;
    for (int i = 0; i < n_pieces; i++)
        pieces[i] = (struct rpc_piece){span_of(bodies[i], sizeof bodies[i]), count, &n_released};
    struct rpc_message m = {.buffer = rpc_message_build(pieces, (size_t)n_pieces)};
    rpc_message_view(&m);
    const struct span *spans = m.spans; /* what a handler has */
    grpc_byte_buffer *buffer = rpc_message_release(&m);
    rpc_message_drop(&m);
    ck_assert_int_eq(n_released, 0);
    for (int i = 0; i < n_pieces; i++)
        ck_assert_ptr_eq(spans[i].ptr, bodies[i]);
    grpc_byte_buffer_destroy(buffer);
    ck_assert_int_eq(n_released, n_pieces);
    rpc_message_fini(&m);
}

START_TEST(a_released_message_is_still_named_by_the_spans)
{
    release_message(3);
    release_message(5 * RPC_INLINE_SPANS);
}
END_TEST

static void view_empty(struct rpc_message *m, size_t n_slices)
{
    grpc_slice slice = grpc_empty_slice();
    m->buffer = grpc_raw_byte_buffer_create(&slice, 1);
    for (size_t i = 1; i < n_slices; i++)
        grpc_slice_buffer_add_indexed(&m->buffer->data.raw.slice_buffer, slice);
    rpc_message_view(m);
    ck_assert_uint_eq(m->n_spans, n_slices);
}

START_TEST(room_for_a_usual_number_of_spans_is_kept)
{
    struct rpc_message m = {.buffer = NULL};
    view_empty(&m, 100);
    const struct span *spans = m.spans;
    rpc_message_drop(&m);
    view_empty(&m, 80);
    ck_assert_ptr_eq(m.spans, spans);
    rpc_message_drop(&m);
    view_empty(&m, 5000);
    rpc_message_drop(&m);
    ck_assert_ptr_null(m.many);
    rpc_message_fini(&m);
}
END_TEST

/* ---- compression ---- */

static void answer(void *ctx, struct rpc_call *call)
{
    (*(int *)ctx)++;
    struct rpc_piece piece = {.bytes = span_str("ok")};
    rpc_send(call, &piece, 1, false);
    rpc_finish(call, RPC_OK, NULL);
}

static grpc_channel *open_channel(uint16_t port, grpc_compression_algorithm algorithm)
{
    char target[32];
    (void)snprintf(target, sizeof target, "127.0.0.1:%u", port);
    grpc_arg arg = {.type = GRPC_ARG_INTEGER,
                    .key = (char *)GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM,
                    .value.integer = algorithm};
    const grpc_channel_args args = {.num_args = 1, .args = &arg};
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(target, plain, &args);
    grpc_channel_credentials_release(plain);
    return channel;
}

/* What one call on the client's side needs until its end. */
struct raw_call {
    grpc_completion_queue *queue;
    grpc_call *grpc;
    grpc_byte_buffer *request;
    grpc_byte_buffer *reply;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_status_code status;
    grpc_slice details;
};

static void run_raw(struct raw_call *c, gpr_timespec until)
{
    grpc_op ops[6] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = c->request},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &c->initial},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &c->reply},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT},
    };
    ops[5].data.recv_status_on_client.status = &c->status;
    ops[5].data.recv_status_on_client.status_details = &c->details;
    ops[5].data.recv_status_on_client.trailing_metadata = &c->trailing;
    ck_assert_int_eq(grpc_call_start_batch(c->grpc, ops, 6, c, NULL), GRPC_CALL_OK);
    ck_assert_int_eq(grpc_completion_queue_next(c->queue, until, NULL).type, GRPC_OP_COMPLETE);
}

static grpc_byte_buffer *make_zeros(size_t len)
{
    static const char bytes[1 << 20];
    ck_assert_uint_le(len, sizeof bytes);
    grpc_slice zeros = grpc_slice_from_static_buffer(bytes, len);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&zeros, 1);
    grpc_slice_unref(zeros);
    return buffer;
}

/* The status of a call with a request of zeros, which compress well. */
static grpc_status_code call_with_zeros(grpc_channel *channel, size_t len)
{
    struct raw_call c = {.queue = grpc_completion_queue_create_for_next(NULL),
                         .request = make_zeros(len),
                         .details = grpc_empty_slice()};
    gpr_timespec until =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(30, GPR_TIMESPAN));
    c.grpc =
        grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, c.queue,
                                 grpc_slice_from_static_string("/t.T/Answer"), NULL, until, NULL);
    run_raw(&c, until);
    grpc_byte_buffer_destroy(c.request);
    if (c.reply)
        grpc_byte_buffer_destroy(c.reply);
    grpc_metadata_array_destroy(&c.initial);
    grpc_metadata_array_destroy(&c.trailing);
    grpc_slice_unref(c.details);
    grpc_call_unref(c.grpc);
    grpc_completion_queue_shutdown(c.queue);
    grpc_completion_queue_destroy(c.queue);
    return c.status;
}

START_TEST(a_compressed_request_is_refused_before_it_is_unpacked)
{
    struct err e;
    struct rpc_server *server;
    int n_answered = 0;
    const struct rpc_method method = {"/t.T/Answer", RPC_UNARY, answer, NULL, NULL, NULL};
    const struct rpc_options opt = {
        .host = "127.0.0.1", .methods = &method, .n_methods = 1, .ctx = &n_answered};
    ck_assert_msg(rpc_server_start(&server, &opt, &e) == 0, "%s", e.msg);
    grpc_channel *plain = open_channel(rpc_server_port(server), GRPC_COMPRESS_NONE);
    grpc_channel *gzip = open_channel(rpc_server_port(server), GRPC_COMPRESS_GZIP);
    ck_assert_int_eq(call_with_zeros(plain, 1 << 20), GRPC_STATUS_OK);
    ck_assert_int_eq(call_with_zeros(gzip, 1 << 20), GRPC_STATUS_UNIMPLEMENTED);
    ck_assert_int_eq(call_with_zeros(plain, 10), GRPC_STATUS_OK);
    grpc_channel_destroy(plain);
    grpc_channel_destroy(gzip);
    rpc_server_stop(server);
    ck_assert_int_eq(n_answered, 2);
}
END_TEST

static Suite *rpc_message_suite(void)
{
    Suite *suite = suite_create("rpc_message");
    TCase *tc = tcase_create("messages");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, short_pieces_are_copied_and_counted);
    tcase_add_test(tc, lent_pieces_stay_where_they_are);
    tcase_add_test(tc, an_empty_lent_piece_is_released_at_once);
    tcase_add_test(tc, many_slices_are_many_spans);
    tcase_add_test(tc, a_released_message_is_still_named_by_the_spans);
    tcase_add_test(tc, room_for_a_usual_number_of_spans_is_kept);
    tcase_add_test(tc, a_compressed_request_is_refused_before_it_is_unpacked);
    return suite;
}

int main(void)
{
    return suite_run(rpc_message_suite());
}
