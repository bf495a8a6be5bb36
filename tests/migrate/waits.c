/* SPDX-License-Identifier: GPL-2.0-or-later */
/* waits.c: each call that waits for a time, for so long; says what it gave, and, in
 * milliseconds, how long it took. Usage: waits MILLISECONDS [NAME...] */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EPOLL_PWAIT2 = 441 };

static long long limit_ms;
static struct timespec limit;
static int ends[2], queue_fd, pair[2];
static int word;

static long long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static struct timespec after(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_sec += limit.tv_sec;
    t.tv_nsec += limit.tv_nsec;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

static long on_nanosleep(void)
{
    return nanosleep(&limit, NULL);
}

static long on_nanosleep_rest(void)
{
    struct timespec rest = { 77, 0 };
    return syscall(SYS_nanosleep, &limit, &rest);
}

static long on_clock_nanosleep(void)
{
    return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &limit, NULL);
}

static long on_clock_nanosleep_until(void)
{
    struct timespec t = after(CLOCK_MONOTONIC);
    return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static long on_clock_nanosleep_date(void)
{
    struct timespec t = after(CLOCK_REALTIME);
    return syscall(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL);
}

static long on_poll(void)
{
    struct pollfd p = { ends[0], POLLIN, 0 };
    return poll(&p, 1, (int)limit_ms);
}

static long on_poll_nothing(void)
{
    return poll(NULL, 0, (int)limit_ms);
}

static long on_ppoll(void)
{
    struct pollfd p = { ends[0], POLLIN, 0 };
    struct timespec t = limit;
    return syscall(SYS_ppoll, &p, 1, &t, NULL, 8);
}

static long on_select(void)
{
    fd_set f;
    struct timeval t = { limit.tv_sec, limit.tv_nsec / 1000 };
    FD_ZERO(&f);
    FD_SET(ends[0], &f);
    return syscall(SYS_select, ends[0] + 1, &f, NULL, NULL, &t);
}

static long on_pselect(void)
{
    fd_set f;
    FD_ZERO(&f);
    FD_SET(ends[0], &f);
    return pselect(ends[0] + 1, &f, NULL, NULL, &limit, NULL);
}

static long on_epoll_wait(void)
{
    struct epoll_event e[2];
    return syscall(SYS_epoll_wait, queue_fd, e, 2, (int)limit_ms);
}

static long on_epoll_pwait(void)
{
    struct epoll_event e[2];
    sigset_t none;
    sigemptyset(&none);
    return epoll_pwait(queue_fd, e, 2, (int)limit_ms, &none);
}

static long on_epoll_pwait2(void)
{
    struct epoll_event e[2];
    return syscall(EPOLL_PWAIT2, queue_fd, e, 2, &limit, NULL, 8);
}

static long on_semtimedop(void)
{
    int id = semget(IPC_PRIVATE, 1, 0600);
    struct sembuf take = { 0, -1, 0 };
    long r = semtimedop(id, &take, 1, &limit);
    int why = errno;
    semctl(id, 0, IPC_RMID);
    errno = why;
    return r;
}

static long on_sigtimedwait(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    return sigtimedwait(&set, NULL, &limit);
}

static long on_futex(void)
{
    return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &limit, NULL, 0);
}

static long on_futex_until(void)
{
    struct timespec t = after(CLOCK_MONOTONIC);
    return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &t, NULL, FUTEX_BITSET_MATCH_ANY);
}

static long on_mq(void)
{
    struct timespec t = after(CLOCK_REALTIME);
    struct mq_attr a = { .mq_maxmsg = 1, .mq_msgsize = 8 };
    char name[40], text[8];
    snprintf(name, sizeof name, "/waits.%d", (int)getpid());
    mqd_t q = mq_open(name, O_RDWR | O_CREAT, 0600, &a);
    mq_unlink(name);
    long r = mq_timedreceive(q, text, sizeof text, NULL, &t);
    int why = errno;
    mq_close(q);
    errno = why;
    return r;
}

