/* Checks of the store's file system and of the disk below it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "tools/doctor.h"

enum {
    READ_AHEAD_MAX_KIB = 1024,
    READ_AHEAD_MIN_KIB = 64,
    INODES_MIN = 1000,
    DEFAULT_LOG_FILE_BYTES = 1 << 30,
};

/* ---- the file system ---- */

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

static struct doctor_check check_kind(const struct host *h)
{
    static const char *const remote[] = {"nfs",  "nfs4",      "cifs", "smb3", "9p",
                                         "ceph", "glusterfs", "fuse", NULL};
    static const char *const copying[] = {"btrfs", "zfs", "bcachefs", NULL};
    static const char *const memory[] = {"tmpfs", "ramfs", "overlay", NULL};
    static const char *const plain[] = {"ext4", "xfs", NULL};
    const char *kind = h->mount.kind;
    struct doctor_check c = doctor_check("disk", "file system", "%.31s on %.60s, %.60s", kind,
                                         h->mount.point, h->mount.source);
    if (!kind[0]) {
        c = doctor_check_number("disk", "file system", HOST_UNKNOWN);
        doctor_say(&c, DOCTOR_UNKNOWN, "The mount of the store is not in mountinfo.");
        return c;
    }
    if (is_one_of(kind, plain))
        doctor_say(&c, DOCTOR_FINE,
                   "It allocates blocks ahead and writes in place, as the log "
                   "needs it; Sluice is measured on ext4.");
    else if (is_one_of(kind, memory))
        doctor_say(&c, DOCTOR_FOUND,
                   "What is in it goes with the machine or the container, "
                   "whatever was flushed.");
    else if (is_one_of(kind, remote) || strncmp(kind, "fuse.", 5) == 0)
        doctor_say(&c, DOCTOR_FOUND,
                   "Over a network, faults of mapped pages take as long as it does, and another "
                   "machine may change or cut files below the mapping. Locks may not hold.");
    else if (is_one_of(kind, copying))
        doctor_say(&c, DOCTOR_FOUND,
                   "It writes copies in place of blocks, so blocks allocated ahead are no promise "
                   "of space, and every flush of a tail writes its pages again elsewhere.");
    else
        doctor_say(&c, DOCTOR_NOTE, "Sluice is measured on ext4; nothing is known of this one.");
    if (c.state == DOCTOR_FOUND)
        doctor_advise(&c, "put the store on ext4 or xfs%s",
                      is_one_of(kind, copying) ? ", or switch copy on write off for its folder"
                                               : " of a local disk");
    return c;
}

static bool mount_has(const struct host *h, const char *word)
{
    return host_has_option(h->mount.options, word) || host_has_option(h->mount.super_options, word);
}

/* The options in which a store is interested, worst first. */
static const struct {
    const char *word;
    enum doctor_state state;
    const char *why, *remedy;
} mount_options[] = {
    {"ro", DOCTOR_FOUND, "It cannot be written: a broker cannot start.", "mount it rw"},
    {"sync", DOCTOR_FOUND, "Every write waits for the disk, whatever flushDiskType says.",
     "mount it without sync"},
    {"nobarrier", DOCTOR_FOUND,
     "Flushes do not reach the platter or flash: SYNC_FLUSH promises "
     "what does not survive a loss of power.",
     "mount it with barriers"},
    {"barrier=0", DOCTOR_FOUND,
     "Flushes do not reach the platter or flash: SYNC_FLUSH promises "
     "what does not survive a loss of power.",
     "mount it with barriers"},
    {"data=journal", DOCTOR_FOUND, "Every byte of the log is written twice.",
     "mount it with data=ordered"},
    {"strictatime", DOCTOR_FOUND,
     "Every file that is mapped to be read is written for its time "
     "of access.",
     "mount it with noatime"},
    {"discard", DOCTOR_NOTE,
     "Deleting a file of the log tells the disk at once, which may hold "
     "up flushes for as long as it takes; 'fstrim' does it at a quiet "
     "time.",
     ""},
};

static struct doctor_check check_options(const struct host *h)
{
    struct doctor_check c = doctor_check("disk", "mount options", "%.80s; %.100s", h->mount.options,
                                         h->mount.super_options);
    if (!h->mount.kind[0])
        c = doctor_check_number("disk", "mount options", HOST_UNKNOWN);
    for (size_t i = 0; i < sizeof mount_options / sizeof mount_options[0]; i++) {
        if (!mount_has(h, mount_options[i].word))
            continue;
        doctor_say(&c, mount_options[i].state, "%s: %s", mount_options[i].word,
                   mount_options[i].why);
        doctor_advise(&c, "%s", mount_options[i].remedy);
        return c;
    }
    doctor_say(&c, DOCTOR_FINE,
               "Writes wait for the disk only where the store asks for it, and reading through a "
               "mapping writes no time of access.");
    return c;
}

/* ---- room ---- */

