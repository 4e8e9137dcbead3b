/* Scratch folders of benchmarks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/scratch.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static struct err e;

static int has(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

START_TEST(a_folder_goes_with_all_that_is_in_it)
{
    char *base = tmpdir_make();
    char folder[SCRATCH_PATH_BYTES];
    ck_assert_int_eq(scratch_make(folder, base, &e), 0);
    ck_assert_int_eq(strncmp(folder, base, strlen(base)), 0);
    char *inner = tmpdir_path(folder, "inner");
    char *file = tmpdir_path(inner, "file");
    ck_assert_int_eq(mkdir(inner, 0755), 0);
    FILE *out = fopen(file, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(fclose(out), 0);
    scratch_remove(folder);
    ck_assert(!has(folder));
    ck_assert(has(base));
    free(file);
    free(inner);
    tmpdir_remove(base);
}
END_TEST

START_TEST(a_base_that_is_absent_or_too_long_is_named)
{
    char folder[SCRATCH_PATH_BYTES] = "";
    ck_assert_int_eq(scratch_make(folder, "/no/such/folder", &e), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(e.msg, "'/no/such/folder'"));
    char base[SCRATCH_PATH_BYTES];
    memset(base, 'a', sizeof base - 1);
    base[sizeof base - 1] = '\0';
    ck_assert_int_eq(scratch_make(folder, base, &e), ERR_INVAL);
    ck_assert_str_eq(folder, "");
    scratch_remove(folder); /* nothing was made: nothing is removed */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scratch");
    TCase *cases = tcase_create("scratch");
    tcase_add_test(cases, a_folder_goes_with_all_that_is_in_it);
    tcase_add_test(cases, a_base_that_is_absent_or_too_long_is_named);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
