/* SPDX-License-Identifier: GPL-2.0-or-later */
/* descriptors.c: what the numbers of a process's open descriptors stand for, and opening the
 * same again. Must not know: memory, registers. */
#include "mosix-core/image/objects.h"
#include "mosix-core/image/parts.h"

#include "common/sys/fd.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- capture ---- */

struct open_file {
    unsigned number, same_as;
    uint64_t offset;
    uint32_t flags;
    struct stat st;
    char path[4096];
    bool is_cloexec;
};

static int read_flags(pid_t pid, struct open_file *f)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%u", (int)pid, f->number);
    FILE *in = fopen(path, "re");
    if (!in)
        return -errno;
    unsigned found = 0;
    while (fgets(line, sizeof line, in)) {
        if (strncmp(line, "pos:", 4) == 0) {
            f->offset = strtoull(line + 4, NULL, 10);
            found |= 1;
        } else if (strncmp(line, "flags:", 6) == 0) {
            f->flags = (uint32_t)strtoul(line + 6, NULL, 8);
            found |= 2;
        }
    }
    fclose(in);
    f->is_cloexec = f->flags & O_CLOEXEC;
    f->flags &= ~(uint32_t)O_CLOEXEC;
    return found == 3 ? 0 : -EIO;
}

static int read_open(pid_t pid, unsigned number, struct open_file *f, struct err *e)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/fd/%u", (int)pid, number);
    f->number = number;
    ssize_t n = readlink(link, f->path, sizeof f->path - 1);
    if (n < 0 || stat(link, &f->st) < 0)
        return err_set(e, errno, "look at descriptor %u of process %d", number, (int)pid);
    f->path[n] = 0;
    int rc = read_flags(pid, f);
    return rc < 0 ? err_set(e, -rc, "look at descriptor %u of process %d", number, (int)pid)
                  : 0;
}

/* Is what the path leads to now what is open? */
static bool is_there(const struct open_file *f)
{
    struct stat now;
    return f->path[0] == '/' && stat(f->path, &now) == 0 && now.st_dev == f->st.st_dev &&
           now.st_ino == f->st.st_ino;
}

static int kind_of(const struct open_file *f, pid_t pid, enum mx_fd_kind *kind, struct err *e)
{
    char what[64];
    mx_say_what_is_open(f->path, what);
    bool is_path = (S_ISDIR(f->st.st_mode) || S_ISCHR(f->st.st_mode)) && !what[0];
    if (S_ISREG(f->st.st_mode) && is_there(f))
        *kind = MX_FD_FILE;
    else if (f->number <= STDERR_FILENO && !S_ISREG(f->st.st_mode))
        *kind = MX_FD_INHERIT;
    else if (is_path && is_there(f))
        *kind = MX_FD_PATH;
    else if (what[0])
        return err_say(e, ENOTSUP,
                       "descriptor %u of process %d is %s, which an image can't hold",
                       f->number, (int)pid, what);
    else
        return err_say(e, ENOTSUP, "descriptor %u of process %d (%s) can't be opened again",
                       f->number, (int)pid, f->path);
    return 0;
}

static int compare(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return (x > y) - (x < y);
}

/* Their numbers in growing order. Returns how many. */
static int list_numbers(pid_t pid, unsigned *numbers, struct err *e)
{
    char path[40];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    if (!d)
        return err_set(e, errno, "read %s", path);
    for (struct dirent *x; (x = readdir(d));) {
        if (!isdigit((unsigned char)x->d_name[0]))
            continue;
        if (count == MX_DESCRIPTORS_MAX) {
            closedir(d);
            return err_say(e, ENOTSUP, "process %d has more than %d open descriptors", (int)pid,
                           MX_DESCRIPTORS_MAX);
        }
        numbers[count++] = (unsigned)strtoul(x->d_name, NULL, 10);
    }
    closedir(d);
    qsort(numbers, (size_t)count, sizeof *numbers, compare);
    return count;
}

/* The earlier one with which number shares its open file, or number itself. */
static int find_same(pid_t pid, const unsigned *numbers, int before, struct open_file *f,
                     struct err *e)
{
    struct stat st;
    char link[64];
    f->same_as = f->number;
    for (int i = 0; i < before; i++) {
        snprintf(link, sizeof link, "/proc/%d/fd/%u", (int)pid, numbers[i]);
        if (stat(link, &st) < 0 || st.st_dev != f->st.st_dev || st.st_ino != f->st.st_ino)
            continue;
        long differs = syscall(SYS_kcmp, pid, pid, KCMP_FILE, numbers[i], f->number);
        if (differs < 0)
            return err_set(e, errno, "compare descriptors of process %d", (int)pid);
        if (differs == 0) {
            f->same_as = numbers[i];
            break;
        }
    }
    return 0;
}

