/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe_pieces.c: reads and writes that are more than one call at home: vectors, messages, more
 * bytes than one call carries. */
#include "tests/migrate/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BIG = 3 << 20 };

static char *some(unsigned long len_bytes)
{
    char *p = malloc(len_bytes);
    for (unsigned long i = 0; p && i < len_bytes; i++)
        p[i] = (char)(i * 2654435761u >> 13);
    return p;
}

PROBE(vectors)
{
    char path[] = "probe.XXXXXX", a[5] = "", b[11] = "", c[3] = "";
    int fd = mkstemp(path), zero = open("/dev/zero", O_RDONLY);
    char t1[] = "hello ", t2[] = "", t3[] = "world, and more";
    struct iovec out[3] = { { t1, 6 }, { t2, 0 }, { t3, 15 } };
    struct iovec *volatile nowhere = (void *)8, *volatile there;
    struct iovec in[3] = { { a, 4 }, { b, 10 }, { c, 2 } };
    struct iovec bad[2] = { { a, 4 }, { (void *)8, 4 } }, wrong = { a, (size_t)-1 };
    there = in;
    SAY("writev", writev(fd, out, 3));
    SAY("pwritev", pwritev(fd, out, 2, 21));
    SAY("lseek", lseek(fd, 0, SEEK_SET));
    SAY("readv", readv(fd, in, 3));
    printf("  %s|%s|%s\n", a, b, c);
    SAY("preadv", preadv(fd, in, 2, 3));
    printf("  %s|%s|%s\n", a, b, c);
    SAY("preadv2", preadv2(fd, in, 3, -1, 0));
    SAY("pwritev2", pwritev2(fd, out, 1, 0, 0));
    SAY("position", lseek(fd, 0, SEEK_CUR));
    SAY("no descriptor", readv(-1, in, 3));
    SAY("no descriptor, wrong vectors", readv(-1, nowhere, 3));
    SAY("wrong vectors", readv(fd, nowhere, 3));
    SAY("too many", readv(fd, there, 1025));
    SAY("too long", writev(fd, &wrong, 1));
    SAY("none", writev(fd, out, 0));
    SAY("a wrong one of two", readv(zero, bad, 1));
    SAY("write only", readv(1, in, 0));
    unlink(path);
    close(fd);
    close(zero);
}

PROBE(more_than_one_call_carries)
{
    char path[] = "probe.XXXXXX", *p = some(BIG), *q = calloc(1, BIG);
    int fd = mkstemp(path), zero = open("/dev/zero", O_RDONLY),
        null = open("/dev/null", O_WRONLY), fds[2];
    struct iovec v[2] = { { q, 1000 }, { q + 1000, BIG - 1000 } };
    SAY("write", write(fd, p, BIG));
    SAY("lseek", lseek(fd, 0, SEEK_SET));
    SAY("read", read(fd, q, BIG));
    probe_say_bytes("read", q, BIG);
    SAY("at the end", read(fd, q, BIG));
    memset(q, 0, BIG);
    SAY("pread", pread(fd, q, BIG - 5, 5));
    probe_say_bytes("pread", q, BIG);
    SAY("pread over the end", pread(fd, q, BIG, BIG - (1 << 20)));
    SAY("pwrite", pwrite(fd, p, BIG, BIG / 2));
    SAY("preadv", preadv(fd, v, 2, 77));
    probe_say_bytes("preadv", q, BIG);
    SAY("zero", read(zero, q, BIG));
    probe_say_bytes("zero", q, BIG);
    SAY("null", write(null, q, BIG));
    SAY("directory", read(open(".", O_RDONLY), q, BIG));
    SAY("none", read(-1, q, BIG));
    if (pipe(fds) == 0) {
        fcntl(fds[1], F_SETFL, O_NONBLOCK);
        SAY("a pipe takes", write(fds[1], p, BIG));
        SAY("a full pipe takes", write(fds[1], p, BIG));
        SAY("a pipe gives", read(fds[0], q, BIG));
        close(fds[0]);
        close(fds[1]);
    }
    unlink(path);
    close(fd);
    close(zero);
    close(null);
    free(p);
    free(q);
}

static void on_alarm(int signo)
{
    (void)signo;
}

/* A pipe that has a mebibyte and no more: what is there is given, and a signal cuts a write
 * short. */
PROBE(pieces_that_wait)
{
    char *p = some(BIG);
    int fds[2];
    struct sigaction a = { .sa_handler = on_alarm };
    struct itimerval t = { { 0, 0 }, { 0, 100000 } };
    sigaction(SIGALRM, &a, NULL);
    if (pipe(fds))
        return;
    SAY("F_SETPIPE_SZ", fcntl(fds[1], F_SETPIPE_SZ, 1 << 20));
    SAY("write", write(fds[1], p, 1 << 20));
    SAY("read", read(fds[0], p, BIG));
    setitimer(ITIMER_REAL, &t, NULL);
    SAY("write, disturbed", write(fds[1], p, BIG));
    SAY("read", read(fds[0], p, BIG));
    setitimer(ITIMER_REAL, &t, NULL);
    SAY("read, disturbed", read(fds[0], p, BIG));
    close(fds[0]);
    close(fds[1]);
    signal(SIGALRM, SIG_DFL);
    free(p);
}

PROBE(messages)
{
    int pair[2], fd = open("/dev/null", O_RDWR), status;
    char text[40] = "", more[40] = "", control[64] = "";
    char t1[] = "first ", t2[] = "second";
    struct iovec out[2] = { { t1, 6 }, { t2, 6 } }, in[2] = { { text, 3 }, { more, 30 } };
    struct msghdr m = { .msg_iov = out,
                        .msg_iovlen = 2,
                        .msg_control = control,
                        .msg_controllen = CMSG_SPACE(sizeof fd) };
    struct stat st;
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
        return;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    SAY("sendmsg", sendmsg(pair[0], &m, 0));
    memset(control, 0, sizeof control);
    m = (struct msghdr){
        .msg_iov = in, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof control
    };
    SAY("recvmsg", recvmsg(pair[1], &m, 0));
    printf("  %s|%s control %d flags %x\n", text, more, (int)m.msg_controllen,
           (unsigned)m.msg_flags);
    c = CMSG_FIRSTHDR(&m);
    memcpy(&status, CMSG_DATA(c), sizeof status);
    SAY("the descriptor", fstat(status, &st) == 0 && S_ISCHR(st.st_mode));
    close(status);
    SAY("send", send(pair[0], "longer than the room for it, which is little", 44, 0));
    m = (struct msghdr){ .msg_iov = in, .msg_iovlen = 1 };
    SAY("recvmsg", recvmsg(pair[1], &m, 0));
    printf("  flags %x\n", (unsigned)m.msg_flags);
    SAY("nothing there", recvmsg(pair[1], &m, MSG_DONTWAIT));
    SAY("no socket", sendmsg(fd, &m, 0));
    SAY("wrong message", sendmsg(pair[0], (void *)8, 0));
    SAY("wrong message", recvmsg(pair[0], (void *)8, 0));
    struct mmsghdr mm[1] = { { .msg_hdr = { .msg_iov = out, .msg_iovlen = 2 } } };
    SAY("sendmmsg", sendmmsg(pair[0], mm, 1, 0));
    SAY("length", mm[0].msg_len);
    mm[0].msg_hdr = (struct msghdr){ .msg_iov = in, .msg_iovlen = 2 };
    SAY("recvmmsg", recvmmsg(pair[1], mm, 1, 0, NULL));
    SAY("length", mm[0].msg_len);
    close(pair[0]);
    close(pair[1]);
    close(fd);
}
