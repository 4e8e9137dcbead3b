/* Checks the form of a report: {"machine": {...}, "results": [...], "series": [...]}. Results and
 * series are lists of objects; one of the two must be there. Of the fields, a result needs bench,
 * case, value and unit, and a series all of its own; what is there has to be of its type. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/results_file.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"

enum {
    MAX_FILE_BYTES = 64 << 20,
    MAX_ROWS = 10000,
    MAX_SERIES = 1000,
    MAX_POINTS = 1000000,
    MAX_TEXT_BYTES = 200, /* of a name or a unit */
};

static const double MAX_NUMBER = 1e100; /* what is multiplied for an axis stays finite */

/* ---- fields ---- */

/* A text that is there or not; `*ret` is NULL when it is null or absent. */
static int take_text(const json_t *object, const char *name, const char **ret, struct err *e)
{
    const json_t *value = json_object_get(object, name);
    *ret = json_string_value(value);
    if (value && !json_is_null(value) && !*ret)
        return err_set(e, ERR_CORRUPT, "'%s' is no text", name);
    if (*ret && (strlen(*ret) > MAX_TEXT_BYTES || strlen(*ret) != json_string_length(value)))
        return err_set(e, ERR_CORRUPT, "'%s' has over %d bytes, or a zero byte", name,
                       MAX_TEXT_BYTES);
    return 0;
}

static int need_text(const json_t *object, const char *name, const char **ret, struct err *e)
{
    int rc = take_text(object, name, ret, e);
    return rc == 0 && !*ret ? err_set(e, ERR_CORRUPT, "'%s' is missing", name) : rc;
}

static int take_number(const json_t *object, const char *name, double *ret, struct err *e)
{
    const json_t *value = json_object_get(object, name);
    *ret = NAN;
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_number(value))
        return err_set(e, ERR_CORRUPT, "'%s' is no number", name);
    *ret = json_number_value(value);
    return fabs(*ret) > MAX_NUMBER ? err_set(e, ERR_TOOBIG, "'%s' is too large", name) : 0;
}

/* ---- results ---- */

static enum results_bound bound_kind_of(const json_t *object)
{
    static const struct {
        const char *text;
        enum results_bound kind;
    } kinds[] = {{"ratio >=", RESULTS_RATIO_AT_LEAST},
                 {"ratio <=", RESULTS_RATIO_AT_MOST},
                 {"value >=", RESULTS_VALUE_AT_LEAST},
                 {"value <=", RESULTS_VALUE_AT_MOST}};
    const char *text = json_string_value(json_object_get(object, "bound_is"));
    for (size_t i = 0; text && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(text, kinds[i].text) == 0)
            return kinds[i].kind;
    return RESULTS_BOUND_UNKNOWN;
}

static int take_numbers(const json_t *object, struct results_row *row, struct err *e)
{
    const struct {
        const char *name;
        double *ret;
    } numbers[] = {
        {"value", &row->value}, {"spread", &row->spread},
        {"limit", &row->limit}, {"ratio", &row->ratio},
        {"bound", &row->bound}, {"cores", &row->cores},
        {"disk", &row->disk},   {"server_cores", &row->server_cores},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof numbers / sizeof numbers[0]; i++)
        rc = take_number(object, numbers[i].name, numbers[i].ret, e);
    if (rc == 0 && isnan(row->value))
        rc = err_set(e, ERR_CORRUPT, "'value' is missing");
    return rc;
}

static int read_row(const json_t *object, struct results_row *row, struct err *e)
{
    const json_t *met = json_object_get(object, "met");
    if (!json_is_object(object))
        return err_set(e, ERR_CORRUPT, "it is no object");
    int rc = need_text(object, "bench", &row->bench, e);
    if (rc == 0)
        rc = need_text(object, "case", &row->name, e);
    if (rc == 0)
        rc = need_text(object, "unit", &row->unit, e);
    if (rc == 0)
        rc = take_text(object, "target", &row->target, e);
    if (rc == 0)
        rc = take_text(object, "bound_by", &row->bound_by, e);
    if (rc == 0)
        rc = take_numbers(object, row, e);
    row->verdict = json_is_true(met)    ? RESULTS_MET
                   : json_is_false(met) ? RESULTS_MISSED
                                        : RESULTS_NO_TARGET;
    row->bound_kind = bound_kind_of(object);
    return rc;
}

/* ---- series ---- */

static int read_point(const json_t *point, double ret[2], struct err *e)
{
    const json_t *x = json_array_get(point, 0), *y = json_array_get(point, 1);
    if (json_array_size(point) != 2 || !json_is_number(x) || !json_is_number(y))
        return err_set(e, ERR_CORRUPT, "a point is no pair of numbers");
    ret[0] = json_number_value(x);
    ret[1] = json_number_value(y);
    if (fabs(ret[0]) > MAX_NUMBER || fabs(ret[1]) > MAX_NUMBER)
        return err_set(e, ERR_TOOBIG, "a point is too far away");
    return 0;
}

