/* Options of a command: one table drives parsing, checking and --help. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum option_kind {
    OPTION_FLAG,     /* bool: true when given */
    OPTION_TEXT,     /* const char * */
    OPTION_NUMBER,   /* uint64_t in [min, max] */
    OPTION_SIZE,     /* uint64_t bytes in [min, max]: 4096, 64K, 16M, 2G (powers of 1024) */
    OPTION_DURATION, /* uint64_t ms in [min, max]: 500ms, 20s, 2m, 1h */
    OPTION_CHOICE,   /* const char *, one of `choices`, any case; points into `choices` */
};

struct option_spec {
    const char *name; /* without the dashes */
    char letter;      /* short form, or 0 */
    enum option_kind kind;
    void *ret;                  /* where the value goes; the type is the kind's */
    const char *value;          /* what --help calls the value; NULL for a flag */
    const char *fallback;       /* the default as the user would type it; NULL: none */
    const char *help;           /* one line; states the default where there is no `fallback` */
    uint64_t min, max;          /* numbers, sizes, durations; max 0: no bound */
    const char *const *choices; /* ends in NULL */
};

/* Which broker: what --endpoint and --tls say. */
struct options_broker {
    const char *endpoint; /* HOST:PORT */
    bool tls;
};

struct options {
    const char *program;             /* "sluice pub" */
    const char *operands;            /* "TOPIC", or "" */
    const char *summary;             /* one or two sentences */
    const struct option_spec *specs; /* ends in a spec without a name */
    int min_operands, max_operands;
    struct options_broker *broker; /* settled after parsing; NULL: the command needs none */
};

/* Fills in defaults, then the command line. Returns OPTIONS_RUN with the operands moved to
 * argv[*ret_first] and behind, or what the program is to return at once: COMMAND_OK after --help
 * (on stdout), COMMAND_USAGE after one line on stderr that names the mistake. */
enum { OPTIONS_RUN = -1 };
int options_parse(const struct options *o, int argc, char **argv, int *ret_first) MUST_CHECK;

/* One line on stderr, "PROGRAM: what", for a mistake only the command can see. COMMAND_USAGE. */
int options_refuse(const struct options *o, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- values ---- */

/* Decimal digits only. */
int options_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret,
                   struct err *e) MUST_CHECK;
int options_size(const char *text, uint64_t min, uint64_t max, uint64_t *ret,
                 struct err *e) MUST_CHECK;
/* The unit is required: ms, s, m, h. */
int options_duration(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *ret_ms,
                     struct err *e) MUST_CHECK;

/* ---- the broker ---- */

#define OPTIONS_ENDPOINT "127.0.0.1:8081"

/* The two specs every command that talks to a broker lists first. */
#define OPTIONS_BROKER(b)                                                                          \
    {.name = "endpoint",                                                                           \
     .kind = OPTION_TEXT,                                                                          \
     .ret = &(b)->endpoint,                                                                        \
     .value = "HOST:PORT",                                                                         \
     .help = "the broker (default: $SLUICE_ENDPOINT, else " OPTIONS_ENDPOINT ")"},                 \
    {                                                                                              \
        .name = "tls", .kind = OPTION_FLAG, .ret = &(b)->tls,                                      \
        .help = "encrypt; the broker's certificate is not checked (default: plaintext)"            \
    }

/* Settles the endpoint: the option, else the environment, else the default; checks its form.
 * ERR_INVAL names where the bad one came from. */
int options_broker_settle(struct options_broker *b, struct err *e) MUST_CHECK;

/* Checks HOST:PORT: a name, an IPv4 address or a bracketed IPv6 address, and a port of 1..65535. */
int options_endpoint(const char *text, struct err *e) MUST_CHECK;

#endif
