/* Kills a real broker while topics and groups are made and deleted, and messages sent to them: what
 * was answered with OK is so after it. A topic made anew holds what was sent to it since, and not
 * what was sent under its name before, whatever recovery makes of the log. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/broker_child.h"
#include "tests/lib/crash_io.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { ROUNDS = 8, N_NAMES = 6, ROUND_LEAST_MS = 100, ROUND_SPAN_MS = 500 };

static const char *const broker_args[] = {
    "--set", "mappedFileSizeCommitLog=65536",  "--set", "maxMessageSize=4096",
    "--set", "flushConsumerOffsetInterval=20", "--set", "flushIntervalCommitLog=20",
    NULL};

enum existence { ABSENT, PRESENT, UNKNOWN };

/* A topic or a group: what must be true of it. Owned by the one thread that changes it. */
struct named {
    char name[8];
    enum existence is;
    uint64_t n_accepted; /* topics: messages it holds, but for one without an answer */
};

static struct {
    char *store;
    struct broker_child broker;
    uint64_t seed, dice;
    struct named topics[N_NAMES], groups[N_NAMES];
    uint64_t n_changes; /* of the topic thread: read after it is joined */
} f;

static struct named *find(struct named *all, const char *name)
{
    for (int i = 0; i < N_NAMES; i++)
        if (strcmp(all[i].name, name) == 0)
            return &all[i];
    return NULL;
}

/* ---- topics ---- */

static bool create_topic(struct client *c, const char *name)
{
    Sluice__V1__Topic topic = SLUICE__V1__TOPIC__INIT;
    Sluice__V1__CreateTopicRequest req = SLUICE__V1__CREATE_TOPIC_REQUEST__INIT;
    topic.name = (char *)name;
    topic.read_queues = 1;
    req.topic = &topic;
    Sluice__V1__CreateTopicResponse *reply = messaging_try_call(
        c, PROTO_CREATE_TOPIC, &req.base, &sluice__v1__create_topic_response__descriptor);
    bool ok = reply && reply->code == CODE(OK);
    messaging_free(reply);
    return ok;
}

static bool delete_topic(struct client *c, const char *name)
{
    Sluice__V1__DeleteTopicRequest req = SLUICE__V1__DELETE_TOPIC_REQUEST__INIT;
    req.name = (char *)name;
    Sluice__V1__DeleteTopicResponse *reply = messaging_try_call(
        c, PROTO_DELETE_TOPIC, &req.base, &sluice__v1__delete_topic_response__descriptor);
    bool ok = reply && reply->code == CODE(OK);
    messaging_free(reply);
    return ok;
}

/* The end of the topic's only queue; -1: no answer. */
static int64_t end_of(struct client *c, const char *name)
{
    Sluice__V1__GetTopicRequest req = SLUICE__V1__GET_TOPIC_REQUEST__INIT;
    req.name = (char *)name;
    Sluice__V1__GetTopicResponse *reply = messaging_try_call(
        c, PROTO_GET_TOPIC, &req.base, &sluice__v1__get_topic_response__descriptor);
    int64_t end = reply && reply->n_queues == 1
                      ? reply->queues[0]->max_offset - reply->queues[0]->min_offset
                      : -1;
    messaging_free(reply);
    return end;
}

static bool make_topic(struct client *c, struct named *t)
{
    t->is = UNKNOWN;
    if (!create_topic(c, t->name))
        return false;
    int64_t end = end_of(c, t->name);
    if (end < 0)
        return false;
    ck_assert_msg(end == 0, "seed %" PRIu64 ": topic %s made anew holds %" PRId64 " messages",
                  f.seed, t->name, end);
    t->is = PRESENT;
    t->n_accepted = 0;
    return true;
}

static bool remove_topic(struct client *c, struct named *t)
{
    t->is = UNKNOWN;
    if (!delete_topic(c, t->name))
        return false;
    t->is = ABSENT;
    return true;
}

static bool send_to(struct client *c, struct named *t)
{
    struct messaging_message m = {.topic = t->name, .body = "x"};
    V2(SendMessageResponse) *reply = messaging_try_send(c, &m, 1);
    if (!reply)
        return false;
    t->n_accepted += reply->status->code == CODE(OK);
    messaging_free(reply);
    return true;
}

static void *change_topics(void *arg)
{
    uint64_t dice = *(const uint64_t *)arg;
    struct client *c = messaging_connect(f.broker.endpoint, NULL);
    bool is_up = true;
    while (is_up) {
        struct named *t = &f.topics[crash_io_random(&dice) % N_NAMES];
        if (t->is == ABSENT)
            is_up = make_topic(c, t);
        else
            is_up = crash_io_random(&dice) % 4 ? send_to(c, t) : remove_topic(c, t);
        f.n_changes++;
    }
    client_close(c);
    return NULL;
}

