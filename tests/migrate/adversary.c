/* SPDX-License-Identifier: GPL-2.0-or-later */
/* adversary.c: programs that do what makes moving a process hard, for about a second, and say
 * whether they were left alone. Usage: adversary WHAT [SECONDS]; must build for 32 bits too. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds = 1;

static double now(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) < 0)
        exit(4);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A fixed amount of work, about a millisecond. */
static double work(unsigned turn)
{
    double sum = 0;
    for (unsigned i = 1; i < 30000; i++)
        sum += sin((double)(i * turn)) / i;
    return sum;
}

static double work_all(unsigned (*each)(unsigned turn))
{
    double sum = 0;
    for (unsigned i = 0; i < (unsigned)(1000 * seconds); i++) {
        sum += work(i);
        if (each && each(i)) {
            printf("WRONG in turn %u: %s\n", i, strerror(errno));
            exit(3);
        }
    }
    return sum;
}

static int computes(void)
{
    printf("%.9f\n", work_all(NULL));
    return 5;
}

/* All its descriptors are gone; what it finds is in a file. */
static int closes(void)
{
    for (int fd = 0; fd < 1024; fd++)
        close(fd);
    double sum = work_all(NULL);
    int fd = open("out.closes", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd != 0 || dprintf(fd, "%.9f\n", sum) < 0)
        return 3;
    return 0;
}

static int blocks(void)
{
    sigset_t all, waiting;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (int signo = SIGRTMIN; signo < SIGRTMIN + 5; signo++)
        raise(signo);
    double sum = work_all(NULL);
    unsigned count = 0;
    sigpending(&waiting);
    for (int signo = 1; signo < NSIG; signo++)
        count += sigismember(&waiting, signo) == 1;
    struct timespec none = { 0, 0 };
    int took = 0;
    while (sigtimedwait(&all, NULL, &none) > 0)
        took++;
    printf("%.9f, %u wait, %d taken\n", sum, count, took);
    return 0;
}

static unsigned see_maps(unsigned turn)
{
    char line[512];
    unsigned long start, end, here = (unsigned long)&turn, code = (unsigned long)&see_maps;
    unsigned found = 0;
    if (turn % 50)
        return 0;
    FILE *f = fopen("/proc/self/maps", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%lx-%lx", &start, &end) == 2)
            found += (here >= start && here < end) + (code >= start && code < end);
    if (f)
        fclose(f);
    return found != 2;
}

static int reads_maps(void)
{
    printf("%.9f\n", work_all(see_maps));
    return 0;
}

static unsigned see_clocks(unsigned turn)
{
    static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME,
                                        CLOCK_MONOTONIC_COARSE };
    static double before[4];
    (void)turn;
    for (unsigned i = 0; i < 4; i++) {
        double t = now(clocks[i]);
        if (t < before[i] || (before[i] > 0 && t > before[i] + 60)) {
            printf("clock %d: %.9f after %.9f\n", (int)clocks[i], t, before[i]);
            return 1;
        }
        before[i] = t;
    }
    return 0;
}

static int watches_clocks(void)
{
    printf("%.9f\n", work_all(see_clocks));
    return 0;
}

/* A ring of its own, over which one thing is asked at each turn. */
static struct {
    int fd;
    unsigned *sq_tail, *sq_array, *cq_head, *cq_tail;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
} ring;

static int ring_make(void)
{
    struct io_uring_params p;
    memset(&p, 0, sizeof p);
    ring.fd = (int)syscall(__NR_io_uring_setup, 8, &p);
    if (ring.fd < 0)
        return -1;
    char *sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned),
                    PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
    char *cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
                    PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
    ring.sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
                     MAP_SHARED, ring.fd, IORING_OFF_SQES);
    if (sq == MAP_FAILED || cq == MAP_FAILED || (void *)ring.sqes == MAP_FAILED)
        return -1;
    ring.sq_tail = (unsigned *)(void *)(sq + p.sq_off.tail);
    ring.sq_array = (unsigned *)(void *)(sq + p.sq_off.array);
    ring.cq_head = (unsigned *)(void *)(cq + p.cq_off.head);
    ring.cq_tail = (unsigned *)(void *)(cq + p.cq_off.tail);
    ring.cqes = (struct io_uring_cqe *)(void *)(cq + p.cq_off.cqes);
    return 0;
}

