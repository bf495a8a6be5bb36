/* SPDX-License-Identifier: GPL-2.0-or-later */
/* objects.c: what a process has open and shares with nobody: pipes of which it has both ends,
 * eventfds, epolls. Such things can be made again, with what is in them.
 * Must not know: files, which descriptors.c has; memory, registers. */
#include "mosix-core/image/objects.h"

#include "common/sys/fd.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINK_BYTES = 64 };

/* ---- who has it ---- */

/* Has process pid something open that is called so? modes: bit 0: to read, bit 1: to write. */
static unsigned modes_of(pid_t pid, const char *name)
{
    char folder[40], path[64], link[LINK_BYTES + 1], line[128];
    unsigned modes = 0;
    snprintf(folder, sizeof folder, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(folder);
    for (struct dirent *x; d && (x = readdir(d));) {
        unsigned long number = strtoul(x->d_name, NULL, 10);
        ssize_t n = isdigit((unsigned char)x->d_name[0])
                        ? readlinkat(dirfd(d), x->d_name, link, LINK_BYTES)
                        : -1;
        if (n < 0)
            continue;
        link[n] = 0;
        if (strcmp(link, name) != 0)
            continue;
        snprintf(path, sizeof path, "/proc/%d/fdinfo/%lu", (int)pid, number);
        FILE *f = fopen(path, "re");
        while (f && fgets(line, sizeof line, f))
            if (strncmp(line, "flags:", 6) == 0)
                modes |= 1u << (strtoul(line + 6, NULL, 8) & O_ACCMODE);
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return modes;
}

static bool is_own_pipe(pid_t pid, const char *name)
{
    if (modes_of(pid, name) != (1 << O_RDONLY | 1 << O_WRONLY))
        return false;
    DIR *d = opendir("/proc");
    bool is_others = !d;
    for (struct dirent *x; d && !is_others && (x = readdir(d));) {
        pid_t other = (pid_t)strtol(x->d_name, NULL, 10);
        is_others = other > 0 && other != pid && modes_of(other, name) != 0;
    }
    if (d)
        closedir(d);
    return !is_others;
}

/* ---- capture ---- */

/* What waits in it stays there. Returns its bytes. */
static ssize_t peek(int fd, int capacity, uint8_t *body)
{
    int pair[2], waiting = 0;
    if (ioctl(fd, FIONREAD, &waiting) < 0)
        return -errno;
    if (!waiting)
        return 0;
    if (waiting > MX_OBJECT_BODY_MAX || pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return waiting > MX_OBJECT_BODY_MAX ? -EMSGSIZE : -errno;
    AUTO_FD in = pair[0], out = pair[1];
    if (fcntl(out, F_SETPIPE_SZ, capacity) < 0)
        return -errno;
    ssize_t n = tee(fd, out, (size_t)waiting, SPLICE_F_NONBLOCK);
    if (n != waiting)
        return n < 0 ? -errno : -EIO;
    ssize_t got = fd_read_full(in, body, (size_t)waiting);
    return got == waiting ? got : -EIO;
}

static int take_pipe(pid_t pid, const struct mx_open *o, const unsigned *numbers,
                     struct mx_sec_object *s, uint8_t *body, struct err *e)
{
    char path[64], link[LINK_BYTES + 1];
    s->kind = MX_OBJECT_PIPE;
    s->id = o->inode;
    snprintf(path, sizeof path, "/proc/%d/fd/%u", (int)pid, o->number);
    AUTO_FD fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int capacity = fd < 0 ? -1 : fcntl(fd, F_GETPIPE_SZ);
    if (capacity < 0)
        return err_set(e, errno, "look into descriptor %u of process %d", o->number, (int)pid);
    s->count = (uint64_t)capacity;
    for (int i = 0; numbers[i] != o->number; i++) { /* said with its first descriptor */
        snprintf(path, sizeof path, "/proc/%d/fd/%u", (int)pid, numbers[i]);
        ssize_t n = readlink(path, link, LINK_BYTES);
        link[n < 0 ? 0 : n] = 0;
        if (numbers[i] > STDERR_FILENO && strcmp(link, o->path) == 0)
            return 0;
    }
    ssize_t n = peek(fd, capacity, body);
    if (n < 0)
        return err_set(e, (int)-n, "look into descriptor %u of process %d", o->number,
                       (int)pid);
    s->body = (struct bytes){ body, (uint32_t)n };
    return 0;
}

static FILE *open_info(pid_t pid, unsigned number, struct err *e)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%u", (int)pid, number);
    FILE *f = fopen(path, "re");
    if (!f)
        err_set(e, errno, "open %s", path);
    return f;
}

static int take_event(pid_t pid, const struct mx_open *o, struct mx_sec_object *s,
                      struct err *e)
{
    char line[256];
    bool has_count = false;
    FILE *f = open_info(pid, o->number, e);
    if (!f)
        return -EIO;
    s->kind = MX_OBJECT_EVENT;
    while (fgets(line, sizeof line, f)) {
        has_count |= sscanf(line, "eventfd-count: %" SCNx64, &s->count) == 1;
        if (strncmp(line, "eventfd-semaphore: 1", 20) == 0)
            s->id = 1;
    }
    fclose(f);
    return has_count ? 0
                     : err_say(e, ENOTSUP, "descriptor %u of process %d doesn't tell its count",
                               o->number, (int)pid);
}

static int take_epoll(pid_t pid, const struct mx_open *o, const unsigned *numbers, int count,
                      struct mx_sec_object *s, uint8_t *body, struct err *e)
{
    struct wr w = wr_of(body, MX_OBJECT_BODY_MAX);
    char line[256];
    int rc = 0;
    FILE *f = open_info(pid, o->number, e);
    s->kind = MX_OBJECT_EPOLL;
    while (f && rc == 0 && fgets(line, sizeof line, f)) {
        unsigned watched;
        uint32_t events;
        uint64_t data;
        bool is_open = false;
        if (sscanf(line, "tfd: %u events: %" SCNx32 " data: %" SCNx64, &watched, &events,
                   &data) != 3)
            continue;
        for (int i = 0; i < count; i++)
            is_open |= numbers[i] == watched;
        put_u32(&w, watched);
        put_u32(&w, events);
        put_u64(&w, data);
        if (!is_open || w.is_full)
            rc = err_say(e, ENOTSUP,
                         "descriptor %u of process %d watches what can't be watched again",
                         o->number, (int)pid);
    }
    if (!f)
        return -EIO;
    fclose(f);
    s->body = (struct bytes){ body, (uint32_t)wr_len(&w) };
    return rc;
}

static int take_told(pid_t pid, const struct mx_open *o, struct mx_sec_object *s, uint8_t *body,
                     struct err *e)
{
    bool is_timer = strcmp(o->path, "anon_inode:[timerfd]") == 0;
    if (is_timer)
        mx_wind_timerfd(pid, o->number);
    FILE *f = open_info(pid, o->number, e);
    if (!f)
        return -EIO;
    int rc = is_timer ? mx_take_timerfd(f, s, body) : mx_take_signalfd(f, s);
    fclose(f);
    return rc < 0 ? err_say(e, ENOTSUP,
                            "this kernel does not say what descriptor %u of process %d is",
                            o->number, (int)pid)
                  : 0;
}

/* MX_OBJECT_KINDS: none of these. */
static enum mx_object kind_of(pid_t pid, const struct mx_open *o)
{
    static const struct {
        const char *path;
        enum mx_object kind;
    } kinds[] = { { "anon_inode:[eventfd]", MX_OBJECT_EVENT },
                  { "anon_inode:[eventpoll]", MX_OBJECT_EPOLL },
                  { "anon_inode:[timerfd]", MX_OBJECT_TIMERFD },
                  { "anon_inode:[signalfd]", MX_OBJECT_SIGNALFD } };
    if (o->number <= STDERR_FILENO || o->same_as <= STDERR_FILENO)
        return MX_OBJECT_KINDS;
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(o->path, kinds[i].path) == 0)
            return kinds[i].kind;
    if (S_ISREG(o->st->st_mode) && o->st->st_nlink == 0)
        return MX_OBJECT_NAMELESS;
    bool is_pipe = strncmp(o->path, "pipe:[", 6) == 0 && !(o->flags & O_DIRECT);
    return is_pipe && is_own_pipe(pid, o->path) ? MX_OBJECT_PIPE : MX_OBJECT_KINDS;
}

int mx_capture_object(pid_t pid, const struct mx_open *o, const unsigned *numbers, int count,
                      struct mx_image_writer *w, struct err *e)
{
    struct mx_sec s = { .number = MX_SEC_object,
                        .object = { .number = o->number,
                                    .same_as = o->same_as,
                                    .flags = o->flags,
                                    .is_cloexec = o->is_cloexec } };
    enum mx_object kind = kind_of(pid, o);
    if (kind == MX_OBJECT_KINDS)
        return 0;
    uint8_t *body = malloc(MX_OBJECT_BODY_MAX);
    int rc = body ? 0 : err_set(e, ENOMEM, "note descriptor %u", o->number);
    if (rc == 0 && kind == MX_OBJECT_PIPE)
        rc = take_pipe(pid, o, numbers, &s.object, body, e);
    else if (rc == 0 && kind == MX_OBJECT_EVENT)
        rc = take_event(pid, o, &s.object, e);
    else if (rc == 0 && kind == MX_OBJECT_EPOLL)
        rc = take_epoll(pid, o, numbers, count, &s.object, body, e);
    else if (rc == 0 && kind == MX_OBJECT_NAMELESS)
        rc = mx_take_nameless(pid, o, numbers, &s.object, body, e);
    else if (rc == 0)
        rc = take_told(pid, o, &s.object, body, e);
    if (rc == 0)
        rc = mx_image_write(w, &s, e);
    free(body);
    return rc < 0 ? rc : 1;
}

/* ---- restore ---- */

static int failed(const struct mx_sec_object *s, struct err *e)
{
    return err_set(e, errno, "make what descriptor %u was", s->number);
}

/* Out of the way of numbers that are still to be given. */
static int move_up(int fd, int above)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, above);
    if (fd >= 0)
        close(fd);
    return high;
}

