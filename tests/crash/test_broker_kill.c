/* Kills a real broker under load, again and again, and holds what comes afterwards against what was
 * promised: docs/durability.md, row "the broker is killed".
 *
 * One round is one run of the broker on the same store: producers and consumers work until the kill
 * at a random time; every third time the start after it is killed as well. At the end one group
 * gets what it has not acknowledged, and another reads everything. SLUICE_ROUNDS says how many
 * rounds, SLUICE_SEED repeats a run's dice. With the argument SYNC_FLUSH two starts of three are
 * with sync flush, the others with async flush, so the store goes from one to the other and back.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "tests/lib/broker_child.h"
#include "tests/lib/crash_io.h"
#include "tests/lib/ledger.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum {
    ROUNDS = 10,
    N_CONSUMERS = 3,
    SEND_MAX = 16, /* messages of one request */
    ROUND_LEAST_MS = 100,
    ROUND_SPAN_MS = 1400,
    START_SPAN_MS = 60,
    INVISIBLE_MS = 2000,
    HANDLE_INVISIBLE_MS = 600000,
    DRAIN_LEAST_MS = 60000,
    DRAIN_ROUND_MS = 2000, /* for each round, since what was produced adds up */
    HANDLE_BYTES = 256,
};

/* Small files, so that the log rolls; positions are saved often. */
static const char *broker_args[] = {
    "--set", "mappedFileSizeCommitLog=2097152", "--set", "mappedFileSizeConsumeQueue=4000",
    "--set", "flushConsumerOffsetInterval=100", "--set", "flushIntervalCommitLog=20",
    "--set", "minInvisibleTimeMillis=500",      "--set", "minLongPollingMillis=100",
    "--set", "flushDiskType=ASYNC_FLUSH",       NULL};

enum { FLUSH_ARG = sizeof broker_args / sizeof broker_args[0] - 2 };

static struct {
    char *store;
    struct broker_child broker;
    bool has_sync_flush;
    struct ledger *ledger;
    uint64_t seed, dice;
    _Atomic bool is_over; /* told to the threads of a round; relaxed: only a hint */
    /* the receipt handle that is held over the kill */
    char handle[HANDLE_BYTES];
    uint64_t handle_ms; /* when it came; 0: none is held */
    uint64_t saved_ms;  /* what was done before, in the run before, is known */
    /* for the summary */
    uint64_t n_handles_good, n_refused, n_starts_killed, n_sync;
} f;

static uint64_t now_ms(void)
{
    struct io *io = io_posix();
    return io->now_ms(io);
}

static uint64_t roll(uint64_t bound)
{
    return crash_io_random(&f.dice) % bound;
}

static void sleep_ms(uint64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL); /* a shorter time will do */
}

/* ---- producers ---- */

struct worker {
    pthread_t thread;
    int number;
    uint64_t dice;
};

/* What one request holds: bodies and texts live as long as it. */
struct outgoing {
    struct ledger_key keys[SEND_MAX];
    char ids[SEND_MAX][LEDGER_ID_BYTES];
    char tags[SEND_MAX][LEDGER_TAG_BYTES];
    char bodies[SEND_MAX][LEDGER_BODY_MAX];
    struct messaging_message messages[SEND_MAX];
};

static void fill(struct outgoing *o, int producer, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        o->keys[i] = ledger_next(f.ledger, producer);
        ledger_id(o->keys[i], o->ids[i]);
        ledger_tag(o->keys[i], o->tags[i]);
        size_t len = ledger_body(f.ledger, o->keys[i], o->bodies[i]);
        o->messages[i] = (struct messaging_message){.topic = "T",
                                                    .tag = o->tags[i],
                                                    .id = o->ids[i],
                                                    .body = o->bodies[i],
                                                    .body_len = len};
    }
}

