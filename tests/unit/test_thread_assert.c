/* Tests of tests/lib/thread_assert.c: what a failed assertion does, in a child that runs a suite of
 * its own as programs with gRPC run theirs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/suite.h"

enum { TOLD_BYTES = 4096 };

static void *fail_here(void *arg)
{
    (void)arg;
    ck_assert_msg(1 == 2, "numbers differ by %d", 1);
    return NULL;
}

START_TEST(on_the_main_thread)
{
    (void)fail_here(NULL);
}
END_TEST

START_TEST(on_a_thread)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_here, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static _Noreturn void be_program(const TTest *test, int out)
{
    Suite *suite = suite_create("program");
    TCase *tc = tcase_create("program");
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(out, STDERR_FILENO);
    tcase_add_test(tc, test);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    (void)fflush(stdout);
    _exit(srunner_ntests_failed(runner));
}

/* How a program with this one test ends, and what it tells. */
static int run_program(const TTest *test, char ret_told[TOLD_BYTES])
{
    int fds[2], status;
    size_t len = 0;
    ssize_t n;
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        be_program(test, fds[1]);
    (void)close(fds[1]);
    while ((n = read(fds[0], ret_told + len, TOLD_BYTES - 1 - len)) > 0)
        len += (size_t)n;
    ret_told[len] = '\0';
    (void)close(fds[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

START_TEST(on_the_main_thread_a_failed_assertion_fails_its_test)
{
    char told[TOLD_BYTES];
    int status = run_program(on_the_main_thread, told);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 1);
    ck_assert_ptr_nonnull(strstr(told, "numbers differ by 1"));
}
END_TEST

START_TEST(on_another_it_tells_what_failed_and_ends_the_program)
{
    char told[TOLD_BYTES];
    int status = run_program(on_a_thread, told);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGABRT);
    ck_assert_ptr_nonnull(strstr(told, "numbers differ by 1"));
    ck_assert_ptr_nonnull(strstr(told, "test_thread_assert.c"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("thread_assert");
    TCase *tc = tcase_create("thread_assert");
    tcase_add_test(tc, on_the_main_thread_a_failed_assertion_fails_its_test);
    tcase_add_test(tc, on_another_it_tells_what_failed_and_ends_the_program);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