static unsigned ask_ring(unsigned turn)
{
    unsigned at = *ring.sq_tail & 7;
    memset(&ring.sqes[at], 0, sizeof ring.sqes[at]);
    ring.sqes[at].opcode = IORING_OP_NOP;
    ring.sqes[at].user_data = turn;
    ring.sq_array[at] = at;
    __atomic_store_n(ring.sq_tail, *ring.sq_tail + 1, __ATOMIC_RELEASE);
    if (syscall(__NR_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1 ||
        *ring.cq_head == __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE))
        return 1;
    uint64_t got = ring.cqes[*ring.cq_head & 15].user_data;
    __atomic_store_n(ring.cq_head, *ring.cq_head + 1, __ATOMIC_RELEASE);
    return got != turn;
}

static int rings(void)
{
    double sum = work_all(NULL); /* so that it is away */
    if (ring_make() < 0) {
        printf("no io_uring here: %s\n", strerror(errno));
        return 0;
    }
    printf("%.9f\n", sum + work_all(ask_ring));
    return 0;
}

static void *in_thread(void *result)
{
    *(double *)result = work_all(NULL);
    return NULL;
}

static int threads(void)
{
    pthread_t t[3];
    double sums[4];
    sums[3] = work_all(NULL);
    for (unsigned i = 0; i < 3; i++)
        if (pthread_create(&t[i], NULL, in_thread, &sums[i]) != 0)
            return 3;
    for (unsigned i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    printf("%.9f %.9f\n", sums[0] + sums[1] + sums[2], sums[3]);
    return 0;
}

/* Children that share memory with it, and are waited for. */
static int shares(void)
{
    double *sums = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status, worst = 0;
    if (sums == MAP_FAILED)
        return 3;
    for (unsigned i = 0; i < 3; i++)
        if (fork() == 0) {
            sums[i] = work_all(NULL);
            _exit((int)i);
        }
    for (unsigned i = 0; i < 3; i++)
        if (wait(&status) > 0)
            worst += WEXITSTATUS(status);
    printf("%.9f %d\n", sums[0] + sums[1] + sums[2], worst);
    return 0;
}

/* Signals of its own and of a timer, each of which is to be handled once. */
static volatile sig_atomic_t took[NSIG];
static void take(int signo)
{
    took[signo]++;
}

static unsigned storm(unsigned turn)
{
    const struct itimerval soon = { .it_value = { 0, 1 } };
    const struct timespec bit = { 0, 10000 };
    int wanted = (int)turn + 1;
    kill(getpid(), SIGUSR1);
    setitimer(ITIMER_REAL, &soon, NULL);
    for (unsigned i = 0; took[SIGUSR1] + took[SIGALRM] < 2 * wanted && i < 100000; i++)
        nanosleep(&bit, NULL);
    if (took[SIGUSR1] == wanted && took[SIGALRM] == wanted)
        return 0;
    printf("handled: %d of itself and %d of its timer\n", (int)took[SIGUSR1],
           (int)took[SIGALRM]);
    return 1;
}

static int storms(void)
{
    signal(SIGUSR1, take);
    signal(SIGALRM, take);
    double sum = work_all(storm);
    printf("%.9f %d\n", sum, (int)(took[SIGUSR1] + took[SIGALRM]));
    return 0;
}

static const struct {
    const char *name;
    int (*fn)(void);
} table[] = {
    { "computes", computes }, { "closes", closes },         { "blocks", blocks },
    { "maps", reads_maps },   { "clocks", watches_clocks }, { "rings", rings },
    { "threads", threads },   { "shares", shares },         { "storms", storms },
};

int main(int argc, char **argv)
{
    if (argc > 2)
        seconds = strtod(argv[2], NULL);
    for (unsigned i = 0; argc > 1 && i < sizeof table / sizeof *table; i++)
        if (strcmp(argv[1], table[i].name) == 0)
            return table[i].fn();
    return 2;
}