/* ---- groups ---- */

static bool change_group(struct client *c, struct named *g)
{
    Sluice__V1__Group group = SLUICE__V1__GROUP__INIT;
    Sluice__V1__CreateGroupRequest create = SLUICE__V1__CREATE_GROUP_REQUEST__INIT;
    Sluice__V1__DeleteGroupRequest delete = SLUICE__V1__DELETE_GROUP_REQUEST__INIT;
    bool was_there = g->is == PRESENT;
    int32_t code = 0;
    group.name = delete.name = g->name;
    create.group = &group;
    g->is = UNKNOWN;
    if (was_there) {
        Sluice__V1__DeleteGroupResponse *reply = messaging_try_call(
            c, PROTO_DELETE_GROUP, &delete.base, &sluice__v1__delete_group_response__descriptor);
        code = reply ? reply->code : 0;
        messaging_free(reply);
    } else {
        Sluice__V1__CreateGroupResponse *reply = messaging_try_call(
            c, PROTO_CREATE_GROUP, &create.base, &sluice__v1__create_group_response__descriptor);
        code = reply ? reply->code : 0;
        messaging_free(reply);
    }
    if (code == CODE(OK))
        g->is = was_there ? ABSENT : PRESENT;
    return code == CODE(OK);
}

static void *change_groups(void *arg)
{
    uint64_t dice = *(const uint64_t *)arg;
    struct client *c = messaging_connect(f.broker.endpoint, NULL);
    while (change_group(c, &f.groups[crash_io_random(&dice) % N_NAMES]))
        ;
    client_close(c);
    return NULL;
}

/* ---- after a kill ---- */

static void settle(struct named *n, bool is_there)
{
    ck_assert_msg(n->is == UNKNOWN || (n->is == PRESENT) == is_there,
                  "seed %" PRIu64 ": %s is %s, though the opposite was answered", f.seed, n->name,
                  is_there ? "there" : "gone");
    n->is = is_there ? PRESENT : ABSENT;
}

static void check_topics(struct client *c)
{
    bool is_there[N_NAMES] = {false};
    Sluice__V1__ListTopicsRequest req = SLUICE__V1__LIST_TOPICS_REQUEST__INIT;
    Sluice__V1__ListTopicsResponse *reply = messaging_call(
        c, PROTO_LIST_TOPICS, &req.base, &sluice__v1__list_topics_response__descriptor);
    for (size_t i = 0; i < reply->n_topics; i++) {
        struct named *t = find(f.topics, reply->topics[i]->name);
        if (t)
            is_there[t - f.topics] = true;
    }
    messaging_free(reply);
    for (int i = 0; i < N_NAMES; i++) {
        struct named *t = &f.topics[i];
        bool was_known = t->is == PRESENT;
        settle(t, is_there[i]);
        if (!is_there[i])
            continue;
        int64_t end = end_of(c, t->name);
        ck_assert_int_ge(end, 0);
        int64_t least = (int64_t)t->n_accepted; /* and one that was not answered */
        ck_assert_msg(!was_known || end == least || end == least + 1,
                      "seed %" PRIu64 ": topic %s holds %" PRId64 " messages, not %" PRId64, f.seed,
                      t->name, end, least);
        t->n_accepted = (uint64_t)end;
    }
}

static void check_groups(struct client *c)
{
    bool is_there[N_NAMES] = {false};
    Sluice__V1__ListGroupsRequest req = SLUICE__V1__LIST_GROUPS_REQUEST__INIT;
    Sluice__V1__ListGroupsResponse *reply = messaging_call(
        c, PROTO_LIST_GROUPS, &req.base, &sluice__v1__list_groups_response__descriptor);
    for (size_t i = 0; i < reply->n_groups; i++) {
        struct named *g = find(f.groups, reply->groups[i]->name);
        if (g)
            is_there[g - f.groups] = true;
    }
    messaging_free(reply);
    for (int i = 0; i < N_NAMES; i++)
        settle(&f.groups[i], is_there[i]);
}

static void check(void)
{
    struct client *c = messaging_connect(f.broker.endpoint, NULL);
    check_topics(c);
    check_groups(c);
    client_close(c);
}

