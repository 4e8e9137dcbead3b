/* Reads what the kernel tells in /proc, /sys and cgroups as text: pure, of any bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_HOST_TEXT_H
#define BASE_HOST_TEXT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In place of a number: the kernel does not tell it. And: it sets no limit. */
#define HOST_UNKNOWN UINT64_MAX
#define HOST_NO_LIMIT (UINT64_MAX - 1)

/* A file of one number, which a line may end: HOST_UNKNOWN when it is none. "max" and what cgroup
 * v1 means by it (-1, or 2^62 and more) are HOST_NO_LIMIT. */
uint64_t host_number(const char *text);

/* The word in brackets of "always [madvise] never"; without brackets the first word. Cut to fit. */
void host_choice(const char *text, char *ret, size_t size);

/* The bytes behind "NAME:  n kB" in meminfo, HOST_UNKNOWN when it is not there. */
uint64_t host_meminfo(const char *text, const char *name);

/* The soft limit of "Max open files" and its like in /proc/PID/limits. */
uint64_t host_limit(const char *text, const char *name);

/* The two numbers that a kernel release begins with. */
bool host_release(const char *text, unsigned *ret_major, unsigned *ret_minor);

/* The value of "NAME n" in a cgroup's cpu.stat. */
uint64_t host_stat(const char *text, const char *name);

/* cgroup v2's cpu.max: "QUOTA PERIOD" in microseconds. */
void host_cpu_max(const char *text, uint64_t *ret_quota_us, uint64_t *ret_period_us);

/* One line of mountinfo. */
struct host_mount {
    unsigned major, minor; /* of the device; 0 and a number for a file system without one */
    char root[PATH_MAX];   /* what of the file system is mounted */
    char point[PATH_MAX];
    char options[256];       /* of the mount */
    char kind[32];           /* of the file system: "ext4" */
    char source[256];        /* "/dev/sda1" */
    char super_options[512]; /* of the file system */
};

/* The mount that holds an absolute path without links; false when none is found. */
bool host_mount_of(const char *mountinfo, const char *path, struct host_mount *ret);

/* Where cgroups are: of v1 those with a controller, of v2 with NULL. A mount of what lies outside
 * of this process's namespace of cgroups is none. */
bool host_cgroup_mount(const char *mountinfo, const char *controller, struct host_mount *ret);

/* The path of a process's cgroup in the same sense, from /proc/PID/cgroup. */
bool host_cgroup_path(const char *text, const char *controller, char *ret, size_t size);

/* Whether a list "rw,noatime,data=ordered" has the word, whole. */
bool host_has_option(const char *options, const char *word);

#endif
