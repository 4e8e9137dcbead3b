/* HTTP/2 by hand, for what no client library does: requests that never end, replies that nobody
 * reads, frames in the wrong place. Plaintext. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_H2_RAW_H
#define TESTS_LIB_H2_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { H2_RAW_STREAMS_MAX = 256 };

struct h2_raw {
    int fd;
    int64_t window;                            /* of the connection: what we may send */
    int64_t stream_window[H2_RAW_STREAMS_MAX]; /* of each stream, by (id - 1) / 2 */
    int64_t initial_window;                    /* of a new stream */
    uint32_t n_streams;
    size_t n_data_bytes; /* received and not given back to the window */
    uint8_t data[1024];  /* the first of them */
    unsigned n_reset, n_goaway;
    bool is_closed; /* by the other side */
};

/* A TCP connection and nothing more; `endpoint` is HOST:PORT. Closed with close. */
int h2_raw_dial(const char *endpoint);

/* Connects and exchanges settings; false: the other side ended the connection before its own came.
 * Closed with h2_raw_close either way. */
bool h2_raw_try_open(struct h2_raw *h, const char *endpoint);

/* The same where it cannot fail. */
void h2_raw_open(struct h2_raw *h, const char *endpoint);
void h2_raw_close(struct h2_raw *h);

/* Begins a call of `path` with headers and no body; its stream's id. */
uint32_t h2_raw_call(struct h2_raw *h, const char *path, const char *client_id);

/* Sends up to `len` bytes of the stream's body; stops when the windows stay shut for `patience_ms`.
 * How many were sent. */
size_t h2_raw_send(struct h2_raw *h, uint32_t stream, const void *bytes, size_t len,
                   int patience_ms);

/* Ends the request. */
void h2_raw_end(struct h2_raw *h, uint32_t stream);

/* Handles what comes within `wait_ms`; false: nothing did. */
bool h2_raw_pump(struct h2_raw *h, int wait_ms);

#endif
