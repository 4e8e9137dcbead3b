/* A real sluiced as a child process, on a free port of loopback. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_BROKER_CHILD_H
#define TESTS_LIB_BROKER_CHILD_H

#include <sys/types.h>

enum { BROKER_CHILD_TEXT_BYTES = 8192 };

struct broker_child {
    pid_t pid;
    int out;           /* its standard output */
    char endpoint[64]; /* "127.0.0.1:PORT" */
};

/* The program to run: the test's first argument. Set by main before any test. */
void broker_child_use(const char *sluiced);

/* Each child dies with the thread that started it: the main one, or one that outlives the child. */

/* Starts it on `store`, with a small commit log and the further arguments (NULL-terminated; may be
 * NULL), and waits for its ready line. Fails the test when that does not come. */
void broker_child_start(struct broker_child *child, const char *store, const char *const *args);

/* The same without waiting for the ready line: it may be killed while it starts. */
void broker_child_begin(struct broker_child *child, const char *store, const char *const *args);

/* SIGTERM, and its exit status. */
int broker_child_stop(struct broker_child *child);

/* SIGKILL. */
void broker_child_kill(struct broker_child *child);

/* What a run that ends by itself left. */
struct broker_run {
    int status; /* exit status; -1: a signal ended it */
    char out[BROKER_CHILD_TEXT_BYTES];
    char err[BROKER_CHILD_TEXT_BYTES];
};

/* Runs it with exactly these arguments to its end; fails the test when that takes too long. */
void broker_child_run(const char *const *args, struct broker_run *ret);

#endif
