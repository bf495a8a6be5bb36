/* SPDX-License-Identifier: GPL-2.0-or-later */
/* asking.c: looks in /proc for a process that waits for the user.
 * Must not know: what is asked. Source: proc(5), "syscall"; any program may ask: ssh, sudo,
 * what --via names. */
#include "mrc/asking.h"

#include "common/base/attr.h"
#include "common/sys/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

static ssize_t read_text(pid_t pid, const char *name, char *text, size_t size_bytes)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read_full(fd, text, size_bytes - 1);
    text[n > 0 ? n : 0] = 0;
    return n;
}

static bool is_terminal(pid_t pid, long long fd)
{
    char path[64], link[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%lld", (int)pid, fd);
    ssize_t n = readlink(path, link, sizeof link - 1);
    if (n < 0)
        return false;
    link[n] = 0;
    return strncmp(link, "/dev/tty", 8) == 0 || strncmp(link, "/dev/pts/", 9) == 0;
}

static bool polls_terminal(pid_t pid, unsigned long long list, unsigned long long count)
{
    char path[64];
    struct pollfd entries[16];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t wanted = count < ARRAY_LEN(entries) ? (size_t)count : ARRAY_LEN(entries);
    ssize_t n = pread(fd, entries, wanted * sizeof entries[0], (off_t)list);
    for (size_t i = 0; n > 0 && i < (size_t)n / sizeof entries[0]; i++)
        if (entries[i].events & POLLIN && is_terminal(pid, entries[i].fd))
            return true;
    return false;
}

/* An ssh program that relays to a command polls its standard streams, which are ours and no
 * terminal; who asks opens the terminal for it. */
static bool reads_terminal(pid_t pid)
{
    char text[256];
    long number;
    unsigned long long arg[2];
    if (read_text(pid, "syscall", text, sizeof text) <= 0 ||
        sscanf(text, "%ld %llx %llx", &number, &arg[0], &arg[1]) != 3)
        return false;
    if (number == SYS_read)
        return is_terminal(pid, (long long)arg[0]);
#ifdef SYS_poll
    if (number == SYS_poll)
        return polls_terminal(pid, arg[0], arg[1]);
#endif
    return number == SYS_ppoll && polls_terminal(pid, arg[0], arg[1]);
}

static bool is_askpass(pid_t pid)
{
    const char *program = getenv("SSH_ASKPASS");
    if (!program || !*program)
        program = "ssh-askpass";
    const char *slash = strrchr(program, '/');
    char name[64];
    if (read_text(pid, "comm", name, sizeof name) <= 0)
        return false;
    name[strcspn(name, "\n")] = 0;
    return strncmp(name, slash ? slash + 1 : program, 15) == 0; /* the kernel cuts at 15 */
}

static bool is_echo_off(void)
{
    AUTO_FD tty = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    struct termios t;
    return tty >= 0 && tcgetattr(tty, &t) == 0 && (t.c_lflag & ICANON) && !(t.c_lflag & ECHO);
}

bool mrc_is_asking(pid_t root)
{
    pid_t found[MRC_ASKING_PROCESSES_MAX] = { root };
    size_t count = 1;
    for (size_t i = 0; i < count; i++) {
        if (reads_terminal(found[i]) || is_askpass(found[i]))
            return true;
        char name[64], text[1024];
        snprintf(name, sizeof name, "task/%d/children", (int)found[i]);
        if (read_text(found[i], name, text, sizeof text) <= 0)
            continue;
        char *at = text, *end;
        for (long pid; count < MRC_ASKING_PROCESSES_MAX && (pid = strtol(at, &end, 10)) > 0;
             at = end)
            found[count++] = (pid_t)pid;
    }
    return is_echo_off();
}
