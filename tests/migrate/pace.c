/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pace.c: what calls cost, for tests/bench/calls: pace raw [tcp]   round trips between two
 * processes, with 64 bytes and with a MiB back, over a pair of sockets or TCP; pace notice   a
 * call that another process answers by a seccomp notice, one that a handler of SIGSYS answers;
 * pace calls   after a line from stdin. A line for each kind: name, microseconds (least of a
 * hundred series). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { SERIES = 100, MESSAGE = 64, BIG = 1 << 20 };

static char space[BIG];

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

typedef int call_fn(int fd);

static void measure(const char *name, call_fn *fn, int fd, unsigned count)
{
    double least = 1e12;
    for (unsigned s = 0; s < SERIES; s++) {
        double start = now_us();
        for (unsigned i = 0; i < count; i++)
            if (fn(fd) < 0)
                exit(1);
        double each = (now_us() - start) / count;
        least = each < least ? each : least;
    }
    printf("%s %.2f\n", name, least);
}

static int call_getppid(int fd)
{
    (void)fd;
    return (int)syscall(SYS_getppid);
}

static int call_write(int fd)
{
    return write(fd, space, MESSAGE) == MESSAGE ? 0 : -1;
}

static int call_fstat(int fd)
{
    struct stat st;
    return fstat(fd, &st);
}

static int call_read_big(int fd)
{
    return read(fd, space, BIG) == BIG ? 0 : -1;
}

static int call_round(int fd)
{
    return write(fd, space, MESSAGE) == MESSAGE && read(fd, space, MESSAGE) == MESSAGE ? 0 : -1;
}

static int call_fetch(int fd)
{
    if (write(fd, "b", 1) != 1)
        return -1;
    for (size_t got = 0; got < BIG;) {
        ssize_t n = read(fd, space, BIG - got);
        if (n <= 0)
            return -1;
        got += (size_t)n;
    }
    return 0;
}

/* A connection of this computer with itself. */
static int tcp_pair(int pair[2])
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&a, len) < 0 ||
        listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&a, &len) < 0 ||
        connect(pair[0], (struct sockaddr *)&a, len) < 0)
        return -1;
    pair[1] = accept(listener, NULL, NULL);
    close(listener);
    if (pair[1] < 0)
        return -1;
    setsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return setsockopt(pair[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int raw(int is_tcp)
{
    int pair[2];
    if ((is_tcp ? tcp_pair(pair) : socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) < 0)
        return 1;
    if (fork() == 0) {
        ssize_t n;
        close(pair[0]);
        while ((n = read(pair[1], space, MESSAGE)) > 0)
            if (write(pair[1], space, n == 1 ? BIG : MESSAGE) < 0)
                break;
        _exit(0);
    }
    close(pair[1]);
    measure("round trip", call_round, pair[0], 100);
    measure("with a MiB", call_fetch, pair[0], 2);
    return 0;
}

/* ---- who answers a call that is not made ---- */

static int filter_getppid(unsigned answer, unsigned flags)
{
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof f / sizeof *f, f };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void answer_notices(int listener)
{
    for (;;) {
        struct seccomp_notif n;
        memset(&n, 0, sizeof n);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
            _exit(errno != EINTR);
        struct seccomp_notif_resp r = { .id = n.id, .val = 1 };
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r) < 0)
            _exit(1);
    }
}

static void answer_here(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = 1;
}

static int notices(void)
{
    static const unsigned long set_flags = 0x40082104, sync_wake_up = 1;
    struct sigaction here = { .sa_sigaction = answer_here, .sa_flags = SA_SIGINFO };
    fflush(stdout);
    pid_t first = fork();
    if (first == 0) { /* each has its own filter */
        int listener = filter_getppid(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
        if (listener < 0)
            _exit(1);
        ioctl(listener, set_flags, sync_wake_up);
        pid_t answering = fork();
        if (answering == 0)
            answer_notices(listener);
        measure("notice", call_getppid, 0, 100);
        fflush(stdout);
        kill(answering, SIGKILL);
        _exit(0);
    }
    if (first < 0 || waitpid(first, NULL, 0) != first)
        return 1;
    sigaction(SIGSYS, &here, NULL);
    if (filter_getppid(SECCOMP_RET_TRAP, 0) < 0)
        return 1;
    measure("SIGSYS", call_getppid, 0, 100);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "raw") == 0)
        return raw(argc > 2);
    if (argc > 1 && strcmp(argv[1], "notice") == 0)
        return notices();
    int null = open("/dev/null", O_WRONLY), zero = open("/dev/zero", O_RDONLY);
    if (read(0, space, 1) != 1 || null < 0 || zero < 0)
        return 1;
    measure("getppid", call_getppid, 0, 40);
    measure("write of 64 bytes", call_write, null, 40);
    measure("fstat", call_fstat, null, 40);
    measure("read of 1 MiB", call_read_big, zero, 2);
    return 0;
}
