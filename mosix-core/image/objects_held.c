/* SPDX-License-Identifier: GPL-2.0-or-later */
/* objects_held.c: more of what a process has open and shares with nobody: timerfds, signalfds,
 * and files without a name (removed ones, memfds), which are kept as memory.
 * Must not know: other objects. Source: proc(5), fdinfo; timerfd_create(2), memfd_create(2). */
#include "mosix-core/image/objects.h"

#include "common/sys/fd.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/types.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Of linux/timerfd.h, which is newer than some C libraries' headers. */
#define SET_TICKS _IOW('T', 0, uint64_t)

enum { NS_PER_S = 1000000000, WORDS_BYTES = 64 };

/* ---- timerfds ---- */

/* One that ticks on and is not read stands still in the kernel until somebody asks for it: only
 * then does it count what was missed. */
void mx_wind_timerfd(pid_t pid, unsigned number)
{
    struct itimerspec ignored;
    AUTO_FD process = (int)syscall(SYS_pidfd_open, pid, 0);
    AUTO_FD fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, number, 0);
    if (fd >= 0 && timerfd_gettime(fd, &ignored) < 0)
        fd_close(&fd); /* it is taken as it is */
}

int mx_take_timerfd(FILE *info, struct mx_sec_object *s, uint8_t *body)
{
    struct wr w = wr_of(body, MX_TIMERFD_BYTES);
    uint64_t clock = 0, left_s = 0, left_ns = 0, every_s = 0, every_ns = 0;
    unsigned found = 0;
    char line[256];
    while (fgets(line, sizeof line, info)) {
        found += sscanf(line, "clockid: %" SCNu64, &clock) == 1;
        found += sscanf(line, "ticks: %" SCNu64, &s->count) == 1;
        found += sscanf(line, "it_value: (%" SCNu64 ", %" SCNu64 ")", &left_s, &left_ns) == 2;
        found +=
            sscanf(line, "it_interval: (%" SCNu64 ", %" SCNu64 ")", &every_s, &every_ns) == 2;
    }
    s->kind = MX_OBJECT_TIMERFD;
    s->id = clock;
    bool is_due = !left_s && !left_ns && (every_s || every_ns);
    put_u64(&w, is_due ? 1 : left_s * NS_PER_S + left_ns);
    put_u64(&w, every_s * NS_PER_S + every_ns);
    s->body = (struct bytes){ body, (uint32_t)wr_len(&w) };
    return found == 4 ? 0 : -ENOTSUP;
}

static struct timespec of_ns(uint64_t ns)
{
    return (struct timespec){ (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) };
}

/* Goes on with what was left, whatever the time is now. A kernel that can't be told how often
 * it has ticked unseen lets it tick once more at once. */
int mx_make_timerfd(const struct mx_sec_object *s)
{
    struct rd r = rd_of(s->body.ptr, s->body.len);
    uint64_t left_ns = 0, every_ns = 0, ticks = s->count;
    int fd = timerfd_create((int)s->id, TFD_CLOEXEC);
    if (fd < 0 || get_u64(&r, &left_ns) < 0 || get_u64(&r, &every_ns) < 0)
        return fd;
    struct itimerspec v = { of_ns(every_ns), of_ns(left_ns) };
    bool is_set = timerfd_settime(fd, 0, &v, NULL) == 0;
    if (is_set && ticks && ioctl(fd, SET_TICKS, &ticks) < 0) {
        v.it_value = of_ns(1);
        is_set = timerfd_settime(fd, 0, &v, NULL) == 0;
    }
    if (!is_set)
        fd_close(&fd);
    return fd;
}

/* ---- signalfds ---- */

int mx_take_signalfd(FILE *info, struct mx_sec_object *s)
{
    char line[256];
    bool is_found = false;
    while (fgets(line, sizeof line, info))
        is_found |= sscanf(line, "sigmask: %" SCNx64, &s->count) == 1;
    s->kind = MX_OBJECT_SIGNALFD;
    return is_found ? 0 : -ENOTSUP;
}

