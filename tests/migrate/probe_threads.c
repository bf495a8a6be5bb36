/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe_threads.c: threads that begin, wait, get signals, make children and end, in every way
 * that a process can end. */
#include "tests/migrate/probe.h"

#include <dirent.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, THREADS = 4, ONE_BY_ONE = 60 };

static __thread int own_number;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total;

static void *count(void *ctx)
{
    own_number = (int)(long)ctx;
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&lock);
        total += own_number;
        pthread_mutex_unlock(&lock);
    }
    return (void *)(long)(own_number * 2);
}

PROBE(threads)
{
    pthread_t threads[THREADS];
    void *result;
    total = 0;
    for (long i = 0; i < THREADS; i++)
        SAY("create", pthread_create(&threads[i], NULL, count, (void *)(i + 1)));
    for (int i = 0; i < THREADS; i++) {
        SAY("join", pthread_join(threads[i], &result));
        SAY("result", (long)result);
    }
    SAY("total", total);
    SAY("own", own_number);
}

PROBE(threads_one_by_one)
{
    long sum = 0;
    for (long i = 0; i < ONE_BY_ONE; i++) {
        pthread_t t;
        void *result = NULL;
        if (pthread_create(&t, NULL, count, (void *)i) == 0 && pthread_join(t, &result) == 0)
            sum += (long)result;
    }
    SAY("results", sum);
}

static int run_raw(void *word)
{
    *(volatile int *)word = 5;
    return 0;
}

/* As a run-time system does that has no pthread. */
PROBE(threads_raw_clone)
{
    char *stack =
        mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static volatile int word, tid = 1;
    int got = clone(run_raw, stack + 16 * PAGE,
                    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                        CLONE_SYSVSEM | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID,
                    (void *)&word, NULL, NULL, &tid);
    SAY("clone", got > 0);
    while (tid)
        sched_yield();
    SAY("word", word);
}

/* ---- waiting ---- */

static void *echo(void *ctx)
{
    const int *fds = ctx;
    char c;
    long sum = 0;
    while (read(fds[0], &c, 1) == 1)
        sum += c;
    return (void *)sum;
}

/* Each waits in a call of its own, and holds up nobody. */
PROBE(threads_that_wait)
{
    pthread_t threads[THREADS];
    int fds[THREADS][2];
    void *result;
    for (int i = 0; i < THREADS; i++) {
        if (pipe(fds[i]) < 0 || pthread_create(&threads[i], NULL, echo, fds[i]) != 0)
            exit(9);
    }
    for (int k = 0; k < 20; k++)
        for (int i = THREADS - 1; i >= 0; i--)
            if (write(fds[i][1], "abcdefgh" + (k + i) % 8, 1) != 1)
                exit(9);
    for (int i = THREADS - 1; i >= 0; i--) {
        close(fds[i][1]);
        pthread_join(threads[i], &result);
        SAY("sum", (long)result);
        close(fds[i][0]);
    }
}

static void *wait_for_ever(void *ctx)
{
    char c;
    SAY("read", read(*(int *)ctx, &c, 1));
    return NULL;
}

PROBE(threads_that_are_cancelled)
{
    pthread_t t;
    void *result = NULL;
    int fds[2];
    if (pipe(fds) < 0)
        exit(9);
    SAY("create", pthread_create(&t, NULL, wait_for_ever, fds));
    nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
    SAY("cancel", pthread_cancel(t));
    SAY("join", pthread_join(t, &result));
    SAY("cancelled", result == PTHREAD_CANCELED);
    close(fds[0]);
    close(fds[1]);
}

/* ---- signals ---- */

static _Atomic pid_t handled_by, taker;
static atomic_int handled;

static void on_signal(int signo)
{
    (void)signo;
    handled_by = gettid();
    handled++;
}

static void *take(void *ctx)
{
    char c;
    int *fds = ctx;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    taker = gettid();
    bool is_interrupted = read(fds[0], &c, 1) == -1 && errno == EINTR;
    bool is_read = read(fds[0], &c, 1) == 1;
    return (void *)(long)(is_interrupted && is_read && handled_by == gettid());
}

static void *wait_signal(void *ctx)
{
    sigset_t set;
    int signo = 0;
    (void)ctx;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return (void *)(long)(sigwait(&set, &signo) == 0 ? signo : 0);
}