/* fd, which is ours, becomes what it is for. */
static int place(int fd, const struct mx_sec_object *s, struct err *e)
{
    int status = (int)s->flags & (O_NONBLOCK | O_APPEND | O_ASYNC);
    int rc = fd < 0 || fcntl(fd, F_SETFL, status) < 0 ||
                     dup3(fd, (int)s->number, s->is_cloexec ? O_CLOEXEC : 0) < 0
                 ? failed(s, e)
                 : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

static bool is_other_end(const struct mx_sec_object *a, const struct mx_sec_object *b)
{
    return b->kind == MX_OBJECT_PIPE && b->same_as == b->number && b->id == a->id &&
           (b->flags & O_ACCMODE) != (a->flags & O_ACCMODE);
}

/* Both ends of a pipe, of which the second waits at a high number: *other. */
static int make_pipe(const struct mx_sec_object *s, int above, int *own, int *other,
                     struct err *e)
{
    int pair[2];
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return failed(s, e);
    int in = move_up(pair[0], above), out = move_up(pair[1], above);
    bool is_in = (s->flags & O_ACCMODE) == O_RDONLY;
    *own = is_in ? in : out;
    *other = is_in ? out : in;
    if (in < 0 || out < 0 || fcntl(out, F_SETPIPE_SZ, (int)s->count) < 0)
        return failed(s, e);
    ssize_t n = s->body.len ? write(out, s->body.ptr, s->body.len) : 0;
    return n == (ssize_t)s->body.len ? 0 : failed(s, e);
}

/* kept: for each, the file of whose descriptors it is the first. */
static int make_nameless(const struct mx_kept *objects, uint32_t which, int above, int *kept,
                         struct err *e)
{
    const struct mx_sec_object *s = &objects[which].s.object;
    uint32_t first = 0;
    while (objects[first].s.object.kind != MX_OBJECT_NAMELESS ||
           objects[first].s.object.id != s->id)
        first++;
    int fd = mx_make_nameless(s, above, &kept[first]);
    return fd < 0 ? failed(s, e) : place(move_up(fd, above), s, e);
}

static int make_one(const struct mx_kept *objects, uint32_t count, uint32_t which, int above,
                    int *waiting, struct err *e)
{
    const struct mx_sec_object *s = &objects[which].s.object;
    int fd = -1, other = -1;
    if (s->kind == MX_OBJECT_PIPE) { /* else what is kept of a file */
        fd = waiting[which];
        waiting[which] = -1;
    }
    if (s->same_as != s->number)
        return dup3((int)s->same_as, (int)s->number, s->is_cloexec ? O_CLOEXEC : 0) < 0
                   ? failed(s, e)
                   : 0;
    if (s->kind == MX_OBJECT_EPOLL)
        return place(move_up(epoll_create1(EPOLL_CLOEXEC), above), s, e);
    if (s->kind == MX_OBJECT_TIMERFD)
        return place(move_up(mx_make_timerfd(s), above), s, e);
    if (s->kind == MX_OBJECT_SIGNALFD)
        return place(move_up(mx_make_signalfd(s), above), s, e);
    if (s->kind == MX_OBJECT_NAMELESS)
        return make_nameless(objects, which, above, waiting, e);
    if (s->kind == MX_OBJECT_EVENT) {
        fd = move_up(eventfd(0, EFD_CLOEXEC | (s->id ? EFD_SEMAPHORE : 0)), above);
        bool is_set = fd >= 0 && (!s->count || write(fd, &s->count, sizeof s->count) > 0);
        return is_set ? place(fd, s, e) : failed(s, e);
    }
    if (fd >= 0)
        return place(fd, s, e);
    int rc = make_pipe(s, above, &fd, &other, e);
    for (uint32_t i = which + 1; i < count && other >= 0; i++)
        if (is_other_end(s, &objects[i].s.object) && waiting[i] < 0) {
            waiting[i] = other;
            other = -1;
        }
    if (other >= 0) /* in no image of ours */
        close(other);
    return rc < 0 ? rc : place(fd, s, e);
}

static int watch_again(const struct mx_sec_object *s, struct err *e)
{
    struct rd r = rd_of(s->body.ptr, s->body.len);
    uint32_t watched, events;
    uint64_t data;
    while (get_u32(&r, &watched) == 0 && get_u32(&r, &events) == 0 && get_u64(&r, &data) == 0) {
        struct epoll_event v = { .events = events, .data.u64 = data };
        if (epoll_ctl((int)s->number, EPOLL_CTL_ADD, (int)watched, &v) < 0)
            return err_set(e, errno, "let descriptor %u watch %u again", s->number, watched);
    }
    return 0;
}

int mx_restore_objects(const struct mx_kept *objects, uint32_t count, int above, struct err *e)
{
    int *waiting = malloc((count ? count : 1) * sizeof *waiting);
    int rc = waiting ? 0 : err_set(e, ENOMEM, "open descriptors");
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        waiting[i] = -1;
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = make_one(objects, count, i, above, waiting, e);
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        const struct mx_sec_object *s = &objects[i].s.object;
        if (s->kind == MX_OBJECT_EPOLL && s->same_as == s->number)
            rc = watch_again(s, e);
    }
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        if (objects[i].s.object.kind == MX_OBJECT_NAMELESS && waiting[i] >= 0)
            close(waiting[i]);
    free(waiting); /* after a failure the process ends, and all with it */
    return rc;
}
