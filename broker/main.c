/* sluiced: the broker in the foreground. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/standard_fds.h"
#include "broker/broker.h"
#include "broker/config.h"

enum { EXIT_USAGE = 2 };

static const char help[] =
    "usage: sluiced --store DIR [--listen HOST:PORT] [-c broker.conf] [--set option=value]...\n"
    "\n"
    "Serves a store over gRPC until SIGTERM or SIGINT. Prints 'ready on HOST:PORT' once it does.\n"
    "\n"
    "  --store DIR            where messages are kept; made when absent (or storePathRootDir)\n"
    "  --listen HOST:PORT     where to serve; port 0 picks one (listen: 127.0.0.1:8081)\n"
    "  -c, --config FILE      read options, one 'option=value' a line; RocketMQ's names work\n"
    "  --set option=value     set one option; wins over the file\n"
    "  --print-config-doc     print the manual of all options and exit\n"
    "  -h, --help             print this and exit\n"
    "  -V, --version          print the version and exit\n";

/* What the command line says. */
struct arguments {
    const char *store;
    const char *listen;
    const char *config;
    const char **sets; /* in order; owned */
    size_t n_sets;
};

/* ---- the command line ---- */

static int usage_error(const char *option, const char *what)
{
    (void)fprintf(stderr, "sluiced: %s: %s\n", option, what);
    return EXIT_USAGE;
}

enum { OPT_STORE = 256, OPT_LISTEN, OPT_SET, OPT_DOC };

static const struct option options[] = {
    {"store", required_argument, NULL, OPT_STORE},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"config", required_argument, NULL, 'c'},
    {"set", required_argument, NULL, OPT_SET},
    {"print-config-doc", no_argument, NULL, OPT_DOC},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* Whether the option asks for a text instead of a run. */
static bool print_text(int option)
{
    if (option == 'h')
        (void)fputs(help, stdout);
    else if (option == 'V')
        (void)puts("sluiced " SLUICE_VERSION);
    else if (option == OPT_DOC)
        config_print_doc(stdout);
    else
        return false;
    return true;
}

/* -1: go on. Otherwise the exit status. */
static int take_option(struct arguments *args, int option, char **argv)
{
    switch (option) {
    case OPT_STORE:
        args->store = optarg;
        return -1;
    case OPT_LISTEN:
        args->listen = optarg;
        return -1;
    case 'c':
        args->config = optarg;
        return -1;
    case OPT_SET:
        args->sets[args->n_sets++] = optarg;
        return -1;
    case ':':
        return usage_error(argv[optind - 1], "needs a value");
    case '?':
        return usage_error(argv[optind - 1], "no such option; --help lists them");
    default:
        return print_text(option) ? EXIT_SUCCESS : EXIT_USAGE;
    }
}

static int parse_arguments(struct arguments *args, int argc, char **argv)
{
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:hV", options, NULL)) != -1) {
        int status = take_option(args, option, argv);
        if (status >= 0)
            return status;
    }
    if (optind < argc)
        return usage_error(argv[optind], "unexpected argument");
    return -1;
}

/* ---- options ---- */

static int set_option(struct config *cfg, const char *flag, const char *name, const char *value)
{
    struct err e;
    if (!value || config_set_value(cfg, name, value, &e) == 0)
        return -1;
    return usage_error(flag, e.msg);
}

/* An address that cannot be one is a mistake in usage, whoever else may set it. */
static int check_listen(const struct config *cfg)
{
    struct err e;
    char host[CONFIG_TEXT_BYTES];
    uint16_t port;
    return config_listen(cfg, host, &port, &e) ? usage_error("--listen", e.msg) : -1;
}

/* No folder is made where nobody asked for one. */
static int check_store(const struct config *cfg)
{
    return cfg->store_root[0] ? -1 : usage_error("--store", "needed, or option 'storePathRootDir'");
}

static int configure(struct config *cfg, const struct arguments *args, struct io *io)
{
    struct err e;
    config_init(cfg);
    if (args->config && config_read_file(cfg, io, args->config, &e)) {
        (void)fprintf(stderr, "sluiced: %s\n", e.msg);
        return EXIT_FAILURE;
    }
    int status = set_option(cfg, "--store", "storePathRootDir", args->store);
    if (status < 0)
        status = set_option(cfg, "--listen", "listen", args->listen);
    for (size_t i = 0; status < 0 && i < args->n_sets; i++)
        if (config_set(cfg, args->sets[i], &e))
            status = usage_error("--set", e.msg);
    if (status < 0)
        status = check_listen(cfg);
    if (status < 0)
        status = check_store(cfg);
    if (status >= 0)
        return status;
    if (config_check(cfg, &e) == 0)
        return -1;
    (void)fprintf(stderr, "sluiced: %s\n", e.msg);
    return EXIT_FAILURE;
}

/* ---- the run ---- */

/* Blocked before any thread starts, so that all inherit it and sigwait gets them. */
static void block_signals(sigset_t *ret_awaited)
{
    (void)sigemptyset(ret_awaited); /* these cannot fail for known signals */
    (void)sigaddset(ret_awaited, SIGTERM);
    (void)sigaddset(ret_awaited, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, ret_awaited, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static int print_ready(const struct config *cfg, uint16_t port, struct err *e)
{
    size_t host_len = (size_t)(strrchr(cfg->listen, ':') - cfg->listen);
    if (printf("ready on %.*s:%u\n", (int)host_len, cfg->listen, port) < 0 || fflush(stdout) != 0)
        return err_set(e, ERR_IO, "write to standard output");
    return 0;
}

static int run(const struct config *cfg, struct io *io, struct err *e)
{
    struct err later;
    struct broker *b = NULL;
    sigset_t awaited;
    int signal_number = 0;
    block_signals(&awaited);
    int rc = broker_start(&b, cfg, io, e);
    if (rc)
        return rc;
    rc = print_ready(cfg, broker_port(b), e);
    if (!rc) {
        (void)sigwait(&awaited, &signal_number); /* cannot fail: the set is valid */
        log_info("stopping on signal %d", signal_number);
    }
    int stopped = broker_stop(b, rc ? &later : e);
    return rc ? rc : stopped;
}

int main(int argc, char **argv)
{
    struct arguments args = {.sets = calloc((size_t)argc + 1, sizeof(char *))};
    struct io *io = io_posix();
    struct config cfg;
    struct err e;
    standard_fds_reserve();
    if (!args.sets)
        return EXIT_FAILURE;
    int status = parse_arguments(&args, argc, argv);
    if (status < 0)
        status = configure(&cfg, &args, io);
    free(args.sets);
    if (status >= 0)
        return status;
    log_set_level((enum log_level)cfg.log_level);
    if (run(&cfg, io, &e) == 0)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "sluiced: %s\n", e.msg);
    return EXIT_FAILURE;
}
