/* Threads that do the same beside each other. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_CREW_H
#define TESTS_LIB_CREW_H

#include <pthread.h>

enum { CREW_MAX = 8 };

typedef void crew_work_fn(int number);

struct crew {
    int n;
    struct crew_member {
        pthread_t thread;
        crew_work_fn *work;
        int number;
    } members[CREW_MAX];
};

/* Starts `n` threads; each does the work with its number, from 0 on. */
void crew_start(struct crew *c, int n, crew_work_fn *work);

/* Returns when the work is done. Until then `c` must stay. */
void crew_join(struct crew *c);

#endif
