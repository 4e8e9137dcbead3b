/* Encodes, decodes and checks records, queue entries and checkpoints; offsets are in format.h.
 *
 * A record is believed when its magic, its own position in the log, and the sum of its lengths all
 * agree: that is what tells it from other bytes, also when looking for the next one after damage.
 * The body has a CRC of its own, checked apart (store_body_check) because it costs a pass over the
 * body. The properties have none: a record whose end never reached the disk shows as one that ends
 * in a NUL, so those are refused on both ways. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/crc32.h"
#include "base/jhash.h"
#include "store/format.h"

/* ---- hosts ---- */

static size_t host_bytes(const struct store_host *host)
{
    assert(host->addr_len == 4 || host->addr_len == 16);
    return (size_t)host->addr_len + 4;
}

static uint8_t *put_host(uint8_t *dst, const struct store_host *host)
{
    memcpy(dst, host->addr, host->addr_len);
    be32_put(dst + host->addr_len, host->port);
    return dst + host_bytes(host);
}

static size_t host_room(bool is_v6)
{
    return is_v6 ? FORMAT_HOST_V6_BYTES : FORMAT_HOST_V4_BYTES;
}

static struct store_host get_host(const uint8_t *src, bool is_v6)
{
    struct store_host host = {.addr_len = is_v6 ? 16 : 4};
    if (is_v6)
        memcpy(host.addr, src, 16);
    else
        memcpy(host.addr, src, 4);
    host.port = be32_get(src + host_room(is_v6) - 4);
    return host;
}

/* ---- encoding ---- */

bool record_topic_is_safe(struct span topic)
{
    if (topic.len == 0 || topic.len > FORMAT_TOPIC_MAX)
        return false;
    if (span_equal(topic, span_str(".")) || span_equal(topic, span_str("..")))
        return false;
    return !memchr(topic.ptr, '\0', topic.len) && !memchr(topic.ptr, '/', topic.len);
}

static int check_message(const struct store_message *m, struct err *e)
{
    if (m->topic.len > FORMAT_TOPIC_MAX)
        return err_set(e, ERR_TOOBIG, "topic has %zu bytes, the limit is %d", m->topic.len,
                       FORMAT_TOPIC_MAX);
    if (!record_topic_is_safe(m->topic))
        return err_set(e, ERR_INVAL, "topic is empty or cannot name a folder");
    if (m->queue_id < 0)
        return err_set(e, ERR_INVAL, "queue id is '%" PRId32 "'", m->queue_id);
    if (m->properties.len > FORMAT_PROPERTIES_MAX)
        return err_set(e, ERR_TOOBIG, "properties have %zu bytes, the limit is %d",
                       m->properties.len, FORMAT_PROPERTIES_MAX);
    if (m->properties.len > 0 && m->properties.ptr[m->properties.len - 1] == '\0')
        return err_set(e, ERR_INVAL, "properties end in a NUL byte");
    return 0;
}

static int measure_body(const struct store_message *m, uint32_t max_body_bytes,
                        struct record_plan *plan, struct err *e)
{
    uint64_t len = 0;
    for (size_t i = 0; i < m->n_body; i++) {
        if (m->body[i].len > max_body_bytes - len)
            return err_set(e, ERR_TOOBIG, "body is over the limit of %" PRIu32 " bytes",
                           max_body_bytes);
        len += m->body[i].len;
    }
    uint32_t crc = 0;
    for (size_t i = 0; i < m->n_body; i++) {
        if (m->body[i].len != 0) /* without a pointer the CRC would start anew */
            crc = crc32_add(crc, m->body[i].ptr, m->body[i].len);
    }
    plan->body_len = (uint32_t)len;
    plan->body_crc = crc32_stored(crc);
    return 0;
}

static int32_t address_bits(const struct store_host *born, const struct store_host *stored)
{
    return (born->addr_len == 16 ? STORE_SYSFLAG_BORN_V6 : 0) |
           (stored->addr_len == 16 ? STORE_SYSFLAG_STORE_V6 : 0);
}

