/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crew.c: what threads of one process share, for tests that move them: they read a file by one
 * offset, the first alone before (so that reads are sent ahead) and after; one gets signals of
 * its own while others compute; one forks and waits for its children; and the process ends by
 * one that is not the first. Usage: crew exit|group|exec|signal FILE MILLIONS. It prints a line
 * for each part, and "crew: WRONG" with status 3 when something is not as it is natively. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { READERS = 3, BLOCK = 4096, ALONE = 60, SIGNALS = 150, FORKS = 15, PATIENCE_MS = 20000 };

static const char *how, *self;
static int file;
static atomic_ulong sum, bytes;
static atomic_uint hits;
static atomic_bool is_over;
static unsigned long millions;

static void wrong(const char *what)
{
    printf("crew: WRONG: %s (%s)\n", what, strerror(errno));
    fflush(stdout);
    _exit(3);
}

static void nap(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

static void on_signal(int signo)
{
    (void)signo;
    hits++;
}

static pthread_t begin(void *(*what)(void *), void *arg)
{
    pthread_t t;
    errno = pthread_create(&t, NULL, what, arg);
    if (errno != 0)
        wrong("pthread_create");
    return t;
}

static void *end(pthread_t t)
{
    void *result;
    errno = pthread_join(t, &result);
    if (errno != 0)
        wrong("pthread_join");
    return result;
}

/* What others read does not matter: the sum of bytes is of the whole file. Returns 0 at its
 * end. */
static int read_one(void)
{
    unsigned char block[BLOCK];
    unsigned long of_block = 0;
    ssize_t n = read(file, block, sizeof block);
    if (n < 0)
        wrong("read");
    for (ssize_t i = 0; i < n; i++)
        of_block += block[i];
    sum += of_block;
    bytes += (unsigned long)n;
    return n != 0;
}

static void *read_all(void *arg)
{
    while (read_one())
        ;
    return arg;
}

/* Again and again from one thread to several, while reads are sent ahead. */
static void reading(void)
{
    pthread_t readers[READERS];
    for (unsigned turn = 0; turn < 2; turn++) {
        if (lseek(file, 0, SEEK_SET) != 0)
            wrong("lseek");
        sum = bytes = 0;
        for (unsigned i = 0; i < ALONE && read_one(); i++)
            nap(turn ? 0 : 2);
        for (unsigned i = 0; i < READERS; i++)
            readers[i] = begin(read_all, NULL);
        for (unsigned i = 0; i < READERS; i++)
            end(readers[i]);
        printf("read %lu %lu\n", (unsigned long)bytes, (unsigned long)sum);
        fflush(stdout);
    }
}

static void *compute(void *arg)
{
    unsigned long x = arg ? 1 : 2;
    for (unsigned long i = 0; i < millions * 1000000; i++)
        x = x * 6364136223846793005UL + 1442695040888963407UL;
    return (void *)(size_t)x;
}

static void *get_signals(void *arg)
{
    while (hits < SIGNALS)
        nap(3);
    is_over = true;
    return arg;
}

static void *fork_often(void *arg)
{
    int status;
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (child == 0) {
            nap(10);
            _exit(i);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
            WEXITSTATUS(status) != i)
            wrong("a child");
    }
    return arg;
}

static void signalling(void)
{
    pthread_t t = begin(get_signals, NULL);
    while (!is_over) {
        unsigned before = hits;
        if (pthread_kill(t, SIGUSR1) != 0)
            break;
        for (unsigned ms = 0; hits == before && !is_over; ms++) {
            if (ms == PATIENCE_MS)
                wrong("a signal is lost");
            nap(1);
        }
    }
    end(t);
    puts("signals");
    fflush(stdout);
}

static void *wait_for_ever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void *end_all(void *arg)
{
    if (strcmp(how, "exit") == 0)
        exit(11);
    if (strcmp(how, "group") == 0)
        _exit(12);
    if (strcmp(how, "exec") == 0)
        execl(self, self, "executed", (char *)NULL);
    pthread_kill(pthread_self(), SIGTERM);
    return wait_for_ever(arg);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "executed") == 0) {
        puts("executed");
        return 13;
    }
    if (argc != 4)
        return 2;
    self = argv[0];
    how = argv[1];
    millions = strtoul(argv[3], NULL, 10);
    file = open(argv[2], O_RDONLY | O_CLOEXEC);
    struct sigaction a = { .sa_handler = on_signal };
    if (file < 0 || sigaction(SIGUSR1, &a, NULL) < 0)
        wrong("to begin");
    reading();
    pthread_t one = begin(compute, NULL), two = begin(compute, &file);
    signalling();
    end(begin(fork_often, NULL));
    puts("forks");
    size_t x = (size_t)end(one), y = (size_t)end(two);
    printf("computed %zx %zx\n", x, y);
    fflush(stdout);
    begin(wait_for_ever, NULL);
    begin(end_all, NULL);
    wait_for_ever(NULL);
}
