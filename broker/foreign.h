/* What RocketMQ's broker had still to do in a store that was its own: work that nobody here does
 * yet, so that it is named at start and never forgotten in silence. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_FOREIGN_H
#define BROKER_FOREIGN_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/io.h"
#include "store/store.h"

enum foreign_kind {
    FOREIGN_DELAYED, /* SCHEDULE_TOPIC_XXXX: messages with a delay level */
    FOREIGN_TIMED,   /* rmq_sys_wheel_timer: messages with a delivery time */
    FOREIGN_POPPED,  /* there and in rmq_sys_REVIVE_LOG_*: POP checkpoints and acks */
    FOREIGN_HALF,    /* RMQ_SYS_TRANS_HALF_TOPIC: neither committed nor rolled back */
    FOREIGN_RETRIED, /* %RETRY%*: to be delivered to a group again */
    FOREIGN_KINDS,
};

/* "delayed messages", ... */
const char *foreign_kind_name(enum foreign_kind kind);

/* Entries of one topic that wait; at most, where RocketMQ has noted what is done elsewhere. */
struct foreign_work {
    struct span topic; /* valid during the call */
    enum foreign_kind kind;
    uint64_t n; /* not 0 */
};

typedef void (*foreign_fn)(void *arg, const struct foreign_work *work);

/* Calls `fn` for each topic and kind of which something waits. Reads RocketMQ's positions in
 * `config_folder`; without them everything waits. ERR_NOMEM; what a read of the store gives.
 * Thread: any that may wait for the disk, while nobody writes the files of the folder. */
int foreign_find(struct store *s, const char *config_folder, struct io *io, foreign_fn fn,
                 void *arg, struct err *e) MUST_CHECK;

#endif