int record_plan(const struct store_message *m, const struct store_host *host,
                uint32_t max_body_bytes, struct record_plan *ret_plan, struct err *e)
{
    struct record_plan plan = {.store_host = *host};
    int rc = check_message(m, e);
    if (rc == 0)
        rc = measure_body(m, max_body_bytes, &plan, e);
    if (rc < 0)
        return rc;

    bool is_v2 = m->topic.len > FORMAT_TOPIC_V1_MAX;
    plan.magic = is_v2 ? STORE_MAGIC_V2 : STORE_MAGIC_V1;
    plan.sys_flag = (m->sys_flag & ~(STORE_SYSFLAG_BORN_V6 | STORE_SYSFLAG_STORE_V6)) |
                    address_bits(&m->born_host, host);
    uint64_t size = FORMAT_HEAD_FIXED_BYTES + host_bytes(&m->born_host) + host_bytes(host) +
                    (uint64_t)plan.body_len + (is_v2 ? 2 : 1) + m->topic.len + 2 +
                    m->properties.len;
    if (size > INT32_MAX)
        return err_set(e, ERR_TOOBIG, "record of %" PRIu64 " bytes cannot be stored", size);
    plan.size = (uint32_t)size;
    *ret_plan = plan;
    return 0;
}

static uint8_t *put_head(uint8_t *dst, const struct record_plan *plan,
                         const struct store_message *m)
{
    be32_put(dst + FORMAT_AT_SIZE, plan->size);
    be32_put(dst + FORMAT_AT_MAGIC, plan->magic);
    be32_put(dst + FORMAT_AT_BODY_CRC, plan->body_crc);
    be32_put(dst + FORMAT_AT_QUEUE_ID, (uint32_t)m->queue_id);
    be32_put(dst + FORMAT_AT_FLAG, (uint32_t)m->flag);
    be64_put(dst + FORMAT_AT_QUEUE_OFF, 0);
    be64_put(dst + FORMAT_AT_LOG_OFF, 0);
    be32_put(dst + FORMAT_AT_SYS_FLAG, (uint32_t)plan->sys_flag);
    be64_put(dst + FORMAT_AT_BORN_MS, m->born_ms);
    uint8_t *at = put_host(dst + FORMAT_AT_BORN_HOST, &m->born_host);
    be64_put(at, 0); /* store_ms */
    at = put_host(at + 8, &plan->store_host);
    be32_put(at, (uint32_t)m->reconsume_times);
    be64_put(at + 4, (uint64_t)m->prepared_off);
    be32_put(at + 12, plan->body_len);
    return at + 16;
}

static uint8_t *put_span(uint8_t *dst, struct span s)
{
    if (s.len != 0)
        memcpy(dst, s.ptr, s.len);
    return dst + s.len;
}

static uint8_t *put_tail(uint8_t *dst, const struct record_plan *plan,
                         const struct store_message *m)
{
    if (plan->magic == STORE_MAGIC_V2) {
        be16_put(dst, (uint16_t)m->topic.len);
        dst += 2;
    } else {
        *dst++ = (uint8_t)m->topic.len;
    }
    dst = put_span(dst, m->topic);
    be16_put(dst, (uint16_t)m->properties.len);
    return put_span(dst + 2, m->properties);
}

void record_write(uint8_t *dst, const struct record_plan *plan, const struct store_message *m)
{
    uint8_t *at = put_head(dst, plan, m);
    for (size_t i = 0; i < m->n_body; i++)
        at = put_span(at, m->body[i]);
    at = put_tail(at, plan, m);
    assert(at == dst + plan->size);
}

size_t record_write_around(uint8_t *dst, const struct record_plan *plan,
                           const struct store_message *m)
{
    uint8_t *body = put_head(dst, plan, m);
    uint8_t *end = put_tail(body, plan, m);
    assert(end == dst + (plan->size - plan->body_len));
    (void)end; /* looked at in debug builds only */
    return (size_t)(body - dst);
}

void record_patch(uint8_t *dst, const struct record_plan *plan, uint64_t queue_off,
                  uint64_t log_off, uint64_t store_ms)
{
    be64_put(dst + FORMAT_AT_QUEUE_OFF, queue_off);
    size_t born_bytes =
        plan->sys_flag & STORE_SYSFLAG_BORN_V6 ? FORMAT_HOST_V6_BYTES : FORMAT_HOST_V4_BYTES;
    be64_put(dst + FORMAT_AT_BORN_HOST + born_bytes, store_ms);
    /* last, also for the compiler: a process killed before it leaves no record, after it a whole
     * one. What the processor has retired reaches the page cache, so no stronger fence is needed */
    atomic_signal_fence(memory_order_release);
    be64_put(dst + FORMAT_AT_LOG_OFF, log_off);
}

