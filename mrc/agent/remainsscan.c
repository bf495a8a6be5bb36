/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remainsscan.c: what /proc and the cache directory say of jobs that are over.
 * Must not know: what of it is wrong.
 * Source: proc(5). */
#include "mrc/agent/remains.h"

#include "common/sys/fd.h"
#include "mrc/held.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char type_of_ours[] = " - fuse.mrcfs ";

enum { LISTENS = 1 << 16 }; /* among the flags of /proc/net/unix */

static int open_of(pid_t pid, const char *name, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Where a file of /proc/PID leads to; empty when that can't be known. */
static void link_of(pid_t pid, const char *name, char *text, size_t size_bytes)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    ssize_t n = readlink(path, text, size_bytes - 1);
    text[n > 0 ? n : 0] = 0;
}

static pid_t parent_of(pid_t pid)
{
    char text[1024];
    AUTO_FD fd = open_of(pid, "stat", O_RDONLY);
    ssize_t n = fd < 0 ? fd : fd_read(fd, text, sizeof text - 1);
    if (n <= 0)
        return -1;
    text[n] = 0;
    const char *at = strrchr(text, ')'); /* the name may have anything in it */
    return at && at[1] && at[2] && at[3] ? (pid_t)strtol(at + 4, NULL, 10) : -1;
}

/* Agents are files "agent-HASH" of a cache directory, also when a newer one has taken its place. */
static bool is_agent(pid_t pid)
{
    char exe[4200];
    link_of(pid, "exe", exe, sizeof exe);
    const char *name = strrchr(exe, '/');
    return name && (!strncmp(name, "/agent-", 7) || !strcmp(name, "/mrc-agent"));
}

/* Mounts of a head's files in the namespace of a process: their number and the first one's place. */
static int mounts_of(pid_t pid, size_t *count_out, char *first, size_t size_bytes)
{
    int fd = open_of(pid, "mountinfo", O_RDONLY);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    char *line = NULL;
    size_t room = 0;
    *count_out = 0;
    if (!f)
        return fd < 0 ? fd : -ENOMEM;
    while (getline(&line, &room, f) > 0) {
        char *place = line;
        if (!strstr(line, type_of_ours) || (*count_out)++)
            continue;
        for (int field = 0; place && field < 4; field++) /* the fifth is the place */
            place = strchr(place + 1, ' ');
        if (place && first)
            snprintf(first, size_bytes, "%.*s", (int)strcspn(place + 1, " "), place + 1);
    }
    free(line);
    fclose(f);
    return 0;
}

static bool sees_view(pid_t pid, const char *own_ns)
{
    char ns[64];
    size_t count;
    link_of(pid, "ns/mnt", ns, sizeof ns);
    return ns[0] && strcmp(ns, own_ns) != 0 && mounts_of(pid, &count, NULL, 0) == 0 && count;
}

/* The kernel's short name of a process; empty when that can't be known. */
static void name_of(pid_t pid, char *name, size_t size_bytes)
{
    AUTO_FD fd = open_of(pid, "comm", O_RDONLY);
    ssize_t n = fd < 0 ? fd : fd_read(fd, name, size_bytes - 1);
    name[n > 0 ? n : 0] = 0;
    name[strcspn(name, "\n")] = 0;
}

/* Is this whoever adopts orphans: the first process, or a user's own systemd? */
static bool adopts(pid_t pid)
{
    char name[32];
    name_of(pid, name, sizeof name);
    return pid == 1 || !strcmp(name, "systemd");
}

/* At most 15 bytes: the kernel cuts. A plain agent has the name of its file. */
static const char *const phase_names[REMAINS_PHASES] = {
    [REMAINS_WAITS] = "mrc-agent-waits",
    [REMAINS_RESUMED] = "mrc-agent-again",
    [REMAINS_HOLDS] = "mrc-agent-holds",
};

void remains_say(enum remains_phase phase)
{
    if (phase_names[phase])
        (void)prctl(PR_SET_NAME, phase_names[phase]); /* can't fail */
}

static enum remains_phase phase_of(pid_t pid)
{
    char name[32];
    name_of(pid, name, sizeof name);
    for (int i = 0; i < REMAINS_PHASES; i++)
        if (phase_names[i] && !strcmp(name, phase_names[i]))
            return (enum remains_phase)i;
    return REMAINS_PLAIN;
}

int remains_scan(struct remains_proc *list, size_t max)
{
    char own_ns[64];
    size_t count = 0;
    struct dirent *entry;
    struct stat st;
    DIR *d = opendir("/proc");
    if (!d)
        return -errno;
    link_of(getpid(), "ns/mnt", own_ns, sizeof own_ns);
    while (count < max && (entry = readdir(d))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (!isdigit((unsigned char)entry->d_name[0]) ||
            fstatat(dirfd(d), entry->d_name, &st, 0) < 0 || st.st_uid != geteuid())
            continue;
        struct remains_proc p = { .pid = pid, .parent = parent_of(pid), .is_agent = is_agent(pid) };
        if (p.parent < 0)
            continue; /* it has just ended */
        p.sees_view = !p.is_agent && sees_view(pid, own_ns);
        p.phase = p.is_agent ? phase_of(pid) : REMAINS_PLAIN;
        p.is_adopted = p.parent > 0 && p.parent != getppid() && adopts(p.parent);
        list[count++] = p;
    }
    closedir(d);
    return (int)count;
}

