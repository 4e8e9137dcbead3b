/* Commands that ask the broker's Admin service one thing. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_ADMIN_H
#define TOOLS_ADMIN_H

#include "base/err.h"
#include "tools/options.h"
#include "tools/wire.h"

/* What such a command does once it is connected; `operand` is the first, or NULL. */
typedef int (*admin_fn)(struct client *c, const char *operand, void *arg, struct err *e);

/* Parses the options (o->broker is set), connects, acts, closes. What the program returns. */
int admin_run(const struct options *o, int argc, char **argv, admin_fn fn, void *arg);

/* A command without options of its own but --json. */
struct admin_command {
    const char *program;  /* "sluice topic list" */
    const char *operands; /* "NAME", or "" */
    const char *summary;
    const char *json; /* what --help says of --json; NULL: there is no such option */
    admin_fn fn;      /* its `arg` is a const bool *: whether --json was given */
};

/* admin_run of such a command. */
int admin_run_command(const struct admin_command *c, int argc, char **argv);

/* One Admin call. The reply's code is checked; on success the reply is freed with wire_free. */
int admin_call(struct client *c, const char *path, const ProtobufCMessage *request,
               const ProtobufCMessageDescriptor *reply_type, void *ret_reply,
               struct err *e) MUST_CHECK;

/* The same where only the code counts. */
int admin_tell(struct client *c, const char *path, const ProtobufCMessage *request,
               const ProtobufCMessageDescriptor *reply_type, struct err *e) MUST_CHECK;

#endif
