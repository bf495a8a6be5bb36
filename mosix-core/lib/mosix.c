/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mosix.c: libmosix: requests to the daemon at home, a connection each (docs/migration.md,
 * "Asking the daemon"). Must not know: how a process moves. It is linked into foreign programs:
 * it keeps nothing, allocates nothing, and uses libc only. */
#include "mosix-core/lib/mosix.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_BYTES = 512, PATIENCE_MS = 3600 * 1000 };

static int meet(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const char *run = secure_getenv("MOSIX_RUN");
    int n;
    if (run)
        n = snprintf(a.sun_path, sizeof a.sun_path, "%s/control", run);
    else if (geteuid() == 0 || access("/run/mosix/control", F_OK) == 0)
        n = snprintf(a.sun_path, sizeof a.sun_path, "/run/mosix/control");
    else
        n = snprintf(a.sun_path, sizeof a.sun_path, "/tmp/mosix-%u/control",
                     (unsigned)geteuid());
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock >= 0 && n > 0 && (size_t)n < sizeof a.sun_path) {
        int rc;
        do
            rc = connect(sock, (const struct sockaddr *)&a, sizeof a);
        while (rc < 0 && errno == EINTR);
        if (rc == 0)
            return sock;
    }
    if (sock >= 0)
        close(sock);
    errno = ENOTCONN;
    return -1;
}

/* As long as a process of the daemon's works on it. Returns the answer's length; -1. */
static int take(int sock, char answer[ANSWER_BYTES])
{
    size_t len = 0;
    for (;;) {
        struct pollfd p = { sock, POLLIN, 0 };
        int ready = poll(&p, 1, PATIENCE_MS);
        if (ready == 0)
            errno = ETIMEDOUT;
        if (ready == 0 || (ready < 0 && errno != EINTR))
            return -1;
        if (ready < 0)
            continue;
        ssize_t n = recv(sock, answer + len, ANSWER_BYTES - 1 - len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        len += (size_t)n;
        if (n == 0 || len == ANSWER_BYTES - 1)
            break;
    }
    answer[len] = 0;
    return (int)len;
}

static int send_line(int sock, const char *line)
{
    size_t len = strlen(line), done = 0;
    while (done < len) {
        ssize_t n = send(sock, line + done, len - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return -1;
        done += n > 0 ? (size_t)n : 0;
    }
    return shutdown(sock, SHUT_WR);
}

/* "ok VALUE", or "error WORDS" and a line with the reason's number. Returns the value; or NULL
 * with errno. */
static const char *value_of(char *answer)
{
    char *end = strchr(answer, '\n');
    if (end)
        *end++ = 0;
    if (strncmp(answer, "ok", 2) == 0)
        return answer[2] == ' ' ? answer + 3 : answer + 2;
    long number = end ? strtol(end, NULL, 10) : 0;
    errno = number > 0 && number < 4096 ? (int)number : EIO;
    return NULL;
}

/* Returns what follows "ok ", or NULL. */
static const char *ask(const char *line, char answer[ANSWER_BYTES])
{
    int sock = meet();
    if (sock < 0)
        return NULL;
    int rc = send_line(sock, line);
    if (rc == 0)
        rc = take(sock, answer);
    int saved = errno;
    close(sock);
    errno = saved;
    return rc < 0 ? NULL : value_of(answer);
}

static long get(const char *name)
{
    char line[64], answer[ANSWER_BYTES];
    snprintf(line, sizeof line, "get 0 %s\n", name);
    const char *value = ask(line, answer);
    return value ? strtol(value, NULL, 10) : -1;
}

static int set(const char *name, unsigned long value)
{
    char line[64], answer[ANSWER_BYTES];
    snprintf(line, sizeof line, "set 0 %s %lu\n", name, value);
    return ask(line, answer) ? 0 : -1;
}

static int copy(const char *text, char *to, size_t size)
{
    size_t len = strlen(text);
    if (len >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(to, text, len + 1);
    return (int)len;
}

static int get_text(const char *line, char *text, size_t size)
{
    char answer[ANSWER_BYTES];
    const char *value = ask(line, answer);
    return value ? copy(value, text, size) : -1;
}

int mosix_where(char *name, size_t size)
{
    return get_text("get 0 where\n", name, size);
}

int mosix_address(char *address, size_t size)
{
    return get_text("get 0 address\n", address, size);
}

int mosix_whereami(void)
{
    return (int)get("whereami");
}

long mosix_nmigs(void)
{
    return get("moves");
}

int mosix_migrate(const char *node)
{
    char line[128], answer[ANSWER_BYTES];
    if (!*node || strlen(node) > 63 || strpbrk(node, " \t\n")) {
        errno = ENOENT;
        return -1;
    }
    snprintf(line, sizeof line, "go 0 %s\n", node);
    return ask(line, answer) ? 0 : -1;
}

int mosix_lock(void)
{
    return set("lock", 1);
}

int mosix_unlock(void)
{
    return set("lock", 0);
}

int mosix_islocked(void)
{
    return (int)get("lock");
}

int mosix_sigmig(int signo)
{
    if (signo < 0) {
        errno = ERANGE;
        return -1;
    }
    return set("sigmig", (unsigned long)signo);
}

/* The image is made while we wait for the answer, and has our connection not in it: who reads
 * from a descriptor that isn't there is the process that was made again. */
int mosix_checkpoint(char *file, size_t size)
{
    char line[64], answer[ANSWER_BYTES];
    int sock = meet();
    if (sock < 0)
        return -1;
    snprintf(line, sizeof line, "checkpoint 0 checkpoint %d\n", sock);
    int rc = send_line(sock, line);
    if (rc == 0)
        rc = take(sock, answer);
    int saved = errno;
    if (rc < 0 && (saved == EBADF || saved == ENOTSOCK))
        return 1;
    close(sock);
    errno = saved;
    if (rc < 0)
        return -1;
    const char *name = value_of(answer);
    if (!name)
        return -1;
    return file && copy(name, file, size) < 0 ? -1 : 0;
}

int mosix_checkpoint_every(unsigned seconds)
{
    return set("every", seconds);
}

int mosix_checkpoint_keep(unsigned files)
{
    return set("files", files);
}

int mosix_needmem(unsigned mib)
{
    return set("memory", mib);
}

int mosix_cpujob(int is_cpujob)
{
    return set("cpujob", is_cpujob != 0);
}

long mosix_jobid(void)
{
    return get("job");
}
