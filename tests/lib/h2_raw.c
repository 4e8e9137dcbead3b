/* HTTP/2 by hand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/h2_raw.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"

enum {
    FRAME_HEAD_BYTES = 9,
    FRAME_MAX_BYTES = 16384,
    WAIT_MS = 30000,
    DATA = 0,
    HEADERS = 1,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    GOAWAY = 7,
    WINDOW_UPDATE = 8,
    END_STREAM = 1,
    ACK = 1,
    END_HEADERS = 4,
    INITIAL_WINDOW_SIZE = 4,
};

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

int h2_raw_dial(const char *endpoint)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    const char *colon = strrchr(endpoint, ':');
    char host[64];
    ck_assert_ptr_nonnull(colon);
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - endpoint), endpoint);
    ck_assert_int_eq(inet_pton(AF_INET, host, &at.sin_addr), 1);
    at.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* ---- frames out ---- */

static void write_all(struct h2_raw *h, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0 && !h->is_closed) {
        ssize_t n = send(h->fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            h->is_closed = true;
            return;
        }
        at += n;
        len -= (size_t)n;
    }
}

static void write_frame(struct h2_raw *h, uint8_t type, uint8_t flags, uint32_t stream,
                        struct span body)
{
    uint8_t head[FRAME_HEAD_BYTES];
    be32_put(head, (uint32_t)body.len << 8);
    head[3] = type;
    head[4] = flags;
    be32_put(head + 5, stream);
    write_all(h, head, sizeof head);
    write_all(h, body.ptr, body.len);
}

/* A header as a literal without indexing, its texts not compressed: lengths below 127. */
static size_t put_header(uint8_t *p, const char *name, const char *value)
{
    size_t n_name = strlen(name), n_value = strlen(value);
    ck_assert(n_name < 127 && n_value < 127);
    *p++ = 0;
    *p++ = (uint8_t)n_name;
    memcpy(p, name, n_name);
    p += n_name;
    *p++ = (uint8_t)n_value;
    memcpy(p, value, n_value);
    return n_name + n_value + 3;
}

uint32_t h2_raw_call(struct h2_raw *h, const char *path, const char *client_id)
{
    uint8_t block[1024];
    size_t len = 0;
    uint32_t stream = 2 * h->n_streams + 1;
    ck_assert_uint_lt(h->n_streams, H2_RAW_STREAMS_MAX);
    h->stream_window[h->n_streams++] = h->initial_window;
    len += put_header(block + len, ":method", "POST");
    len += put_header(block + len, ":scheme", "http");
    len += put_header(block + len, ":path", path);
    len += put_header(block + len, ":authority", "raw");
    len += put_header(block + len, "te", "trailers");
    len += put_header(block + len, "content-type", "application/grpc");
    if (client_id)
        len += put_header(block + len, "x-mq-client-id", client_id);
    write_frame(h, HEADERS, END_HEADERS, stream, span_of(block, len));
    return stream;
}

size_t h2_raw_send(struct h2_raw *h, uint32_t stream, const void *bytes, size_t len,
                   int patience_ms)
{
    size_t sent = 0;
    int64_t *window = &h->stream_window[(stream - 1) / 2];
    while (sent < len && !h->is_closed) {
        int64_t room = *window < h->window ? *window : h->window;
        if (room <= 0) {
            if (!h2_raw_pump(h, patience_ms))
                break;
            continue;
        }
        size_t n = len - sent < FRAME_MAX_BYTES ? len - sent : FRAME_MAX_BYTES;
        n = (int64_t)n < room ? n : (size_t)room;
        write_frame(h, DATA, 0, stream, span_of((const char *)bytes + sent, n));
        *window -= (int64_t)n;
        h->window -= (int64_t)n;
        sent += n;
    }
    return sent;
}

void h2_raw_end(struct h2_raw *h, uint32_t stream)
{
    write_frame(h, DATA, END_STREAM, stream, (struct span){0});
}

/* ---- frames in ---- */

static bool read_all(struct h2_raw *h, uint8_t *buf, size_t len)
{
    while (len > 0) {
        ssize_t n = recv(h->fd, buf, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            h->is_closed = true;
            return false;
        }
        buf += n;
        len -= (size_t)n;
    }
    return true;
}

static void take_settings(struct h2_raw *h, struct span body)
{
    for (size_t at = 0; at + 6 <= body.len; at += 6) {
        if (be16_get(body.ptr + at) != INITIAL_WINDOW_SIZE)
            continue;
        int64_t now = be32_get(body.ptr + at + 2);
        for (uint32_t i = 0; i < h->n_streams; i++)
            h->stream_window[i] += now - h->initial_window;
        h->initial_window = now;
    }
    write_frame(h, SETTINGS, ACK, 0, (struct span){0});
}

static void take_window(struct h2_raw *h, uint32_t stream, struct span body)
{
    uint32_t more = be32_get(body.ptr) & 0x7fffffff;
    if (stream == 0)
        h->window += more;
    else if ((stream - 1) / 2 < h->n_streams)
        h->stream_window[(stream - 1) / 2] += more;
}

static void keep_data(struct h2_raw *h, struct span body)
{
    for (size_t i = 0; i < body.len && h->n_data_bytes + i < sizeof h->data; i++)
        h->data[h->n_data_bytes + i] = body.ptr[i];
    h->n_data_bytes += body.len;
}

static void take_frame(struct h2_raw *h, const uint8_t *head, struct span body)
{
    uint32_t stream = be32_get(head + 5) & 0x7fffffff;
    switch (head[3]) {
    case DATA:
        keep_data(h, body);
        break;
    case RST_STREAM:
        h->n_reset++;
        break;
    case SETTINGS:
        if (!(head[4] & ACK))
            take_settings(h, body);
        break;
    case PING:
        if (!(head[4] & ACK))
            write_frame(h, PING, ACK, 0, body);
        break;
    case GOAWAY:
        h->n_goaway++;
        break;
    case WINDOW_UPDATE:
        take_window(h, stream, body);
        break;
    default:
        break;
    }
}

bool h2_raw_pump(struct h2_raw *h, int wait_ms)
{
    uint8_t head[FRAME_HEAD_BYTES], body[FRAME_MAX_BYTES];
    struct pollfd waiting = {.fd = h->fd, .events = POLLIN};
    if (h->is_closed || poll(&waiting, 1, wait_ms) <= 0 || !read_all(h, head, sizeof head))
        return false;
    size_t len = be32_get(head) >> 8;
    ck_assert_uint_le(len, sizeof body);
    if (!read_all(h, body, len))
        return false;
    take_frame(h, head, span_of(body, len));
    return true;
}

bool h2_raw_try_open(struct h2_raw *h, const char *endpoint)
{
    *h = (struct h2_raw){.fd = h2_raw_dial(endpoint), .window = 65535, .initial_window = 65535};
    write_all(h, preface, sizeof preface - 1);
    write_frame(h, SETTINGS, 0, 0, (struct span){0});
    return h2_raw_pump(h, WAIT_MS);
}

void h2_raw_open(struct h2_raw *h, const char *endpoint)
{
    ck_assert_msg(h2_raw_try_open(h, endpoint), "no settings came");
}

void h2_raw_close(struct h2_raw *h)
{
    (void)close(h->fd); /* whatever is under way is of no more interest */
    h->fd = -1;
}
