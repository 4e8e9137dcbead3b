/* The option table and what is read from it: the parser, the checks, the manual. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config_known.h"

enum option_kind { OPT_TEXT, OPT_BOOL, OPT_NUMBER, OPT_CHOICE };

struct option {
    const char *name;
    enum option_kind kind;
    size_t at;         /* of the field in struct config */
    uint64_t min, max; /* NUMBER; TEXT: length */
    uint64_t multiple; /* NUMBER: of what; 0: any */
    const char *fallback;
    const char *choices; /* CHOICE: words separated by one blank; the value is the place of one */
    const char *text;
};

#define TEXT(name, field, min, fallback, text)                                                     \
    {                                                                                              \
        name, OPT_TEXT, offsetof(struct config, field), min, CONFIG_TEXT_BYTES - 1, 0, fallback,   \
            NULL, text                                                                             \
    }
#define BOOL(name, field, fallback, text)                                                          \
    {                                                                                              \
        name, OPT_BOOL, offsetof(struct config, field), 0, 0, 0, fallback, NULL, text              \
    }
#define NUMBER(name, field, min, max, multiple, fallback, text)                                    \
    {                                                                                              \
        name, OPT_NUMBER, offsetof(struct config, field), min, max, multiple, fallback, NULL, text \
    }
#define CHOICE(name, field, choices, fallback, text)                                               \
    {                                                                                              \
        name, OPT_CHOICE, offsetof(struct config, field), 0, 0, 0, fallback, choices, text         \
    }

#define HOURS_12 43200000