static void note_sent(const struct outgoing *o, size_t n, const V2(SendMessageResponse) *reply)
{
    if (reply->status->code != CODE(OK) || reply->n_entries != n)
        ledger_fault(f.ledger, "a send was answered %d '%s'", (int)reply->status->code,
                     reply->status->message);
    for (size_t i = 0; i < reply->n_entries && i < n; i++)
        if (reply->entries[i]->status->code == CODE(OK))
            ledger_accepted(f.ledger, o->keys[i], (uint64_t)reply->entries[i]->offset);
}

static void *produce(void *arg)
{
    struct worker *w = arg;
    struct outgoing *o = calloc(1, sizeof *o);
    struct client *c = messaging_connect(f.broker.endpoint, NULL);
    V2(SendMessageResponse) *reply = NULL;
    do {
        messaging_free(reply);
        uint64_t dice = crash_io_random(&w->dice);
        size_t n = dice % 3 ? 1 : 1 + (dice >> 8) % SEND_MAX;
        fill(o, w->number, n);
        reply = messaging_try_send(c, o->messages, n);
        if (reply)
            note_sent(o, n, reply);
    } while (reply && !atomic_load_explicit(&f.is_over, memory_order_relaxed));
    messaging_free(reply);
    client_close(c);
    free(o);
    return NULL;
}

/* ---- consumers ---- */

/* Acks some; a refused handle leaves its message un-acked. */
static bool ack(struct client *c, const V2(Message) *const *messages, const struct ledger_key *keys,
                size_t n)
{
    if (n == 0)
        return true;
    V2(AckMessageResponse) *reply = messaging_try_ack(c, "T", "G", messages, n);
    if (!reply)
        return false;
    for (size_t i = 0; i < reply->n_entries && i < n; i++)
        if (reply->entries[i]->status->code == CODE(OK))
            ledger_acked(f.ledger, keys[i]);
    messaging_free(reply);
    return true;
}

/* Takes what came and acks it, but for one in `spare` (0: none is spared). */
static bool consume_batch(struct client *c, const struct messaging_batch *b, uint64_t *dice,
                          uint64_t spare)
{
    const V2(Message) *messages[MESSAGING_BATCH_MAX];
    struct ledger_key keys[MESSAGING_BATCH_MAX];
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        messages[n] = messaging_at(b, i);
        if (ledger_delivered(f.ledger, messages[n], &keys[n]) &&
            (spare == 0 || crash_io_random(dice) % spare != 0))
            n++;
    }
    return ack(c, messages, keys, n);
}

static const struct messaging_receive receive_some = {
    .topic = "T", .group = "G", .batch = 16, .invisible_ms = INVISIBLE_MS, .polling_ms = 500};

static void *consume(void *arg)
{
    struct worker *w = arg;
    struct client *c = messaging_connect(f.broker.endpoint, NULL);
    struct messaging_batch b;
    bool is_up = true;
    while (is_up && !atomic_load_explicit(&f.is_over, memory_order_relaxed)) {
        is_up = messaging_try_receive(c, &receive_some, &b);
        if (!consume_batch(c, &b, &w->dice, /* spare = */ 8))
            is_up = false;
        messaging_batch_free(&b);
    }
    client_close(c);
    return NULL;
}

/* ---- receipt handles ---- */

/* Handles that nobody gave out for this message, or for others: none is ever taken. */
static void refuse_false_handles(struct client *c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char forged[HANDLE_BYTES], made_up[HANDLE_BYTES] = {0};
    size_t len = strlen(f.handle);
    (void)snprintf(forged, sizeof forged, "%s", f.handle);
    char *at = &forged[roll(len)];
    *at = *at == 'A' ? 'B' : 'A';
    for (size_t i = 0; i < len; i++)
        made_up[i] = digits[roll(64)];
    made_up[0] = f.handle[0]; /* the version */
    ck_assert_int_eq(messaging_ack(c, "H", "GH", forged), CODE(INVALID_RECEIPT_HANDLE));
    ck_assert_int_eq(messaging_ack(c, "H", "GH", made_up), CODE(INVALID_RECEIPT_HANDLE));
    ck_assert_int_eq(messaging_ack(c, "T", "G", f.handle), CODE(INVALID_RECEIPT_HANDLE));
    ck_assert_int_eq(messaging_ack(c, "H", "G", f.handle), CODE(INVALID_RECEIPT_HANDLE));
    ck_assert_int_eq(messaging_change(c, "H", "GH", forged, 1000, NULL),
                     CODE(INVALID_RECEIPT_HANDLE));
    f.n_refused += 5;
}