static long on_recv(void)
{
    struct timeval t = { limit.tv_sec, limit.tv_nsec / 1000 };
    char c;
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    return recv(pair[0], &c, 1, 0);
}

static long on_timerfd(void)
{
    struct itimerspec s = { .it_value = limit };
    uint64_t n = 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    timerfd_settime(fd, 0, &s, NULL);
    long r = read(fd, &n, sizeof n);
    close(fd);
    return r;
}

static void on_alarm(int signo)
{
    (void)signo;
}

static long on_pause(void)
{
    struct itimerval t = { .it_value = { limit.tv_sec, limit.tv_nsec / 1000 } };
    sigset_t alarm_only, before;
    struct sigaction a = { .sa_handler = on_alarm };
    sigaction(SIGALRM, &a, NULL);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm_only, &before);
    setitimer(ITIMER_REAL, &t, NULL);
    long r = sigsuspend(&before);
    int why = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return r;
}

/* Of an empty pipe, until a handler ends it. */
static long on_read(void)
{
    struct sigaction alarmed = { .sa_handler = on_alarm };
    struct itimerval t = { .it_value = { limit.tv_sec, limit.tv_nsec / 1000 } };
    char c;
    sigaction(SIGALRM, &alarmed, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
    return read(ends[0], &c, 1);
}

/* The rest that it says it had is what was left. */
static long on_interrupted(void)
{
    struct itimerval t = { .it_value = { limit.tv_sec, limit.tv_nsec / 1000 } };
    struct timespec much = { limit.tv_sec + 100, limit.tv_nsec }, rest = { 0 };
    struct sigaction a = { .sa_handler = on_alarm };
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
    long r = syscall(SYS_nanosleep, &much, &rest);
    int why = errno;
    if (rest.tv_sec < 98 || rest.tv_sec > 100) {
        printf("interrupted with a rest of %lld s\n", (long long)rest.tv_sec);
    }
    errno = why;
    return r;
}

static const struct {
    const char *name;
    long (*make)(void);
} waits[] = {
    { "nanosleep", on_nanosleep },
    { "nanosleep-rest", on_nanosleep_rest },
    { "clock_nanosleep", on_clock_nanosleep },
    { "clock_nanosleep-until", on_clock_nanosleep_until },
    { "clock_nanosleep-date", on_clock_nanosleep_date },
    { "poll", on_poll },
    { "poll-nothing", on_poll_nothing },
    { "ppoll", on_ppoll },
    { "select", on_select },
    { "pselect", on_pselect },
    { "epoll_wait", on_epoll_wait },
    { "epoll_pwait", on_epoll_pwait },
    { "epoll_pwait2", on_epoll_pwait2 },
    { "semtimedop", on_semtimedop },
    { "sigtimedwait", on_sigtimedwait },
    { "futex", on_futex },
    { "futex-until", on_futex_until },
    { "mq_timedreceive", on_mq },
    { "recv", on_recv },
    { "timerfd", on_timerfd },
    { "sigsuspend", on_pause },
    { "interrupted", on_interrupted },
    { "read", on_read },
};

static void try(unsigned i)
{
    long long start_us = now_us();
    errno = 0;
    long r = waits[i].make();
    int why = r < 0 ? errno : 0;
    printf("%s %ld %d %lld\n", waits[i].name, r, why, (now_us() - start_us) / 1000);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    sigset_t usr1;
    limit_ms = argc > 1 ? atoll(argv[1]) : 0;
    if (limit_ms < 1 || pipe(ends) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return 99;
    limit = (struct timespec){ limit_ms / 1000, limit_ms % 1000 * 1000000 };
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    struct epoll_event in = { .events = EPOLLIN };
    queue_fd = epoll_create1(0);
    if (queue_fd < 0 || epoll_ctl(queue_fd, EPOLL_CTL_ADD, ends[0], &in) < 0)
        return 99;
    for (unsigned i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        int is_wanted = argc < 3;
        for (int a = 2; a < argc; a++)
            is_wanted |= !strcmp(argv[a], waits[i].name);
        if (is_wanted)
            try(i);
    }
    return 0;
}
