/* Where a subscription starts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/start_at.h"

#include "tests/lib/suite.h"

#define NOW_MS UINT64_C(1700000000000)

static const struct {
    const char *text;
    enum start_kind kind;
    int64_t value;
} places[] = {
    {"earliest", START_EARLIEST, 0},
    {"latest", START_LATEST, 0},
    {"0", START_OFFSET, 0},
    {"9223372036854775807", START_OFFSET, INT64_MAX},
    {"10m", START_TIME, 1699999400000},
    {"500ms", START_TIME, 1699999999500},
    {"1970-01-01", START_TIME, 0},
    {"2023-11-14", START_TIME, 1699920000000},
    {"2023-11-14T22:13", START_TIME, 1699999980000},
    {"2023-11-14T22:13:20", START_TIME, 1700000000000},
    {"2023-11-14T22:13:20Z", START_TIME, 1700000000000},
};

START_TEST(a_place_is_understood)
{
    struct err e;
    struct start_at at = {0};
    ck_assert_int_eq(start_at_parse(places[_i].text, NOW_MS, &at, &e), 0);
    ck_assert_int_eq(at.kind, places[_i].kind);
    ck_assert_int_eq(at.value, places[_i].value);
}
END_TEST

static const char *const bad[] = {
    "",           "first",       "-1",         "9223372036854775808", "10x",
    "2023-13-01", "2023-11-14X", "1969-12-31", "2023-11-14T25:00",    "99999999h",
};

START_TEST(anything_else_is_refused)
{
    struct err e;
    struct start_at at;
    ck_assert_int_eq(start_at_parse(bad[_i], NOW_MS, &at, &e), ERR_INVAL);
}
END_TEST

#define N(array) ((int)(sizeof(array) / sizeof((array)[0])))

static Suite *make_suite(void)
{
    Suite *suite = suite_create("start_at");
    TCase *tc = tcase_create("start_at");
    tcase_add_loop_test(tc, a_place_is_understood, 0, N(places));
    tcase_add_loop_test(tc, anything_else_is_refused, 0, N(bad));
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}