/* clang-format off */
static const struct option options[] = {
    TEXT("storePathRootDir", store_root, 0, "",
         "Folder of the store; made when absent. Needed, here or as `--store`."),
    TEXT("storePathCommitLog", log_folder, 0, "",
         "Folder of the commit log: empty, or `commitlog` in the store's folder. No other is "
         "served."),
    TEXT("listen", listen, 1, "127.0.0.1:8081",
         "Address to serve on, HOST:PORT; an IPv6 address stands in brackets. Port 0 picks one."),
    TEXT("tls.server.certPath", tls_cert, 0, "",
         "PEM file of the certificate that TLS clients are shown, and of those that vouch for it. "
         "Empty: one signed by itself is made at each start."),
    TEXT("tls.server.keyPath", tls_key, 0, "",
         "PEM file of that certificate's key, not encrypted."),
    NUMBER("maxConnections", max_connections, 0, 1000000, 0, "0",
           "Most connections at once; more are closed as they come. 0: 8192, or a quarter of the "
           "descriptors that the process may have if that is fewer."),
    NUMBER("maxUnreadPerConnection", max_unread_bytes, 0, INT64_MAX, 0, "268435456",
           "Bytes of messages sent over one connection that its client need not have read yet. "
           "Beyond it receives are refused. 0: no limit."),
    NUMBER("unreadTimeoutMillis", max_unread_ms, 1, 86400000, 0, "30000",
           "A connection that has been beyond it for this time in ms, with no receive of it read "
           "to its end, is ended."),
    TEXT("brokerName", broker_name, 1, "broker-a",
         "Name of the broker in routes."),
    TEXT("brokerClusterName", cluster_name, 1, "DefaultCluster",
         "Name of the cluster that the broker is part of."),
    TEXT("brokerIP1", broker_ip, 1, "127.0.0.1",
         "Address stored with each message, and given in routes to a client that does not say "
         "which address it used."),
    NUMBER("mappedFileSizeCommitLog", log_file_bytes, 65536, 2147479552, 4096, "1073741824",
           "Bytes of one commit-log file. A store keeps the size it was made with."),
    NUMBER("mappedFileSizeConsumeQueue", queue_file_bytes, 20, 2147483640, 0, "6000000",
           "Bytes of one consume-queue file, rounded up to whole entries of 20."),
    NUMBER("maxMessageSize", max_message_bytes, 1, 134217728, 0, "4194304",
           "Largest body of a message in bytes."),
    NUMBER("maxRequestSize", max_request_bytes, 65536, 1073741824, 0, "136314880",
           "Largest request in bytes, as it comes over the wire."),
    NUMBER("maxRequestMemory", request_memory_bytes, 16777216, 1099511627776, 0, "536870912",
           "Memory in bytes that requests and calls under way are to take together. Beyond it gRPC "
           "ends calls with RESOURCE_EXHAUSTED. A mark and no wall: a flood goes several times "
           "over."),
    NUMBER("flushIntervalCommitLog", flush_interval_ms, 1, 60000, 0, "500",
           "Time in ms between two flushes of the log, by whole 2 MiB. The rest follows when "
           "four flushes found no more."),
    NUMBER("flushBytes", flush_bytes, 0, 4294967296, 4096, "0",
           "Unflushed bytes of the log that are flushed before the interval is over; at eight "
           "times as many sends wait for the disk. With SYNC_FLUSH: most bytes on their way to the "
           "disk. 0: a sixteenth of `residentMemoryBudget`, from 4 to 64 MiB."),
    CHOICE("flushDiskType", flush_disk_type, "ASYNC_FLUSH SYNC_FLUSH", "ASYNC_FLUSH",
           "When a send is answered: once stored in memory that survives the process, or once on "
           "disk."),
    BOOL("messageIndexEnable", index_enabled, "true",
         "Whether messages are indexed by key, to be found again. Turned on again, it catches up."),
    NUMBER("maxHashSlotNum", index_slots, 1, 500000000, 0, "5000000",
           "Slots of one file of the index. Files of other sizes are replaced by new ones, built "
           "from the log."),
    NUMBER("maxIndexNum", index_items, 16, 1000000000, 0, "20000000",
           "Keys that one file of the index takes."),
    NUMBER("fileReservedTime", reserved_hours, 0, 876000, 0, "72",
           "Hours that a commit-log file is kept after it changed last. Older ones are removed, "
           "oldest first, with the queue entries and keys that point at them; read or not."),
    TEXT("deleteWhen", delete_hours, 0, "04",
         "Hours of the local day, 00 to 23, at which such files are removed, with `;` between "
         "them. Empty: only by `diskMaxUsedSpaceRatio`."),
    NUMBER("diskMaxUsedSpaceRatio", max_used_percent, 0, 100, 0, "75",
           "Part of the disk in percent: when as much is not free, such files are removed at any "
           "hour. 0: never."),
    BOOL("cleanFileForciblyEnable", clean_forcibly, "false",
         "Whether files are removed whatever their age when `diskSpaceCleanForciblyRatio` is "
         "reached, one a second. If not, sends are refused once the disk is full. (RocketMQ's "
         "default is true.)"),
    NUMBER("diskSpaceCleanForciblyRatio", forced_percent, 1, 100, 0, "85",
           "Part of the disk in percent for that."),
    NUMBER("cleanResourceInterval", retention_interval_ms, 1, 86400000, 0, "10000",
           "Time in ms between two looks for files to be removed."),
    NUMBER("residentMemoryBudget", resident_budget_bytes, 0, INT64_MAX, 0, "0",
           "Resident memory (VmRSS) in bytes to stay within: parts of files used longest ago "
           "are given back. 0: half of the control group's limit or, if that is less, of what "
           "the machine has available at start, and at least 64 MiB."),
    NUMBER("mappedMemoryBudget", mapped_budget_bytes, 0, INT64_MAX, 0, "0",
           "Commit-log bytes kept mapped; cold files beyond it are unmapped. 0: sixteen times "
           "`residentMemoryBudget`, at least four files."),
    NUMBER("populateWindow", populate_window_bytes, 0, 1073741824, 4096, "0",
           "Most bytes of the commit log made ready ahead of the writer: under load. 0: an eighth "
           "of `residentMemoryBudget`, from 4 to 64 MiB."),
    NUMBER("flushConsumerOffsetInterval", save_interval_ms, 10, 3600000, 0, "5000",
           "Time in ms between two savings of consumer positions and leases."),
    BOOL("autoCreateTopicEnable", auto_create_topics, "false",
         "Whether an unknown topic is made by its first use."),
    BOOL("autoCreateSubscriptionGroup", auto_create_groups, "true",
         "Whether an unknown consumer group is made by its first use."),
    NUMBER("defaultTopicQueueNums", default_queues, 1, 1024, 0, "8",
           "Queues of a topic when its creation does not say."),
    NUMBER("maxTopics", max_topics, 1, 1000000, 0, "20000", "Most topics."),
    NUMBER("maxGroups", max_groups, 1, 1000000, 0, "20000", "Most consumer groups."),
    NUMBER("maxSessions", max_sessions, 1, 10000000, 0, "100000",
           "Most clients whose settings are kept."),
    NUMBER("channelExpiredTimeout", session_expiry_ms, 1000, 86400000, 0, "120000",
           "A client not heard of for this time in ms is forgotten."),
    NUMBER("minInvisibleTimeMillis", min_invisible_ms, 0, HOURS_12, 0, "10000",
           "Shortest time in ms that a receive may hide its messages for."),
    NUMBER("maxInvisibleTimeMillis", max_invisible_ms, 1, HOURS_12, 0, "43200000",
           "Longest time in ms that messages may be hidden for."),
    NUMBER("defaultInvisibleTimeMillis", renewed_invisible_ms, 1000, HOURS_12, 0, "60000",
           "Time in ms that a push client's messages are hidden for; "
           "renewed while it is heard of."),
    NUMBER("minLongPollingMillis", min_polling_ms, 0, 3600000, 0, "5000",
           "Shortest time in ms that an empty receive waits for a message."),
    NUMBER("maxLongPollingMillis", max_polling_ms, 0, 3600000, 0, "20000",
           "Longest time in ms that an empty receive waits for a message."),
    NUMBER("maxParkedReceives", max_parked, 0, 10000000, 0, "100000",
           "Most receives that wait for a message."),
    NUMBER("maxParkedReceivesPerGroup", max_parked_per_group, 0, 10000000, 0, "1024",
           "The same of one group and topic."),
    NUMBER("maxInFlightPerQueue", max_in_flight_per_queue, 1, 10000000, 0, "100000",
           "Most messages of one group and queue that are delivered and not acknowledged; "
           "no new one is delivered then."),
    NUMBER("workers", workers, 0, 256, 0, "0",
           "Threads that serve calls. 0: one for each two cores, at least one."),
    NUMBER("stopGraceMillis", stop_grace_ms, 0, 600000, 0, "5000",
           "Time in ms that running calls have to end when the broker stops."),
    CHOICE("logLevel", log_level, "debug info warn error", "info",
           "Least serious lines that are logged."),
};
/* clang-format on */

