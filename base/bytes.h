/* Byte spans and bounds-checked big-endian access; the only way foreign bytes are read. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A view of bytes somebody else owns. An empty span may have a NULL pointer. */
struct span {
    const uint8_t *ptr;
    size_t len;
};

static inline struct span span_of(const void *ptr, size_t len)
{
    return (struct span){.ptr = ptr, .len = len};
}

static inline struct span span_str(const char *text)
{
    return (struct span){.ptr = (const uint8_t *)text, .len = strlen(text)};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline uint16_t be16_get(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t be32_get(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t be64_get(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline void be16_put(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}

static inline void be32_put(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline void be64_put(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the byte swaps above assume it");

/* A cursor over foreign bytes. A read past the end sets `bad` and yields zero or an empty span;
 * check `bad` once, after the last read. */
struct reader {
    const uint8_t *ptr;
    size_t left;
    bool bad;
};

static inline struct reader reader_of(struct span s)
{
    return (struct reader){.ptr = s.ptr, .left = s.len};
}

static inline struct span reader_take(struct reader *r, size_t n)
{
    if (r->bad || n > r->left) {
        r->bad = true;
        return (struct span){0};
    }
    struct span s = {.ptr = r->ptr, .len = n};
    if (n > 0) /* an empty span may have no pointer to step */
        r->ptr += n;
    r->left -= n;
    return s;
}

static inline uint8_t reader_u8(struct reader *r)
{
    struct span s = reader_take(r, 1);
    return s.len ? s.ptr[0] : 0;
}

static inline uint16_t reader_be16(struct reader *r)
{
    struct span s = reader_take(r, 2);
    return s.len ? be16_get(s.ptr) : 0;
}

static inline uint32_t reader_be32(struct reader *r)
{
    struct span s = reader_take(r, 4);
    return s.len ? be32_get(s.ptr) : 0;
}

static inline uint64_t reader_be64(struct reader *r)
{
    struct span s = reader_take(r, 8);
    return s.len ? be64_get(s.ptr) : 0;
}

#endif