void record_write_filler(uint8_t *dst, uint32_t left)
{
    assert(left >= FORMAT_FILLER_BYTES && left <= INT32_MAX);
    be32_put(dst + FORMAT_AT_SIZE, left);
    be32_put(dst + FORMAT_AT_MAGIC, STORE_MAGIC_BLANK);
}

/* ---- decoding ---- */

static enum record_check bad(const char **ret_why, const char *why)
{
    if (ret_why)
        *ret_why = why;
    return RECORD_BAD;
}

static enum record_check short_of(struct store_record *ret, uint32_t size)
{
    ret->size = size;
    return RECORD_SHORT;
}

/* The parts that have no place of their own. */
struct layout {
    bool is_born_v6, is_store_v6;
    size_t head_bytes; /* up to and with the body's length */
    struct span body, topic, properties;
};

/* Finds the end of the head and the body's length. False when the bytes end before. */
static bool find_head(struct span raw, struct layout *l, uint32_t *ret_body_len)
{
    if (raw.len < FORMAT_AT_BORN_MS)
        return false;
    uint32_t sys_flag = be32_get(raw.ptr + FORMAT_AT_SYS_FLAG);
    l->is_born_v6 = sys_flag & STORE_SYSFLAG_BORN_V6;
    l->is_store_v6 = sys_flag & STORE_SYSFLAG_STORE_V6;
    l->head_bytes = FORMAT_HEAD_FIXED_BYTES + host_room(l->is_born_v6) + host_room(l->is_store_v6);
    if (raw.len < l->head_bytes)
        return false;
    *ret_body_len = be32_get(raw.ptr + l->head_bytes - 4);
    return true;
}

/* The parts behind the head, from bytes that hold the whole record. */
static enum record_check find_rest(struct span raw, bool is_v2, uint32_t body_len, struct layout *l,
                                   const char **ret_why)
{
    struct reader r = reader_of(span_of(raw.ptr + l->head_bytes, raw.len - l->head_bytes));
    l->body = reader_take(&r, body_len);
    size_t topic_len = is_v2 ? reader_be16(&r) : reader_u8(&r);
    l->topic = reader_take(&r, topic_len);
    l->properties = reader_take(&r, reader_be16(&r));
    if (r.bad || r.left != 0)
        return bad(ret_why, "lengths do not add up to the size");
    if (topic_len > (is_v2 ? INT16_MAX : FORMAT_TOPIC_V1_MAX))
        return bad(ret_why, "topic length is negative");
    if (l->topic.len == 0)
        return bad(ret_why, "topic is empty");
    if (l->properties.len > FORMAT_PROPERTIES_MAX)
        return bad(ret_why, "properties length is negative");
    if (l->properties.len > 0 && l->properties.ptr[l->properties.len - 1] == '\0')
        return bad(ret_why, "properties end in zeros: the end was never written");
    return RECORD_OK;
}

/* Reads the fields of a record that was found whole. */
static void read_fields(struct span raw, const struct layout *l, struct store_record *ret)
{
    const uint8_t *head = raw.ptr, *born = head + FORMAT_AT_BORN_HOST;
    const uint8_t *stored = born + host_room(l->is_born_v6);
    const uint8_t *last = head + l->head_bytes - 16;
    *ret = (struct store_record){
        .log_off = be64_get(head + FORMAT_AT_LOG_OFF),
        .size = be32_get(head + FORMAT_AT_SIZE),
        .magic = be32_get(head + FORMAT_AT_MAGIC),
        .body_crc = be32_get(head + FORMAT_AT_BODY_CRC),
        .queue_id = (int32_t)be32_get(head + FORMAT_AT_QUEUE_ID),
        .flag = (int32_t)be32_get(head + FORMAT_AT_FLAG),
        .queue_off = be64_get(head + FORMAT_AT_QUEUE_OFF),
        .sys_flag = (int32_t)be32_get(head + FORMAT_AT_SYS_FLAG),
        .born_ms = be64_get(head + FORMAT_AT_BORN_MS),
        .born_host = get_host(born, l->is_born_v6),
        .store_ms = be64_get(stored),
        .store_host = get_host(stored + 8, l->is_store_v6),
        .reconsume_times = (int32_t)be32_get(last),
        .prepared_off = (int64_t)be64_get(last + 4),
        .body = l->body,
        .topic = l->topic,
        .properties = l->properties,
        .raw = raw,
    };
}