enum { N_OPTIONS = sizeof options / sizeof options[0] };

/* ---- one value ---- */

static const struct option *find_option(const char *name)
{
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

static int set_text(struct config *cfg, const struct option *opt, const char *value, struct err *e)
{
    size_t len = strlen(value);
    if (len < opt->min)
        return err_set(e, ERR_INVAL, "option '%s': empty", opt->name);
    if (len > opt->max)
        return err_set(e, ERR_INVAL, "option '%s': longer than %" PRIu64 " bytes", opt->name,
                       opt->max);
    memcpy((char *)cfg + opt->at, value, len + 1);
    return 0;
}

static int set_bool(struct config *cfg, const struct option *opt, const char *value, struct err *e)
{
    bool is_true = strcmp(value, "true") == 0;
    if (!is_true && strcmp(value, "false") != 0)
        return err_set(e, ERR_INVAL, "option '%s': '%.64s' is neither true nor false", opt->name,
                       value);
    memcpy((char *)cfg + opt->at, &is_true, sizeof is_true);
    return 0;
}

static int set_number(struct config *cfg, const struct option *opt, const char *value,
                      struct err *e)
{
    char *end;
    errno = 0;
    uint64_t number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0')
        return err_set(e, ERR_INVAL, "option '%s': '%.64s' is not a number", opt->name, value);
    if (errno == ERANGE || number < opt->min || number > opt->max)
        return err_set(e, ERR_INVAL, "option '%s': '%.64s' is not in %" PRIu64 "..%" PRIu64,
                       opt->name, value, opt->min, opt->max);
    if (opt->multiple != 0 && number % opt->multiple != 0)
        return err_set(e, ERR_INVAL, "option '%s': '%.64s' is not a multiple of %" PRIu64,
                       opt->name, value, opt->multiple);
    memcpy((char *)cfg + opt->at, &number, sizeof number);
    return 0;
}

static int set_choice(struct config *cfg, const struct option *opt, const char *value,
                      struct err *e)
{
    uint64_t place = 0;
    for (const char *at = opt->choices; *at != '\0'; place++) {
        size_t len = strcspn(at, " ");
        if (strlen(value) == len && strncmp(at, value, len) == 0) {
            memcpy((char *)cfg + opt->at, &place, sizeof place);
            return 0;
        }
        at += at[len] == ' ' ? len + 1 : len;
    }
    return err_set(e, ERR_INVAL, "option '%s': '%.64s' is not served; choose from: %s", opt->name,
                   value, opt->choices);
}

static int set_option(struct config *cfg, const struct option *opt, const char *value,
                      struct err *e)
{
    switch (opt->kind) {
    case OPT_TEXT:
        return set_text(cfg, opt, value, e);
    case OPT_BOOL:
        return set_bool(cfg, opt, value, e);
    case OPT_NUMBER:
        return set_number(cfg, opt, value, e);
    case OPT_CHOICE:
        return set_choice(cfg, opt, value, e);
    }
    assert(0 && "no such kind of option");
    return ERR_INVAL;
}

int config_set_value(struct config *cfg, const char *name, const char *value, struct err *e)
{
    const struct option *opt = find_option(name);
    if (opt != NULL)
        return set_option(cfg, opt, value, e);
    if (!config_is_known(name))
        return err_set(e, ERR_INVAL, "option '%.64s': no such option", name);
    log_warn("option '%s' of RocketMQ is not acted on, ignoring it", name);
    cfg->n_ignored++;
    return 0;
}

int config_set(struct config *cfg, const char *assignment, struct err *e)
{
    char name[128];
    const char *equals = strchr(assignment, '=');
    if (equals == NULL)
        return err_set(e, ERR_INVAL, "read '%.64s': not of the form option=value", assignment);
    size_t len = (size_t)(equals - assignment);
    if (len >= sizeof name)
        return err_set(e, ERR_INVAL, "option '%.64s...': no such option", assignment);
    memcpy(name, assignment, len);
    name[len] = '\0';
    return config_set_value(cfg, name, equals + 1, e);
}

void config_init(struct config *cfg)
{
    memset(cfg, 0, sizeof *cfg);
    for (size_t i = 0; i < N_OPTIONS; i++) {
        struct err e;
        int rc = set_option(cfg, &options[i], options[i].fallback, &e);
        assert(rc == 0 && "a default is out of its range");
        (void)rc;
    }
}

/* ---- the file ---- */

enum { CONFIG_FILE_MAX = 1024 * 1024, CONFIG_LINE_MAX = 4096 };

struct file_reading {
    struct config cfg;
    struct err first; /* code 0: none so far */
};

/* inih's handler: 1 is success. After the first error the rest is only passed over. */
static int take_line(void *user, const char *section, const char *name, const char *value)
{
    struct file_reading *reading = user;
    if (reading->first.code != 0)
        return 1;
    if (section[0] != '\0')
        return !err_set(&reading->first, ERR_INVAL,
                        "option '%.64s': in section '%.64s', but sections are not used", name,
                        section);
    return config_set_value(&reading->cfg, name, value, &reading->first) == 0;
}

/* inih cuts longer lines in two, and a NUL would hide the rest of the file. */
static int check_lines(const char *path, const uint8_t *buf, size_t len, struct err *e)
{
    size_t line = 1;
    size_t n = 0;
    for (size_t i = 0; i < len; i++, n++) {
        if (buf[i] == '\0' || n >= CONFIG_LINE_MAX - 3)
            return err_set(e, ERR_INVAL, "read '%s': line %zu: %s", path, line,
                           buf[i] == '\0' ? "not text" : "too long");
        if (buf[i] == '\n') {
            line++;
            n = 0;
        }
    }
    return 0;
}

/* Values are taken as they stand: no continued lines, no comments behind a value. Set once, before
 * any thread is started. */
static void set_dialect(void)
{
    ini_allow_multiline = false;
    ini_allow_inline_comments = false;
    ini_max_line = CONFIG_LINE_MAX;
}

int config_read_file(struct config *cfg, struct io *io, const char *path, struct err *e)
{
    uint8_t *buf;
    size_t len;
    int rc = io_read_file(io, path, CONFIG_FILE_MAX, &buf, &len, e);
    if (rc < 0)
        return rc;
    rc = check_lines(path, buf, len, e);
    if (rc < 0)
        goto out;
    struct file_reading reading = {.cfg = *cfg};
    set_dialect();
    int line = ini_parse_string((const char *)buf, take_line, &reading);
    if (reading.first.code != 0) {
        *e = reading.first;
        rc = err_wrap(e, "read '%s': line %d", path, line);
    } else if (line != 0) {
        rc = err_set(e, ERR_INVAL, "read '%s': line %d: not of the form option=value", path, line);
    } else {
        *cfg = reading.cfg;
    }
out:
    free(buf);
    return rc;
}

/* ---- checks ---- */

static int check_log_folder(const struct config *cfg, struct err *e)
{
    char expected[CONFIG_TEXT_BYTES + sizeof "/commitlog"];
    (void)snprintf(expected, sizeof expected, "%s/commitlog", cfg->store_root);
    if (cfg->log_folder[0] != '\0' && strcmp(cfg->log_folder, expected) != 0)
        return err_set(e, ERR_INVAL, "option 'storePathCommitLog': only '%.150s' is served",
                       expected);
    return 0;
}

int config_check(const struct config *cfg, struct err *e)
{
    char host[CONFIG_TEXT_BYTES];
    uint16_t port;
    uint32_t hours;
    int rc = config_listen(cfg, host, &port, e);
    if (rc == 0)
        rc = check_log_folder(cfg, e);
    if (rc == 0)
        rc = config_delete_hours(cfg, &hours, e);
    if (rc < 0)
        return rc;
    struct in6_addr addr;
    if (inet_pton(AF_INET, cfg->broker_ip, &addr) != 1 &&
        inet_pton(AF_INET6, cfg->broker_ip, &addr) != 1)
        return err_set(e, ERR_INVAL, "option 'brokerIP1': '%.64s' is not an IP address",
                       cfg->broker_ip);
    if ((cfg->tls_cert[0] == '\0') != (cfg->tls_key[0] == '\0'))
        return err_set(e, ERR_INVAL,
                       "option 'tls.server.certPath': needs 'tls.server.keyPath', and it this");
    if (cfg->min_invisible_ms > cfg->max_invisible_ms)
        return err_set(e, ERR_INVAL,
                       "option 'minInvisibleTimeMillis': above maxInvisibleTimeMillis");
    if (cfg->min_polling_ms > cfg->max_polling_ms)
        return err_set(e, ERR_INVAL, "option 'minLongPollingMillis': above maxLongPollingMillis");
    if (cfg->max_message_bytes + 65536 > cfg->max_request_bytes)
        return err_set(e, ERR_INVAL, "option 'maxRequestSize': not 64 KiB above maxMessageSize");
    if (cfg->max_request_bytes > cfg->request_memory_bytes)
        return err_set(e, ERR_INVAL, "option 'maxRequestMemory': below maxRequestSize");
    return 0;
}

static int parse_port(const char *text, uint16_t *ret_port, struct err *e)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || port > UINT16_MAX)
        return err_set(e, ERR_INVAL, "option 'listen': port '%.64s' is not in 0..65535", text);
    *ret_port = (uint16_t)port;
    return 0;
}

