/* The broker: starts every long-lived object in order and stops them in reverse.
 *
 *   holds, store, receipts, topics, groups, leases, alarms, sessions, housekeeper, server
 *
 * The store comes before everything that reads or writes its folder: its lock says whose it is. The
 * server comes last and its calls go first: every callback finds all the others. The housekeeper's
 * jobs use calls and the server, and come from calls: it goes between the two. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/broker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>

#include "base/log.h"
#include "broker/budget.h"
#include "broker/convert.h"
#include "broker/deliver.h"
#include "broker/foreign.h"
#include "broker/handler.h"
#include "broker/name.h"
#include "broker/receive.h"
#include "broker/topic_deleted.h"

enum { RENEW_INTERVAL_MAX_MS = 5000 };

/* ---- chores ---- */

static uint64_t mono_ms(const struct broker *b)
{
    return b->io->mono_ns(b->io) / 1000000;
}

void broker_save(struct broker *b)
{
    struct err e;
    if (lease_save(b->leases, &e))
        log_error("save positions and leases: %s, trying again later", e.msg);
    if (group_save(b->groups, &e))
        log_error("save groups: %s, trying again later", e.msg);
}

void broker_renew_leases(void *arg)
{
    struct broker *b = arg;
    struct err e;
    uint64_t *owners = NULL, now_ms = steady_clock_now_ms(&b->clock);
    size_t n = 0;
    (void)session_expire(b->sessions, now_ms); /* how many is of no interest */
    if (session_owners(b->sessions, &owners, &n, &e)) {
        log_warn("list clients: %s, renewing later", e.msg);
        return;
    }
    const struct lease_renewal renewal = {
        .owners = owners,
        .n_owners = n,
        .now_ms = now_ms,
        .invisible_ms = b->cfg.renewed_invisible_ms,
    };
    if (lease_renew(b->leases, &renewal, &e))
        log_warn("renew leases: %s, renewing later", e.msg);
    alarm_refresh(b->alarms);
    free(owners);
}

/* Four times in the third of their time in which leases are renewed, or more often. */
static uint64_t renew_interval_ms(const struct broker *b)
{
    uint64_t often_ms = b->cfg.renewed_invisible_ms / 12;
    return often_ms < RENEW_INTERVAL_MAX_MS ? often_ms : RENEW_INTERVAL_MAX_MS;
}

