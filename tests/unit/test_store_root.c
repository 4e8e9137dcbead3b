/* Tests of tools/store_root.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/store_root.h"

#include <string.h>

#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"

START_TEST(an_open_store_is_live_and_a_closed_one_is_not)
{
    struct store_fixture f;
    struct err e;
    store_fixture_init(&f);
    ck_assert_int_eq(store_root_check(f.root, &e), ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(e.msg, f.root));
    store_fixture_open(&f);
    ck_assert_int_eq(store_root_check(f.root, &e), 0);
    ck_assert(store_root_is_live(f.root));
    store_fixture_close(&f);
    ck_assert(!store_root_is_live(f.root));
    store_fixture_fini(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_root");
    TCase *tc = tcase_create("store_root");
    tcase_add_test(tc, an_open_store_is_live_and_a_closed_one_is_not);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
