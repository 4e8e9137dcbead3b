/* The seam with power loss: a crash leaves what was synced and a random part of what was not. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_CRASH_IO_H
#define TESTS_LIB_CRASH_IO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/io.h"

struct crash_io;

/* Watches the files under `live`, an existing folder; what is there already counts as durable.
 * `scratch` is another existing, empty folder for the second image. Fails the test on error. */
struct crash_io *crash_io_new(const char *live, const char *scratch);

/* Closes what it holds; the folders are the caller's to remove. NULL is fine. */
void crash_io_free(struct crash_io *c);

/* The seam to give to the code under test, for paths under `live`. */
struct io *crash_io_seam(struct crash_io *c);

/* Cuts the power now: writes to `image` (an existing, empty folder) one state that a disk may have
 * after the cut, chosen by `seed`. From then on every call through the seam fails with EIO, but for
 * close and unmap. The image is opened with the plain io. What a state is made of:
 * - a file's bytes: each 4 KiB page is the synced one or the present one, by a coin;
 * - a file's length: the synced or the present one, by a coin, when they differ;
 * - names (made, renamed, removed): of each folder, the changes made durable by sync_dir and a
 * prefix of the later ones, by dice. sync_fd makes a file's bytes durable, not its name. The seed
 * and what was kept are printed on stderr, for the log of a failed test. */
void crash_io_cut(struct crash_io *c, uint64_t seed, const char *image);

/* Does the same just before the n-th call from now (1: the next) that changes or syncs anything.
 * `image` is copied. */
void crash_io_arm(struct crash_io *c, uint64_t n, uint64_t seed, const char *image);

/* Just before each later call that changes or syncs anything, calls fn(arg): whatever images it
 * makes then are of that moment, since nothing else goes on. It runs under any lock of the code
 * under test, so it must not use that. */
void crash_io_watch(struct crash_io *c, void (*fn)(void *arg), void *arg);

/* An image of this moment, without a cut. Only inside a watch. */
void crash_io_image(struct crash_io *c, uint64_t seed, const char *image);

/* Whether the power was cut. */
bool crash_io_is_off(struct crash_io *c);

/* A seed for this run: SLUICE_SEED from the environment when set, else from the clock. */
uint64_t crash_io_seed(void);

/* The next number of a sequence; `*state` starts as the seed. */
uint64_t crash_io_random(uint64_t *state);

#endif