int mx_make_signalfd(const struct mx_sec_object *s)
{
    sigset_t set;
    sigemptyset(&set);
    for (int signo = 1; signo <= MX_SIGNALS; signo++)
        if (s->count >> (signo - 1) & 1 && sigaddset(&set, signo) < 0)
            memcpy(&set, &s->count, sizeof s->count); /* one of the C library's own */
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* ---- files without a name ---- */

/* Has it any descriptor of this file? As far as we may see. */
static bool has_file(pid_t pid, const struct stat *st)
{
    char folder[40];
    bool is_found = false;
    snprintf(folder, sizeof folder, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(folder);
    for (struct dirent *x; d && !is_found && (x = readdir(d));) {
        struct stat other;
        is_found = isdigit((unsigned char)x->d_name[0]) &&
                   fstatat(dirfd(d), x->d_name, &other, 0) == 0 && other.st_dev == st->st_dev &&
                   other.st_ino == st->st_ino;
    }
    if (d)
        closedir(d);
    return is_found;
}

static bool is_of_others(pid_t pid, const struct stat *st)
{
    DIR *d = opendir("/proc");
    bool is_found = !d;
    for (struct dirent *x; d && !is_found && (x = readdir(d));) {
        pid_t other = (pid_t)strtol(x->d_name, NULL, 10);
        is_found = other > 0 && other != pid && has_file(other, st);
    }
    if (d)
        closedir(d);
    return is_found;
}

/* Said with the first of the descriptors that have it. */
static bool is_said(pid_t pid, const struct mx_open *o, const unsigned *numbers)
{
    for (int i = 0; numbers[i] != o->number; i++) {
        char path[64];
        struct stat other;
        snprintf(path, sizeof path, "/proc/%d/fd/%u", (int)pid, numbers[i]);
        if (numbers[i] > STDERR_FILENO && stat(path, &other) == 0 &&
            other.st_dev == o->st->st_dev && other.st_ino == o->st->st_ino)
            return true;
    }
    return false;
}

int mx_take_nameless(pid_t pid, const struct mx_open *o, const unsigned *numbers,
                     struct mx_sec_object *s, uint8_t *body, struct err *e)
{
    struct wr w = wr_of(body, MX_NAMELESS_HEAD_BYTES);
    char path[64];
    size_t size = (size_t)o->st->st_size;
    if (is_of_others(pid, o->st))
        return err_say(
            e, ENOTSUP,
            "descriptor %u of process %d (%s) is a file without a name that others have too",
            o->number, (int)pid, o->path);
    if (o->st->st_size > MX_NAMELESS_MAX)
        return err_say(
            e, ENOTSUP,
            "descriptor %u of process %d (%s) is a file without a name, of more than %d KiB",
            o->number, (int)pid, o->path, MX_NAMELESS_MAX / 1024);
    snprintf(path, sizeof path, "/proc/%d/fd/%u", (int)pid, o->number);
    AUTO_FD fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, errno, "read descriptor %u of process %d", o->number, (int)pid);
    int seals = fcntl(fd, F_GET_SEALS);
    s->kind = MX_OBJECT_NAMELESS;
    s->id = o->st->st_ino;
    s->count = o->offset <= INT64_MAX ? o->offset : 0;
    put_u32(&w, seals < 0 ? F_SEAL_SEAL : (uint32_t)seals);
    s->body = (struct bytes){ body, (uint32_t)wr_len(&w) };
    if (is_said(pid, o, numbers))
        return 0;
    ssize_t n = fd_read_full(fd, body + wr_len(&w), size);
    if (n != (ssize_t)size)
        return err_set(e, n < 0 ? (int)-n : EIO, "read descriptor %u of process %d", o->number,
                       (int)pid);
    s->body.len += (uint32_t)size;
    return 0;
}

/* Another open file of it, in the mode in which it was. */
static int open_again(int fd, const struct mx_sec_object *s)
{
    char path[64];
    int flags = (int)s->flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_NOATIME);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, flags | O_CLOEXEC);
    if (again >= 0 && lseek(again, (off_t)s->count, SEEK_SET) < 0)
        fd_close(&again);
    return again;
}

/* *kept: the file by which later descriptors of it are made. */
int mx_make_nameless(const struct mx_sec_object *s, int above, int *kept)
{
    uint32_t seals = 0;
    struct rd r = rd_of(s->body.ptr, s->body.len);
    if (get_u32(&r, &seals) < 0)
        return -1;
    if (*kept >= 0)
        return open_again(*kept, s);
    AUTO_FD low = memfd_create("recovered", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    *kept = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, above);
    if (*kept < 0 || fd_write_full(*kept, r.at, rd_left(&r)) < 0)
        return -1;
    int fd = open_again(*kept, s);
    if (fd >= 0 && seals && fcntl(*kept, F_ADD_SEALS, (int)seals) < 0)
        fd_close(&fd);
    return fd;
}

/* ---- what is not made again ---- */

void mx_say_what_is_open(const char *path, char words[WORDS_BYTES])
{
    static const struct {
        const char *begin, *words;
    } known[] = {
        { "socket:[", "a socket" },
        { "pipe:[", "a pipe that others have too" },
        { "/dev/ptmx", "the master of a pseudo-terminal" },
        { "/dev/pts/ptmx", "the master of a pseudo-terminal" },
        { "anon_inode:inotify", "what inotify watches" },
        { "anon_inode:[fanotify]", "what fanotify watches" },
        { "anon_inode:[pidfd]", "a pidfd" },
        { "pidfd:[", "a pidfd" },
        { "anon_inode:[io_uring]", "a ring of io_uring" },
        { "anon_inode:[userfaultfd]", "a userfaultfd" },
        { "anon_inode:[perf_event]", "a counter of perf" },
    };
    words[0] = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(path, known[i].begin, strlen(known[i].begin)) == 0)
            snprintf(words, WORDS_BYTES, "%s", known[i].words);
}
