/* A record in pieces is the record written whole. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/outgoing.h"

#include <string.h>

#include "tests/lib/suite.h"

enum { BUF_BYTES = 1024 };

static const struct store_host host = {.addr = {127, 0, 0, 1}, .addr_len = 4, .port = 10911};
static const struct store_appended place = {.log_off = 4096, .queue_off = 7, .store_ms = 17};

static struct idle spent;

static void set_up(void)
{
    idle_init(&spent, 2);
}

static void tear_down(void)
{
    outgoing_free_spent(&spent);
}

static struct store_message message_of(const struct span *body, size_t n_body)
{
    return (struct store_message){
        .topic = span_str("TopicTest"),
        .queue_id = 3,
        .born_ms = 1700000000000,
        .born_host = {.addr = {[15] = 1}, .addr_len = 16, .port = 50000},
        .properties = span_str("TAGS\001TagA\002"),
        .body = body,
        .n_body = n_body,
    };
}

static struct record_plan plan_of(const struct store_message *m)
{
    struct record_plan plan;
    struct err e = {0};
    ck_assert_msg(record_plan(m, &host, BUF_BYTES, &plan, &e) == 0, "%s", e.msg);
    return plan;
}

static struct outgoing *make(const struct store_message *m, const struct record_plan *plan)
{
    struct outgoing *out = NULL;
    struct err e = {0};
    ck_assert_msg(outgoing_new(&spent, &out, m, plan, &e) == 0, "%s", e.msg);
    outgoing_place(out, &place);
    return out;
}

/* Fails the test unless the pieces make up the record that record_write makes. */
static void expect_whole(const struct outgoing *out, const struct store_message *m)
{
    uint8_t whole[BUF_BYTES], joined[BUF_BYTES];
    size_t n = 0;
    record_write(whole, &out->plan, m);
    record_patch(whole, &out->plan, place.queue_off, place.log_off, place.store_ms);
    for (size_t i = 0; i < out->n_pieces; i++) {
        memcpy(joined + n, out->pieces[i].iov_base, out->pieces[i].iov_len);
        n += out->pieces[i].iov_len;
    }
    ck_assert_uint_eq(n, out->plan.size);
    ck_assert_mem_eq(joined, whole, n);
}

START_TEST(the_pieces_make_up_the_record)
{
    const struct span body[] = {span_str("Hello"), span_str(""), span_str(", world")};
    struct store_message m = message_of(body, 3);
    struct record_plan plan = plan_of(&m);
    struct outgoing *out = make(&m, &plan);
    expect_whole(out, &m);
    ck_assert_uint_eq(out->n_pieces, 4); /* nothing for the empty one */
    outgoing_drop(&spent, out, /* end = */ NULL);
}
END_TEST

START_TEST(a_record_without_a_body_is_head_and_tail)
{
    struct store_message m = message_of(NULL, 0);
    struct record_plan plan = plan_of(&m);
    struct outgoing *out = make(&m, &plan);
    expect_whole(out, &m);
    ck_assert_uint_eq(out->n_pieces, 2);
    outgoing_drop(&spent, out, /* end = */ NULL);
}
END_TEST

START_TEST(the_body_stays_where_it_is_and_the_rest_is_copied)
{
    char properties[] = "TAGS\001TagA\002";
    struct span body = span_str("Hello");
    struct store_message m = message_of(&body, 1);
    m.properties = span_str(properties);
    struct record_plan plan = plan_of(&m);
    struct outgoing *out = make(&m, &plan);
    ck_assert_ptr_eq(out->pieces[1].iov_base, body.ptr);
    memset(properties, 'x', sizeof properties - 1); /* the caller has the next message */
    m.properties = span_str("TAGS\001TagA\002");
    expect_whole(out, &m);
    outgoing_drop(&spent, out, /* end = */ NULL);
}
END_TEST

START_TEST(what_went_out_is_used_for_the_next)
{
    const struct span body[] = {span_str("Hello"), span_str(", world")};
    struct store_message m = message_of(body, 2);
    struct record_plan plan = plan_of(&m);
    struct outgoing *out = make(&m, &plan);
    out->filler_bytes = 17;
    outgoing_drop(&spent, out, /* end = */ NULL);
    m = message_of(body, 1);
    plan = plan_of(&m);
    struct outgoing *next = make(&m, &plan);
    ck_assert_ptr_eq(next, out);
    ck_assert_uint_eq(next->filler_bytes, 0);
    expect_whole(next, &m);
    outgoing_drop(&spent, next, /* end = */ NULL);
}
END_TEST

START_TEST(a_list_goes_up_to_its_end_and_what_is_too_much_is_freed)
{
    struct store_message m = message_of(NULL, 0);
    struct record_plan plan = plan_of(&m);
    struct outgoing *list[4];
    for (int i = 4; i-- > 0;) {
        list[i] = make(&m, &plan);
        list[i]->next = i < 3 ? list[i + 1] : NULL;
    }
    outgoing_drop(&spent, list[0], list[3]); /* three, of which two are kept */
    ck_assert_uint_eq(spent.n, 2);
    expect_whole(list[3], &m);
    outgoing_drop(&spent, list[3], /* end = */ NULL);
    ck_assert_uint_eq(spent.n, 2);
}
END_TEST

START_TEST(the_room_of_a_large_record_is_not_kept)
{
    enum { SLICES = 512 };
    static struct span body[SLICES];
    for (int i = 0; i < SLICES; i++)
        body[i] = span_str("x");
    struct store_message m = message_of(body, SLICES);
    struct record_plan plan = plan_of(&m);
    struct outgoing *out = make(&m, &plan);
    ck_assert_uint_ge(out->room.bytes, SLICES * sizeof out->pieces[0]);
    outgoing_drop(&spent, out, /* end = */ NULL);
    ck_assert_uint_eq(out->room.bytes, 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("outgoing");
    TCase *tc = tcase_create("outgoing");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_pieces_make_up_the_record);
    tcase_add_test(tc, a_record_without_a_body_is_head_and_tail);
    tcase_add_test(tc, the_body_stays_where_it_is_and_the_rest_is_copied);
    tcase_add_test(tc, what_went_out_is_used_for_the_next);
    tcase_add_test(tc, a_list_goes_up_to_its_end_and_what_is_too_much_is_freed);
    tcase_add_test(tc, the_room_of_a_large_record_is_not_kept);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}