static int write_one(pid_t pid, const unsigned *numbers, int which, int count,
                     struct mx_image_writer *w, struct err *e)
{
    struct open_file f;
    enum mx_fd_kind kind = MX_FD_INHERIT;
    int rc = read_open(pid, numbers[which], &f, e);
    if (rc == 0)
        rc = find_same(pid, numbers, which, &f, e);
    if (rc == 0) {
        const struct mx_open o = { .number = f.number,
                                   .same_as = f.same_as,
                                   .flags = f.flags,
                                   .is_cloexec = f.is_cloexec,
                                   .inode = f.st.st_ino,
                                   .offset = f.offset,
                                   .path = f.path,
                                   .st = &f.st };
        rc = mx_capture_object(pid, &o, numbers, count, w, e);
    }
    if (rc == 0)
        rc = kind_of(&f, pid, &kind, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    struct mx_sec s = { .number = MX_SEC_descriptor,
                        .descriptor = { .number = f.number,
                                        .same_as = f.same_as,
                                        .kind = kind,
                                        .flags = f.flags,
                                        .is_cloexec = f.is_cloexec,
                                        .offset = f.offset,
                                        .dev = f.st.st_dev,
                                        .ino = f.st.st_ino,
                                        .size = (uint64_t)f.st.st_size,
                                        .mtime_sec = f.st.st_mtim.tv_sec,
                                        .mtime_nsec = (uint32_t)f.st.st_mtim.tv_nsec,
                                        .path = bytes_of(f.path) } };
    return mx_image_write(w, &s, e);
}

int mx_capture_descriptors(const struct mx_tracee *t, int without, struct mx_image_writer *w,
                           struct err *e)
{
    unsigned *numbers = malloc(MX_DESCRIPTORS_MAX * sizeof *numbers);
    if (!numbers)
        return err_set(e, ENOMEM, "list the descriptors of process %d", (int)t->pid);
    int count = list_numbers(t->pid, numbers, e), rc = count < 0 ? count : 0;
    for (int i = 0; rc == 0 && i < count; i++)
        if (!without || numbers[i] != (unsigned)without)
            rc = write_one(t->pid, numbers, i, count, w, e);
    free(numbers);
    return rc;
}

/* ---- restore ---- */

/* A file that was only read must not have changed; one that was written goes on where it was,
 * if it is the same and long enough. */
static int check_same(const struct mx_sec_descriptor *d, const char *path, int fd,
                      struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_set(e, errno, "look at %s", path);
    if (st.st_dev != d->dev || st.st_ino != d->ino)
        return err_say(e, ESTALE, "%s is another file than the one that was open", path);
    if (d->kind != MX_FD_FILE)
        return 0;
    bool is_read_only = (d->flags & O_ACCMODE) == O_RDONLY;
    bool is_changed = (uint64_t)st.st_size != d->size || st.st_mtim.tv_sec != d->mtime_sec ||
                      (uint32_t)st.st_mtim.tv_nsec != d->mtime_nsec;
    if (is_read_only && is_changed)
        return err_say(e, ESTALE, "%s has changed since", path);
    if ((uint64_t)st.st_size < d->size)
        return err_say(e, ESTALE, "%s is shorter than it was", path);
    return 0;
}

static int take_number(int *fd, const struct mx_sec_descriptor *d, const char *path,
                       struct err *e)
{
    int rc;
    if ((unsigned)*fd == d->number)
        rc = fcntl(take_fd(fd), F_SETFD, d->is_cloexec ? FD_CLOEXEC : 0);
    else
        rc = dup3(*fd, (int)d->number, d->is_cloexec ? O_CLOEXEC : 0);
    return rc < 0 ? err_set(e, errno, "open %s as descriptor %u", path, d->number) : 0;
}

/* Opened as the one that it stands for; at the same offset, or at its end if it is shorter. */
static int open_instead(const struct mx_sec_descriptor *d, const char *path, struct err *e)
{
    int flags = (int)(d->flags & ~(uint32_t)(O_EXCL | O_TRUNC)) | O_NOCTTY | O_CLOEXEC;
    bool is_written = d->kind == MX_FD_INHERIT ? d->number != STDIN_FILENO
                                               : (d->flags & O_ACCMODE) != O_RDONLY;
    if (d->kind == MX_FD_INHERIT) /* it was a terminal or a pipe, whose flags say little */
        flags = (is_written ? O_WRONLY : O_RDONLY) | O_NOCTTY | O_CLOEXEC;
    AUTO_FD fd = open(path, flags | (is_written ? O_CREAT : 0), 0666);
    if (fd < 0)
        return err_set(e, errno, "open %s as descriptor %u", path, d->number);
    off_t at = d->kind == MX_FD_FILE ? (off_t)d->offset : is_written ? INT64_MAX : 0;
    off_t end = lseek(fd, 0, SEEK_END);
    if (end >= 0 && lseek(fd, at < end ? at : end, SEEK_SET) < 0)
        return err_set(e, errno, "go to where it was in %s", path);
    return take_number(&fd, d, path, e);
}

int mx_restore_descriptor(const struct mx_sec_descriptor *d, const char *instead, struct err *e)
{
    char path[4096];
    if (instead)
        return open_instead(d, instead, e);
    if (d->same_as != d->number)
        return dup3((int)d->same_as, (int)d->number, d->is_cloexec ? O_CLOEXEC : 0) < 0
                   ? err_set(e, errno, "open descriptor %u again", d->number)
                   : 0;
    if (d->kind == MX_FD_INHERIT)
        return fcntl((int)d->number, F_GETFD) < 0
                   ? err_set(e, errno, "use descriptor %u, which must be open", d->number)
                   : 0;
    if (bytes_to_text(d->path, path, sizeof path) < 0)
        return err_say(e, EPROTO, "the name of descriptor %u makes no sense", d->number);
    int flags = (int)(d->flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC)) | O_NOCTTY;
    AUTO_FD fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, errno, "open %s again", path);
    int rc = check_same(d, path, fd, e);
    if (rc < 0)
        return rc;
    if (d->kind == MX_FD_FILE && lseek(fd, (off_t)d->offset, SEEK_SET) < 0)
        return err_set(e, errno, "go to byte %llu of %s", (unsigned long long)d->offset, path);
    return take_number(&fd, d, path, e);
}
