/* SIGINT and SIGTERM as a flag. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>

/* Set by the signal handler, read by loops: a lone flag, so relaxed is enough. */
static atomic_int has_come;

static void on_signal(int number)
{
    (void)number;
    atomic_store_explicit(&has_come, 1, memory_order_relaxed);
}

void interrupt_catch(void)
{
    struct sigaction stop = {.sa_handler = on_signal}; /* without SA_RESTART: calls end */
    (void)sigemptyset(&stop.sa_mask);
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
}

bool interrupt_came(void)
{
    return atomic_load_explicit(&has_come, memory_order_relaxed) != 0;
}

void interrupt_drop_output(void)
{
    __fpurge(stdout);
    clearerr(stdout);
}