/* What the first eight bytes tell. RECORD_OK: go on. */
static enum record_check look_at_magic(uint32_t size, uint32_t magic, struct store_record *ret,
                                       const char **ret_why)
{
    if (size == 0 && magic == 0)
        return RECORD_ZERO;
    if (magic == STORE_MAGIC_BLANK) {
        if (size < FORMAT_FILLER_BYTES || size > INT32_MAX)
            return bad(ret_why, "filler has an impossible length");
        ret->size = size;
        ret->magic = magic;
        return RECORD_BLANK;
    }
    if (magic != STORE_MAGIC_V1 && magic != STORE_MAGIC_V2)
        return bad(ret_why, "magic is wrong");
    if (size < FORMAT_RECORD_MIN_BYTES || size > INT32_MAX)
        return bad(ret_why, "size is impossible");
    return RECORD_OK;
}

enum record_check record_decode(struct span bytes, uint64_t expect_log_off,
                                struct store_record *ret, const char **ret_why)
{
    if (bytes.len < FORMAT_FILLER_BYTES)
        return short_of(ret, 0);
    uint32_t size = be32_get(bytes.ptr + FORMAT_AT_SIZE);
    uint32_t magic = be32_get(bytes.ptr + FORMAT_AT_MAGIC);
    enum record_check check = look_at_magic(size, magic, ret, ret_why);
    if (check != RECORD_OK)
        return check;

    struct span raw = span_of(bytes.ptr, size < bytes.len ? size : bytes.len);
    bool has_position = raw.len >= FORMAT_AT_LOG_OFF + 8;
    if (has_position && expect_log_off != RECORD_OFF_UNKNOWN &&
        be64_get(raw.ptr + FORMAT_AT_LOG_OFF) != expect_log_off)
        return bad(ret_why, "own position is not where it is");
    struct layout l;
    uint32_t body_len;
    bool has_head = find_head(raw, &l, &body_len);
    if (has_head && body_len > size - l.head_bytes)
        return bad(ret_why, "body is longer than the record");
    if (bytes.len < size)
        return short_of(ret, size);
    if (!has_head)
        return bad(ret_why, "size is too small for its hosts");
    check = find_rest(raw, magic == STORE_MAGIC_V2, body_len, &l, ret_why);
    if (check == RECORD_OK)
        read_fields(raw, &l, ret);
    return check;
}

/* The magics differ in their first bytes from most others, so most positions cost one compare. */
static bool is_magic(const uint8_t *p)
{
    if (*p != STORE_MAGIC_V1 >> 24 && *p != STORE_MAGIC_BLANK >> 24)
        return false;
    uint32_t magic = be32_get(p);
    return magic == STORE_MAGIC_V1 || magic == STORE_MAGIC_V2 || magic == STORE_MAGIC_BLANK;
}

size_t record_find(struct span bytes, uint64_t log_off, size_t from)
{
    for (size_t i = from; bytes.len >= FORMAT_FILLER_BYTES && i <= bytes.len - FORMAT_FILLER_BYTES;
         i++) {
        if (!is_magic(bytes.ptr + i + FORMAT_AT_MAGIC))
            continue;
        struct store_record rec;
        struct span rest = span_of(bytes.ptr + i, bytes.len - i);
        if (record_decode(rest, log_off + i, &rec, /* ret_why = */ NULL) != RECORD_BAD)
            return i;
    }
    return bytes.len;
}

/* ---- properties ---- */

