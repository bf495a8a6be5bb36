/* SPDX-License-Identifier: GPL-2.0-or-later */
/* threads.c: a program of many threads that notices when one of them is not left alone: they
 * wait for each other by mutexes, conditions, barriers and semaphores, for signals and for
 * time, hold locks of every kind, and have storage, names, signal stacks, masks and registers
 * of their own. Usage: threads TURNS same|any [MORE]. any: after a restore threads may have
 * other numbers, so nothing is asked that the kernel or the C library answers by them. MORE:
 * threads that only wait. One line each turn, and "threads: right" at the end. With a fourth
 * argument the first thread ends at once; "storm": threads begin and end all the time. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 4, MORE_MAX = 1000, STACK_BYTES = 64 << 10 };

static bool may_ask_numbers;
static atomic_bool is_over;
static __thread unsigned own_turns;
static pthread_key_t key;

static void wrong(const char *what)
{
    printf("threads: WRONG: %s\n", what);
    fflush(stdout);
    _exit(3);
}

static void must(int rc, const char *what)
{
    if (rc != 0)
        wrong(what);
}

/* ---- workers, who take turns ---- */

static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER, recursive, checked;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static unsigned turn, turns_wanted;
static pid_t numbers[WORKERS];

static void check_self(unsigned me, unsigned expected)
{
    char name[16], want[16];
    snprintf(want, sizeof want, "worker-%u", me);
    if (own_turns != expected || pthread_getspecific(key) != &numbers[me])
        wrong("a thread's own storage");
    if (pthread_getname_np(pthread_self(), name, sizeof name) != 0 || strcmp(name, want) != 0)
        wrong("a thread's name");
    if (may_ask_numbers && numbers[me] != gettid())
        wrong("a thread's number");
}

static void *work(void *arg)
{
    unsigned me = (unsigned)(size_t)arg;
    char name[16];
    snprintf(name, sizeof name, "worker-%u", me);
    pthread_setname_np(pthread_self(), name);
    pthread_setspecific(key, &numbers[me]);
    numbers[me] = gettid();
    for (unsigned i = 0; i < turns_wanted; i++) {
        must(pthread_mutex_lock(&turn_lock), "lock");
        while (turn % WORKERS != me)
            must(pthread_cond_wait(&turn_changed, &turn_lock), "wait for a turn");
        must(pthread_mutex_lock(&recursive), "lock a recursive mutex");
        must(pthread_mutex_lock(&recursive), "lock it twice");
        must(pthread_mutex_lock(&checked), "lock a checked mutex");
        nanosleep(&(struct timespec){ 0, 2000000 }, NULL); /* most stops are here */
        if (pthread_mutex_lock(&checked) != EDEADLK)
            wrong("a checked mutex");
        must(pthread_mutex_unlock(&checked), "unlock a checked mutex");
        must(pthread_mutex_unlock(&recursive), "unlock a recursive mutex");
        must(pthread_mutex_unlock(&recursive), "unlock it twice");
        turn++;
        check_self(me, i);
        own_turns++;
        must(pthread_cond_broadcast(&turn_changed), "broadcast");
        must(pthread_mutex_unlock(&turn_lock), "unlock");
        int rc = pthread_barrier_wait(&barrier);
        if (rc != 0 && rc != PTHREAD_BARRIER_SERIAL_THREAD)
            wrong("a barrier");
        if (turn < (i + 1) * WORKERS)
            wrong("who has passed a barrier before the others came");
    }
    return NULL;
}

/* ---- those who wait ---- */

static sem_t sem;
static pthread_mutex_t end_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t end_comes = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_t joined;

static void await_end(void)
{
    must(pthread_mutex_lock(&end_lock), "lock");
    while (!is_over)
        must(pthread_cond_wait(&end_comes, &end_lock), "wait for the end");
    must(pthread_mutex_unlock(&end_lock), "unlock");
}

static void *be_joined(void *arg)
{
    await_end();
    return arg;
}

static void *join(void *arg)
{
    void *result;
    (void)arg;
    must(pthread_join(joined, &result), "join");
    if (result != &joined)
        wrong("the result of a thread");
    return NULL;
}

/* Scheduled not as the others. */
static void *wait_sem(void *arg)
{
    const struct sched_param none = { 0 };
    (void)arg;
    must(sched_setscheduler(0, SCHED_BATCH, &none), "sched_setscheduler");
    must(setpriority(PRIO_PROCESS, (id_t)gettid(), 7), "setpriority");
    must(sem_wait(&sem), "wait for a semaphore");
    if (sched_getscheduler(0) != SCHED_BATCH || getpriority(PRIO_PROCESS, (id_t)gettid()) != 7)
        wrong("how a thread is scheduled");
    if (!is_over)
        wrong("a semaphore that nobody has posted");
    return NULL;
}

static void *wait_write(void *arg)
{
    (void)arg;
    must(pthread_rwlock_wrlock(&rwlock), "lock for writing");
    if (!is_over)
        wrong("a lock that others hold");
    must(pthread_rwlock_unlock(&rwlock), "unlock");
    return NULL;
}