int config_delete_hours(const struct config *cfg, uint32_t *ret_hours, struct err *e)
{
    *ret_hours = 0;
    for (const char *at = cfg->delete_hours; *at != '\0'; at += *at == ';') {
        char *end;
        unsigned long hour = strtoul(at, &end, 10);
        if (*at < '0' || *at > '9' || (*end != ';' && *end != '\0') || hour > 23)
            return err_set(e, ERR_INVAL, "option 'deleteWhen': '%.64s' is not hours of 00..23",
                           cfg->delete_hours);
        *ret_hours |= UINT32_C(1) << hour;
        at = end;
    }
    return 0;
}

int config_listen(const struct config *cfg, char ret_host[CONFIG_TEXT_BYTES], uint16_t *ret_port,
                  struct err *e)
{
    const char *host = cfg->listen;
    const char *colon = strrchr(host, ':');
    size_t len = colon ? (size_t)(colon - host) : 0;
    if (len == 0)
        return err_set(e, ERR_INVAL, "option 'listen': '%.100s' is not HOST:PORT", cfg->listen);
    bool has_brackets = host[0] == '[' && host[len - 1] == ']';
    if (has_brackets) {
        host++;
        len -= 2;
    }
    if (len == 0 || (!has_brackets && memchr(host, ':', len) != NULL))
        return err_set(e, ERR_INVAL,
                       "option 'listen': '%.100s': no host, or an IPv6 address "
                       "without brackets",
                       cfg->listen);
    int rc = parse_port(colon + 1, ret_port, e);
    if (rc < 0)
        return rc;
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    return 0;
}

