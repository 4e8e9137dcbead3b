/* An interrupt that ends a loop in good order instead of the program where it stands. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_INTERRUPT_H
#define TOOLS_INTERRUPT_H

#include <stdbool.h>

enum interrupt_ends {
    INTERRUPT_ENDS_SLEEP, /* and no other call: a write that waits for its reader goes on waiting */
    INTERRUPT_ENDS_CALLS, /* also such a write, with EINTR; what follows it waits again */
};

/* From now on SIGINT and SIGTERM are noted, and end what the calling thread waits in. */
void interrupt_catch(enum interrupt_ends ends);

/* Whether one has come. Thread: any. */
bool interrupt_came(void);

#endif
