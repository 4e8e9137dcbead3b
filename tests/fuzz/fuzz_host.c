/* Fuzzes the parsers of the kernel's texts: they end, and what they copy is a string that fits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/host_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void ask_numbers(const char *text)
{
    uint64_t quota_us, period_us;
    unsigned major, minor;
    (void)host_number(text); /* any number is as good as another */
    (void)host_meminfo(text, "MemTotal");
    (void)host_limit(text, "Max open files");
    (void)host_stat(text, "nr_throttled");
    (void)host_release(text, &major, &minor);
    host_cpu_max(text, &quota_us, &period_us);
}

static void ask_texts(const char *text)
{
    struct host_mount m = {0};
    char word[8], path[16];
    host_choice(text, word, sizeof word);
    assert(strlen(word) < sizeof word);
    (void)host_has_option(text, "ro");
    if (host_mount_of(text, "/srv/store", &m))
        assert(m.point[0] == '/' && m.kind[0]);
    (void)host_cgroup_mount(text, "memory", &m);
    if (host_cgroup_path(text, /* controller = */ NULL, path, sizeof path))
        assert(strlen(path) < sizeof path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    if (!text)
        return 0;
    if (len > 0)
        memcpy(text, data, len);
    text[len] = '\0';
    ask_numbers(text);
    ask_texts(text);
    free(text);
    return 0;
}
