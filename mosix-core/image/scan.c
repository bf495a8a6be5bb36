/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scan.c: the pagemap of a process, and userfaultfd.
 * Must not know: what is in pages. */
#include "mosix-core/image/scan.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    GUARD_PAGES = 64, /* of one answer: what is guarded and not yet read is little */
    OLD_PAGES = 512,  /* of one answer by an old kernel */
};

/* Headers of Debian 12 have neither. */
struct scan_arg {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t inverted, mask, anyof, returned;
};
struct scan_region {
    uint64_t start, end, is;
};
static const unsigned long pagemap_scan = _IOWR('f', 16, struct scan_arg);
enum {
    IS_COVERED = 1,
    IS_WRITTEN = 2,
    IS_FILE = 4,
    IS_PRESENT = 8,
    IS_SWAPPED = 16,
    IS_ZERO = 32,
    GUARD_MATCHING = 1,
};
static const uint64_t uffd_unpopulated = 1 << 13, uffd_async = 1 << 15;

void mx_scan_close(struct mx_scan *s)
{
    fd_close(&s->pagemap);
}

static int ask(const struct mx_scan *s, struct scan_arg *a)
{
    a->size = sizeof *a;
    long n;
    do
        n = ioctl(s->pagemap, pagemap_scan, a);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int)n;
}

int mx_scan_open(struct mx_scan *s, pid_t pid, bool is_old, struct err *e)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/pagemap", (int)pid);
    *s = (struct mx_scan){ .pagemap = open(path, O_RDONLY | O_CLOEXEC), .is_old = is_old };
    if (s->pagemap < 0)
        return err_set(e, errno, "open %s", path);
    struct scan_region some;
    struct scan_arg try = { .start = PAGE,
                            .end = 2 * PAGE,
                            .vec = (uint64_t)(uintptr_t)&some,
                            .vec_len = 1,
                            .anyof = IS_PRESENT,
                            .returned = IS_PRESENT };
    s->is_old |= ask(s, &try) < 0;
    return 0;
}

/* ---- kernels that are asked page by page ---- */

static int old_next(const struct mx_scan *s, uint64_t *at, uint64_t end, struct mx_region *r,
                    struct err *e)
{
    static const uint64_t present = UINT64_C(1) << 63, swapped = UINT64_C(1) << 62,
                          of_file = UINT64_C(1) << 61;
    uint64_t entries[OLD_PAGES], pages = (end - *at) / PAGE;
    unsigned count = 0;
    if (pages > OLD_PAGES)
        pages = OLD_PAGES;
    ssize_t want = (ssize_t)(pages * 8);
    ssize_t n = pread(s->pagemap, entries, (size_t)want, (off_t)(*at / PAGE * 8));
    if (n != want)
        return err_set(e, n < 0 ? errno : EIO, "look at the pages of a process");
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t start = *at + i * PAGE;
        bool is_own = !(entries[i] & of_file), is_present = (entries[i] & present) != 0;
        if (!(entries[i] & (present | swapped)))
            continue;
        if (count && r[count - 1].end == start && r[count - 1].is_own == is_own &&
            r[count - 1].is_present == is_present)
            r[count - 1].end += PAGE;
        else
            r[count++] = (struct mx_region){ start, start + PAGE, is_own, is_present, false };
    }
    *at += pages * PAGE;
    return (int)count;
}

/* ---- PAGEMAP_SCAN ---- */

