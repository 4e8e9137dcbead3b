/* Tests of tools/timer_format.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/timer_format.h"

#include "tests/lib/suite.h"

static uint8_t bytes[TIMER_RECORD_BYTES];

static void set_up(void)
{
    be32_put(bytes, TIMER_RECORD_BYTES);
    be64_put(bytes + 4, UINT64_MAX); /* none before */
    be32_put(bytes + 12, 1 | TIMER_ROLL);
    be64_put(bytes + 16, 1700000000000);
    be32_put(bytes + 24, 5000);
    be64_put(bytes + 28, 4096);
    be32_put(bytes + 36, 300);
    be32_put(bytes + 40, 77);
}

static enum timer_check decode(struct timer_record *ret)
{
    return timer_record_decode(span_of(bytes, sizeof bytes), ret);
}

START_TEST(a_record_has_its_fields)
{
    struct timer_record rec;
    ck_assert_int_eq(decode(&rec), TIMER_RECORD);
    ck_assert_int_eq(rec.prev, -1);
    ck_assert_uint_eq(rec.magic, 1 | TIMER_ROLL);
    ck_assert_int_eq(rec.written_ms, 1700000000000);
    ck_assert_int_eq(rec.delay_ms, 5000);
    ck_assert_int_eq(rec.log_off, 4096);
    ck_assert_int_eq(rec.size, 300);
    ck_assert_int_eq(rec.topic_hash, 77);
}
END_TEST

START_TEST(numbers_that_cannot_be_are_damage)
{
    static const struct {
        size_t at;
        uint32_t value;
    } wrongs[] = {{0, 51}, {4, 0x80000000}, {12, 0x10}, {12, 0}, {28, 0x80000000}, {36, 0}};
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        struct timer_record rec;
        set_up();
        be32_put(bytes + wrongs[i].at, wrongs[i].value);
        ck_assert_int_eq(decode(&rec), TIMER_BAD);
    }
    struct timer_record rec;
    set_up();
    ck_assert_int_eq(timer_record_decode(span_of(bytes, 51), &rec), TIMER_BAD);
}
END_TEST

START_TEST(a_filler_and_nothing_are_told_apart)
{
    struct timer_record rec;
    be32_put(bytes, TIMER_FILLER_BYTES);
    be32_put(bytes + 12, 0xcbd43194);
    ck_assert_int_eq(timer_record_decode(span_of(bytes, TIMER_FILLER_BYTES), &rec), TIMER_FILLER);
    static const uint8_t zeros[TIMER_RECORD_BYTES];
    ck_assert_int_eq(timer_record_decode(span_of(zeros, sizeof zeros), &rec), TIMER_EMPTY);
}
END_TEST

START_TEST(a_slot_and_the_progress_have_their_fields)
{
    uint8_t slot_bytes[TIMER_SLOT_BYTES] = {0}, check[TIMER_CHECK_BYTES] = {0};
    struct timer_slot slot;
    struct timer_progress p;
    ck_assert(!timer_slot_decode(slot_bytes, &slot));
    be64_put(slot_bytes, 1700000000);
    be64_put(slot_bytes + 8, 52);
    be64_put(slot_bytes + 16, 104);
    be32_put(slot_bytes + 24, 2);
    ck_assert(timer_slot_decode(slot_bytes, &slot));
    ck_assert_int_eq(slot.unit, 1700000000);
    ck_assert_int_eq(slot.first, 52);
    ck_assert_int_eq(slot.last, 104);
    ck_assert_int_eq(slot.n, 2);
    be64_put(check + 16, 9);
    be64_put(check + 48, 11);
    ck_assert(timer_progress_decode(span_of(check, sizeof check), &p));
    ck_assert_int_eq(p.queue_off, 9);
    ck_assert_int_eq(p.version_counter, 11);
    ck_assert(!timer_progress_decode(span_of(check, sizeof check - 1), &p));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timer_format");
    TCase *tc = tcase_create("timer_format");
    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, a_record_has_its_fields);
    tcase_add_test(tc, numbers_that_cannot_be_are_damage);
    tcase_add_test(tc, a_filler_and_nothing_are_told_apart);
    tcase_add_test(tc, a_slot_and_the_progress_have_their_fields);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
