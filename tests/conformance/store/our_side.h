/* A store that sluiced and RocketMQ have in turn: our side of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CONFORMANCE_STORE_OUR_SIDE_H
#define TESTS_CONFORMANCE_STORE_OUR_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/conformance/store/sent.h"
#include "tests/lib/broker_child.h"
#include "tools/client.h"

enum {
    OUR_LOG_FILE_BYTES = 1024 * 1024,
    OUR_QUEUE_FILE_BYTES = 20000,
    FIXTURE_LOG_FILE_BYTES = 262144,
    FIXTURE_QUEUE_FILE_BYTES = 2000,
    APPENDED_MAX = 1000,
};

struct our_side {
    char *dir;
    char *root; /* the store, under dir */
    struct broker_child broker;
    struct client *client;
    struct sent sent;
};

/* Options of sluiced for stores of these lengths of files. */
extern const char *const our_options[];
extern const char *const fixture_options[];

void our_side_init(struct our_side *o);

/* Removes everything; kills a broker that a failed test left. */
void our_side_fini(struct our_side *o);

/* Unpacks a store of RocketMQ's as the store. */
void our_side_take(struct our_side *o, const char *fixtures, const char *name);

void our_side_start(struct our_side *o, const char *const *options);
void our_side_stop(struct our_side *o); /* it must end with 0 */
void our_side_crash(struct our_side *o);

/* Starts it, makes the topics of sent.h and sends `n` messages. */
void our_side_publish(struct our_side *o, size_t n);

bool our_side_has_abort_file(const struct our_side *o);

/* Where the records end, and how many files end in a filler. There must be no damage. */
uint64_t our_side_end_of_log(const struct our_side *o, size_t *ret_fillers);

/* What a client received besides what was sent. */
struct our_side_received {
    bool appended[APPENDED_MAX]; /* by RocketMQ: the i-th message */
    size_t n_appended;
    size_t n_compressed; /* of these */
    size_t n_others;
};

/* Receives everything of a topic that `group` has not received, each message once and as it was
 * sent or appended; adds to `r`. */
void our_side_receive(struct our_side *o, const char *topic, const char *group,
                      struct our_side_received *r);

/* Runs a command, which must succeed. */
void our_side_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
