/* An interrupt that ends a loop in good order instead of the program where it stands. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_INTERRUPT_H
#define TOOLS_INTERRUPT_H

#include <stdbool.h>

/* From now on SIGINT and SIGTERM are noted, and end what the calling thread waits in: a sleep, or a
 * write that waits for its reader. What follows waits again. */
void interrupt_catch(void);

/* Whether one has come. Thread: any. */
bool interrupt_came(void);

/* Forgets what stdout still holds after an interrupt ended its write: it would be waited for again
 * at the end. */
void interrupt_drop_output(void);

#endif
