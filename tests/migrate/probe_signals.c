/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe_signals.c: what becomes of signals, and of the calls that they come into.
 * Signals come from timers and from the program itself, so they are the home's to deliver. */
#include "tests/migrate/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/rseq.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SOON_US = 60000, LATER_US = 500000 }; /* the latter: when more is to be done before */

static volatile sig_atomic_t runs;
static siginfo_t last;
static int to_be_written = -1;
static sigset_t in_handler;

static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    runs++;
    last = *info;
    sigprocmask(SIG_BLOCK, NULL, &in_handler);
    if (to_be_written >= 0 && write(to_be_written, "x", 1) != 1)
        _exit(9);
}

static void handle(int signo, int flags)
{
    struct sigaction a = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };
    sigemptyset(&a.sa_mask);
    sigaddset(&a.sa_mask, SIGWINCH);
    SAY("sigaction", sigaction(signo, &a, NULL));
    runs = 0;
    memset(&last, 0, sizeof last);
}

static void soon(void)
{
    struct itimerval t = { { 0, 0 }, { 0, SOON_US } };
    SAY("setitimer", setitimer(ITIMER_REAL, &t, NULL));
}

static void said(const char *what, long result)
{
    int e = errno;
    printf("  %s: %ld %s; %d runs, code %d\n", what, result, result < 0 ? strerror(e) : "",
           (int)runs, runs ? last.si_code : 0);
}

/* Each way to wait, disturbed by a handler with and without SA_RESTART. */
static long wait_by(int how, const int fds[2], int epoll)
{
    char c;
    struct pollfd p = { fds[0], POLLIN, 0 };
    struct epoll_event ev;
    struct timespec t = { 2, 0 };
    struct timeval v = { 2, 0 };
    sigset_t none, alarms;
    fd_set set;
    siginfo_t info;
    long rc;
    sigemptyset(&none);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGUSR2);
    FD_ZERO(&set);
    FD_SET(fds[0], &set);
    switch (how) {
    case 0: return read(fds[0], &c, 1);
    case 1: return poll(&p, 1, 2000);
    case 2: return ppoll(&p, 1, &t, &none);
    case 3: rc = select(fds[0] + 1, &set, NULL, NULL, &v); return rc;
    case 4: return pselect(fds[0] + 1, &set, NULL, NULL, &t, &none);
    case 5: return epoll_wait(epoll, &ev, 1, 2000);
    case 6: return epoll_pwait(epoll, &ev, 1, 2000, &none);
    case 7: return sigsuspend(&none);
    case 8: return pause();
    case 9:
        rc = nanosleep(&t, &t);
        printf("  rest %s\n", t.tv_sec == 1 ? "told" : "not told");
        return rc;
    case 10: return recv(fds[0], &c, 1, 0);
    case 11: return sigtimedwait(&alarms, &info, &t);
    case 12: return wait4(-1, NULL, 0, NULL);
    case 13: return clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
    case 14:
        rc = select(0, NULL, NULL, NULL, &v);
        printf("  rest %s\n", v.tv_sec == 1 ? "told" : "not told");
        return rc;
    default: return 0;
    }
}

PROBE(waits_and_handlers)
{
    static const char *const names[] = {
        "read",       "poll",         "ppoll",      "select",          "pselect",
        "epoll_wait", "epoll_pwait",  "sigsuspend", "pause",           "nanosleep",
        "recv",       "sigtimedwait", "wait4",      "clock_nanosleep", "select for time"
    };
    for (int flags = 0; flags <= 1; flags++)
        for (int how = 0; how < 15; how++) {
            int fds[2];
            if (how == 10 ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe(fds))
                return;
            struct epoll_event ev = { EPOLLIN, { .u64 = 1 } };
            int epoll = epoll_create1(0);
            epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &ev);
            /* What is made again finds what the handler wrote. */
            to_be_written = flags ? fds[1] : -1;
            handle(SIGALRM, flags ? SA_RESTART : 0);
            soon();
            errno = 0;
            said(names[how], wait_by(how, fds, epoll));
            to_be_written = -1;
            close(fds[0]);
            close(fds[1]);
            close(epoll);
        }
}

