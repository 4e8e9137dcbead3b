/* Tests of tools/interrupt.c: the program goes on, and finds out. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/suite.h"

enum { SOON_US = 1000, LONG_S = 3600 };

START_TEST(a_signal_is_noted_and_ends_nothing)
{
    const int number = _i == 0 ? SIGINT : SIGTERM;
    interrupt_catch();
    ck_assert(_i > 0 || !interrupt_came()); /* in one process it stays */
    ck_assert_int_eq(raise(number), 0);
    ck_assert(interrupt_came());
}
END_TEST

static void on_alarm(int number)
{
    (void)number;
    (void)raise(SIGINT);
}

START_TEST(a_sleep_ends)
{
    const struct itimerval soon = {.it_value = {.tv_usec = SOON_US},
                                   .it_interval = {.tv_usec = SOON_US}};
    const struct timespec longer = {.tv_sec = LONG_S};
    struct sigaction alarm = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    interrupt_catch();
    ck_assert_int_eq(sigaction(SIGALRM, &alarm, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
    ck_assert_int_lt(nanosleep(&longer, NULL), 0);
    ck_assert_int_eq(errno, EINTR);
    ck_assert(interrupt_came());
}
END_TEST

/* Again and again: the first may come before the call that is to end. */
static void interrupt_soon(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGTERM};
    const struct itimerspec soon = {.it_value = {.tv_nsec = SOON_US * 1000},
                                    .it_interval = {.tv_nsec = SOON_US * 1000}};
    timer_t timer;
    ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    ck_assert_int_eq(timer_settime(timer, 0, &soon, NULL), 0);
}

START_TEST(a_write_that_nobody_reads_ends)
{
    static const char block[4096];
    int ends[2];
    interrupt_catch();
    ck_assert_int_eq(pipe(ends), 0);
    interrupt_soon();
    ssize_t n = 0;
    while (n >= 0)
        n = write(ends[1], block, sizeof block);
    ck_assert_int_eq(errno, EINTR);
    ck_assert(interrupt_came());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interrupt");
    TCase *tc = tcase_create("interrupt");
    tcase_add_loop_test(tc, a_signal_is_noted_and_ends_nothing, 0, 2);
    tcase_add_test(tc, a_sleep_ends);
    tcase_add_test(tc, a_write_that_nobody_reads_ends);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