/* A time that nothing but itself may end. */
static void *wait_time(void *arg)
{
    struct timespec until;
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t c = PTHREAD_COND_INITIALIZER;
    (void)arg;
    pthread_mutex_lock(&m);
    while (!is_over) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 30000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_cond_timedwait(&c, &m, &until) != ETIMEDOUT)
            wrong("a wait with a time");
    }
    pthread_mutex_unlock(&m);
    return NULL;
}

/* ---- owners of locks that the kernel knows by a thread's number ---- */

static pthread_mutex_t robust, inheriting;
static sem_t held;

static void *die_with_lock(void *arg)
{
    (void)arg;
    must(pthread_mutex_lock(&robust), "lock a robust mutex");
    sem_post(&held);
    await_end();
    return NULL; /* and does not unlock it */
}

static void *hold_inheriting(void *arg)
{
    (void)arg;
    must(pthread_mutex_lock(&inheriting), "lock a mutex that inherits priority");
    sem_post(&held);
    await_end();
    must(pthread_mutex_unlock(&inheriting), "unlock a mutex that inherits priority");
    return NULL;
}

static void *wait_inheriting(void *arg)
{
    (void)arg;
    must(pthread_mutex_lock(&inheriting), "wait for a mutex that inherits priority");
    if (!is_over)
        wrong("a mutex that inherits priority");
    must(pthread_mutex_unlock(&inheriting), "unlock a mutex that inherits priority");
    return NULL;
}

/* ---- signals and registers ---- */

static _Atomic pid_t signalled, sequencer;
static char signal_stack[STACK_BYTES];
static atomic_uint on_stack, aborts;

static void on_usr1(int signo)
{
    char here;
    (void)signo;
    if (&here < signal_stack || &here >= signal_stack + sizeof signal_stack)
        wrong("a handler's stack");
    on_stack++;
}

static void on_urg(int signo)
{
    (void)signo;
}

/* Takes SIGUSR1 on its own stack; all others block it. */
static void *take_signals(void *arg)
{
    stack_t s = { .ss_sp = signal_stack, .ss_size = sizeof signal_stack }, now;
    sigset_t usr1, mask;
    (void)arg;
    must(sigaltstack(&s, NULL), "sigaltstack");
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    while (!is_over) {
        signalled = gettid();
        pthread_sigmask(SIG_BLOCK, NULL, &mask);
        if (sigismember(&mask, SIGUSR1) || !sigismember(&mask, SIGUSR2))
            wrong("a thread's mask");
        must(sigaltstack(NULL, &now), "sigaltstack");
        if (now.ss_sp != s.ss_sp || now.ss_size != s.ss_size)
            wrong("a thread's signal stack");
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    }
    return NULL;
}

/* SIGUSR2 is blocked by all and comes once, for this thread alone. */
static void *wait_signal(void *arg)
{
    sigset_t usr2;
    int signo;
    (void)arg;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    must(sigwait(&usr2, &signo), "sigwait");
    if (!is_over)
        wrong("a signal that nobody has sent");
    return NULL;
}

/* One that waits for this thread, with what came along. */
static void *keep_signal(void *arg)
{
    sigset_t own;
    siginfo_t info;
    (void)arg;
    sigemptyset(&own);
    sigaddset(&own, SIGRTMIN + 1);
    must(pthread_sigqueue(pthread_self(), SIGRTMIN + 1, (union sigval){ .sival_int = 77 }),
         "pthread_sigqueue");
    await_end();
    if (sigtimedwait(&own, &info, &(struct timespec){ 0, 0 }) != SIGRTMIN + 1 ||
        info.si_value.sival_int != 77 || info.si_code != SI_QUEUE)
        wrong("a signal that waits for one thread");
    return NULL;
}

typedef float vec __attribute__((vector_size(32)));

static void *compute(void *arg)
{
    double *result = arg;
    vec v = { 1, 2, 3, 4, 5, 6, 7, 8 };
    for (unsigned k = 0; k < 20000000; k++)
        v = v * 1.0000001f + (float)(k % 7) * 0.0001f;
    for (int i = 0; i < 8; i++)
        *result += (double)v[i];
    return NULL;
}

/* A restartable sequence without an end, which only an interruption can end. */
static void *sequence(void *arg)
{
    struct rseq *r = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
    sigset_t urg;
    (void)arg;
    sigemptyset(&urg);
    sigaddset(&urg, SIGURG);
    pthread_sigmask(SIG_UNBLOCK, &urg, NULL);
    for (; __rseq_size && !is_over; aborts++) {
        sequencer = gettid();
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
    return NULL;
}

/* ---- */

static pthread_t start(void *(*what)(void *), void *arg)
{
    pthread_t t;
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 256 << 10);
    must(pthread_create(&t, &a, what, arg), "make a thread");
    return t;
}