static int read_points(const json_t *object, struct results_series *s, struct err *e)
{
    const json_t *points = json_object_get(object, "points");
    size_t n = json_array_size(points);
    int rc = 0;
    if (!json_is_array(points))
        return err_set(e, ERR_CORRUPT, "'points' is no list");
    if (n > MAX_POINTS)
        return err_set(e, ERR_TOOBIG, "it has over %d points", MAX_POINTS);
    s->points = calloc(n + 1, sizeof s->points[0]);
    if (!s->points)
        return err_set(e, ERR_NOMEM, "read %zu points", n);
    for (; rc == 0 && s->n_points < n; s->n_points++)
        rc = read_point(json_array_get(points, s->n_points), s->points[s->n_points], e);
    return rc;
}

static int read_series(const json_t *object, struct results_series *s, struct err *e)
{
    if (!json_is_object(object))
        return err_set(e, ERR_CORRUPT, "it is no object");
    int rc = need_text(object, "name", &s->name, e);
    if (rc == 0)
        rc = need_text(object, "x_unit", &s->x_unit, e);
    if (rc == 0)
        rc = need_text(object, "y_unit", &s->y_unit, e);
    return rc == 0 ? read_points(object, s, e) : rc;
}

/* ---- the file ---- */

/* The list of that name, and room for what is read of it; an absent one is empty. */
static int take_list(const json_t *root, const char *name, size_t max, const json_t **ret,
                     struct err *e)
{
    *ret = json_object_get(root, name);
    if (*ret && !json_is_array(*ret))
        return err_set(e, ERR_CORRUPT, "'%s' is no list", name);
    if (json_array_size(*ret) > max)
        return err_set(e, ERR_TOOBIG, "'%s' has over %zu entries", name, max);
    return 0;
}

static int read_rows(struct results_file *f, struct err *e)
{
    const json_t *list;
    int rc = take_list(f->root, "results", MAX_ROWS, &list, e);
    if (rc < 0)
        return rc;
    f->n_rows = json_array_size(list);
    f->rows = calloc(f->n_rows + 1, sizeof f->rows[0]);
    if (!f->rows)
        return err_set(e, ERR_NOMEM, "read %zu results", f->n_rows);
    for (size_t i = 0; i < f->n_rows; i++) {
        rc = read_row(json_array_get(list, i), &f->rows[i], e);
        if (rc < 0)
            return err_wrap(e, "result %zu", i + 1);
    }
    return 0;
}

static int read_all_series(struct results_file *f, struct err *e)
{
    const json_t *list;
    int rc = take_list(f->root, "series", MAX_SERIES, &list, e);
    if (rc < 0)
        return rc;
    f->n_series = json_array_size(list);
    f->series = calloc(f->n_series + 1, sizeof f->series[0]);
    if (!f->series)
        return err_set(e, ERR_NOMEM, "read %zu series", f->n_series);
    for (size_t i = 0; i < f->n_series; i++) {
        rc = read_series(json_array_get(list, i), &f->series[i], e);
        if (rc < 0)
            return err_wrap(e, "series %zu", i + 1);
    }
    return 0;
}

static int read_file(struct results_file *f, struct span bytes, struct err *e)
{
    json_error_t error;
    f->root =
        json_loadb(bytes.ptr ? (const char *)bytes.ptr : "", bytes.len, /* flags = */ 0, &error);
    if (!f->root)
        return err_set(e, ERR_CORRUPT, "line %d: %.120s", error.line, error.text);
    if (!json_object_get(f->root, "results") && !json_object_get(f->root, "series"))
        return err_set(e, ERR_CORRUPT, "it has neither 'results' nor 'series'");
    f->machine = json_object_get(f->root, "machine");
    if (!json_is_object(f->machine))
        f->machine = NULL;
    int rc = read_rows(f, e);
    return rc == 0 ? read_all_series(f, e) : rc;
}

int results_file_parse(struct results_file *ret, const char *name, struct span bytes, struct err *e)
{
    struct results_file f = {.name = strdup(name)};
    int rc = f.name ? read_file(&f, bytes, e) : err_set(e, ERR_NOMEM, "read it");
    if (rc < 0) {
        results_file_fini(&f);
        return err_wrap(e, "'%s'", name);
    }
    *ret = f;
    return 0;
}

int results_file_read(struct results_file *ret, const char *folder, const char *name, struct err *e)
{
    char path[PATH_MAX];
    uint8_t *buf;
    size_t len;
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(e, ERR_TOOBIG, "the path of '%s' is too long", name);
    int rc = io_read_file(io_posix(), path, MAX_FILE_BYTES, &buf, &len, e);
    if (rc < 0)
        return rc;
    rc = results_file_parse(ret, name, span_of(buf, len), e);
    free(buf);
    return rc;
}

void results_file_fini(struct results_file *f)
{
    for (size_t i = 0; f->series && i < f->n_series; i++)
        free(f->series[i].points);
    free(f->series);
    free(f->rows);
    free(f->name);
    json_decref(f->root);
    *f = (struct results_file){0};
}