/* ---- the manual ---- */

static void print_values(FILE *out, const struct option *opt)
{
    switch (opt->kind) {
    case OPT_TEXT:
        fputs("text", out);
        break;
    case OPT_BOOL:
        fputs("true, false", out);
        break;
    case OPT_NUMBER:
        fprintf(out, "%" PRIu64 " to %" PRIu64, opt->min, opt->max);
        if (opt->multiple != 0)
            fprintf(out, ", a multiple of %" PRIu64, opt->multiple);
        break;
    case OPT_CHOICE:
        for (const char *at = opt->choices; *at != '\0'; at++)
            fputs(*at == ' ' ? ", " : (char[]){*at, '\0'}, out);
        break;
    }
}

void config_print_doc(FILE *out)
{
    fputs(
        "# Options\n\n"
        "Of `sluiced`: a line `option=value` in the file given with `-c`, or `--set "
        "option=value`,\n"
        "which wins. Sizes are in bytes, times in milliseconds. The other options of RocketMQ 5's\n"
        "`broker.conf` are accepted, named in a warning, and ignored.\n\n"
        "| option | values | default | meaning |\n"
        "| --- | --- | --- | --- |\n",
        out);
    for (size_t i = 0; i < N_OPTIONS; i++) {
        fprintf(out, "| `%s` | ", options[i].name);
        print_values(out, &options[i]);
        fprintf(out, " | %s%s%s | %s |\n", options[i].fallback[0] ? "`" : "", options[i].fallback,
                options[i].fallback[0] ? "`" : "", options[i].text);
    }
}
