/* Why parts of a request were refused: texts that live until it is answered. Most requests have
 * none, so each is allocated by itself. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_REFUSED_H
#define BROKER_REFUSED_H

#include "broker/status.h"

struct refused; /* a list of texts; NULL: none */

/* Keeps a copy of the status' text, and returns it. */
struct span refused_note(struct refused **list, const struct status *st);

/* Forgets them all. */
void refused_clear(struct refused **list);

#endif