/* SIGUSR1 is blocked by all but one; SIGUSR2 by all, and one waits for it. */
PROBE(threads_and_signals)
{
    struct sigaction a = { .sa_handler = on_signal }, old1, old2;
    pthread_t one, two;
    sigset_t set, before;
    int fds[2];
    void *result = NULL;
    handled = taker = 0;
    sigaction(SIGUSR1, &a, &old1);
    sigaction(SIGUSR2, &a, &old2);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    if (pipe(fds) < 0 || pthread_create(&one, NULL, take, fds) != 0 ||
        pthread_create(&two, NULL, wait_signal, NULL) != 0)
        exit(9);
    while (!taker)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
    SAY("kill", kill(getpid(), SIGUSR1));
    while (handled < 1)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
    if (write(fds[1], "x", 1) != 1)
        exit(9);
    pthread_join(one, &result);
    SAY("interrupted, and read again", (long)result);
    SAY("kill", kill(getpid(), SIGUSR2));
    pthread_join(two, &result);
    SAY("got", (long)result == SIGUSR2);
    SAY("handled", handled);
    SAY("of nobody", syscall(SYS_tgkill, getpid(), getpid() + 100000, SIGUSR1));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sigaction(SIGUSR1, &old1, NULL);
    sigaction(SIGUSR2, &old2, NULL);
    close(fds[0]);
    close(fds[1]);
}

/* ---- children, and ends ---- */

static void *make_child(void *ctx)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(20 + (int)(long)ctx);
    return waitpid(pid, &status, 0) == pid ? (void *)(long)WEXITSTATUS(status) : NULL;
}

PROBE(threads_with_children)
{
    pthread_t threads[THREADS];
    void *result;
    fflush(stdout);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, make_child, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        SAY("child", (long)result);
    }
}

enum ending { BY_EXIT, BY_EXEC, BY_FAULT, BY_SIGNAL, BY_STOP };

static void *end_all(void *ctx)
{
    static void *volatile nowhere;
    switch (*(enum ending *)ctx) {
    case BY_EXIT: exit(31);
    case BY_EXEC: execl("/bin/echo", "echo", "  executed by a thread", NULL); break;
    case BY_FAULT: *(volatile int *)nowhere = 1; break;
    case BY_SIGNAL: kill(getpid(), SIGTERM); break;
    case BY_STOP:
        kill(getpid(), SIGSTOP); /* which another thread may take */
        nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
        exit(32);
    }
    return NULL;
}

static void *never_ends(void *ctx)
{
    volatile long *n = ctx;
    for (;;)
        ++*n;
    return NULL;
}

static _Noreturn void have_threads(enum ending how)
{
    static long numbers[2];
    pthread_t threads[4];
    int fds[2];
    if (pipe(fds) < 0)
        exit(9);
    pthread_create(&threads[0], NULL, never_ends, &numbers[0]);
    pthread_create(&threads[1], NULL, wait_for_ever, fds);
    pthread_create(&threads[2], NULL, end_all, &how);
    pthread_join(threads[0], NULL);
    exit(1);
}

PROBE(threads_and_how_processes_end)
{
    for (enum ending how = BY_EXIT; how <= BY_STOP; how++) {
        int status = -1;
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
            have_threads(how);
        if (how == BY_STOP) {
            SAY("stopped", waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
            SAY("continue", kill(pid, SIGCONT));
        }
        SAY("wait", waitpid(pid, &status, 0) == pid);
        printf("  exit %d, signal %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
               WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
}

static int count_tasks(void)
{
    DIR *d = opendir("/proc/self/task");
    int n = 0;
    for (struct dirent *x; d && (x = readdir(d));)
        n += x->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

PROBE(threads_as_proc_has_them)
{
    pthread_t t;
    int fds[2];
    if (pipe(fds) < 0 || pthread_create(&t, NULL, echo, fds) != 0)
        exit(9);
    SAY("threads", count_tasks());
    close(fds[1]);
    pthread_join(t, NULL);
    close(fds[0]);
}

/* ---- what is done at home only ---- */

static void *outlive(void *ctx)
{
    pthread_t *first = ctx;
    SAY("join the first", pthread_join(*first, NULL));
    nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
    printf("  it goes on\n");
    exit(7);
}

PROBE(home_first_thread_ends)
{
    static pthread_t first;
    pthread_t t;
    first = pthread_self();
    if (pthread_create(&t, NULL, outlive, &first) != 0)
        exit(9);
    pthread_exit(NULL);
}

static void *share(void *ctx)
{
    volatile int *shared =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *(volatile int **)ctx = shared;
    return NULL;
}

/* While others wait, compute and begin. */
PROBE(home_with_threads)
{
    pthread_t t, others[3];
    static long number;
    int fds[2], *shared = NULL;
    void *result = NULL;
    if (pipe(fds) < 0 || pthread_create(&others[0], NULL, echo, fds) != 0 ||
        pthread_create(&others[1], NULL, never_ends, &number) != 0 ||
        pthread_create(&others[2], NULL, count, (void *)3) != 0 ||
        pthread_create(&t, NULL, share, &shared) != 0)
        exit(9);
    SAY("join", pthread_join(t, NULL));
    pthread_join(others[2], &result);
    SAY("result", (long)result);
    fflush(stdout);
    if (fork() == 0) {
        *shared = 77;
        _exit(0);
    }
    wait(NULL);
    SAY("shared", *shared);
    if (write(fds[1], "ab", 2) != 2)
        exit(9);
    close(fds[1]);
    pthread_join(others[0], &result);
    SAY("sum", (long)result);
    SAY("threads", count_tasks());
}