int mx_scan_next(const struct mx_scan *s, enum mx_scan_how how, uint64_t *at, uint64_t end,
                 struct mx_region *r, struct err *e)
{
    struct scan_region found[MX_SCAN_REGIONS_MAX];
    struct scan_arg a = { .start = *at, .end = end, .vec = (uint64_t)(uintptr_t)found };
    unsigned count = 0;
    if (s->is_old)
        return how == MX_SCAN_ALL ? old_next(s, at, end, r, e)
                                  : err_say(e, ENOTSUP, "the kernel notes no changes");
    a.vec_len = MX_SCAN_REGIONS_MAX;
    a.anyof = IS_PRESENT | IS_SWAPPED;
    a.returned = IS_WRITTEN | IS_ZERO | IS_PRESENT | (s->is_for_own ? IS_FILE : 0);
    if (how != MX_SCAN_ALL)
        a.mask = IS_WRITTEN;
    if (how == MX_SCAN_GUARD) {
        a.flags = GUARD_MATCHING;
        a.max_pages = GUARD_PAGES;
    } else if (how == MX_SCAN_EVERY) {
        a.anyof = 0;
        a.returned = IS_WRITTEN;
    }
    int n = ask(s, &a);
    if (n < 0)
        return err_set(e, -n, "look at the pages of a process");
    for (int i = 0; i < n; i++)
        if (!(found[i].is & IS_ZERO))
            r[count++] = (struct mx_region){ .start = found[i].start,
                                             .end = found[i].end,
                                             .is_own = !(found[i].is & IS_FILE),
                                             .is_present = (found[i].is & IS_PRESENT) != 0,
                                             .is_changed = (found[i].is & IS_WRITTEN) != 0 };
    *at = a.walk_end > *at ? a.walk_end : end;
    return (int)count;
}

bool mx_scan_is_covered(const struct mx_scan *s, uint64_t start)
{
    struct scan_region found;
    struct scan_arg a = { .start = start,
                          .end = start + PAGE,
                          .vec = (uint64_t)(uintptr_t)&found,
                          .vec_len = 1,
                          .mask = IS_COVERED,
                          .returned = IS_COVERED };
    return !s->is_old && ask(s, &a) == 1;
}

/* ---- userfaultfd ---- */

/* The process's own number of it is closed at once. */
static int take(struct mx_tracee *t, int64_t number, struct err *e)
{
    AUTO_FD process = (int)syscall(SYS_pidfd_open, t->pid, 0);
    int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, (int)number, 0);
    int rc = fd < 0 ? err_set(e, errno, "take a descriptor of process %d (%s)", (int)t->pid,
                              process < 0 ? "pidfd_open" : "pidfd_getfd")
                    : 0;
    struct mx_call c = { SYS_close, { (uint64_t)number } };
    int closed = mx_tracee_must(t, &c, "close", rc == 0 ? e : NULL);
    if (rc == 0 && closed < 0) {
        close(fd);
        rc = closed;
    }
    return rc < 0 ? rc : fd;
}

int mx_watch_make(struct mx_tracee *t, int *uffd, struct err *e)
{
    int64_t number;
    struct mx_call c = { SYS_userfaultfd, { O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY } };
    int rc = mx_tracee_call(t, &c, &number, e);
    if (rc < 0)
        return rc;
    if (number < 0)
        return err_set(e, ENOTSUP, "process %d can't have its changes noted", (int)t->pid);
    AUTO_FD fd = take(t, number, e);
    struct uffdio_api api = { .api = UFFD_API, .features = uffd_async | uffd_unpopulated };
    if (fd < 0)
        return fd;
    if (ioctl(fd, UFFDIO_API, &api) < 0)
        return err_set(e, ENOTSUP, "this kernel notes no changes of process %d", (int)t->pid);
    *uffd = take_fd(&fd);
    return 0;
}

int mx_watch_cover(int uffd, uint64_t start, uint64_t end)
{
    struct uffdio_register r = { .range = { start, end - start },
                                 .mode = UFFDIO_REGISTER_MODE_WP };
    return ioctl(uffd, UFFDIO_REGISTER, &r) < 0 ? -errno : 0;
}

int mx_watch_uncover(int uffd, uint64_t start, uint64_t end)
{
    struct uffdio_range r = { start, end - start };
    return ioctl(uffd, UFFDIO_UNREGISTER, &r) < 0 && errno != EINVAL && errno != ENOMEM ? -errno
                                                                                        : 0;
}

int mx_watch_guard(int uffd, uint64_t start, uint64_t end, bool is_guarded)
{
    struct uffdio_writeprotect w = { .range = { start, end - start },
                                     .mode = is_guarded ? UFFDIO_WRITEPROTECT_MODE_WP : 0 };
    int rc;
    do /* mappings are changing at this moment */
        rc = ioctl(uffd, UFFDIO_WRITEPROTECT, &w) < 0 ? -errno : 0;
    while (rc == -EAGAIN);
    return rc;
}
