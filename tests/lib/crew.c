/* Starting threads and waiting for their ends. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/crew.h"

#include <check.h>

static void *do_work(void *arg)
{
    const struct crew_member *m = arg;
    m->work(m->number);
    return NULL;
}

void crew_start(struct crew *c, int n, crew_work_fn *work)
{
    ck_assert_int_le(n, CREW_MAX);
    c->n = n;
    for (int i = 0; i < n; i++) {
        struct crew_member *m = &c->members[i];
        *m = (struct crew_member){.work = work, .number = i};
        ck_assert_int_eq(pthread_create(&m->thread, NULL, do_work, m), 0);
    }
}

void crew_join(struct crew *c)
{
    for (int i = 0; i < c->n; i++)
        ck_assert_int_eq(pthread_join(c->members[i].thread, NULL), 0);
}
