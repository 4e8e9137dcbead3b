/* Parsers of the kernel's own texts. What does not have the expected form is passed over. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/host_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V1_NO_LIMIT_BITS = 62 };

/* ---- lines and words ---- */

/* The line behind this one; NULL behind the last. */
static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end && end[1] ? end + 1 : NULL;
}

/* Moves `*at` behind the next word of its line; the word's length. */
static size_t take_word(const char **at, const char **ret_word)
{
    *at += strspn(*at, " \t");
    *ret_word = *at;
    size_t len = strcspn(*at, " \t\n");
    *at += len;
    return len;
}

static void copy_cut(const char *word, size_t len, char *ret, size_t size)
{
    (void)snprintf(ret, size, "%.*s", (int)(len < size ? len : size - 1), word);
}

/* ---- numbers ---- */

static uint64_t number_of(const char *word, size_t len)
{
    char digits[24];
    char *end;
    if (len == 0 || len >= sizeof digits)
        return HOST_UNKNOWN;
    copy_cut(word, len, digits, sizeof digits);
    if (strcmp(digits, "max") == 0 || strcmp(digits, "unlimited") == 0 || strcmp(digits, "-1") == 0)
        return HOST_NO_LIMIT;
    errno = 0;
    unsigned long long n = strtoull(digits, &end, 10);
    if (!isdigit((unsigned char)digits[0]) || *end || errno != 0)
        return HOST_UNKNOWN;
    return n >> V1_NO_LIMIT_BITS ? HOST_NO_LIMIT : n;
}

uint64_t host_number(const char *text)
{
    const char *word;
    size_t len = take_word(&text, &word);
    return number_of(word, len);
}

/* The number behind a name that begins a line. */
static uint64_t number_behind(const char *text, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = text; line; line = next_line(line))
        if (strncmp(line, name, len) == 0 && (line[len] == ' ' || line[len] == '\t'))
            return host_number(line + len);
    return HOST_UNKNOWN;
}

uint64_t host_meminfo(const char *text, const char *name)
{
    char with_colon[64];
    (void)snprintf(with_colon, sizeof with_colon, "%s:", name);
    uint64_t kib = number_behind(text, with_colon);
    return kib > UINT64_MAX >> 11 ? HOST_UNKNOWN : kib * 1024;
}

uint64_t host_limit(const char *text, const char *name)
{
    return number_behind(text, name);
}

uint64_t host_stat(const char *text, const char *name)
{
    return number_behind(text, name);
}

void host_cpu_max(const char *text, uint64_t *ret_quota_us, uint64_t *ret_period_us)
{
    const char *word;
    size_t len = take_word(&text, &word);
    *ret_quota_us = number_of(word, len);
    len = take_word(&text, &word);
    *ret_period_us = number_of(word, len);
}

bool host_release(const char *text, unsigned *ret_major, unsigned *ret_minor)
{
    return sscanf(text, "%4u.%4u", ret_major, ret_minor) == 2;
}

void host_choice(const char *text, char *ret, size_t size)
{
    const char *open = strchr(text, '[');
    if (open)
        copy_cut(open + 1, strcspn(open + 1, "]\n"), ret, size);
    else
        copy_cut(text, strcspn(text, " \n"), ret, size);
}

bool host_has_option(const char *options, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = options; *at;) {
        size_t n = strcspn(at, ",");
        if (n == len && strncmp(at, word, len) == 0)
            return true;
        at += n + (at[n] == ',');
    }
    return false;
}

/* ---- mounts ---- */

static bool is_octal(const char *at)
{
    return at[0] >= '0' && at[0] <= '3' && at[1] >= '0' && at[1] <= '7' && at[2] >= '0' &&
           at[2] <= '7';
}

/* A path of mountinfo, in which blanks and backslashes are \ooo. False: too long. */
static bool take_path(const char **at, char *ret, size_t size)
{
    const char *word;
    size_t len = take_word(at, &word);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = word[i];
        if (c == '\\' && len - i > 3 && is_octal(word + i + 1)) {
            c = (char)((word[i + 1] - '0') << 6 | (word[i + 2] - '0') << 3 | (word[i + 3] - '0'));
            i += 3;
        }
        if (n + 1 >= size)
            return false;
        ret[n++] = c;
    }
    ret[n] = '\0';
    return n > 0;
}

static void take_text(const char **at, char *ret, size_t size)
{
    const char *word;
    size_t len = take_word(at, &word);
    copy_cut(word, len, ret, size);
}

/* "id parent major:minor root point options [tags...] - kind source super-options" */
static bool read_mount(const char *line, struct host_mount *ret)
{
    const char *word;
    (void)take_word(&line, &word);
    (void)take_word(&line, &word);
    (void)take_word(&line, &word);
    if (sscanf(word, "%9u:%9u", &ret->major, &ret->minor) != 2 ||
        !take_path(&line, ret->root, sizeof ret->root) ||
        !take_path(&line, ret->point, sizeof ret->point))
        return false;
    take_text(&line, ret->options, sizeof ret->options);
    size_t len;
    do
        len = take_word(&line, &word);
    while (len > 0 && !(len == 1 && *word == '-'));
    take_text(&line, ret->kind, sizeof ret->kind);
    take_text(&line, ret->source, sizeof ret->source);
    take_text(&line, ret->super_options, sizeof ret->super_options);
    return ret->kind[0] != '\0';
}

/* Whether a path is the folder or in it. */
static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    if (strcmp(folder, "/") == 0)
        return path[0] == '/';
    return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

bool host_mount_of(const char *mountinfo, const char *path, struct host_mount *ret)
{
    struct host_mount mount = {0};
    size_t best = 0;
    for (const char *line = mountinfo; line; line = next_line(line)) {
        if (!read_mount(line, &mount) || !is_below(path, mount.point))
            continue;
        size_t len = strlen(mount.point);
        if (len < best) /* of the same point the later one covers the earlier */
            continue;
        best = len;
        *ret = mount;
    }
    return best > 0;
}

/* Whether what is mounted lies outside of this process's namespace of cgroups. */
static bool is_outside(const char *root)
{
    return strncmp(root, "/..", 3) == 0;
}

bool host_cgroup_mount(const char *mountinfo, const char *controller, struct host_mount *ret)
{
    struct host_mount mount = {0};
    for (const char *line = mountinfo; line; line = next_line(line)) {
        if (!read_mount(line, &mount) || is_outside(mount.root))
            continue;
        bool is_it = controller ? strcmp(mount.kind, "cgroup") == 0 &&
                                      host_has_option(mount.super_options, controller)
                                : strcmp(mount.kind, "cgroup2") == 0;
        if (!is_it)
            continue;
        *ret = mount;
        return true;
    }
    return false;
}

/* A line is "number:controllers:path"; v2's is "0::path". */
bool host_cgroup_path(const char *text, const char *controller, char *ret, size_t size)
{
    for (const char *line = text; line; line = next_line(line)) {
        char controllers[128];
        const char *at = line + strcspn(line, ":\n");
        if (*at != ':')
            continue;
        size_t len = strcspn(++at, ":\n");
        copy_cut(at, len, controllers, sizeof controllers);
        if (at[len] != ':' ||
            (controller ? !host_has_option(controllers, controller) : controllers[0] != '\0'))
            continue;
        at += len + 1;
        copy_cut(at, strcspn(at, "\n"), ret, size);
        return true;
    }
    return false;
}
