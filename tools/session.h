/* A consumer's session with the broker: its settings, over a telemetry stream that stays open. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_SESSION_H
#define TOOLS_SESSION_H

#include "base/err.h"
#include "tools/client.h"

struct session;

/* The strings outlive the session. */
struct session_options {
    const char *topic;
    const char *expression; /* of tags */
    const char *group;
};

/* Sends the settings and waits for the broker to take them. */
int session_open(struct session **ret_session, struct client *c, const struct session_options *opt,
                 struct err *e) MUST_CHECK;

/* Says goodbye; frees in any case. NULL is fine. */
int session_close(struct session *s, struct err *e) MUST_CHECK;

#endif