static struct doctor_check check_room(const struct doctor_store *s)
{
    char free_text[DOCTOR_BYTES_TEXT], disk_text[DOCTOR_BYTES_TEXT];
    char file_text[DOCTOR_BYTES_TEXT], total_text[DOCTOR_BYTES_TEXT];
    uint64_t file_bytes = s->log_file_bytes ? s->log_file_bytes : DEFAULT_LOG_FILE_BYTES;
    struct doctor_check c =
        doctor_check("disk", "free space", "%s of %s", doctor_bytes(s->free_bytes, free_text),
                     doctor_bytes(s->disk_bytes, disk_text));
    if (s->disk_bytes == 0)
        c = doctor_check_number("disk", "free space", HOST_UNKNOWN);
    bool is_low = s->free_bytes < 2 * file_bytes || s->free_bytes < s->disk_bytes / 20;
    doctor_say(&c, is_low ? DOCTOR_FOUND : DOCTOR_FINE,
               "The log grows by whole files, allocated one ahead: %s each, room for %" PRIu64
               " more. This store has %s. Without room for the next "
               "file senders get an error.",
               doctor_bytes(file_bytes, file_text), s->free_bytes / file_bytes,
               doctor_bytes(s->total_bytes, total_text));
    if (is_low)
        doctor_advise(&c, "make room, or move the store");
    return c;
}

static struct doctor_check check_inodes(const struct doctor_store *s)
{
    bool counts = s->n_disk_inodes > 0;
    struct doctor_check c = counts ? doctor_check("disk", "free inodes", "%" PRIu64 " of %" PRIu64,
                                                  s->n_free_inodes, s->n_disk_inodes)
                                   : doctor_check("disk", "free inodes", "not counted");
    bool is_low = counts && s->n_free_inodes < INODES_MIN + s->n_queue_files;
    doctor_say(&c, is_low ? DOCTOR_FOUND : DOCTOR_FINE,
               "Every queue is a folder and at least one file: this store has %" PRIu64
               " such files.",
               s->n_queue_files);
    if (is_low)
        doctor_advise(&c, "make a file system with more inodes, or fewer queues a topic");
    return c;
}

/* ---- the block device ---- */

static struct doctor_check check_read_ahead(const struct host *h)
{
    uint64_t kib = h->device.read_ahead_kib;
    struct doctor_check c = kib < HOST_NO_LIMIT
                                ? doctor_check("disk", "read-ahead", "%" PRIu64 " KiB", kib)
                                : doctor_check_number("disk", "read-ahead", HOST_UNKNOWN);
    const char *block = h->mount.point[0] ? h->mount.source : "DEVICE";
    if (kib > READ_AHEAD_MAX_KIB) {
        doctor_say(&c, DOCTOR_FOUND,
                   "A fault in a log on disk reads this much around it. Scans with few hits ask "
                   "page by page instead, but a lone message (a retry, a late reader) costs all "
                   "of it and pushes as much out of the page cache.");
        doctor_advise(&c, "blockdev --setra 256 %.150s (128 KiB)", block);
    } else if (kib < READ_AHEAD_MIN_KIB) {
        doctor_say(&c, DOCTOR_NOTE,
                   "Reading a cold log from end to end waits for the disk often; "
                   "128 KiB is usual.");
    } else {
        doctor_say(&c, DOCTOR_FINE,
                   "A fault in a log on disk reads this much around it: enough "
                   "to read it from end to end, little for a lone message.");
    }
    return c;
}

static struct doctor_check check_scheduler(const struct host *h)
{
    bool rotates = h->device.rotational == 1;
    struct doctor_check c = doctor_check("disk", "scheduler", "%s%s", h->device.scheduler,
                                         rotates ? ", rotational" : "");
    if (!h->device.scheduler[0])
        c = doctor_check_number("disk", "scheduler", HOST_UNKNOWN);
    bool is_bfq = strcmp(h->device.scheduler, "bfq") == 0;
    doctor_say(&c, is_bfq ? DOCTOR_NOTE : DOCTOR_FINE, "%s%s",
               is_bfq ? "bfq shares a disk fairly between processes and gives up rate for it; a "
                        "broker that has the disk to itself wants none or mq-deadline."
                      : "It lets flushes and reads through as they come.",
               rotates ? " The kernel says that the disk turns (or a guest does not know): with "
                         "SYNC_FLUSH each group of messages is then a seek."
                       : "");
    return c;
}

static struct doctor_check check_write_cache(const struct host *h)
{
    struct doctor_check c = doctor_check("disk", "write cache", "%s", h->device.write_cache);
    if (!h->device.write_cache[0])
        c = doctor_check_number("disk", "write cache", HOST_UNKNOWN);
    doctor_say(&c, DOCTOR_FINE, "%s",
               strcmp(h->device.write_cache, "write through") == 0
                   ? "The disk says that what it has taken survives a loss of power, so a flush "
                     "costs no more than its write."
                   : "The disk has a cache of its own that each flush empties: what SYNC_FLUSH "
                     "costs a group of messages. 'sluice bench store' measures it.");
    return c;
}

void doctor_disk(const struct host *h, const struct doctor_store *s, doctor_fn fn, void *arg)
{
    const struct doctor_check checks[] = {
        check_kind(h),       check_options(h),   check_room(s),        check_inodes(s),
        check_read_ahead(h), check_scheduler(h), check_write_cache(h),
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        fn(arg, &checks[i]);
}