static void make_locks(void)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&checked, &a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_NORMAL);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_STALLED);
    pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&inheriting, &a);
    pthread_barrier_init(&barrier, NULL, WORKERS);
    sem_init(&sem, 0, 0);
    sem_init(&held, 0, 0);
    pthread_key_create(&key, NULL);
}

static void make_signals(void)
{
    struct sigaction a = { .sa_handler = on_usr1, .sa_flags = SA_ONSTACK | SA_RESTART };
    sigset_t blocked;
    sigaction(SIGUSR1, &a, NULL);
    a = (struct sigaction){ .sa_handler = on_urg, .sa_flags = SA_RESTART };
    sigaction(SIGURG, &a, NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGUSR2);
    sigaddset(&blocked, SIGURG);
    sigaddset(&blocked, SIGRTMIN + 1);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
}

enum { BARRIER = 1 << 3, BARRIER_REGISTER = 1 << 4 }; /* private, expedited */

static void watch_turns(void)
{
    long has_barriers = syscall(SYS_membarrier, BARRIER_REGISTER, 0, 0);
    for (unsigned i = 0; i < turns_wanted; i++) {
        if (has_barriers == 0)
            must((int)syscall(SYS_membarrier, BARRIER, 0, 0), "membarrier");
        unsigned before = on_stack;
        must(pthread_mutex_lock(&turn_lock), "lock");
        while (turn < (i + 1) * WORKERS)
            must(pthread_cond_wait(&turn_changed, &turn_lock), "wait for turns");
        must(pthread_mutex_unlock(&turn_lock), "unlock");
        while (on_stack == before) { /* the first after a restore may go to the old number */
            syscall(SYS_tgkill, getpid(), signalled, SIGUSR1);
            nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
        }
        printf("turn %u\n", i);
        fflush(stdout);
    }
}

static void *begin_another(void *arg)
{
    pthread_t t;
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&t, &a, begin_another, arg) != 0)
        wrong("no more threads");
    return NULL;
}

/* Until somebody ends it. */
static int storm(void)
{
    for (unsigned i = 0; i < 4; i++)
        begin_another(NULL);
    printf("storm\n");
    fflush(stdout);
    alarm(60);
    return pause();
}

int main(int argc, char **argv)
{
    static pthread_t workers[WORKERS], others[16], more[MORE_MAX];
    double here = 0, there = 0;
    unsigned count = 0, more_count = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    if (argc < 3 || more_count > MORE_MAX)
        return 2;
    if (strcmp(argv[2], "storm") == 0)
        return storm();
    turns_wanted = (unsigned)strtoul(argv[1], NULL, 10);
    may_ask_numbers = strcmp(argv[2], "same") == 0;
    make_locks();
    make_signals();
    must(pthread_rwlock_rdlock(&rwlock), "lock for reading");
    for (unsigned i = 0; i < more_count; i++)
        more[i] = start(be_joined, &joined);
    joined = start(be_joined, &joined);
    others[count++] = start(join, NULL);
    others[count++] = start(wait_sem, NULL);
    others[count++] = start(wait_write, NULL);
    others[count++] = start(wait_time, NULL);
    others[count++] = start(take_signals, NULL);
    others[count++] = start(compute, &there);
    others[count++] = start(keep_signal, NULL);
    others[count++] = start(sequence, NULL);
    pthread_t waiter = others[count++] = start(wait_signal, NULL);
    if (may_ask_numbers) {
        others[count++] = start(die_with_lock, NULL);
        others[count++] = start(hold_inheriting, NULL);
        sem_wait(&held);
        sem_wait(&held);
        others[count++] = start(wait_inheriting, NULL);
    }
    for (size_t i = 0; i < WORKERS; i++)
        workers[i] = start(work, (void *)i);
    if (argc > 4)
        pthread_exit(NULL);
    watch_turns();
    for (unsigned i = 0; i < WORKERS; i++)
        must(pthread_join(workers[i], NULL), "join");
    must(pthread_mutex_lock(&end_lock), "lock");
    is_over = true;
    must(pthread_cond_broadcast(&end_comes), "broadcast");
    must(pthread_mutex_unlock(&end_lock), "unlock");
    sem_post(&sem);
    pthread_rwlock_unlock(&rwlock);
    if (may_ask_numbers) {
        if (pthread_mutex_lock(&robust) != EOWNERDEAD)
            wrong("a robust mutex whose owner has ended");
        must(pthread_kill(waiter, SIGUSR2), "pthread_kill");
    } else {
        kill(getpid(), SIGUSR2);
    }
    if (__rseq_size) {
        unsigned before = aborts;
        for (unsigned i = 0; i < 1000 && aborts == before && sequencer; i++) {
            syscall(SYS_tgkill, getpid(), sequencer, SIGURG);
            nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
        }
    }
    for (unsigned i = 0; i < count; i++)
        must(pthread_join(others[i], NULL), "join");
    for (unsigned i = 0; i < more_count; i++)
        must(pthread_join(more[i], NULL), "join");
    compute(&here);
    if (here != there)
        wrong("a thread's registers");
    printf("threads: right\n");
    return 5;
}
