/* Shows the small files of a store: the checkpoint, and the JSON under config/. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/quiet_file.h"
#include "tools/config_json.h"
#include "tools/dump.h"
#include "tools/dump_kind.h"
#include "tools/dump_record.h"
#include "tools/hex.h"
#include "tools/json_line.h"

enum { INDENT = 2 };

/* ---- the checkpoint ---- */

static int checkpoint_json(const struct store_checkpoint *cp, struct err *e)
{
    return json_line(
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "physicMsgTimestamp", (json_int_t)cp->log_ms,
                  "logicsMsgTimestamp", (json_int_t)cp->queue_ms, "indexMsgTimestamp",
                  (json_int_t)cp->index_ms, "masterFlushedOffset",
                  (json_int_t)cp->master_flushed_off, "confirmPhyOffset",
                  (json_int_t)cp->confirm_off, "logicsPhysicalOffset", (json_int_t)cp->queue_off),
        e);
}

static void put_time_or_never(char text[DUMP_TIME_BYTES], uint64_t ms)
{
    if (ms == 0)
        (void)snprintf(text, DUMP_TIME_BYTES, "never");
    else
        dump_put_time(text, ms);
}

static void checkpoint_text(const struct store_checkpoint *cp)
{
    char log[DUMP_TIME_BYTES], queues[DUMP_TIME_BYTES], index[DUMP_TIME_BYTES];
    put_time_or_never(log, cp->log_ms);
    put_time_or_never(queues, cp->queue_ms);
    put_time_or_never(index, cp->index_ms);
    printf("checkpoint: log stored until %s, queues until %s, index until %s\n"
           "            flushed by the master to %" PRId64 ", confirmed to %" PRId64
           ", queues hold the log to %" PRId64 "\n",
           log, queues, index, cp->master_flushed_off, cp->confirm_off, cp->queue_off);
}

int dump_checkpoint(struct dump *d, const char *path, struct err *e)
{
    struct store_checkpoint cp;
    uint8_t *buf;
    size_t len;
    int rc = quiet_read_whole(d->io, path, STORE_CHECKPOINT_BYTES, &buf, &len, e);
    if (rc < 0)
        return rc;
    struct err damage;
    if (len == 0)
        rc = err_set(e, ERR_NOTFOUND, "read '%s': it was not written yet", path);
    else if (store_checkpoint_decode(span_of(buf, len), &cp, &damage) < 0)
        dump_finding(d, "DAMAGED: '%s': %s", path, damage.msg);
    else if (d->format == DUMP_JSON)
        rc = checkpoint_json(&cp, e);
    else
        checkpoint_text(&cp);
    if (rc == 0 && d->format == DUMP_HEX)
        hex_print(span_of(buf, len), 0);
    free(buf);
    return rc;
}

/* ---- config ---- */

static int print_config(struct dump *d, const char *path, json_t *root, struct err *e)
{
    if (d->format == DUMP_JSON)
        return json_line(
            json_pack("{s:o, s:O}", "file", dump_text_to_json(span_str(path)), "content", root), e);
    printf("%s\n", path);
    if (json_dumpf(root, stdout, JSON_INDENT(INDENT) | JSON_SORT_KEYS | JSON_ENCODE_ANY) < 0)
        return err_sys(e, errno, "write to stdout");
    putchar('\n');
    return 0;
}

int dump_config_file(struct dump *d, const char *path, struct err *e)
{
    uint8_t *buf;
    size_t len;
    json_t *root = NULL;
    struct err damage;
    int rc = quiet_read_whole(d->io, path, CONFIG_BYTES_MAX, &buf, &len, e);
    if (rc < 0)
        return rc;
    int parsed = config_json_parse(buf, len, &root, &damage);
    if (parsed == ERR_CORRUPT)
        dump_finding(d, "DAMAGED: '%s': %s", path, damage.msg);
    else if (parsed < 0)
        rc = err_set(e, parsed, "read '%s': %s", path, damage.msg);
    else
        rc = print_config(d, path, root, e);
    if (rc == 0 && d->format == DUMP_HEX)
        hex_print(span_of(buf, len), 0);
    json_decref(root);
    free(buf);
    if (rc == 0)
        d->limit--;
    return rc;
}

int dump_config_folder(struct dump *d, struct err *e)
{
    struct dirent **names;
    int n = scandir(d->path, &names, NULL, alphasort), rc = 0;
    if (n < 0)
        return err_sys(e, errno, "open folder '%s'", d->path);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        int len = snprintf(path, sizeof path, "%s/%s", d->path, names[i]->d_name);
        if (rc == 0 && len > 0 && (size_t)len < sizeof path && dump_goes_on(d)) {
            if (dump_is_config(names[i]->d_name))
                rc = dump_config_file(d, path, e);
            else if (strcmp(names[i]->d_name, DUMP_TIMER_CHECK) == 0)
                rc = dump_timer_check(d, path, e);
        }
        free(names[i]);
    }
    free(names);
    return rc;
}
