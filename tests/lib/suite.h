/* Runs one suite of Check tests as a program. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SUITE_H
#define TESTS_LIB_SUITE_H

#include <check.h>
#include <stdlib.h>

/* A case of the suite, with what is done before and after each of its tests. */
static inline TCase *suite_add_case(Suite *suite, const char *name, SFun before_each,
                                    SFun after_each)
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, before_each, after_each);
    suite_add_tcase(suite, tc);
    return tc;
}

/* Runs every case of `suite`; the exit status of main. */
static inline int suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
