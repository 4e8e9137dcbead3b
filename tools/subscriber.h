/* A consumer of one topic: its group, its session with the broker, receives and acks. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_SUBSCRIBER_H
#define TOOLS_SUBSCRIBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/proto.h"
#include "tools/client.h"
#include "tools/start_at.h"

struct subscriber;

enum { SUBSCRIBER_MAX_BATCH = 32 }; /* what the broker gives at once */

struct subscriber_options {
    const char *topic;
    const char *expression;      /* of tags; "*": all */
    const char *group;           /* NULL: one is made, and deleted at the end */
    const struct start_at *from; /* NULL: where the group stands; a made one at the earliest */
    bool (*is_stopped)(void);    /* asked often: true ends a receive early */
};

/* Checks the topic, settles the group and its position, opens the session. Strings in `opt` and
 * the client outlive the subscriber. ERR_NOTFOUND: no such topic. */
int subscriber_open(struct subscriber **ret_subscriber, struct client *c,
                    const struct subscriber_options *opt, struct err *e) MUST_CHECK;

/* Called for each message; a failure ends the receive, and the message is not acknowledged. */
typedef int (*subscriber_fn)(void *arg, const Apache__Rocketmq__V2__Message *m, struct err *e);

/* One receive of up to `max` messages, of which those are acknowledged that `fn` has taken, also
 * when it fails later. Ends without any at `until_ms` (monotonic) or when stopped. `*ret_n` counts
 * what was taken, on failure too. */
struct subscriber_receive {
    uint32_t max;
    uint64_t until_ms;
    subscriber_fn fn;
    void *arg;
};
int subscriber_receive(struct subscriber *s, const struct subscriber_receive *r, uint64_t *ret_n,
                       struct err *e) MUST_CHECK;

/* Waits for the acks, ends the session, deletes the group it made; frees in any case. NULL is fine.
 */
int subscriber_close(struct subscriber *s, struct err *e) MUST_CHECK;

/* Milliseconds of the monotonic clock. */
uint64_t subscriber_now_ms(void);

#endif
