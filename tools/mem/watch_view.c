/* What `sluice mem watch` shows of one moment. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/watch_view.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "tools/mem/amount.h"

/* Clears the rest of a terminal's line. */
#define END_LINE "\033[K\n"

static uint64_t resident_of(const struct mem_snapshot *s)
{
    return s->process.rss_anon_bytes + s->process.rss_file_bytes + s->process.rss_shmem_bytes;
}

static const char *clock_text(char buf[16], uint64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;
    if (!localtime_r(&seconds, &tm) || strftime(buf, 16, "%H:%M:%S", &tm) == 0)
        buf[0] = '\0';
    return buf;
}

/* ---- lines ---- */

static const struct path_column {
    const char *path, *head;
} path_columns[] = {{"append", "APPEND"}, {"read", "READ"}, {"dispatch", "DISPATCH"}};

enum { N_PATH_COLUMNS = sizeof path_columns / sizeof path_columns[0] };

void watch_view_head(const struct mem_snapshot *of, FILE *out)
{
    fprintf(out, "%-8s", "TIME");
    if (of->is_broker)
        fprintf(out, " %8s %8s %8s %8s", "RSS", "ANON", "FILE", "PTE");
    fprintf(out, " %8s %8s", "CACHED", "DIRTY");
    if (of->is_broker) {
        fprintf(out, " %9s %9s %9s", "WRITTEN/S", "MINOR/S", "MAJOR/S");
        for (size_t i = 0; i < N_PATH_COLUMNS; i++)
            fprintf(out, " %8s", path_columns[i].head);
    }
    fputc('\n', out);
}

static void put_bytes(uint64_t bytes, FILE *out)
{
    char text[AMOUNT_BYTES];
    fprintf(out, " %8s", bytes == UINT64_MAX ? "?" : amount_text(text, bytes));
}

/* Faults of both kinds. */
static double rate_of_path(const struct watch_moment *m, const char *path)
{
    for (size_t i = 0; i < m->now->n_faults; i++)
        if (strcmp(m->now->faults[i].path, path) == 0)
            return m->rates.paths[i].minor + m->rates.paths[i].major;
    return 0;
}

void watch_view_line(const struct watch_moment *m, FILE *out)
{
    char text[AMOUNT_BYTES];
    const struct mem_snapshot *s = m->now;
    fprintf(out, "%-8s", clock_text(text, m->time_ms));
    if (s->is_broker) {
        put_bytes(resident_of(s), out);
        put_bytes(s->process.rss_anon_bytes, out);
        put_bytes(s->process.rss_file_bytes, out);
        put_bytes(s->process.page_table_bytes, out);
    }
    put_bytes(s->total.resident_bytes, out);
    put_bytes(s->total.dirty_bytes, out);
    if (s->is_broker) {
        fprintf(out, " %9s %9.0f %9.0f", amount_text(text, (uint64_t)m->rates.appended_bytes),
                m->rates.total.minor, m->rates.total.major);
        for (size_t i = 0; i < N_PATH_COLUMNS; i++)
            fprintf(out, " %8.0f", rate_of_path(m, path_columns[i].path));
    }
    fputc('\n', out);
}

/* ---- a screen ---- */

void watch_history_add(struct watch_history *h, const struct watch_moment *m)
{
    const struct mem_snapshot *s = m->now;
    spark_add(&h->resident, (double)(s->is_broker ? resident_of(s) : s->total.resident_bytes));
    spark_add(&h->minor, m->rates.total.minor);
    spark_add(&h->major, m->rates.total.major);
}

static void screen_bar(const char *name, const char *value, const struct spark *s, FILE *out)
{
    fprintf(out, "%-14s %9s  ", name, value);
    spark_draw(s, map_text_charset(), out);
    fputs(END_LINE, out);
}

static void screen_amount(const char *name, uint64_t bytes, FILE *out)
{
    char text[AMOUNT_BYTES];
    fprintf(out, "%-14s %9s" END_LINE, name, bytes == UINT64_MAX ? "?" : amount_text(text, bytes));
}

static void screen_path(const char *name, const struct mem_rate *rate, const struct mem_faults *all,
                        FILE *out)
{
    fprintf(out, "%-14s %9.0f %9.0f %12" PRIu64 " %12" PRIu64 END_LINE, name, rate->minor,
            rate->major, all->minor, all->major);
}

