/* SPDX-License-Identifier: GPL-2.0-or-later */
/* couple.c: a job for tests of moves that go wrong: it prints a line with a number each turn
 * and "couple: right" at its end, with status 7. Usage: couple
 * alone|team|two|back|exit|exec|dump|grow TURNS MS_EACH. team: three threads do so; two: a
 * child does the same, from a signal USR1 on; back: halfway it asks for what is told at home
 * only; exit, exec: it ends, or becomes another program, at a signal USR1; dump: it dies of a
 * signal then; grow: from then on it has 4 MiB more each turn, up to 512. couple as PID
 * COMMAND...: runs it under this number. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = 8 << 10, GROWS_BYTES = 4 << 20, GROWS = 128 };

static volatile sig_atomic_t is_told;
static volatile int *volatile nowhere;
static char *volatile kept; /* so that it is not left out */

static void on_usr1(int signo)
{
    (void)signo;
    is_told = 1;
}

static void say(char name, unsigned turn, unsigned sum)
{
    char line[64];
    int n = snprintf(line, sizeof line, "%c %u %08x\n", name, turn, sum);
    ssize_t done = write(STDOUT_FILENO, line, (size_t)n);
    if (done != n) {
        fprintf(stderr, "couple: write: %zd of %d: %s\n", done, n, strerror(errno));
        _exit(4);
    }
}

static void grow(void)
{
    char *more = malloc(GROWS_BYTES);
    if (!more)
        _exit(3);
    memset(more, 1, GROWS_BYTES);
    kept = more;
}

static void turns(char name, unsigned count, unsigned ms, const char *how)
{
    static __thread unsigned memory[WORDS];
    unsigned sum = 1;
    for (unsigned turn = 0; turn < count; turn++) {
        for (unsigned i = 0; i < WORDS; i++)
            sum = memory[(i * 31 + turn) % WORDS] += sum * 2654435761u + i;
        say(name, turn, sum);
        struct timespec t = { 0, ms * 1000000L };
        while (nanosleep(&t, &t) < 0 && errno == EINTR && !is_told)
            ;
        if (strcmp(how, "back") == 0 && turn == count / 2) {
            int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
            if (fd < 0)
                _exit(5);
            close(fd);
        }
        if (is_told && strcmp(how, "exit") == 0)
            _exit(7);
        if (is_told && strcmp(how, "grow") == 0 && turn < GROWS)
            grow();
        if (is_told && strcmp(how, "dump") == 0)
            *nowhere = 1;
        if (is_told && strcmp(how, "exec") == 0) {
            execl("/bin/sh", "sh", "-c", "echo executed; exit 7", (char *)NULL);
            _exit(6);
        }
    }
}

enum { HELPERS = 2 };

static struct helper {
    char name;
    unsigned count, ms;
} helpers[HELPERS];

static void *help(void *arg)
{
    const struct helper *h = arg;
    turns(h->name, h->count, h->ms, "team");
    return arg;
}

/* Returns whether all were right. */
static int team(unsigned count, unsigned ms)
{
    pthread_t threads[HELPERS];
    void *result;
    int is_right = 1;
    for (unsigned i = 0; i < HELPERS; i++) {
        helpers[i] = (struct helper){ (char)('a' + i), count, ms };
        if (pthread_create(&threads[i], NULL, help, &helpers[i]) != 0)
            return 0;
    }
    turns('p', count, ms, "team");
    for (unsigned i = 0; i < HELPERS; i++)
        is_right &= pthread_join(threads[i], &result) == 0 && result == &helpers[i];
    return is_right;
}

static int run_as(pid_t pid, char **command)
{
    int status;
    struct clone_args a;
    memset(&a, 0, sizeof a);
    a.exit_signal = SIGCHLD;
    a.set_tid = (uint64_t)(uintptr_t)&pid;
    a.set_tid_size = 1;
    long child = syscall(SYS_clone3, &a, sizeof a);
    if (child == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    if (child < 0) {
        perror("couple: clone3");
        return 9;
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 137;
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "as") == 0)
        return run_as((pid_t)strtol(argv[2], NULL, 10), argv + 3);
    const char *how = argc > 1 ? argv[1] : "alone";
    unsigned count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20;
    unsigned ms = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 20;
    pid_t child = 0;
    int status = 0;
    struct sigaction a = { .sa_handler = on_usr1 };
    sigaction(SIGUSR1, &a, NULL);
    if (strcmp(how, "two") == 0) {
        say('q', 0, 0);
        const struct timespec t = { 0, 10000000L };
        while (!is_told && nanosleep(&t, NULL) <= 0 && !is_told)
            ; /* it is sent away meanwhile */
        is_told = 0;
        child = fork();
        if (child < 0)
            return 9;
        if (child == 0) {
            turns('c', count, ms, how);
            _exit(7);
        }
    }
    if (strcmp(how, "team") == 0) {
        if (!team(count, ms))
            return 8;
    } else
        turns('p', count, ms, how);
    if (child && (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
                  WEXITSTATUS(status) != 7)) {
        printf("couple: the child is lost: %x\n", (unsigned)status);
        return WIFSIGNALED(status) ? 137 : 8;
    }
    printf("couple: right\n");
    return 7;
}
