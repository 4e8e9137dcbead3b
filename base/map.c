/* A hash map from byte strings to pointers: open addressing with linear probing. A removed entry
 * leaves a tombstone (key NULL, value DEAD) that growth sweeps away. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <stdlib.h>
#include <xxhash.h>

enum { FIRST_SLOTS = 16 };

static char dead_mark;
#define DEAD ((void *)&dead_mark)

static bool is_live(const struct map_entry *at)
{
    return at->key != NULL;
}

static struct map_entry *find(const struct map *m, struct span key, uint64_t hash)
{
    if (m->n_slots == 0)
        return NULL;
    for (size_t i = hash & (m->n_slots - 1);; i = (i + 1) & (m->n_slots - 1)) {
        struct map_entry *at = &m->entries[i];
        if (!is_live(at) && at->value != DEAD)
            return NULL;
        if (is_live(at) && at->hash == hash && span_equal(span_of(at->key, at->key_len), key))
            return at;
    }
}

static struct map_entry *first_free(struct map_entry *entries, size_t n_slots, uint64_t hash)
{
    size_t i = hash & (n_slots - 1);
    while (is_live(&entries[i]) || entries[i].value == DEAD)
        i = (i + 1) & (n_slots - 1);
    return &entries[i];
}

static int grow(struct map *m, struct err *e)
{
    size_t n_slots = m->n_slots == 0 ? FIRST_SLOTS : m->n_slots;
    while (m->n_used * 2 >= n_slots)
        n_slots *= 2;
    struct map_entry *entries = calloc(n_slots, sizeof *entries);
    if (!entries)
        return err_set(e, ERR_NOMEM, "grow a map to %zu slots", n_slots);
    for (size_t i = 0; i < m->n_slots; i++)
        if (is_live(&m->entries[i]))
            *first_free(entries, n_slots, m->entries[i].hash) = m->entries[i];
    free(m->entries);
    m->entries = entries;
    m->n_slots = n_slots;
    m->n_dead = 0;
    return 0;
}

void map_fini(struct map *m)
{
    for (size_t i = 0; i < m->n_slots; i++)
        free(m->entries[i].key);
    free(m->entries);
    *m = (struct map){0};
}

void *map_get(const struct map *m, struct span key)
{
    struct map_entry *at = find(m, key, XXH3_64bits(key.ptr, key.len));
    return at ? at->value : NULL;
}

int map_put(struct map *m, struct span key, void *value, struct err *e)
{
    uint64_t hash = XXH3_64bits(key.ptr, key.len);
    struct map_entry *at = find(m, key, hash);
    if (at) {
        at->value = value;
        return 0;
    }
    if ((m->n_used + m->n_dead + 1) * 4 > m->n_slots * 3) {
        int rc = grow(m, e);
        if (rc < 0)
            return rc;
    }
    uint8_t *copy = malloc(key.len + 1);
    if (!copy)
        return err_set(e, ERR_NOMEM, "copy a map key of %zu bytes", key.len);
    if (key.len)
        memcpy(copy, key.ptr, key.len);
    copy[key.len] = '\0';
    *first_free(m->entries, m->n_slots, hash) =
        (struct map_entry){.key = copy, .key_len = key.len, .value = value, .hash = hash};
    m->n_used++;
    return 0;
}

void *map_remove(struct map *m, struct span key)
{
    struct map_entry *at = find(m, key, XXH3_64bits(key.ptr, key.len));
    if (!at)
        return NULL;
    void *value = at->value;
    free(at->key);
    *at = (struct map_entry){.value = DEAD};
    m->n_used--;
    m->n_dead++;
    return value;
}

const struct map_entry *map_next(const struct map *m, size_t *pos)
{
    while (*pos < m->n_slots) {
        const struct map_entry *at = &m->entries[(*pos)++];
        if (is_live(at))
            return at;
    }
    return NULL;
}