/* The kernel's list of unix sockets shows abstract ones with an '@'. */
int remains_held(char *text, size_t size_bytes)
{
    static const char mark[] = " @" HELD_SOCKET;
    AUTO_FD fd = open("/proc/net/unix", O_RDONLY | O_CLOEXEC);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    char *line = NULL;
    size_t room = 0, used = 0;
    int count = 0;
    *text = 0;
    if (!f)
        return -errno;
    (void)take_fd(&fd);
    while (getline(&line, &room, f) > 0) {
        unsigned flags = 0;
        const char *name = strstr(line, mark);
        if (!name || sscanf(line, "%*s %*s %*s %x", &flags) != 1 || !(flags & LISTENS))
            continue; /* those that are connected to it have its name, too */
        count++;
        name += sizeof mark - 1;
        if (strspn(name, "0123456789abcdef") != HELD_NAME_BYTES - 1)
            continue;
        if (used + HELD_SHORT_BYTES + 6 < size_bytes)
            used += (size_t)snprintf(text + used, size_bytes - used, "%s%.*s", used ? " " : "", HELD_SHORT_BYTES, name);
        else if (used && text[used - 1] != '.')
            used += (size_t)snprintf(text + used, size_bytes - used, " ...");
    }
    free(line);
    fclose(f);
    return count;
}

int remains_mounts(size_t *count_out, char *first, size_t size_bytes)
{
    first[0] = 0;
    return mounts_of(getpid(), count_out, first, size_bytes);
}

static bool is_usual(const char *name)
{
    static const char *const usual[] = { ".", "..", "chunks", "views", "log", "profiles" };
    if (!strncmp(name, "agent-", 6) || !strncmp(name, "up-", 3) || !strncmp(name, "sums", 4))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        if (!strcmp(name, usual[i]))
            return true;
    return false;
}

/* A record that nobody holds belongs to a view that is over; what it names could not be removed. */
static void look_at_record(int dir_fd, const char *name, struct remains_files *out)
{
    AUTO_FD fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)) {
        out->held += fd >= 0;
        out->scratches += fd >= 0 && !strncmp(name, "scratch-", 8);
        return;
    }
    char path[sizeof out->first];
    ssize_t n = fd_read(fd, path, sizeof path - 1);
    if (out->left++ == 0)
        snprintf(out->first, sizeof out->first, "%.*s", (int)(n > 0 ? n : 0), path);
}

/* The places of mrc/push.c: an agent is left there when a better place could not be used once. */
static void look_elsewhere(const char *cache_dir, struct remains_files *out)
{
    static const char *const places[] = { "/var/tmp", "/tmp", "/dev/shm" };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char path[sizeof out->place];
        struct dirent *entry;
        bool has_agent = false;
        snprintf(path, sizeof path, "%s/mrc-%u", places[i], (unsigned)geteuid());
        DIR *d = strcmp(path, cache_dir) ? opendir(path) : NULL;
        while (d && !has_agent && (entry = readdir(d)))
            has_agent = !strncmp(entry->d_name, "agent-", 6);
        if (d)
            closedir(d);
        if (has_agent && out->elsewhere++ == 0)
            snprintf(out->place, sizeof out->place, "%s", path);
    }
}

int remains_files(const char *cache_dir, struct remains_files *out)
{
    char views[4200];
    struct dirent *entry;
    size_t layers = 0;
    char layer[120] = "";
    *out = (struct remains_files){ 0 };
    look_elsewhere(cache_dir, out);
    DIR *d = opendir(cache_dir);
    if (!d)
        return -errno;
    while ((entry = readdir(d)))
        if (!is_usual(entry->d_name) && out->foreign++ == 0)
            snprintf(out->first, sizeof out->first, "%.200s", entry->d_name);
    closedir(d);
    snprintf(views, sizeof views, "%s/views", cache_dir);
    d = opendir(views);
    if (!d)
        return errno == ENOENT ? 0 : -errno;
    while ((entry = readdir(d)))
        if (!strncmp(entry->d_name, "place-", 6) || !strncmp(entry->d_name, "scratch-", 8) ||
            !strncmp(entry->d_name, "mount-", 6))
            look_at_record(dirfd(d), entry->d_name, out);
        else if (!strncmp(entry->d_name, "layer-", 6) && layers++ == 0)
            snprintf(layer, sizeof layer, "views/%.100s", entry->d_name);
    closedir(d);
    /* Each layer has a record that its view holds: one that has none was left by who was killed before it was written. */
    if (layers > out->scratches) {
        out->left += layers - out->scratches;
        if (!out->first[0])
            snprintf(out->first, sizeof out->first, "%s", layer);
    }
    return 0;
}
