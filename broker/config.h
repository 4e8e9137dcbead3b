/* The broker's options: one table drives parsing, checking and the manual. RocketMQ's broker.conf
 * names are accepted; those that Sluice does not act on are named in a warning and ignored. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_CONFIG_H
#define BROKER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/io.h"
#include "base/log.h"

enum { CONFIG_TEXT_BYTES = 512 };

/* A plain value: copied freely, nothing to release. Field order is that of the option table, whose
 * texts say what each means. */
struct config {
    char store_root[CONFIG_TEXT_BYTES];   /* storePathRootDir; empty: not said */
    char log_folder[CONFIG_TEXT_BYTES];   /* storePathCommitLog: empty, or `store_root`/commitlog */
    char listen[CONFIG_TEXT_BYTES];       /* listen: HOST:PORT */
    char tls_cert[CONFIG_TEXT_BYTES];     /* tls.server.certPath; empty: self-signed */
    char tls_key[CONFIG_TEXT_BYTES];      /* tls.server.keyPath; empty with the other */
    uint64_t max_connections;             /* maxConnections; 0: the acceptor chooses */
    uint64_t max_unread_bytes;            /* maxUnreadPerConnection; 0: no limit */
    uint64_t max_unread_ms;               /* unreadTimeoutMillis */
    char broker_name[CONFIG_TEXT_BYTES];  /* brokerName */
    char cluster_name[CONFIG_TEXT_BYTES]; /* brokerClusterName */
    char broker_ip[CONFIG_TEXT_BYTES];    /* brokerIP1: advertised, and the store host of records */
    uint64_t log_file_bytes;              /* mappedFileSizeCommitLog */
    uint64_t queue_file_bytes;            /* mappedFileSizeConsumeQueue */
    uint64_t max_message_bytes;           /* maxMessageSize */
    uint64_t max_request_bytes;           /* maxRequestSize */
    uint64_t request_memory_bytes;        /* maxRequestMemory */
    uint64_t flush_interval_ms;           /* flushIntervalCommitLog */
    uint64_t flush_bytes;                 /* flushBytes; 0: derived */
    uint64_t flush_disk_type;             /* flushDiskType: enum store_flush */
    uint64_t reserved_hours;              /* fileReservedTime */
    char delete_hours[CONFIG_TEXT_BYTES]; /* deleteWhen: see config_delete_hours */
    uint64_t max_used_percent;            /* diskMaxUsedSpaceRatio; 0: never */
    bool clean_forcibly;                  /* cleanFileForciblyEnable */
    uint64_t forced_percent;              /* diskSpaceCleanForciblyRatio */
    uint64_t retention_interval_ms;       /* cleanResourceInterval */
    uint64_t resident_budget_bytes;       /* residentMemoryBudget; 0: derived, see budget.h */
    uint64_t mapped_budget_bytes;         /* mappedMemoryBudget; 0: derived */
    uint64_t populate_window_bytes;       /* populateWindow; 0: derived */
    uint64_t save_interval_ms;            /* flushConsumerOffsetInterval */
    bool index_enabled;                   /* messageIndexEnable */
    uint64_t index_slots;                 /* maxHashSlotNum */
    uint64_t index_items;                 /* maxIndexNum */
    bool auto_create_topics;              /* autoCreateTopicEnable */
    bool auto_create_groups;              /* autoCreateSubscriptionGroup */
    uint64_t default_queues;              /* defaultTopicQueueNums */
    uint64_t max_topics;                  /* maxTopics */
    uint64_t max_groups;                  /* maxGroups */
    uint64_t max_sessions;                /* maxSessions */
    uint64_t session_expiry_ms;           /* channelExpiredTimeout */
    uint64_t min_invisible_ms;            /* minInvisibleTimeMillis */
    uint64_t max_invisible_ms;            /* maxInvisibleTimeMillis */
    uint64_t renewed_invisible_ms;        /* defaultInvisibleTimeMillis */
    uint64_t min_polling_ms;              /* minLongPollingMillis */
    uint64_t max_polling_ms;              /* maxLongPollingMillis */
    uint64_t max_parked;                  /* maxParkedReceives */
    uint64_t max_parked_per_group;        /* maxParkedReceivesPerGroup: of one group and topic */
    uint64_t max_in_flight_per_queue;     /* maxInFlightPerQueue: of one group and queue */
    uint64_t workers;                     /* workers: completion-queue threads */
    uint64_t stop_grace_ms;               /* stopGraceMillis */
    uint64_t log_level;                   /* logLevel: an enum log_level */
    uint64_t n_ignored;                   /* no option: names accepted and not acted on so far */
};

/* Every option at its default. */
void config_init(struct config *cfg);

/* Reads `key=value` lines. ERR_INVAL names option, file and line: unknown name, value of the wrong
 * type or out of range. ERR_NOTFOUND: no such file. On error `cfg` is as it was. */
int config_read_file(struct config *cfg, struct io *io, const char *path, struct err *e) MUST_CHECK;

/* One `option=value`, as given to --set; later calls win. ERR_INVAL as above. */
int config_set(struct config *cfg, const char *assignment, struct err *e) MUST_CHECK;

/* One option by name. */
int config_set_value(struct config *cfg, const char *name, const char *value,
                     struct err *e) MUST_CHECK;

/* What no option can check alone (a minimum above its maximum, ...). Call once, when all are set.
 */
int config_check(const struct config *cfg, struct err *e) MUST_CHECK;

/* Splits `listen` into a host (brackets of an IPv6 address removed) and a port. */
int config_listen(const struct config *cfg, char ret_host[CONFIG_TEXT_BYTES], uint16_t *ret_port,
                  struct err *e) MUST_CHECK;

/* The hours of `deleteWhen`, as bits of struct store_retention. */
int config_delete_hours(const struct config *cfg, uint32_t *ret_hours, struct err *e) MUST_CHECK;

/* Writes the manual's table of options (Markdown; docs/options.md is this text). */
void config_print_doc(FILE *out);

#endif