/* With the signal blocked: only waits that have a mask of their own let it come. */
PROBE(masks_of_waits)
{
    sigset_t alarms, now, none;
    int fds[2];
    sigemptyset(&alarms);
    sigemptyset(&none);
    sigaddset(&alarms, SIGALRM);
    sigaddset(&alarms, SIGUSR1);
    if (pipe(fds))
        return;
    for (int how = 2; how <= 7; how++) {
        if (how == 3 || how == 5)
            continue;
        int epoll = epoll_create1(0);
        handle(SIGALRM, 0);
        sigprocmask(SIG_BLOCK, &alarms, NULL);
        soon();
        errno = 0;
        said("wait", wait_by(how, fds, epoll));
        sigprocmask(SIG_SETMASK, NULL, &now);
        printf("  ALRM %d, in handler ALRM %d USR1 %d WINCH %d\n", sigismember(&now, SIGALRM),
               sigismember(&in_handler, SIGALRM), sigismember(&in_handler, SIGUSR1),
               sigismember(&in_handler, SIGWINCH));
        close(epoll);
        sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    }
    close(fds[0]);
    close(fds[1]);
}

PROBE(what_comes_with_them)
{
    struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
                           .sigev_signo = SIGUSR2,
                           .sigev_value = { .sival_int = 77 } };
    struct itimerspec t = { { 0, 0 }, { 0, LATER_US * 1000 } };
    timer_t timer;
    handle(SIGUSR1, 0);
    SAY("kill", kill(getpid(), SIGUSR1));
    said("kill", last.si_pid == getpid() && last.si_uid == getuid());
    handle(SIGUSR1, 0);
    SAY("raise", raise(SIGUSR1));
    said("raise", last.si_pid == getpid());
    handle(SIGRTMIN + 1, 0);
    for (int i = 0; i < 5; i++)
        SAY("sigqueue", sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = i }));
    said("sigqueue", last.si_value.sival_int);
    handle(SIGUSR2, 0);
    SAY("timer_create", timer_create(CLOCK_MONOTONIC, &ev, &timer));
    SAY("timer_settime", timer_settime(timer, 0, &t, NULL));
    SAY("timer_gettime", timer_gettime(timer, &t));
    SAY("pause", pause());
    said("timer", last.si_value.sival_int);
    SAY("timer_getoverrun", timer_getoverrun(timer));
    SAY("timer_delete", timer_delete(timer));
    static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_TAI };
    for (unsigned i = 0; i < 3; i++) {
        SAY("timer_create", timer_create(clocks[i], &ev, &timer));
        SAY("timer_delete", timer_delete(timer));
    }
    handle(SIGPIPE, 0);
    int fds[2];
    if (pipe(fds) == 0) {
        close(fds[0]);
        SAY("write", write(fds[1], "x", 1));
        said("SIGPIPE", 0);
        close(fds[1]);
    }
    handle(SIGALRM, 0);
    SAY("alarm", alarm(100));
    SAY("alarm", alarm(0) > 98);
    signal(SIGPIPE, SIG_DFL);
}

PROBE(blocked_and_pending)
{
    sigset_t set, before;
    siginfo_t info;
    struct timespec now = { 0, 0 };
    struct signalfd_siginfo f;
    handle(SIGUSR1, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    SAY("block", sigprocmask(SIG_BLOCK, &set, &before));
    SAY("was blocked", sigismember(&before, SIGUSR1));
    kill(getpid(), SIGUSR1);
    said("blocked", 0);
    SAY("sigpending", sigpending(&before));
    SAY("pends", sigismember(&before, SIGUSR1));
    SAY("sigtimedwait", sigtimedwait(&set, &info, &now));
    SAY("code", info.si_code);
    SAY("sigtimedwait", sigtimedwait(&set, &info, &now));
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    kill(getpid(), SIGUSR2);
    SAY("signalfd", read(fd, &f, sizeof f));
    SAY("signo", f.ssi_signo);
    close(fd);
    kill(getpid(), SIGUSR1);
    said("still blocked", 0);
    SAY("unblock", sigprocmask(SIG_UNBLOCK, &set, NULL));
    said("unblocked", 0);
}

static void on_pending(int signo)
{
    sigset_t set;
    (void)signo;
    runs++;
    kill(getpid(), SIGUSR1); /* blocked while this runs */
    kill(getpid(), SIGWINCH);
    sigpending(&set);
    printf("  in the handler: USR1 %d WINCH %d pend\n", sigismember(&set, SIGUSR1),
           sigismember(&set, SIGWINCH));
}

PROBE(pending_in_handlers)
{
    struct sigaction a = { .sa_handler = on_pending, .sa_flags = SA_RESETHAND };
    signal(SIGWINCH, SIG_DFL);
    handle(SIGUSR1, 0);
    sigaddset(&a.sa_mask, SIGUSR1);
    sigaction(SIGUSR2, &a, NULL);
    kill(getpid(), SIGUSR2);
    said("then", 0);
}

static void on_blocking(int signo)
{
    sigset_t set;
    (void)signo;
    runs++;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL); /* for the rest of the handler only */
}