static uint64_t until(uint64_t since_ms, uint64_t interval_ms, uint64_t now_ms)
{
    uint64_t at_ms = since_ms + interval_ms;
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

static uint64_t round_of_chores(void *arg)
{
    struct broker *b = arg;
    uint64_t now = mono_ms(b);
    if (until(b->saved_ms, b->cfg.save_interval_ms, now) == 0) {
        broker_save(b);
        b->saved_ms = now;
    }
    if (until(b->renewed_ms, renew_interval_ms(b), now) == 0) {
        broker_renew_leases(b);
        b->renewed_ms = now;
    }
    uint64_t save = until(b->saved_ms, b->cfg.save_interval_ms, now);
    uint64_t renew = until(b->renewed_ms, renew_interval_ms(b), now);
    return save < renew ? save : renew;
}

/* ---- start ---- */

/* On the thread that dispatches, mostly the worker that appended, under LOCK_ROLE: wakes at most
 * one parked receive of each group, by a post. */
static void on_arrival(void *arg, const struct store_arrival *a)
{
    struct broker *b = arg;
    (void)hold_notify(b->holds, a->topic, a->tag_code); /* maybe nobody waits */
}

/* During a long recovery, about once a second. */
static void log_progress(void *arg, const struct store_progress *p)
{
    (void)arg;
    log_info("recovering: %" PRIu64 " of at most %" PRIu64 " MiB of the log, %" PRIu64
             " s, about %" PRIu64 " s left",
             p->done_bytes >> 20, p->total_bytes >> 20, p->elapsed_ms / 1000,
             (p->left_ms + 999) / 1000);
}

/* After old files of the log went, or could not. */
static void log_expired(void *arg, const struct store_expired *x)
{
    const struct broker *b = arg;
    if (x->n_files > 0)
        log_line(x->was_forced ? LOG_WARN : LOG_INFO,
                 "files of the log removed: %u (%s); it begins at %" PRIu64 " now", x->n_files,
                 x->was_forced ? "diskSpaceCleanForciblyRatio is reached"
                               : "older than fileReservedTime",
                 x->upto_log_off);
    if (x->failure)
        log_warn("old files of '%s' cannot all be removed: %s", b->cfg.store_root, x->failure);
}

static int choose_retention(const struct config *cfg, struct store_retention *ret, struct err *e)
{
    *ret = (struct store_retention){
        .is_on = true,
        .keep_ms = cfg->reserved_hours * 3600 * 1000,
        .used_percent = (unsigned)cfg->max_used_percent,
        .force_percent = cfg->clean_forcibly ? (unsigned)cfg->forced_percent : 0,
        .interval_ms = (uint32_t)cfg->retention_interval_ms,
    };
    return config_delete_hours(cfg, &ret->hours, e);
}

static void log_recovery(const struct broker *b)
{
    struct store_recovery r;
    store_recovery_report(b->store, &r);
    log_info("store '%s' %s: looked at %" PRIu64 " bytes, %" PRIu64 " records, in %" PRIu64 " ms",
             b->cfg.store_root,
             r.is_new      ? "is new"
             : r.was_clean ? "was closed cleanly"
                           : "is recovered",
             r.scanned_bytes, r.n_records, r.elapsed_ms);
    if (r.n_damaged > 0)
        log_warn("%" PRIu64 " damaged places, %" PRIu64 " bytes, passing over them", r.n_damaged,
                 r.damaged_bytes);
    if (r.n_requeued > 0 || r.cut_bytes > 0)
        log_info("%" PRIu64 " queue entries written again, %" PRIu64
                 " bytes behind the last record are free again",
                 r.n_requeued, r.cut_bytes);
}

static int open_store(struct broker *b, const struct budget *budget, uint16_t port, struct err *e)
{
    const struct config *cfg = &b->cfg;
    char host[CONFIG_TEXT_BYTES + 16];
    struct store_options opt = {.root = cfg->store_root,
                                .file_bytes = cfg->log_file_bytes,
                                .queue_file_bytes = cfg->queue_file_bytes,
                                .max_message_bytes = (uint32_t)cfg->max_message_bytes,
                                .flush = (enum store_flush)cfg->flush_disk_type,
                                .flush_interval_ms = (uint32_t)cfg->flush_interval_ms,
                                .flush_bytes = budget->flush_bytes,
                                .populate_window_bytes = budget->populated_bytes,
                                .mapped_budget_bytes = budget->mapped_bytes,
                                .resident_budget_bytes = budget->resident_bytes,
                                .index_slots = (uint32_t)cfg->index_slots,
                                .index_items = (uint32_t)cfg->index_items,
                                .without_index = !cfg->index_enabled,
                                .on_arrival = on_arrival,
                                .arrival_arg = b,
                                .on_expired = log_expired,
                                .expired_arg = b,
                                .on_recovery = log_progress};
    (void)snprintf(host, sizeof host, strchr(cfg->broker_ip, ':') ? "[%s]:%u" : "%s:%u",
                   cfg->broker_ip, port);
    if (!convert_parse_host(host, &opt.host))
        return err_set(e, ERR_INVAL, "brokerIP1 '%s' is no IP address", cfg->broker_ip);
    char **batch_topics = NULL;
    struct store_deleted *deleted = NULL;
    int rc = choose_retention(cfg, &opt.retention, e);
    if (rc < 0)
        return rc;
    rc = topic_batch_names(b->config_folder, b->io, &batch_topics, e);
    opt.batch_topics = (const char *const *)batch_topics;
    if (!rc)
        rc = topic_deleted_read(b->config_folder, b->io, &deleted, &opt.n_deleted, e);
    opt.deleted = deleted;
    if (!rc)
        rc = store_open(&b->store, &opt, b->io, e);
    if (!rc)
        log_recovery(b);
    topic_batch_free(batch_topics);
    topic_deleted_free(deleted, opt.n_deleted);
    return rc;
}

/* What a send that raced with a topic's deletion has left, or a crash in the middle of one. */
static int clear_topic(void *arg, struct span name, uint64_t *ret_below_log_off, struct err *e)
{
    struct broker *b = arg;
    return store_drop_topic(b->store, name, ret_below_log_off, e);
}

/* Queues of topics that are not served are left as RocketMQ has them. */
static uint64_t end_of_queue(void *arg, struct span topic, int32_t queue_id)
{
    struct broker *b = arg;
    struct topic_info info;
    uint64_t min, end;
    if (!topic_get(b->topics, topic, &info))
        return UINT64_MAX;
    store_queue_bounds(b->store, topic, queue_id, &min, &end);
    return end;
}

static int open_leases(struct broker *b, struct err *e)
{
    size_t n_limited = 0;
    int rc = lease_table_open(&b->leases, b->config_folder, b->cfg.max_in_flight_per_queue,
                              &b->clock, e);
    if (!rc)
        rc = lease_limit(b->leases, end_of_queue, b, &n_limited, e);
    if (n_limited > 0)
        log_warn("%zu positions were behind the end of their queue, going on from there",
                 n_limited);
    return rc;
}

static int open_topics(struct broker *b, struct err *e)
{
    struct store_stats log;
    int rc = topic_table_open(&b->topics, b->config_folder, b->cfg.max_topics, b->io, e);
    if (rc)
        return rc;
    topic_table_on_clear(b->topics, clear_topic, b);
    store_stats(b->store, &log);
    return topic_table_settle(b->topics, log.log_min, log.reserved, e);
}

/* What RocketMQ had still to do is kept as it is, and said. */
static void log_foreign(void *arg, const struct foreign_work *work)
{
    char shown[NAME_SHOWN_BYTES];
    (void)arg;
    log_warn("'%s' holds %" PRIu64 " %s that RocketMQ left, which are not served yet, keeping them",
             name_show(work->topic, shown), work->n, foreign_kind_name(work->kind));
}

static int open_registries(struct broker *b, struct err *e)
{
    const struct config *cfg = &b->cfg;
    int rc = receipt_key_open(&b->receipts, b->config_folder, b->io, e);
    if (!rc)
        rc = open_topics(b, e);
    if (!rc)
        rc = group_table_open(&b->groups, b->config_folder, cfg->max_groups, b->io, e);
    if (!rc)
        rc = open_leases(b, e);
    if (!rc)
        rc = foreign_find(b->store, b->config_folder, b->io, log_foreign, /* arg = */ NULL, e);
    if (!rc)
        rc = alarm_table_open(&b->alarms, b->holds, &b->clock, e);
    if (!rc)
        rc = session_table_open(&b->sessions, cfg->max_sessions, cfg->session_expiry_ms, e);
    return rc;
}

/* A second worker on two cores costs more in hand-overs than it serves (sluice bench rpc). */
static unsigned count_workers(uint64_t configured)
{
    int n_cores = get_nprocs();
    return configured ? (unsigned)configured : n_cores < 4 ? 1 : (unsigned)n_cores / 2;
}

static int start_serving(struct broker *b, const char *host, uint16_t port, struct err *e)
{
    struct keeper_options chores = {.round = round_of_chores, .arg = b};
    struct rpc_options opt = {.host = host,
                              .port = port,
                              .n_workers = count_workers(b->cfg.workers),
                              .max_request_bytes = (uint32_t)b->cfg.max_request_bytes,
                              .memory_bytes = (size_t)b->cfg.request_memory_bytes,
                              .max_connections = (unsigned)b->cfg.max_connections,
                              .max_unread_bytes = b->cfg.max_unread_bytes,
                              .max_unread_ms = b->cfg.max_unread_ms,
                              .tls_cert_path = b->cfg.tls_cert[0] ? b->cfg.tls_cert : NULL,
                              .tls_key_path = b->cfg.tls_key[0] ? b->cfg.tls_key : NULL,
                              .methods = handler_methods,
                              .n_methods = handler_n_methods,
                              .ctx = b};
    b->saved_ms = b->renewed_ms = mono_ms(b);
    int rc = keeper_start(&b->keeper, &chores, e);
    return rc ? rc : rpc_server_start(&b->server, &opt, e);
}

int broker_start(struct broker **ret_broker, const struct config *cfg, struct io *io, struct err *e)
{
    struct err ignored;
    char host[CONFIG_TEXT_BYTES];
    uint16_t port = 0;
    struct budget budget;
    struct broker *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(e, ERR_NOMEM, "make the broker");
    b->cfg = *cfg;
    b->io = io;
    steady_clock_init(&b->clock, io);
    lock_init(&b->stream_lock, LOCK_STREAM);
    idle_init(&b->sends, IDLE_REQUESTS);
    idle_init(&b->acks, IDLE_REQUESTS);
    idle_init(&b->receives, IDLE_REQUESTS);
    idle_init(&b->delivered, IDLE_REQUESTS);
    idle_init(&b->heads, IDLE_REQUESTS);
    (void)snprintf(b->config_folder, sizeof b->config_folder, "%s/config", cfg->store_root);
    int rc = config_listen(cfg, host, &port, e);
    if (!rc)
        rc = hold_table_open(&b->holds, cfg->max_parked, cfg->max_parked_per_group, e);
    if (!rc)
        rc = budget_find(&budget, cfg, io, e);
    if (!rc)
        rc = open_store(b, &budget, port, e);
    if (!rc)
        rc = open_registries(b, e);
    if (!rc)
        rc = start_serving(b, host, port, e);
    if (rc)
        goto fail;
    *ret_broker = b;
    return 0;
fail:
    (void)broker_stop(b, &ignored); /* what failed first is what counts */
    return rc;
}

uint16_t broker_port(const struct broker *b)
{
    return rpc_server_port(b->server);
}

/* ---- stop ---- */

/* Long polls are answered and streams completed, so that clients see an end and no failure. */
static void end_calls(struct broker *b)
{
    if (!b->server)
        return;
    /* seq_cst: see the field */
    atomic_store_explicit(&b->is_stopping, true, memory_order_seq_cst);
    (void)hold_notify_all(b->holds);
    h_session_end_streams(b);
    rpc_server_end_calls(b->server, (uint32_t)b->cfg.stop_grace_ms);
}

static int save_all(struct broker *b, struct err *e)
{
    int rc = 0;
    if (b->leases)
        rc = lease_save(b->leases, e);
    if (b->groups && !rc)
        rc = group_save(b->groups, e);
    return rc;
}

int broker_stop(struct broker *b, struct err *e)
{
    struct err later;
    if (!b)
        return 0;
    end_calls(b);
    keeper_stop(b->keeper);
    rpc_server_stop(b->server);
    int rc = save_all(b, e);
    session_table_close(b->sessions);
    alarm_table_close(b->alarms);
    lease_table_close(b->leases);
    group_table_close(b->groups);
    topic_table_close(b->topics);
    receipt_key_free(b->receipts);
    int closed = store_close(b->store, rc ? &later : e);
    hold_table_close(b->holds);
    h_send_free_idle(b);
    h_ack_free_idle(b);
    receive_free_idle(b);
    deliver_free_idle(b);
    lock_fini(&b->stream_lock);
    free(b);
    return rc ? rc : closed;
}