/* Cuts the text before the next pair separator off `*rest`. */
static struct span cut_pair(struct span *rest)
{
    const uint8_t *end = memchr(rest->ptr, FORMAT_PAIR_SEPARATOR, rest->len);
    struct span pair = span_of(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    size_t used = end ? pair.len + 1 : pair.len;
    rest->ptr += used;
    rest->len -= used;
    return pair;
}

bool store_property_next(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    while (rest->len > 0) {
        struct span pair = cut_pair(rest);
        const uint8_t *mid = pair.len ? memchr(pair.ptr, FORMAT_NAME_SEPARATOR, pair.len) : NULL;
        if (!mid || mid == pair.ptr || mid == pair.ptr + pair.len - 1)
            continue;
        size_t name_len = (size_t)(mid - pair.ptr);
        *ret_name = span_of(pair.ptr, name_len);
        *ret_value = span_of(mid + 1, pair.len - name_len - 1);
        return true;
    }
    return false;
}

bool store_property_get(struct span properties, const char *name, struct span *ret_value)
{
    const size_t name_len = strlen(name);
    while (properties.len > name_len + 1) {
        /* compared before the end is looked for: most pieces differ in their first letters */
        bool is_it = memcmp(properties.ptr, name, name_len) == 0 &&
                     properties.ptr[name_len] == FORMAT_NAME_SEPARATOR;
        struct span pair = cut_pair(&properties);
        if (is_it && pair.len > name_len + 1) {
            *ret_value = span_of(pair.ptr + name_len + 1, pair.len - name_len - 1);
            return true;
        }
    }
    return false;
}

bool store_body_check(const struct store_record *rec, uint32_t *ret_crc)
{
    uint32_t crc = rec->body.len ? crc32_add(0, rec->body.ptr, rec->body.len) : 0;
    if (ret_crc)
        *ret_crc = crc;
    return crc32_stored(crc) == rec->body_crc;
}

/* ---- tag codes ---- */

/* messageDelayLevel's default in seconds; level 1 is the first (rocketmq-store 9.1). */
static const uint16_t delay_level_s[] = {1,   5,   10,  30,  60,  120,  180,  240,  300,
                                         360, 420, 480, 540, 600, 1200, 1800, 3600, 7200};

/* The delay level of a record, capped to the last one; 0 without or when it is not a number. */
static size_t delay_level(const struct store_record *rec)
{
    const size_t max_level = sizeof delay_level_s / sizeof delay_level_s[0];
    struct span text;
    if (!store_property_get(rec->properties, "DELAY", &text))
        return 0;
    size_t level = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return 0;
        level = level * 10 + (size_t)(text.ptr[i] - '0');
        if (level > max_level)
            level = max_level;
    }
    return level;
}

static bool is_schedule_topic(struct span topic)
{
    return span_equal(topic, span_str(FORMAT_SCHEDULE_TOPIC));
}

static int64_t code_of_tags(struct span properties)
{
    struct span tags;
    return store_property_get(properties, "TAGS", &tags) ? jhash(tags) : 0;
}

int64_t record_tag_code(const struct store_record *rec)
{
    if (is_schedule_topic(rec->topic)) {
        size_t level = delay_level(rec);
        if (level > 0)
            return (int64_t)(rec->store_ms + UINT64_C(1000) * delay_level_s[level - 1]);
    }
    return code_of_tags(rec->properties);
}

bool record_tag_code_ahead(const struct store_message *m, int64_t *ret_code)
{
    if (is_schedule_topic(m->topic))
        return false;
    *ret_code = code_of_tags(m->properties);
    return true;
}

int64_t store_tag_code(const struct store_record *rec)
{
    return record_tag_code(rec);
}

bool store_is_queued(const struct store_record *rec)
{
    return record_is_queued(rec);
}

/* ---- queue entries and checkpoint ---- */

void record_queue_entry_encode(uint8_t dst[STORE_QUEUE_ENTRY_BYTES],
                               const struct store_queue_entry *entry)
{
    be64_put(dst + FORMAT_ENTRY_AT_LOG_OFF, entry->log_off);
    be32_put(dst + FORMAT_ENTRY_AT_SIZE, entry->size);
    be64_put(dst + FORMAT_ENTRY_AT_TAG_CODE, (uint64_t)entry->tag_code);
}

