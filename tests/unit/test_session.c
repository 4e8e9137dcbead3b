/* Tests of client sessions: what is kept, for how long, and the limits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/suite.h"

enum { EXPIRY = 1000, START = 50000 };

static struct session_table *table;
static struct err e;

static void setup(void)
{
    ck_assert_int_eq(session_table_open(&table, 3, EXPIRY, &e), 0);
}

static void teardown(void)
{
    session_table_close(table);
}

static void put(const char *id, const char *group, uint64_t now_ms)
{
    const struct span topics[] = {span_str("t1"), span_str("t2")};
    struct session s = {.client_id = span_str(id),
                        .blob = span_of("\x08\x01\0x", 4),
                        .client_type = 3,
                        .group = span_str(group),
                        .is_consumer = true,
                        .topics = topics,
                        .n_topics = 2};
    ck_assert_msg(session_put(table, &s, now_ms, &e) == 0, "%s", e.msg);
}

START_TEST(settings_are_copied_and_come_back_whole)
{
    put("client", "g", START);
    const struct session *s = session_get(table, span_str("client"), START);
    ck_assert_ptr_nonnull(s);
    ck_assert(span_equal(s->client_id, span_str("client")));
    ck_assert(span_equal(s->blob, span_of("\x08\x01\0x", 4)));
    ck_assert(span_equal(s->group, span_str("g")));
    ck_assert_int_eq(s->client_type, 3);
    ck_assert(s->is_consumer);
    ck_assert_uint_eq(s->n_topics, 2);
    ck_assert(span_equal(s->topics[1], span_str("t2")));
    session_release(s);
}
END_TEST

START_TEST(an_unknown_client_has_no_settings)
{
    ck_assert_ptr_null(session_get(table, span_str("nobody"), START));
    ck_assert(!session_touch(table, span_str("nobody"), START));
    ck_assert(!session_drop(table, span_str("nobody")));
}
END_TEST

START_TEST(replaced_settings_live_on_for_who_holds_them)
{
    put("client", "old", START);
    const struct session *old = session_get(table, span_str("client"), START);
    put("client", "new", START);
    ck_assert(span_equal(old->group, span_str("old")));
    session_release(old);
    const struct session *new = session_get(table, span_str("client"), START);
    ck_assert(span_equal(new->group, span_str("new")));
    ck_assert(session_drop(table, span_str("client")));
    ck_assert(span_equal(new->group, span_str("new")));
    session_release(new);
    ck_assert_uint_eq(session_count(table), 0);
}
END_TEST

START_TEST(a_silent_client_is_forgotten_and_a_heard_one_is_not)
{
    put("silent", "g", START);
    put("heard", "g", START);
    ck_assert(session_touch(table, span_str("heard"), START + EXPIRY - 1));
    ck_assert_uint_eq(session_expire(table, START + EXPIRY - 1), 0);
    ck_assert_ptr_null(session_get(table, span_str("silent"), START + EXPIRY));
    ck_assert_uint_eq(session_expire(table, START + EXPIRY), 1);
    ck_assert_uint_eq(session_count(table), 1);
    ck_assert(session_touch(table, span_str("heard"), START + EXPIRY));
}
END_TEST

START_TEST(many_silent_clients_are_forgotten_at_once)
{
    session_table_close(table);
    ck_assert_int_eq(session_table_open(&table, 1000, EXPIRY, &e), 0);
    for (int i = 0; i < 1000; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "client-%d", i);
        put(id, "g", START + (i % 2 ? 0 : EXPIRY));
    }
    ck_assert_uint_eq(session_expire(table, START + EXPIRY), 500);
    ck_assert(session_touch(table, span_str("client-0"), START + EXPIRY));
    ck_assert(!session_touch(table, span_str("client-1"), START + EXPIRY));
}
END_TEST

START_TEST(there_is_room_for_so_many_clients_and_no_more)
{
    struct session s = {.client_id = span_str("d")};
    put("a", "g", START);
    put("b", "g", START);
    put("c", "g", START);
    ck_assert_int_eq(session_put(table, &s, START, &e), ERR_BUSY);
    put("a", "again", START);
    ck_assert(session_drop(table, span_str("b")));
    ck_assert_int_eq(session_put(table, &s, START, &e), 0);
}
END_TEST

START_TEST(settings_over_a_limit_are_refused)
{
    static uint8_t bytes[SESSION_BLOB_MAX + 1];
    static struct span topics[SESSION_TOPICS_MAX + 1];
    struct session s = {.client_id = {0}};
    ck_assert_int_eq(session_put(table, &s, START, &e), ERR_INVAL);
    s.client_id = span_of(bytes, SESSION_ID_MAX + 1);
    ck_assert_int_eq(session_put(table, &s, START, &e), ERR_TOOBIG);
    s.client_id = span_str("client");
    s.blob = span_of(bytes, sizeof bytes);
    ck_assert_int_eq(session_put(table, &s, START, &e), ERR_TOOBIG);
    s.blob = span_of(bytes, SESSION_BLOB_MAX);
    s.topics = topics;
    s.n_topics = SESSION_TOPICS_MAX + 1;
    ck_assert_int_eq(session_put(table, &s, START, &e), ERR_TOOBIG);
    s.n_topics = SESSION_TOPICS_MAX;
    ck_assert_int_eq(session_put(table, &s, START, &e), 0);
}
END_TEST

START_TEST(owners_are_the_clients_sorted_and_never_zero)
{
    uint64_t *owners;
    size_t n;
    put("a", "g", START);
    put("b", "g", START);
    put("c", "g", START);
    ck_assert_int_eq(session_owners(table, &owners, &n, &e), 0);
    ck_assert_uint_eq(n, 3);
    ck_assert(owners[0] < owners[1] && owners[1] < owners[2]);
    uint64_t wanted = session_owner(span_str("b"));
    ck_assert(wanted != 0 && (owners[0] == wanted || owners[1] == wanted || owners[2] == wanted));
    free(owners);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *tc = tcase_create("sessions");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, settings_are_copied_and_come_back_whole);
    tcase_add_test(tc, an_unknown_client_has_no_settings);
    tcase_add_test(tc, replaced_settings_live_on_for_who_holds_them);
    tcase_add_test(tc, a_silent_client_is_forgotten_and_a_heard_one_is_not);
    tcase_add_test(tc, many_silent_clients_are_forgotten_at_once);
    tcase_add_test(tc, there_is_room_for_so_many_clients_and_no_more);
    tcase_add_test(tc, settings_over_a_limit_are_refused);
    tcase_add_test(tc, owners_are_the_clients_sorted_and_never_zero);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