/* A restartable sequence without an end: who is interrupted in it by a signal begins anew,
 * after the handler. */
PROBE(sequences_and_signals)
{
    struct rseq *r = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
    for (int i = 0; i < 5; i++) {
        handle(SIGALRM, 0);
        soon();
        while (__rseq_size && runs == 0) {
            __asm__ volatile goto(
                ".pushsection .data\n.balign 32\n"
                "9: .long 0, 0\n.quad 1f, 2f - 1f, 4f\n.popsection\n"
                "leaq 9b(%%rip), %%rax\n"
                "movq %%rax, 8(%0)\n"
                "1: pause\n"
                "jmp 1b\n"
                "2: ud2\n"
                ".byte 0x0f, 0xb9, 0x3d\n.long 0x53053053\n" /* who restarts says so */
                "4: jmp %l[aborted]\n"
                :
                : "r"(r)
                : "rax", "memory"
                : aborted);
        aborted:;
        }
        said("sequence", 0);
    }
}

PROBE(masks_of_handlers)
{
    struct sigaction a = { .sa_handler = on_blocking };
    handle(SIGUSR2, 0);
    sigaction(SIGUSR1, &a, NULL);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    said("after a handler that blocks", 0);
    handle(SIGUSR1, SA_RESETHAND);
    kill(getpid(), SIGUSR1);
    said("once", 0);
    SAY("sigaction", sigaction(SIGUSR1, NULL, &a));
    SAY("is default", a.sa_handler == SIG_DFL);
    handle(SIGUSR1, SA_NODEFER);
    kill(getpid(), SIGUSR1);
    SAY("not deferred", sigismember(&in_handler, SIGUSR1));
    handle(SIGUSR1, 0);
    kill(getpid(), SIGUSR1);
    SAY("deferred", sigismember(&in_handler, SIGUSR1));
    signal(SIGUSR1, SIG_IGN);
    SAY("ignored", kill(getpid(), SIGUSR1));
    signal(SIGUSR1, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    SAY("ignored by default", kill(getpid(), SIGCHLD));
}

/* A signal that nobody handles doesn't disturb a wait. */
PROBE(what_is_ignored)
{
    struct itimerval t = { { 0, 0 }, { 0, SOON_US } };
    struct pollfd p = { -1, 0, 0 };
    signal(SIGALRM, SIG_IGN);
    setitimer(ITIMER_REAL, &t, NULL);
    SAY("poll", poll(&p, 1, 150));
    int epoll = epoll_create1(0);
    struct epoll_event ev;
    setitimer(ITIMER_REAL, &t, NULL);
    SAY("epoll_wait", epoll_wait(epoll, &ev, 1, 150));
    close(epoll);
    runs = 0;
}

/* While it computes, in a row, and none is lost. */
PROBE(while_computing)
{
    struct itimerval t = { { 0, 5000 }, { 0, 5000 } }, none = { { 0, 0 }, { 0, 0 } };
    volatile double sum = 0;
    handle(SIGALRM, SA_RESTART);
    setitimer(ITIMER_REAL, &t, NULL);
    for (unsigned i = 0; runs < 20 && i < 4000000000u; i++)
        sum = sum + i;
    setitimer(ITIMER_REAL, &none, NULL);
    SAY("came", runs >= 20);
}