static void screen_faults(const struct watch_moment *m, FILE *out)
{
    const struct mem_snapshot *s = m->now;
    struct mem_faults other = mem_faults_other(s);
    struct mem_faults total = {.minor = s->process.minor_faults, .major = s->process.major_faults};
    fprintf(out, END_LINE "%-14s %9s %9s %12s %12s" END_LINE, "page faults", "MINOR/S", "MAJOR/S",
            "MINOR", "MAJOR");
    for (size_t i = 0; i < s->n_faults; i++)
        screen_path(s->faults[i].path, &m->rates.paths[i], &s->faults[i], out);
    screen_path("other", &m->rates.other, &other, out);
    screen_path("total", &m->rates.total, &total, out);
}

static void screen_process(const struct watch_moment *m, const struct watch_history *h, FILE *out)
{
    char text[AMOUNT_BYTES], number[32];
    const struct mem_snapshot *s = m->now;
    screen_bar("resident", amount_text(text, resident_of(s)), &h->resident, out);
    (void)snprintf(number, sizeof number, "%.0f", m->rates.total.minor);
    screen_bar("minor faults/s", number, &h->minor, out);
    (void)snprintf(number, sizeof number, "%.0f", m->rates.total.major);
    screen_bar("major faults/s", number, &h->major, out);
    fputs(END_LINE, out);
    screen_amount("anonymous", s->process.rss_anon_bytes, out);
    screen_amount("files", s->process.rss_file_bytes, out);
    screen_amount("page tables", s->process.page_table_bytes, out);
    screen_amount("locked", s->process.locked_bytes, out);
    screen_amount("mapped", s->total.mapped_bytes, out);
    screen_amount("page cache", s->total.resident_bytes, out);
    screen_amount("dirty", s->total.dirty_bytes, out);
    screen_amount("written/s", (uint64_t)m->rates.appended_bytes, out);
    screen_amount("lead", s->lead_bytes, out);
    screen_faults(m, out);
}

void watch_view_screen(const struct watch_moment *m, const struct watch_history *h,
                       const char *title, FILE *out)
{
    char text[AMOUNT_BYTES];
    const struct mem_snapshot *s = m->now;
    fprintf(out, "\033[H%s  %s" END_LINE END_LINE, title, clock_text(text, m->time_ms));
    if (s->is_broker) {
        screen_process(m, h, out);
    } else {
        screen_bar("page cache", amount_text(text, s->total.resident_bytes), &h->resident, out);
        screen_amount("dirty", s->total.dirty_bytes, out);
        screen_amount("size", s->total.bytes, out);
    }
    fputs("\033[J", out); /* what an earlier, longer screen left */
}

/* ---- JSON ---- */

static json_t *rate_to_json(const struct mem_rate *rate)
{
    return json_pack("{s:f, s:f}", "minor", rate->minor, "major", rate->major);
}

static json_t *rates_to_json(const struct watch_moment *m)
{
    json_t *object = json_object();
    int rc = json_object_set_new(object, "total", rate_to_json(&m->rates.total));
    for (size_t i = 0; rc == 0 && i < m->now->n_faults; i++)
        rc = json_object_set_new(object, m->now->faults[i].path, rate_to_json(&m->rates.paths[i]));
    if (rc == 0)
        rc = json_object_set_new(object, "other", rate_to_json(&m->rates.other));
    if (rc == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* The process, or null for a store. */
static int add_process(json_t *object, const struct watch_moment *m)
{
    const struct store_memory *p = &m->now->process;
    if (!m->now->is_broker)
        return 0;
    json_t *more = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:o}", "rssBytes",
        (json_int_t)resident_of(m->now), "rssAnonBytes", (json_int_t)p->rss_anon_bytes,
        "rssFileBytes", (json_int_t)p->rss_file_bytes, "pageTableBytes",
        (json_int_t)p->page_table_bytes, "lockedBytes", (json_int_t)p->locked_bytes, "minorFaults",
        (json_int_t)p->minor_faults, "majorFaults", (json_int_t)p->major_faults,
        "appendedPerSecond", m->rates.appended, "appendedBytesPerSecond", m->rates.appended_bytes,
        "faultsPerSecond", rates_to_json(m));
    int rc = more ? json_object_update(object, more) : -1;
    json_decref(more);
    return rc;
}

json_t *watch_view_json(const struct watch_moment *m)
{
    const struct store_file_info *total = &m->now->total;
    json_t *dirty = total->dirty_bytes == UINT64_MAX ? json_null()
                                                     : json_integer((json_int_t)total->dirty_bytes);
    json_t *object =
        json_pack("{s:I, s:I, s:I, s:I, s:o}", "timeMs", (json_int_t)m->time_ms, "fileBytes",
                  (json_int_t)total->bytes, "mappedBytes", (json_int_t)total->mapped_bytes,
                  "residentBytes", (json_int_t)total->resident_bytes, "dirtyBytes", dirty);
    if (object && add_process(object, m) == 0)
        return object;
    json_decref(object);
    return NULL;
}
