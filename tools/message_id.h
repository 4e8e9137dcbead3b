/* Message ids as RocketMQ 5 clients make them (rocketmq-grpc 8.3). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MESSAGE_ID_H
#define TOOLS_MESSAGE_ID_H

#include <stdint.h>

enum { MESSAGE_ID_DIGITS = 34 };

/* What the ids of one process have in common. */
struct message_id_maker {
    uint8_t machine[6]; /* random: a hardware address need not be there */
    uint16_t pid;
    uint32_t seconds; /* since 2021-01-01T00:00Z, when it was started */
    uint32_t n_made;
};

void message_id_init(struct message_id_maker *m);

/* The next id and its NUL. */
void message_id_make(struct message_id_maker *m, char buf[MESSAGE_ID_DIGITS + 1]);

#endif
