/* SPDX-License-Identifier: GPL-2.0-or-later */
/* moskillall.c: a signal for all processes of jobs, or of one job. Who may signal whom is the
 * kernel's business. Must not know: how jobs move. */
#include "mosix-core/cmd/client.h"
#include "mosix-core/mosixd/mark.h"
#include "mosix-core/mosixd/mosixd.h"

#include "common/base/attr.h"
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WRONG = 2, FAILED = 1, VICTIMS_MAX = 32768 };

struct wish {
    int signo;
    bool has_job, is_all;
    unsigned job;
};

struct victim {
    int pid, fd; /* its pidfd */
};

static int usage(FILE *to)
{
    fputs(
        "Usage: moskillall [-SIGNAL] [-jID] [-a]\n"
        "Sends a signal (default TERM) to your processes that mosrun has started on this node, "
        "wherever\n"
        "they are: to all, or to those of job ID. -a: to everybody's that you may signal.\n",
        to);
    return to == stdout ? 0 : WRONG;
}

/* "9", "KILL" or "SIGKILL"; 0 only asks whether it could be sent. */
static int signal_of(const char *text)
{
    char *end;
    if (isdigit((unsigned char)*text)) {
        unsigned long n = strtoul(text, &end, 10);
        return *end || n >= (unsigned long)NSIG ? -EINVAL : (int)n;
    }
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    for (int i = 1; i < NSIG; i++) {
        const char *name = sigabbrev_np(i);
        if (name && strcasecmp(name, text) == 0)
            return i;
    }
    return -EINVAL;
}

static int parse(int argc, char **argv, struct wish *w)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        char *end;
        if (word[0] != '-' || !word[1])
            return -1;
        if (strcmp(word, "-a") == 0) {
            w->is_all = true;
        } else if ((word[1] == 'j' || word[1] == 'J') && isdigit((unsigned char)word[2])) {
            unsigned long id = strtoul(word + 2, &end, 10);
            if (*end || id > MX_JOB_ID_MAX)
                return -1;
            w->has_job = true;
            w->job = (unsigned)id;
        } else {
            const char *name = strcmp(word, "-s") == 0 && i + 1 < argc ? argv[++i] : word + 1;
            w->signo = signal_of(name);
            if (w->signo < 0) {
                fprintf(stderr, "moskillall: there is no signal %s\n", name);
                return -1;
            }
        }
    }
    return 0;
}

/* The next process of a listing that is meant; 0: there is none. */
static int next(char **at, const struct wish *w)
{
    while (*at && **at) {
        int pid;
        unsigned uid, job;
        int words = sscanf(*at, "%d\t%u\t%u", &pid, &uid, &job);
        *at = strchr(*at, '\n');
        *at = *at ? *at + 1 : NULL;
        if (words == 3 && pid > 0 && pid != (int)getpid() && (w->is_all || uid == getuid()) &&
            (!w->has_job || job == w->job))
            return pid;
    }
    return 0;
}

static int list(char *text)
{
    struct err e = { "" };
    int rc = mx_client_ask("list\n", text, MX_LISTING_MAX, &e);
    if (rc < 0)
        fprintf(stderr, "moskillall: %s\n", e.text);
    return rc < 0 ? -1 : 0;
}

/* Those of a first listing are held, and get the signal if they are still in a second one: a
 * number that has become another process's meanwhile is not. */
static int signal_all(const struct wish *w)
{
    static struct victim held[VICTIMS_MAX];
    static char text[MX_LISTING_MAX];
    char *at = text;
    unsigned count = 0, sent = 0, from = 0;
    int status = 0, pid = 0;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (list(text) < 0)
        return FAILED;
    while (count < VICTIMS_MAX && (pid = next(&at, w))) {
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fd >= 0)
            held[count++] = (struct victim){ pid, fd };
        else if (errno == EMFILE)
            break;
    }
    if (pid) {
        fprintf(stderr, "moskillall: more than %u processes: call it again for the rest\n",
                count);
        status = FAILED;
    }
    at = text;
    if (list(text) < 0)
        return FAILED;
    while ((pid = next(&at, w))) {
        unsigned i = from; /* both are in the same order, mostly */
        for (unsigned tries = 0; tries < count && held[i].pid != pid; tries++)
            i = (i + 1) % count;
        if (!count || held[i].pid != pid)
            continue;
        from = i;
        if (syscall(SYS_pidfd_send_signal, held[i].fd, w->signo, NULL, 0) == 0) {
            sent++;
        } else if (errno != ESRCH) {
            fprintf(stderr, "moskillall: process %d: %s\n", pid, strerror(errno));
            status = FAILED;
        }
    }
    return sent ? status : FAILED;
}

int main(int argc, char **argv)
{
    struct wish w = { .signo = SIGTERM };
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts("moskillall " PACKAGE_VERSION) < 0;
    return parse(argc, argv, &w) < 0 ? usage(stderr) : signal_all(&w);
}