static void run_round(void)
{
    pthread_t topics, groups;
    uint64_t dice[2] = {crash_io_random(&f.dice), crash_io_random(&f.dice)};
    uint64_t ms = ROUND_LEAST_MS + crash_io_random(&f.dice) % ROUND_SPAN_MS;
    struct timespec time = {.tv_nsec = (long)ms * 1000000};
    broker_child_start(&f.broker, f.store, broker_args);
    check();
    ck_assert_int_eq(pthread_create(&topics, NULL, change_topics, &dice[0]), 0);
    ck_assert_int_eq(pthread_create(&groups, NULL, change_groups, &dice[1]), 0);
    (void)nanosleep(&time, NULL); /* a shorter time will do */
    broker_child_kill(&f.broker);
    (void)pthread_join(topics, NULL); /* joinable, joined once */
    (void)pthread_join(groups, NULL);
}

START_TEST(what_was_answered_about_topics_and_groups_survives_a_kill)
{
    const char *text = getenv("SLUICE_ROUNDS");
    int rounds = text ? atoi(text) : ROUNDS;
    f.seed = f.dice = crash_io_seed();
    printf("seed %" PRIu64 "\n", f.seed);
    f.store = tmpdir_make();
    for (int i = 0; i < N_NAMES; i++) {
        (void)snprintf(f.topics[i].name, sizeof f.topics[i].name, "T%d", i);
        (void)snprintf(f.groups[i].name, sizeof f.groups[i].name, "G%d", i);
    }
    for (int round = 0; round < rounds; round++)
        run_round();
    broker_child_start(&f.broker, f.store, broker_args);
    check();
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    printf("rounds %d, changes of topics and sends %" PRIu64 "\n", rounds, f.n_changes);
    tmpdir_remove(f.store);
}
END_TEST

/* ---- names used again ---- */

/* Nothing is flushed before the kill, so recovery builds the queues from the whole log. */
static const char *const lazy_args[] = {"--set", "flushIntervalCommitLog=60000", NULL};

static struct client *start_lazy(void)
{
    broker_child_start(&f.broker, f.store, lazy_args);
    return messaging_connect(f.broker.endpoint, NULL);
}

static void end_lazy(struct client *c)
{
    client_close(c);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    tmpdir_remove(f.store);
}

static void restart_after_kill(struct client **c)
{
    client_close(*c);
    broker_child_kill(&f.broker);
    *c = start_lazy();
}

static void fill(struct client *c, int n)
{
    ck_assert(create_topic(c, "T"));
    for (int i = 0; i < n; i++)
        messaging_send_ok(c, "T", NULL, "x");
}

START_TEST(a_name_used_again_holds_nothing_of_before_after_a_kill)
{
    f.store = tmpdir_make();
    struct client *c = start_lazy();
    fill(c, 5);
    ck_assert(delete_topic(c, "T"));
    fill(c, 2);
    restart_after_kill(&c);
    ck_assert_int_eq(end_of(c, "T"), 2);
    ck_assert(delete_topic(c, "T"));
    restart_after_kill(&c);
    ck_assert(create_topic(c, "T"));
    restart_after_kill(&c);
    ck_assert_int_eq(end_of(c, "T"), 0);
    fill(c, 3);
    restart_after_kill(&c);
    ck_assert_int_eq(end_of(c, "T"), 3);
    end_lazy(c);
}
END_TEST

/* A new store with what was configured in the old one, as after a power cut without a flush. */
static void lose_log(void)
{
    char *without_log = tmpdir_make();
    char *from = tmpdir_path(f.store, "config"), *to = tmpdir_path(without_log, "config");
    ck_assert_int_eq(rename(from, to), 0);
    free(from);
    free(to);
    tmpdir_remove(f.store);
    f.store = without_log;
}

START_TEST(a_log_shorter_than_at_a_deletion_loses_nothing_sent_since)
{
    f.store = tmpdir_make();
    struct client *c = start_lazy();
    fill(c, 5);
    ck_assert(delete_topic(c, "T"));
    fill(c, 0);
    client_close(c);
    broker_child_kill(&f.broker);
    lose_log();
    c = start_lazy();
    fill(c, 2);
    restart_after_kill(&c);
    ck_assert_int_eq(end_of(c, "T"), 2);
    end_lazy(c);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("broker_registry");
    TCase *tc = tcase_create("broker_registry");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_add_test(tc, what_was_answered_about_topics_and_groups_survives_a_kill);
    tcase_add_test(tc, a_name_used_again_holds_nothing_of_before_after_a_kill);
    tcase_add_test(tc, a_log_shorter_than_at_a_deletion_loses_nothing_sent_since);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