bool store_queue_entry_decode(const uint8_t bytes[STORE_QUEUE_ENTRY_BYTES],
                              struct store_queue_entry *ret)
{
    uint64_t log_off = be64_get(bytes + FORMAT_ENTRY_AT_LOG_OFF);
    uint32_t size = be32_get(bytes + FORMAT_ENTRY_AT_SIZE);
    if (log_off > INT64_MAX || size == 0 || size > INT32_MAX)
        return false;
    *ret = (struct store_queue_entry){
        .log_off = log_off,
        .size = size,
        .tag_code = (int64_t)be64_get(bytes + FORMAT_ENTRY_AT_TAG_CODE),
    };
    return true;
}

void record_checkpoint_encode(uint8_t dst[STORE_CHECKPOINT_BYTES],
                              const struct store_checkpoint *cp)
{
    memset(dst, 0, STORE_CHECKPOINT_BYTES);
    be64_put(dst + FORMAT_CHECKPOINT_AT_LOG_MS, cp->log_ms);
    be64_put(dst + FORMAT_CHECKPOINT_AT_QUEUE_MS, cp->queue_ms);
    be64_put(dst + FORMAT_CHECKPOINT_AT_INDEX_MS, cp->index_ms);
    be64_put(dst + FORMAT_CHECKPOINT_AT_MASTER_FLUSHED_OFF, (uint64_t)cp->master_flushed_off);
    be64_put(dst + FORMAT_CHECKPOINT_AT_CONFIRM_OFF, (uint64_t)cp->confirm_off);
    be64_put(dst + FORMAT_CHECKPOINT_AT_QUEUE_OFF, (uint64_t)cp->queue_off);
    be64_put(dst + FORMAT_CHECKPOINT_AT_COUNT_OFF, cp->count_off);
    be64_put(dst + FORMAT_CHECKPOINT_AT_INDEX_OFF, cp->index_off);
    be64_put(dst + FORMAT_CHECKPOINT_AT_INDEX_NAME, cp->index_name);
    be64_put(dst + FORMAT_CHECKPOINT_AT_N_INDEX_NEXT, cp->n_index_next);
    be64_put(dst + FORMAT_CHECKPOINT_AT_N_QUEUES, cp->n_queues);
    be64_put(dst + FORMAT_CHECKPOINT_AT_N_ENTRIES, cp->n_entries);
}

int store_checkpoint_decode(struct span file, struct store_checkpoint *ret, struct err *e)
{
    if (file.len < FORMAT_CHECKPOINT_FIELDS_BYTES)
        return err_set(e, ERR_CORRUPT, "checkpoint has %zu bytes, at least %d are needed", file.len,
                       FORMAT_CHECKPOINT_FIELDS_BYTES);
    *ret = (struct store_checkpoint){
        .log_ms = be64_get(file.ptr + FORMAT_CHECKPOINT_AT_LOG_MS),
        .queue_ms = be64_get(file.ptr + FORMAT_CHECKPOINT_AT_QUEUE_MS),
        .index_ms = be64_get(file.ptr + FORMAT_CHECKPOINT_AT_INDEX_MS),
        .master_flushed_off = (int64_t)be64_get(file.ptr + FORMAT_CHECKPOINT_AT_MASTER_FLUSHED_OFF),
        .confirm_off = (int64_t)be64_get(file.ptr + FORMAT_CHECKPOINT_AT_CONFIRM_OFF),
        .queue_off = (int64_t)be64_get(file.ptr + FORMAT_CHECKPOINT_AT_QUEUE_OFF),
    };
    if (file.len >= STORE_CHECKPOINT_BYTES) {
        ret->count_off = be64_get(file.ptr + FORMAT_CHECKPOINT_AT_COUNT_OFF);
        ret->index_off = be64_get(file.ptr + FORMAT_CHECKPOINT_AT_INDEX_OFF);
        ret->index_name = be64_get(file.ptr + FORMAT_CHECKPOINT_AT_INDEX_NAME);
        ret->n_index_next = be64_get(file.ptr + FORMAT_CHECKPOINT_AT_N_INDEX_NEXT);
        ret->n_queues = be64_get(file.ptr + FORMAT_CHECKPOINT_AT_N_QUEUES);
        ret->n_entries = be64_get(file.ptr + FORMAT_CHECKPOINT_AT_N_ENTRIES);
    }
    return 0;
}