static void take_handle(struct client *c)
{
    struct messaging_batch b;
    struct messaging_receive r = {.topic = "H",
                                  .group = "GH",
                                  .batch = 1,
                                  .invisible_ms = HANDLE_INVISIBLE_MS,
                                  .polling_ms = 5000};
    messaging_send_ok(c, "H", NULL, "held");
    messaging_receive(c, &r, &b);
    (void)snprintf(f.handle, sizeof f.handle, "%s",
                   messaging_at(&b, 0)->system_properties->receipt_handle);
    f.handle_ms = now_ms();
    messaging_batch_free(&b);
    refuse_false_handles(c);
}

/* The handle of the run before, when it was saved: still good, once its forgeries are refused. */
static void use_handle(struct client *c)
{
    if (f.handle_ms == 0)
        return;
    refuse_false_handles(c);
    int32_t code = messaging_ack(c, "H", "GH", f.handle);
    if (f.handle_ms + LEDGER_MARGIN_MS < f.saved_ms) {
        ck_assert_msg(code == CODE(OK), "a saved handle was answered %d", code);
        f.n_handles_good++;
    }
    f.handle_ms = 0;
}

/* ---- what was saved ---- */

static uint64_t time_of(const char *name, struct timespec *ret_written)
{
    struct stat st;
    char *path = tmpdir_path(f.store, name);
    json_error_t why;
    json_t *root = json_load_file(path, JSON_DISABLE_EOF_CHECK, &why);
    json_t *version = json_object_get(root, "dataVersion");
    uint64_t ms = (uint64_t)json_integer_value(json_object_get(version, "timestamp"));
    bool found = stat(path, &st) == 0;
    if (ret_written)
        *ret_written = found ? st.st_mtim : (struct timespec){0};
    json_decref(root);
    free(path);
    return ms;
}

