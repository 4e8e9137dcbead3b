/* Makes message ids: version 1, machine, process, start time, counter. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/message_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/io.h"

#define EPOCH_2021_S UINT64_C(1609459200)

void message_id_init(struct message_id_maker *m)
{
    struct io *io = io_posix();
    uint64_t now_ms = io->now_ms(io);
    *m = (struct message_id_maker){
        .pid = (uint16_t)getpid(),
        .seconds = (uint32_t)(now_ms / 1000 - EPOCH_2021_S),
    };
    if (getrandom(m->machine, sizeof m->machine, 0) != (ssize_t)sizeof m->machine)
        memcpy(m->machine, &now_ms, sizeof m->machine);
}

void message_id_make(struct message_id_maker *m, char buf[MESSAGE_ID_DIGITS + 1])
{
    const uint8_t *a = m->machine;
    (void)snprintf(buf, MESSAGE_ID_DIGITS + 1,
                   "01%02X%02X%02X%02X%02X%02X%04X%08" PRIX32 "%08" PRIX32, a[0], a[1], a[2], a[3],
                   a[4], a[5], m->pid, m->seconds, m->n_made++);
}
