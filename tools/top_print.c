/* A view as a screen, as a line and as JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/io.h"
#include "tools/json_line.h"
#include "tools/paint.h"
#include "tools/top.h"

enum {
    CELL_BYTES = 24,
    NAME_COLUMNS = 28, /* of a topic or a group */
    HEAD_ROWS = 7,     /* of the screen, above the tables */
};

/* ---- cells ---- */

/* "1234", "12.3k", "4.5M": at most six characters. "-" when it is not known. */
static const char *short_number(double n, char ret[CELL_BYTES])
{
    static const char units[] = " kMGTPE";
    size_t unit = 0;
    if (n < 0) {
        (void)snprintf(ret, CELL_BYTES, "-");
        return ret;
    }
    for (; n >= 9999.5 || (unit > 0 && n >= 999.5); n /= 1000)
        unit++;
    if (unit == 0)
        (void)snprintf(ret, CELL_BYTES, n > 0 && n < 9.95 ? "%.1f" : "%.0f", n);
    else
        (void)snprintf(ret, CELL_BYTES, "%.1f%c", n, units[unit]);
    return ret;
}

/* The same of a count, which has no tenths. */
static const char *short_count(uint64_t n, char ret[CELL_BYTES])
{
    if (n >= 10000)
        return short_number((double)n, ret);
    (void)snprintf(ret, CELL_BYTES, "%" PRIu64, n);
    return ret;
}

/* The same in powers of 1024: "12.3M". */
static const char *short_bytes(double n, char ret[CELL_BYTES])
{
    static const char units[] = "BKMGTPE";
    size_t unit = 0;
    if (n < 0) {
        (void)snprintf(ret, CELL_BYTES, "-");
        return ret;
    }
    for (; n >= 1023.5; n /= 1024)
        unit++;
    (void)snprintf(ret, CELL_BYTES, unit == 0 ? "%.0f%c" : "%.1f%c", n, units[unit]);
    return ret;
}

/* "850ns", "1.2ms", "3.4s"; "-" for none. */
static const char *short_time(uint64_t ns, char ret[CELL_BYTES])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    size_t unit = 0;
    double n = (double)ns;
    if (ns == 0) {
        (void)snprintf(ret, CELL_BYTES, "-");
        return ret;
    }
    for (; n >= 999.5 && unit < 3; n /= 1000)
        unit++;
    (void)snprintf(ret, CELL_BYTES, n < 9.95 && unit > 0 ? "%.1f%s" : "%.0f%s", n, units[unit]);
    return ret;
}

/* Names are a broker's, which checks them; a terminal is not to depend on it. */
static void print_name(const char *name, unsigned columns)
{
    unsigned n = 0;
    for (; *name && n < columns; name++, n++)
        putchar((unsigned char)*name < ' ' || (unsigned char)*name >= 0x7f ? '?' : *name);
    printf("%*s", (int)(columns - n), "");
}

static void clock_text(char ret[CELL_BYTES])
{
    struct tm tm;
    time_t now = time(/* tloc = */ NULL);
    if (!localtime_r(&now, &tm) || strftime(ret, CELL_BYTES, "%H:%M:%S", &tm) == 0)
        (void)snprintf(ret, CELL_BYTES, "-");
}

/* ---- the screen ---- */

/* Ends a row: what was there before on it goes. */
static void end_row(void)
{
    fputs("\033[K\n", stdout);
}

static void draw_timing(const char *name, const struct top_timing *t)
{
    char n[CELL_BYTES], p50[CELL_BYTES], p99[CELL_BYTES], p999[CELL_BYTES], max[CELL_BYTES];
    printf("%-9s %7s   p50 %6s   p99 %6s   p99.9 %6s   max %6s", name, short_count(t->n, n),
           short_time(t->p50_ns, p50), short_time(t->p99_ns, p99), short_time(t->p999_ns, p999),
           short_time(t->max_ns, max));
    end_row();
}

static void draw_rates(const struct top_view *v)
{
    char a[CELL_BYTES], b[CELL_BYTES], c[CELL_BYTES], d[CELL_BYTES];
    printf("in        %7s/s %7s/s   out %7s/s %7s/s", short_number(v->in, a),
           short_bytes(v->in_bytes, b), short_number(v->out, c), short_bytes(v->out_bytes, d));
    end_row();
    printf("consumers %7s behind   %s in flight   %s waiting", short_count(v->lag, a),
           short_count(v->in_flight, b), short_count(v->now->stats->parked, c));
    end_row();
}

