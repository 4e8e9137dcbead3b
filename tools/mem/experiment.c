/* Runs an experiment: a child does the work and tells what came of it in memory that both see; the
 * parent looks at its resident bytes meanwhile, and outlives it when the kernel kills it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/experiment.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/bench/scratch.h"
#include "tools/mem/experiment_work.h"
#include "tools/mem/memory_group.h"

enum { FIRST_SAMPLE_MS = 10 };
#define NS_PER_MS UINT64_C(1000000)

/* ---- the child ---- */

static _Noreturn void be_child(const struct experiment *x, const struct memory_group *group,
                               const char *root, struct experiment_told *told)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* refused, an orphan ends by itself */
    int rc = group->folder[0] ? memory_group_join(group, &told->failure) : 0;
    if (rc == 0)
        rc = experiment_work(x, root, told, &told->failure);
    told->code = rc;
    told->has_ended = true;
    _exit(0);
}

/* ---- looking at it ---- */

/* The number behind `name` in /proc/PID/status, in bytes; 0 once it has ended. */
static uint64_t status_bytes(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), /* endptr = */ NULL, 10) * 1024 : 0;
}

static void take_sample(struct experiment_outcome *o, pid_t pid, uint64_t ms)
{
    char path[64], text[4096];
    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    (void)fclose(f);
    struct experiment_sample s = {.ms = ms,
                                  .rss_anon_bytes = status_bytes(text, "RssAnon:"),
                                  .rss_file_bytes = status_bytes(text, "RssFile:")};
    if (s.rss_anon_bytes > 0) /* else it is on its way out */
        o->samples[o->n_samples++] = s;
}

/* Every second one goes. */
static void thin_out(struct experiment_outcome *o)
{
    for (size_t i = 0; 2 * i < o->n_samples; i++)
        o->samples[i] = o->samples[2 * i];
    o->n_samples = (o->n_samples + 1) / 2;
}

static int look_on(struct experiment_outcome *o, pid_t pid, struct err *e)
{
    struct io *io = io_posix();
    uint64_t begun_ns = io->mono_ns(io);
    int interval_ms = FIRST_SAMPLE_MS;
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return err_sys(e, errno, "watch the experiment");
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    while (poll(&ended, 1, interval_ms) <= 0) {
        take_sample(o, pid, (io->mono_ns(io) - begun_ns) / NS_PER_MS);
        if (o->n_samples == EXPERIMENT_SAMPLES_MAX) {
            thin_out(o);
            interval_ms *= 2;
        }
    }
    (void)close(fd);
    return 0;
}

/* ---- what came of it ---- */

static int take_told(struct experiment_outcome *o, const struct experiment_told *told,
                     const struct experiment *x, struct err *e)
{
    if (!told->has_ended) {
        o->end = EXPERIMENT_KILLED;
        (void)snprintf(o->why, sizeof o->why, "the kernel killed it after %" PRIu64 " bytes",
                       told->append.bytes);
        return 0;
    }
    if (told->code == ERR_UNSUPPORTED) {
        o->end = EXPERIMENT_SKIPPED;
        (void)snprintf(o->why, sizeof o->why, "%s", told->failure.msg);
        return 0;
    }
    if (told->code < 0) {
        *e = told->failure;
        return err_wrap(e, "policy %s", mem_policy_name(x->policy));
    }
    o->append = told->append;
    o->read = told->read;
    memcpy(o->paths, told->paths, sizeof o->paths);
    o->appends = told->appends;
    return 0;
}

static int run_child(const struct experiment *x, const struct memory_group *group, const char *root,
                     struct experiment_told *told, struct experiment_outcome *ret, struct err *e)
{
    int status;
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(e, errno, "start an experiment");
    if (pid == 0)
        be_child(x, group, root, told);
    int rc = look_on(ret, pid, e);
    if (rc < 0)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return rc < 0 ? rc : take_told(ret, told, x, e);
}

static int run_in(const struct experiment *x, const char *folder, struct experiment_told *told,
                  struct experiment_outcome *ret, struct err *e)
{
    struct memory_group group = {.folder = ""};
    char root[SCRATCH_PATH_BYTES + 16];
    (void)snprintf(root, sizeof root, "%s/store", folder);
    if (x->limit_bytes > 0 && memory_group_make(&group, "", x->limit_bytes, e) < 0) {
        ret->end = EXPERIMENT_SKIPPED;
        (void)snprintf(ret->why, sizeof ret->why, "%s", e->msg);
        return 0;
    }
    int rc = run_child(x, &group, root, told, ret, e);
    memory_group_remove(&group);
    return rc;
}

int experiment_run(const struct experiment *x, struct experiment_outcome *ret, struct err *e)
{
    char folder[SCRATCH_PATH_BYTES];
    memset(ret, 0, sizeof *ret);
    int rc = scratch_make(folder, x->dir, e);
    if (rc < 0)
        return rc;
    struct experiment_told *told =
        mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (told == MAP_FAILED) {
        rc = err_sys(e, errno, "start an experiment");
    } else {
        rc = run_in(x, folder, told, ret, e);
        (void)munmap(told, sizeof *told); /* ours, so it cannot fail */
    }
    scratch_remove(folder);
    return rc;
}
