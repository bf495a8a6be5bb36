/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_make.c: a userfaultfd of a stub's whose faults of the kernel's own come to us too.
 * Must not know: what is done with it.
 * Who may not trace everything can have one only by the device, which is ours to open: the stub
 * gets it over a pair of sockets, makes the userfaultfd, which we take, and closes all again.
 */
#include "mosix-core/deputy/mirror.h"

#include "common/sys/fd.h"
#include "mosix-core/image/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

static const uint64_t uffd_poison = 1 << 14; /* a feature; headers of Debian 12 lack it */

static int call(struct mx_tracee *t, struct mx_call c, int64_t *result, struct err *e)
{
    int rc = mx_tracee_call(t, &c, result, e);
    if (rc == 0 && *result < 0 && *result > -4096)
        rc = err_set(e, (int)-*result, "system call %ld", c.number);
    return rc;
}

static int shut(struct mx_tracee *t, int64_t fd, struct err *e)
{
    struct mx_call c = { SYS_close, { (uint64_t)fd } };
    return fd >= 0 ? mx_tracee_must(t, &c, "close", e) : 0;
}

/* Ours of a descriptor of the stub's. */
static int take(const struct mx_tracee *t, int64_t theirs, struct err *e)
{
    AUTO_FD process = (int)syscall(SYS_pidfd_open, t->pid, 0);
    int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, (int)theirs, 0);
    return fd < 0 ? err_set(e, errno, "take a descriptor of process %d", (int)t->pid) : fd;
}

/* ---- a descriptor of ours for the stub ---- */

/* What the stub's recvmsg works with, as it lies in its memory. */
struct parcel {
    struct msghdr head;
    struct iovec one;
    union {
        struct cmsghdr first;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control;
    int32_t pair[2];
    char byte;
};
_Static_assert(sizeof(struct parcel) <= 1024, "as mirror.h promises");

static int send_fd(int sock, int fd)
{
    char byte = 0;
    struct iovec one = { &byte, 1 };
    union {
        struct cmsghdr first;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control = { .bytes = { 0 } };
    struct msghdr m = { .msg_iov = &one,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof control.bytes };
    control.first = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd),
                                      .cmsg_level = SOL_SOCKET,
                                      .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.first), &fd, sizeof fd);
    return sendmsg(sock, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int receive(struct mx_tracee *t, int32_t sock, uint64_t scratch, int64_t *fd,
                   struct err *e)
{
    struct parcel p;
    int64_t got;
    memset(&p, 0, sizeof p);
    p.one = (struct iovec){ (void *)(uintptr_t)(scratch + offsetof(struct parcel, byte)), 1 };
    p.head.msg_iov = (void *)(uintptr_t)(scratch + offsetof(struct parcel, one));
    p.head.msg_iovlen = 1;
    p.head.msg_control = (void *)(uintptr_t)(scratch + offsetof(struct parcel, control));
    p.head.msg_controllen = sizeof p.control.bytes;
    int rc = mx_tracee_write(t, scratch, &p, sizeof p, e);
    if (rc == 0)
        rc = call(
            t,
            (struct mx_call){ SYS_recvmsg,
                              { (uint64_t)sock, scratch, MSG_CMSG_CLOEXEC | MSG_DONTWAIT } },
            &got, e);
    if (rc == 0)
        rc = mx_tracee_read(t, scratch, &p, sizeof p, e);
    if (rc == 0 && p.control.first.cmsg_len != CMSG_LEN(sizeof(int)))
        rc = err_say(e, EMFILE, "process %d has too many descriptors", (int)t->pid);
    int number = -1;
    if (rc == 0)
        memcpy(&number, CMSG_DATA(&p.control.first), sizeof number);
    *fd = number;
    return rc;
}

/* Returns the stub's number of it in *theirs. */
static int lend(struct mx_tracee *t, int fd, uint64_t scratch, int64_t *theirs, struct err *e)
{
    int64_t result;
    int32_t pair[2];
    int rc = call(
        t,
        (struct mx_call){ SYS_socketpair, { AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, scratch } },
        &result, e);
    if (rc == 0)
        rc = mx_tracee_read(t, scratch, pair, sizeof pair, e);
    if (rc < 0)
        return rc;
    AUTO_FD sock = take(t, pair[0], e);
    rc = sock < 0 ? sock : send_fd(sock, fd);
    if (rc == 0)
        rc = receive(t, pair[1], scratch, theirs, e);
    for (unsigned i = 0; i < 2; i++) {
        int closed = shut(t, pair[i], rc == 0 ? e : NULL);
        rc = rc < 0 ? rc : closed;
    }
    return rc;
}

/* ---- the userfaultfd ---- */

static int make_by_device(struct mx_tracee *t, uint64_t scratch, int64_t *theirs, struct err *e)
{
    int64_t device = -1;
    AUTO_FD fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, errno, "open /dev/userfaultfd");
    int rc = lend(t, fd, scratch, &device, e);
    if (rc == 0)
        rc = call(
            t,
            (struct mx_call){
                SYS_ioctl, { (uint64_t)device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK } },
            theirs, e);
    int closed = shut(t, device, rc == 0 ? e : NULL);
    return rc < 0 ? rc : closed;
}

int mx_mirror_make(struct mx_mirror *m, struct mx_tracee *t, uint64_t scratch, struct err *e)
{
    int64_t theirs;
    struct mx_call c = { SYS_userfaultfd, { O_CLOEXEC | O_NONBLOCK } };
    int rc = mx_tracee_call(t, &c, &theirs, e);
    if (rc == 0 && theirs < 0)
        rc = make_by_device(t, scratch, &theirs, e);
    if (rc < 0)
        return rc;
    AUTO_FD fd = take(t, theirs, e);
    rc = shut(t, theirs, e);
    struct uffdio_api api = { .api = UFFD_API, .features = uffd_poison };
    if (fd < 0 || rc < 0)
        return fd < 0 ? fd : rc;
    if (ioctl(fd, UFFDIO_API, &api) < 0)
        return err_say(e, ENOTSUP, "it needs Linux 6.6");
    m->uffd = take_fd(&fd);
    m->is_there = true;
    return 0;
}

/* ---- what the stub has from before ---- */

int mx_mirror_empty(struct mx_tracee *t, const struct mx_range *ours, unsigned count,
                    struct err *e)
{
    struct mx_call unlock = { SYS_munlockall, { 0 } };
    int rc = mx_tracee_must(t, &unlock, "munlockall", e);
    return rc < 0 ? rc : mx_tracee_empty_but(t, NULL, ours, count, e);
}