/* What is populated ahead of the writer, and how long that lasts while it writes. */
static void draw_lead(const Sluice__V1__GetMemoryResponse *m)
{
    char a[CELL_BYTES];
    printf("%s ready ahead", short_bytes((double)m->lead_bytes, a));
    if (m->lead_ms > 0)
        printf(", for %" PRIu64 " ms", m->lead_ms);
}

static void draw_memory(const struct top_view *v)
{
    char a[CELL_BYTES], b[CELL_BYTES], c[CELL_BYTES], d[CELL_BYTES], f[CELL_BYTES];
    const Sluice__V1__GetStatsResponse *s = v->now->stats;
    const Sluice__V1__GetMemoryResponse *m = v->now->memory;
    printf("memory    %7s mapped   %s resident, %s of it anonymous   %s major faults/s",
           short_bytes((double)s->mapped_bytes, a), short_bytes((double)m->rss_bytes, b),
           short_bytes((double)m->rss_anon_bytes, c), short_number(v->major_faults, d));
    end_row();
    printf("log       %7s unflushed   ", short_bytes((double)(s->published - s->flushed), a));
    draw_lead(m);
    printf("   %s of log   %s%" PRIu64 " files%s",
           short_bytes((double)(s->published - s->log_min), c),
           s->failed ? paint_on(stdout, PAINT_BAD) : "", s->files,
           s->failed ? " FAILED: a sync failed" : "");
    if (s->failed)
        fputs(paint_off(stdout), stdout);
    if (s->damaged > 0)
        printf("   %s damaged", short_count(s->damaged, f));
    end_row();
}

static void draw_topics(const struct top_view *v, unsigned rows)
{
    char in[CELL_BYTES], stored[CELL_BYTES];
    printf("%s%-*s %8s %8s %8s%s", paint_on(stdout, PAINT_FAINT), NAME_COLUMNS, "TOPIC", "QUEUES",
           "STORED", "IN/s", paint_off(stdout));
    end_row();
    for (size_t i = 0; i < v->n_topics && i + 1 < rows; i++) {
        const struct top_topic *t = &v->topics[i];
        print_name(t->name, NAME_COLUMNS);
        printf(" %8" PRIu64 " %8s %8s", t->n_queues, short_count(t->stored, stored),
               short_number(t->in, in));
        end_row();
    }
}

static void draw_groups(const struct top_view *v, unsigned rows)
{
    char lag[CELL_BYTES], flight[CELL_BYTES], out[CELL_BYTES];
    printf("%s%-*s %-*s %8s %8s %8s%s", paint_on(stdout, PAINT_FAINT), NAME_COLUMNS, "GROUP",
           NAME_COLUMNS, "TOPIC", "LAG", "FLIGHT", "OUT/s", paint_off(stdout));
    end_row();
    for (size_t i = 0; i < v->n_groups && i + 1 < rows; i++) {
        const struct top_group *g = &v->groups[i];
        print_name(g->group, NAME_COLUMNS);
        putchar(' ');
        print_name(g->topic, NAME_COLUMNS);
        printf(" %8s %8s %8s", short_count(g->lag, lag), short_count(g->in_flight, flight),
               short_number(g->out, out));
        end_row();
    }
}

void top_draw(const struct top_view *v, const char *endpoint, unsigned rows)
{
    char now[CELL_BYTES];
    clock_text(now);
    unsigned left = rows > HEAD_ROWS + 6 ? rows - HEAD_ROWS - 2 : 6; /* two blank rows */
    unsigned topic_rows = v->n_topics + 1 < left / 2 ? (unsigned)v->n_topics + 1 : left / 2;
    if (v->n_groups + 1 < left / 2)
        topic_rows = left - (unsigned)v->n_groups - 1;
    fputs("\033[H\033[?7l", stdout); /* rows are cut, not wrapped */
    printf("sluice top   %s   %s   over %.1f s", endpoint, now, v->seconds);
    end_row();
    draw_rates(v);
    draw_memory(v);
    draw_timing("syncs", &v->syncs);
    draw_timing("stalls", &v->stalls);
    end_row();
    draw_topics(v, topic_rows);
    end_row();
    draw_groups(v, left > topic_rows ? left - topic_rows : 1);
    fputs("\033[?7h\033[J", stdout);
}

/* ---- lines ---- */

void top_print_head(void)
{
    printf("%-8s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s\n", "TIME", "IN/s", "INB/s",
           "OUT/s", "OUTB/s", "LAG", "FLIGHT", "MAPPED", "RSS", "SYNCS", "p50", "p99", "STALLS",
           "p99");
}

