/* An open store in a scratch folder, and short ways to write to it and read it back. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_STORE_FIXTURE_H
#define TESTS_LIB_STORE_FIXTURE_H

#include "store/store.h"

enum { FIXTURE_FILE_BYTES = 64 * 1024, FIXTURE_QUEUE_FILE_BYTES = 2000 };

struct store_fixture {
    char *root;
    struct io *io;
    struct store_options opt;
    struct store *store;
};

/* Small files, the real io, nothing opened yet. */
void store_fixture_init(struct store_fixture *f);
void store_fixture_open(struct store_fixture *f); /* fails the test on error */

/* Opens what a crash has left. Fails the test when that walked more of the log than from the start
 * of the file on in which the checkpoint is: what a crash costs, as long as nothing is lost that
 * was on disk. Files begin at 0. */
void store_fixture_open_after_crash(struct store_fixture *f);

void store_fixture_close(struct store_fixture *f); /* cleanly; fails the test on error */
void store_fixture_fini(struct store_fixture *f);  /* closes and removes everything */

/* Appends `body` with tag TagA to queue `queue_id` of `topic`; fails the test on error. */
struct store_appended store_fixture_append(struct store_fixture *f, const char *topic,
                                           int32_t queue_id, const char *body);

/* The same with the error returned. */
int store_fixture_try(struct store_fixture *f, const char *topic, int32_t queue_id,
                      struct span body, struct store_appended *ret, struct err *e);

/* Waits until `n` entries are in the queue. */
void store_fixture_await(struct store_fixture *f, const char *topic, int32_t queue_id, uint64_t n);

/* Fails the test unless entry `queue_off` holds exactly `body`. */
void store_fixture_expect(struct store_fixture *f, const char *topic, int32_t queue_id,
                          uint64_t queue_off, const char *body);

/* Overwrites bytes of a file under the root. */
void store_fixture_poke(struct store_fixture *f, const char *name, uint64_t off, const void *bytes,
                        size_t len);

/* Leaves the root as a killed process would: the abort file is there. The store is closed. */
void store_fixture_kill(struct store_fixture *f);

#endif
