/* How much memory this process may take.
 *
 * A group is bounded by its own limit and by those of all above it. Both versions of control groups
 * are looked for where they are always mounted; a group whose folder is not there (a container that
 * sees only its own) leaves the folders above it, the topmost of which is then the container's. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

enum { TEXT_BYTES = 8192 }; /* more than any of these files has of what is looked for */

/* ---- texts ---- */

/* Takes the first line off `*rest`; false at the end. */
static bool next_line(struct span *rest, struct span *ret_line)
{
    if (rest->len == 0)
        return false;
    const uint8_t *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    *ret_line = span_of(rest->ptr, len);
    size_t used = end ? len + 1 : len;
    *rest = span_of(rest->ptr + used, rest->len - used);
    return true;
}

/* Takes what lies before the first `mark` off `*rest`; false when there is no mark. */
static bool next_field(struct span *rest, uint8_t mark, struct span *ret)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->ptr, mark, rest->len) : NULL;
    if (!end)
        return false;
    size_t len = (size_t)(end - rest->ptr);
    *ret = span_of(rest->ptr, len);
    *rest = span_of(end + 1, rest->len - len - 1);
    return true;
}

/* Whether "memory" is among words separated by commas. */
static bool names_memory(struct span words)
{
    struct span word;
    while (next_field(&words, ',', &word))
        if (span_equal(word, span_str("memory")))
            return true;
    return span_equal(words, span_str("memory"));
}

/* Digits at the start; `*ret_n_used` of them. */
static bool take_digits(struct span text, uint64_t *ret, size_t *ret_n_used)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.ptr[i] - '0'), &value))
            return false;
    *ret = value;
    *ret_n_used = i;
    return i > 0;
}

bool memory_limit_group(struct span text, enum memory_source version, struct span *ret_path)
{
    struct span line, number, controllers; /* "0::/a/b", "4:cpu,memory:/a/b" */
    while (next_line(&text, &line)) {
        if (!next_field(&line, ':', &number) || !next_field(&line, ':', &controllers))
            continue;
        bool is_v2 = span_equal(number, span_str("0")) && controllers.len == 0;
        if (version == MEMORY_CGROUP_V2 ? !is_v2 : !names_memory(controllers))
            continue;
        if (line.len == 0 || line.ptr[0] != '/' || memmem(line.ptr, line.len, "/..", 3))
            return false;
        *ret_path = line;
        return true;
    }
    return false;
}

bool memory_limit_number(struct span text, uint64_t *ret_bytes)
{
    size_t n;
    if (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    if (span_equal(text, span_str("max"))) {
        *ret_bytes = UINT64_MAX;
        return true;
    }
    uint64_t bytes;
    if (!take_digits(text, &bytes, &n) || n != text.len)
        return false;
    *ret_bytes = bytes;
    return true;
}

bool memory_limit_available(struct span text, uint64_t *ret_bytes)
{
    struct span line, name; /* "MemAvailable:   24047992 kB" */
    uint64_t kib;
    size_t n;
    while (next_line(&text, &line)) {
        if (!next_field(&line, ':', &name) || !span_equal(name, span_str("MemAvailable")))
            continue;
        while (line.len > 0 && line.ptr[0] == ' ')
            line = span_of(line.ptr + 1, line.len - 1);
        if (!take_digits(line, &kib, &n) || kib > UINT64_MAX / 1024)
            return false;
        if (!span_equal(span_of(line.ptr + n, line.len - n), span_str(" kB")))
            return false;
        *ret_bytes = kib * 1024;
        return true;
    }
    return false;
}

const char *memory_source_text(enum memory_source source)
{
    switch (source) {
    case MEMORY_CGROUP_V2:
        return "the control group's limit (v2)";
    case MEMORY_CGROUP_V1:
        return "the control group's limit (v1)";
    case MEMORY_AVAILABLE:
        break;
    }
    return "what the machine has available";
}

/* ---- files ---- */

/* Reads the beginning of a small file; what it has not is an empty text. */
static struct span read_text(struct io *io, const char *path, char buf[TEXT_BYTES])
{
    size_t len = 0;
    int fd = io->open(io, path, O_RDONLY, 0);
    if (fd < 0)
        return (struct span){0};
    while (len < TEXT_BYTES) {
        int64_t n = io->pread(io, fd, buf + len, TEXT_BYTES - len, len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    (void)io->close(io, fd); /* read only: nothing to lose */
    return span_of(buf, len);
}

/* Lowers `*bytes` to what `folder`/`name` says, if it says anything. */
static void lower(struct io *io, const char *folder, const char *name, uint64_t *bytes)
{
    char path[PATH_MAX], text[TEXT_BYTES];
    uint64_t limit;
    int len = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (len < 0 || (size_t)len >= sizeof path)
        return;
    if (memory_limit_number(read_text(io, path, text), &limit) && limit < *bytes)
        *bytes = limit;
}

/* The lowest limit of a group and those above it; UINT64_MAX when there is none. */
static uint64_t group_limit(struct io *io, const char *root, enum memory_source version,
                            struct span group)
{
    const bool is_v2 = version == MEMORY_CGROUP_V2;
    uint64_t bytes = UINT64_MAX;
    char folder[PATH_MAX];
    int n = snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s", root, is_v2 ? "" : "/memory");
    if (n < 0 || (size_t)n + group.len >= sizeof folder)
        return bytes;
    size_t top = (size_t)n, len = top + group.len;
    memcpy(folder + top, group.ptr, group.len);
    for (;;) {
        while (len > top && folder[len - 1] == '/')
            len--;
        folder[len] = '\0';
        lower(io, folder, is_v2 ? "memory.max" : "memory.limit_in_bytes", &bytes);
        if (is_v2)
            lower(io, folder, "memory.high", &bytes);
        if (len == top)
            return bytes;
        while (len > top && folder[len - 1] != '/')
            len--;
    }
}

int memory_limit_read(struct memory_limit *ret, struct io *io, const char *root, struct err *e)
{
    static const enum memory_source versions[] = {MEMORY_CGROUP_V2, MEMORY_CGROUP_V1};
    char path[PATH_MAX], text[TEXT_BYTES];
    struct memory_limit found = {.bytes = UINT64_MAX, .source = MEMORY_AVAILABLE};
    (void)snprintf(path, sizeof path, "%s/proc/meminfo", root);
    (void)memory_limit_available(read_text(io, path, text), &found.bytes); /* or it stays */
    (void)snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    struct span groups = read_text(io, path, text), group;
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        if (!memory_limit_group(groups, versions[i], &group))
            continue;
        uint64_t bytes = group_limit(io, root, versions[i], group);
        if (bytes < found.bytes)
            found = (struct memory_limit){.bytes = bytes, .source = versions[i]};
    }
    if (found.bytes == UINT64_MAX)
        return err_set(e, ERR_UNSUPPORTED, "find how much memory there is: '%s/proc' does not tell",
                       root);
    *ret = found;
    return 0;
}