static bool is_before(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

/* When the leases that are on disk were taken down. Offsets are written first, leases second: when
 * the kill came between, those of the save before count, whose offsets are in the .bak. */
static uint64_t read_saved_ms(void)
{
    struct timespec offsets, leases;
    uint64_t ms = time_of("config/consumerOffset.json", &offsets);
    (void)time_of("config/sluiceLeases", &leases); /* not JSON: only when it was written */
    return is_before(leases, offsets) ? time_of("config/consumerOffset.json.bak", NULL) : ms;
}

/* ---- rounds ---- */

static void start_threads(struct worker *producers, struct worker *consumers)
{
    atomic_store_explicit(&f.is_over, false, memory_order_relaxed); /* no thread is there yet */
    for (int i = 0; i < LEDGER_PRODUCERS; i++) {
        producers[i] = (struct worker){.number = i, .dice = roll(UINT64_MAX)};
        ck_assert_int_eq(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    for (int i = 0; i < N_CONSUMERS; i++) {
        consumers[i] = (struct worker){.number = i, .dice = roll(UINT64_MAX)};
        ck_assert_int_eq(pthread_create(&consumers[i].thread, NULL, consume, &consumers[i]), 0);
    }
}

static void join(struct worker *workers, int n)
{
    for (int i = 0; i < n; i++)
        (void)pthread_join(workers[i].thread, NULL); /* joinable, joined once */
}

static void check_ledger(int round)
{
    const char *fault = ledger_first_fault(f.ledger);
    ck_assert_msg(!fault, "round %d, seed %" PRIu64 ": %s", round, f.seed, fault ? fault : "");
}

/* How the next start flushes. */
static void choose_flush(void)
{
    bool is_sync = f.has_sync_flush && roll(3) > 0;
    broker_args[FLUSH_ARG] = is_sync ? "flushDiskType=SYNC_FLUSH" : "flushDiskType=ASYNC_FLUSH";
    f.n_sync += is_sync;
}

static void kill_the_start(void)
{
    choose_flush();
    broker_child_begin(&f.broker, f.store, broker_args);
    sleep_ms(roll(START_SPAN_MS));
    broker_child_kill(&f.broker);
    f.n_starts_killed++;
}

static void run_round(int round)
{
    struct worker producers[LEDGER_PRODUCERS], consumers[N_CONSUMERS];
    choose_flush();
    broker_child_start(&f.broker, f.store, broker_args);
    struct client *c = messaging_connect(f.broker.endpoint, NULL);
    if (round == 0) {
        messaging_create_topic(c, "T", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, LEDGER_QUEUES);
        messaging_create_topic(c, "H", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
        messaging_create_group(c, "G", /* fifo = */ false, /* max_attempts = */ 10000);
        messaging_create_group(c, "GH", /* fifo = */ false, /* max_attempts = */ 10000);
    }
    start_threads(producers, consumers);
    use_handle(c);
    take_handle(c);
    client_close(c);
    sleep_ms(ROUND_LEAST_MS + roll(ROUND_SPAN_MS));
    broker_child_kill(&f.broker);
    atomic_store_explicit(&f.is_over, true, memory_order_relaxed); /* joined below */
    join(producers, LEDGER_PRODUCERS);
    join(consumers, N_CONSUMERS);
    f.saved_ms = read_saved_ms();
    ledger_crashed(f.ledger, f.saved_ms);
    check_ledger(round);
    if (round % 3 == 2)
        kill_the_start();
}

/* ---- the end ---- */

/* What G has not yet acknowledged of T: not yet received, and received. */
static uint64_t n_left(struct client *c)
{
    Sluice__V1__GetGroupRequest req = SLUICE__V1__GET_GROUP_REQUEST__INIT;
    uint64_t left = 0;
    req.name = (char *)"G";
    Sluice__V1__GetGroupResponse *reply =
        messaging_call(c, PROTO_GET_GROUP, &req.base, &sluice__v1__get_group_response__descriptor);
    ck_assert_msg(reply->code == CODE(OK), "%s", reply->message);
    for (size_t i = 0; i < reply->n_queues; i++)
        if (strcmp(reply->queues[i]->topic, "T") == 0)
            left += (uint64_t)reply->queues[i]->lag + (uint64_t)reply->queues[i]->in_flight;
    messaging_free(reply);
    return left;
}

static void drain(struct client *c, int rounds)
{
    struct messaging_batch b;
    struct messaging_receive r = receive_some;
    uint64_t until_ms = now_ms() + DRAIN_LEAST_MS + (uint64_t)rounds * DRAIN_ROUND_MS;
    r.batch = 32;
    do {
        ck_assert_msg(messaging_try_receive(c, &r, &b), "a receive failed: %s", b.text);
        ck_assert(consume_batch(c, &b, &f.dice, /* spare = */ 0));
        messaging_batch_free(&b);
        check_ledger(-1);
        ck_assert_msg(now_ms() < until_ms, "%" PRIu64 " messages are left", n_left(c));
    } while (b.code == CODE(OK) || n_left(c) > 0);
}

static void read_batch(struct client *c, const struct messaging_batch *b)
{
    const V2(Message) *messages[MESSAGING_BATCH_MAX];
    for (size_t i = 0; i < b->n; i++) {
        messages[i] = messaging_at(b, i);
        ledger_read(f.ledger, messages[i]);
    }
    if (b->n > 0)
        messaging_free(messaging_try_ack(c, "T", "V", messages, b->n)); /* makes room for more */
}

static void read_all(struct client *c)
{
    struct messaging_batch b;
    struct messaging_receive r = {
        .topic = "T", .group = "V", .batch = 32, .invisible_ms = 300000, .polling_ms = 100};
    do {
        messaging_receive(c, &r, &b);
        read_batch(c, &b);
        messaging_batch_free(&b);
        check_ledger(-1);
    } while (b.code == CODE(OK));
}

static void queue_ends(struct client *c, uint64_t ends[LEDGER_QUEUES])
{
    Sluice__V1__GetTopicRequest req = SLUICE__V1__GET_TOPIC_REQUEST__INIT;
    req.name = (char *)"T";
    Sluice__V1__GetTopicResponse *reply =
        messaging_call(c, PROTO_GET_TOPIC, &req.base, &sluice__v1__get_topic_response__descriptor);
    ck_assert_uint_eq(reply->n_queues, LEDGER_QUEUES);
    for (size_t i = 0; i < LEDGER_QUEUES; i++) {
        ck_assert_int_eq(reply->queues[i]->min_offset, 0);
        ends[i] = (uint64_t)reply->queues[i]->max_offset;
    }
    messaging_free(reply);
}

static uint64_t n_damaged(struct client *c)
{
    Sluice__V1__GetStatsRequest req = SLUICE__V1__GET_STATS_REQUEST__INIT;
    Sluice__V1__GetStatsResponse *reply =
        messaging_call(c, PROTO_GET_STATS, &req.base, &sluice__v1__get_stats_response__descriptor);
    uint64_t n = reply->damaged + reply->bad_files;
    messaging_free(reply);
    return n;
}

static void print_summary(int rounds, uint64_t took_ms)
{
    struct ledger_counts n;
    ledger_counts(f.ledger, &n);
    printf("rounds %d, starts killed %" PRIu64 ", starts with sync flush %" PRIu64 ", %" PRIu64
           " s\n",
           rounds, f.n_starts_killed, f.n_sync, took_ms / 1000);
    printf("sent %" PRIu64 ", accepted %" PRIu64 " (%" PRIu64 " MiB), stored unanswered %" PRIu64
           "; lost 0, damaged 0\n",
           n.sent, n.accepted, n.body_bytes >> 20, n.unanswered_stored);
    printf("delivered %" PRIu64 ", again %" PRIu64 "; acked %" PRIu64 ", came again %" PRIu64
           ", acked at most %" PRIu64 " ms before the kill\n",
           n.delivered, n.again, n.acked, n.acked_again, n.longest_again_ms);
    printf("handles kept over a kill and good %" PRIu64 ", false handles refused %" PRIu64 "\n",
           f.n_handles_good, f.n_refused);
    (void)fflush(stdout); /* else it comes after what the runner prints */
}

START_TEST(a_killed_broker_keeps_its_promises)
{
    const char *text = getenv("SLUICE_ROUNDS");
    int rounds = text ? atoi(text) : ROUNDS;
    uint64_t ends[LEDGER_QUEUES], started_ms = now_ms();
    f.seed = f.dice = crash_io_seed();
    printf("seed %" PRIu64 "\n", f.seed);
    f.store = tmpdir_make();
    f.ledger = ledger_new(f.seed);
    for (int round = 0; round < rounds; round++)
        run_round(round);
    broker_child_start(&f.broker, f.store, broker_args);
    struct client *c = messaging_connect(f.broker.endpoint, NULL);
    drain(c, rounds);
    read_all(c);
    queue_ends(c, ends);
    ledger_check_complete(f.ledger, ends);
    check_ledger(-1);
    ck_assert_uint_eq(n_damaged(c), 0);
    client_close(c);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    print_summary(rounds, now_ms() - started_ms);
    ck_assert_msg(f.n_handles_good > 0, "no handle was saved before a kill");
    ledger_free(f.ledger);
    tmpdir_remove(f.store);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("broker_kill");
    TCase *tc = tcase_create("broker_kill");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    f.has_sync_flush = argc > 2 && strcmp(argv[2], "SYNC_FLUSH") == 0;
    tcase_add_test(tc, a_killed_broker_keeps_its_promises);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
