/* Decompresses bodies into a buffer that grows to a limit: three decoders behind one loop.
 *
 * A decoder is asked to go on with what is left of the input and of the buffer; it says how much of
 * both it used, and whether the end was reached. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/inflate.h"

#include <assert.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "store/store.h"

enum {
    TYPE_MASK = 0x700, /* rocketmq-store 2.2 */
    TYPE_LZ4 = 0x100,
    TYPE_ZSTD = 0x200,
    TYPE_ZLIB = 0x300,
    FIRST_BYTES = 4096,
    ZLIB_OR_GZIP = 15 + 32,   /* windowBits of inflateInit2 */
    ZSTD_WINDOW_LOG_MAX = 27, /* 128 MiB; a frame that wants more is refused */
};

struct decoder {
    z_stream zlib;
    LZ4F_dctx *lz4;
    ZSTD_DCtx *zstd;
    struct span in; /* what is left */
    int type;
};

enum step { STEP_MORE, STEP_END, STEP_BAD };

const char *inflate_name(int32_t sys_flag)
{
    if (!(sys_flag & STORE_SYSFLAG_COMPRESSED))
        return NULL;
    switch (sys_flag & TYPE_MASK) {
    case 0:
    case TYPE_ZLIB:
        return "zlib";
    case TYPE_LZ4:
        return "lz4";
    case TYPE_ZSTD:
        return "zstd";
    default:
        return "an unknown compression";
    }
}

static void take(struct decoder *d, size_t n)
{
    d->in = span_of(d->in.ptr + n, d->in.len - n);
}

static enum step step_zlib(struct decoder *d, uint8_t *out, size_t room, size_t *ret_n)
{
    d->zlib.next_in = (Bytef *)(uintptr_t)d->in.ptr; /* zlib reads it only */
    d->zlib.avail_in = (uInt)d->in.len;
    d->zlib.next_out = out;
    d->zlib.avail_out = (uInt)room;
    int rc = inflate(&d->zlib, Z_NO_FLUSH);
    take(d, d->in.len - d->zlib.avail_in);
    *ret_n = room - d->zlib.avail_out;
    if (rc == Z_STREAM_END)
        return STEP_END;
    return rc == Z_OK ? STEP_MORE : STEP_BAD;
}

static enum step step_lz4(struct decoder *d, uint8_t *out, size_t room, size_t *ret_n)
{
    size_t n_in = d->in.len;
    *ret_n = room;
    size_t rc = LZ4F_decompress(d->lz4, out, ret_n, d->in.ptr, &n_in, /* options = */ NULL);
    if (LZ4F_isError(rc))
        return STEP_BAD;
    take(d, n_in);
    return rc == 0 ? STEP_END : STEP_MORE;
}

static enum step step_zstd(struct decoder *d, uint8_t *out, size_t room, size_t *ret_n)
{
    ZSTD_inBuffer in = {.src = d->in.ptr, .size = d->in.len};
    ZSTD_outBuffer to = {.dst = out, .size = room};
    size_t rc = ZSTD_decompressStream(d->zstd, &to, &in);
    if (ZSTD_isError(rc))
        return STEP_BAD;
    take(d, in.pos);
    *ret_n = to.pos;
    return rc == 0 ? STEP_END : STEP_MORE;
}

static enum step step_any(struct decoder *d, uint8_t *out, size_t room, size_t *ret_n)
{
    *ret_n = 0;
    switch (d->type) {
    case TYPE_LZ4:
        return step_lz4(d, out, room, ret_n);
    case TYPE_ZSTD:
        return step_zstd(d, out, room, ret_n);
    default:
        return step_zlib(d, out, room, ret_n);
    }
}

static int open_decoder(struct decoder *d, int32_t sys_flag, struct span body, struct err *e)
{
    *d = (struct decoder){.in = body, .type = sys_flag & TYPE_MASK};
    bool is_made = false;
    switch (d->type) {
    case 0:
    case TYPE_ZLIB:
        is_made = inflateInit2(&d->zlib, ZLIB_OR_GZIP) == Z_OK;
        break;
    case TYPE_LZ4:
        is_made = !LZ4F_isError(LZ4F_createDecompressionContext(&d->lz4, LZ4F_VERSION));
        break;
    case TYPE_ZSTD:
        d->zstd = ZSTD_createDCtx();
        is_made = d->zstd && !ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax,
                                                                  ZSTD_WINDOW_LOG_MAX));
        break;
    default:
        return err_set(e, ERR_UNSUPPORTED, "decompress: the type 0x%x is unknown",
                       (unsigned)d->type);
    }
    return is_made ? 0 : err_set(e, ERR_NOMEM, "decompress a body");
}

static void close_decoder(struct decoder *d)
{
    (void)inflateEnd(&d->zlib); /* says that there was none */
    (void)LZ4F_freeDecompressionContext(d->lz4);
    (void)ZSTD_freeDCtx(d->zstd);
}

/* Makes room for more, up to one byte over `max`: the byte that tells that there is more. */
static bool grow(struct inflated *to, size_t *cap, size_t max)
{
    size_t more = *cap ? 2 * *cap : FIRST_BYTES;
    if (more > max + 1)
        more = max + 1;
    uint8_t *bytes = realloc(to->bytes, more);
    if (!bytes)
        return false;
    to->bytes = bytes;
    *cap = more;
    return true;
}

static int run(struct decoder *d, size_t max, struct inflated *to, struct err *e)
{
    size_t cap = 0;
    enum step step = STEP_MORE;
    while (step == STEP_MORE && to->len <= max) {
        if (to->len == cap && !grow(to, &cap, max))
            return err_set(e, ERR_NOMEM, "decompress a body");
        size_t n, left = d->in.len;
        step = step_any(d, to->bytes + to->len, cap - to->len, &n);
        to->len += n;
        if (step == STEP_MORE && n == 0 && d->in.len == left)
            step = STEP_BAD; /* it wants more input than there is */
    }
    if (step == STEP_BAD)
        return err_set(e, ERR_CORRUPT, "decompress: the bytes are damaged or cut");
    to->is_cut = to->len > max;
    to->len -= to->is_cut;
    return 0;
}

int inflate_body(int32_t sys_flag, struct span body, size_t max, struct inflated *ret,
                 struct err *e)
{
    assert(max < SIZE_MAX / 4);
    struct decoder d;
    struct inflated to = {0};
    int rc = open_decoder(&d, sys_flag, body, e);
    if (rc == 0)
        rc = run(&d, max, &to, e);
    close_decoder(&d);
    if (rc < 0) {
        free(to.bytes);
        return rc;
    }
    *ret = to;
    return 0;
}