void top_print_line(const struct top_view *v)
{
    char now[CELL_BYTES], cells[13][CELL_BYTES];
    clock_text(now);
    const char *const texts[] = {
        short_number(v->in, cells[0]),
        short_bytes(v->in_bytes, cells[1]),
        short_number(v->out, cells[2]),
        short_bytes(v->out_bytes, cells[3]),
        short_count(v->lag, cells[4]),
        short_count(v->in_flight, cells[5]),
        short_bytes((double)v->now->stats->mapped_bytes, cells[6]),
        short_bytes((double)v->now->memory->rss_bytes, cells[7]),
        short_count(v->syncs.n, cells[8]),
        short_time(v->syncs.p50_ns, cells[9]),
        short_time(v->syncs.p99_ns, cells[10]),
        short_count(v->stalls.n, cells[11]),
        short_time(v->stalls.p99_ns, cells[12]),
    };
    printf("%-8s", now);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        printf(" %7s", texts[i]);
    putchar('\n');
}

/* ---- JSON ---- */

static json_t *rate_to_json(double rate)
{
    return rate < 0 ? json_null() : json_real(rate);
}

static json_t *timing_to_json(const struct top_timing *t)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)t->n, "p50Ns",
                     (json_int_t)t->p50_ns, "p99Ns", (json_int_t)t->p99_ns, "p999Ns",
                     (json_int_t)t->p999_ns, "maxNs", (json_int_t)t->max_ns);
}

static json_t *topics_to_json(const struct top_view *v)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < v->n_topics; i++) {
        const struct top_topic *t = &v->topics[i];
        /* what cannot be appended is missed by the caller, who finds no list of that length */
        (void)json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:o}", "name", t->name,
                                                    "queues", (json_int_t)t->n_queues, "stored",
                                                    (json_int_t)t->stored, "inPerSecond",
                                                    rate_to_json(t->in)));
    }
    return list;
}

static json_t *groups_to_json(const struct top_view *v)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < v->n_groups; i++) {
        const struct top_group *g = &v->groups[i];
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:o}", "group", g->group,
                                                    "topic", g->topic, "lag", (json_int_t)g->lag,
                                                    "inFlight", (json_int_t)g->in_flight,
                                                    "outPerSecond", rate_to_json(g->out)));
    }
    return list;
}

static json_t *memory_to_json(const struct top_view *v)
{
    const Sluice__V1__GetMemoryResponse *m = v->now->memory;
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:I, s:I}", "mappedBytes",
                     (json_int_t)v->now->stats->mapped_bytes, "rssBytes", (json_int_t)m->rss_bytes,
                     "rssAnonBytes", (json_int_t)m->rss_anon_bytes, "rssFileBytes",
                     (json_int_t)m->rss_file_bytes, "majorFaultsPerSecond",
                     rate_to_json(v->major_faults), "leadBytes", (json_int_t)m->lead_bytes,
                     "leadMs", (json_int_t)m->lead_ms);
}

static json_t *log_to_json(const struct top_view *v)
{
    const Sluice__V1__GetStatsResponse *s = v->now->stats;
    return json_pack("{s:I, s:I, s:I, s:I, s:b}", "bytes", (json_int_t)(s->published - s->log_min),
                     "unflushedBytes", (json_int_t)(s->published - s->flushed), "files",
                     (json_int_t)s->files, "damaged", (json_int_t)s->damaged, "failed",
                     (int)s->failed);
}

int top_print_json(const struct top_view *v, struct err *e)
{
    json_t *topics = topics_to_json(v), *groups = groups_to_json(v);
    if (json_array_size(topics) != v->n_topics || json_array_size(groups) != v->n_groups) {
        json_decref(topics);
        json_decref(groups);
        return err_set(e, ERR_NOMEM, "make a line of JSON");
    }
    json_int_t now_ms = (json_int_t)io_posix()->now_ms(io_posix());
    return json_line(
        json_pack("{s:I, s:f, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}",
                  "timeMs", now_ms, "seconds", v->seconds, "inPerSecond", rate_to_json(v->in),
                  "inBytesPerSecond", rate_to_json(v->in_bytes), "outPerSecond",
                  rate_to_json(v->out), "outBytesPerSecond", rate_to_json(v->out_bytes), "lag",
                  (json_int_t)v->lag, "inFlight", (json_int_t)v->in_flight, "waiting",
                  (json_int_t)v->now->stats->parked, "memory", memory_to_json(v), "log",
                  log_to_json(v), "syncs", timing_to_json(&v->syncs), "stalls",
                  timing_to_json(&v->stalls), "topics", topics, "groups", groups),
        e);
}
