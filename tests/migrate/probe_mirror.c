/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe_mirror.c: calls that are in no line of calls.def, and what their pointers may be. They
 * are made at home with the memory that they touch following them, and nothing comes home. */
#include "tests/migrate/probe.h"

#include <fcntl.h>
#include <mqueue.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, MEGABYTE = 1 << 20 };

static char *some_pages(unsigned count)
{
    return mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

PROBE(mirror_message_queues)
{
    struct mq_attr a = { .mq_maxmsg = 4, .mq_msgsize = 64 };
    char text[64] = "";
    char name[32];
    snprintf(name, sizeof name, "/probe-%d", getpid());
    mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &a);
    SAY("mq_open", q < 0 ? -1 : 0);
    SAY("mq_send", mq_send(q, "first", 6, 3));
    SAY("mq_send", mq_send(q, "second", 7, 5));
    unsigned priority = 0;
    SAY("mq_receive", mq_receive(q, text, sizeof text, &priority));
    printf("  %s %u\n", text, priority);
    SAY("mq_getattr", mq_getattr(q, &a));
    printf("  %ld %ld %ld\n", a.mq_curmsgs, a.mq_maxmsg, a.mq_msgsize);
    SAY("mq_close", mq_close(q));
    SAY("mq_unlink", mq_unlink(name));
    struct {
        long type;
        char text[5000];
    } m = { 7, "of System V" }, got;
    int id = msgget(IPC_PRIVATE, 0600);
    struct msqid_ds ds;
    SAY("msgsnd", msgsnd(id, &m, sizeof m.text, 0));
    SAY("IPC_STAT", msgctl(id, IPC_STAT, &ds));
    SAY("there", (long)ds.msg_qnum);
    SAY("msgrcv", msgrcv(id, &got, sizeof got.text, 0, 0));
    SAY("same", memcmp(&m, &got, sizeof m));
    SAY("none", msgrcv(id, &got, sizeof got.text, 0, IPC_NOWAIT));
    SAY("IPC_RMID", msgctl(id, IPC_RMID, NULL));
}

PROBE(mirror_semaphores)
{
    unsigned short all[3] = { 4, 5, 6 }, got[3] = { 0 };
    int id = semget(IPC_PRIVATE, 3, 0600);
    SAY("SETALL", semctl(id, 0, SETALL, all));
    SAY("GETVAL", semctl(id, 1, GETVAL));
    SAY("GETALL", semctl(id, 0, GETALL, got));
    printf("  %u %u %u\n", got[0], got[1], got[2]);
    SAY("IPC_RMID", semctl(id, 0, IPC_RMID));
}

/* A pointer behind a pointer, and kinds of calls that have lines for others. */
PROBE(mirror_kinds)
{
    struct ifreq list[16];
    struct ifconf all = { .ifc_len = sizeof list, .ifc_ifcu.ifcu_req = list };
    struct ifreq lo;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct f_owner_ex owner = { F_OWNER_PID, 0 };
    memset(list, 0, sizeof list);
    memset(&lo, 0, sizeof lo);
    memcpy(lo.ifr_name, "lo", 3);
    SAY("SIOCGIFCONF", ioctl(fd, SIOCGIFCONF, &all));
    probe_say_bytes("interfaces", list, sizeof list);
    SAY("SIOCGIFMTU", ioctl(fd, SIOCGIFMTU, &lo));
    SAY("mtu", lo.ifr_mtu);
    SAY("F_GETOWN_EX", fcntl(fd, F_GETOWN_EX, &owner));
    SAY("no such ioctl", ioctl(fd, 0x12345678, &all));
    SAY("no such fcntl", fcntl(fd, 4711, &all));
    SAY("ioctl of nothing", ioctl(-1, 0x12345678, &all));
    close(fd);
    union {
        struct {
            unsigned bytes;
            int type;
        } head;
        char room[256];
    } handle;
    int mount;
    handle.head.bytes = 128;
    SAY("name_to_handle_at", syscall(SYS_name_to_handle_at, AT_FDCWD, "/", &handle, &mount, 0));
    SAY("ioprio_get", syscall(SYS_ioprio_get, 1, 0));
    SAY("adjtimex", syscall(SYS_adjtimex, NULL));
    SAY("keyctl", syscall(SYS_keyctl, 5555, 0, 0, 0, 0));
}

static volatile sig_atomic_t handled;

static void on_signal(int signo)
{
    handled = signo;
}

/* A mask of its own, a handler that ends it, a time that does. */
PROBE(mirror_epoll)
{
    enum { PWAIT2 = 441 };
    struct sigaction a = { .sa_handler = on_signal };
    struct timespec soon = { 0, 30000000 };
    struct itimerval once = { { 0, 0 }, { 0, 50000 } };
    struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 77 }, got[4];
    uint64_t none = 0, alarms = 1 << (SIGALRM - 1);
    int pipes[2], fd = epoll_create1(0);
    SAY("pipe", pipe(pipes));
    SAY("epoll_ctl", epoll_ctl(fd, EPOLL_CTL_ADD, pipes[0], &ev));
    SAY("in time", syscall(PWAIT2, fd, got, 4, &soon, NULL, 0));
    sigaction(SIGALRM, &a, NULL);
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, &before);
    setitimer(ITIMER_REAL, &once, NULL);
    SAY("blocked", syscall(PWAIT2, fd, got, 4, &soon, &alarms, 8));
    SAY("ended", syscall(PWAIT2, fd, got, 4, NULL, &none, 8));
    SAY("handled", handled == SIGALRM);
    sigprocmask(SIG_BLOCK, NULL, &set);
    SAY("mask", sigismember(&set, SIGALRM));
    SAY("write", write(pipes[1], "x", 1));
    SAY("ready", syscall(PWAIT2, fd, got, 4, NULL, NULL, 0));
    SAY("which", (long)got[0].data.u64);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(fd);
    close(pipes[0]);
    close(pipes[1]);
}

/* System V messages take any memory: rights and ends of mappings count. */
PROBE(mirror_wrong_pointers)
{
    int id = msgget(IPC_PRIVATE, 0600);
    char *p = some_pages(4);
    long *m = (long *)(p + 2 * PAGE - 16);
    SAY("none", msgsnd(id, NULL, 8, 0));
    SAY("not memory", msgsnd(id, (void *)16, 8, 0));
    SAY("the kernel's", msgsnd(id, (void *)-PAGE, 8, 0));
    m[0] = 1;
    m[1] = 0x1234;
    SAY("over an end", msgsnd(id, m, 512, 0));
    SAY("mprotect", mprotect(p + 2 * PAGE, PAGE, PROT_NONE));
    SAY("to what may not be read", msgsnd(id, m, 512, 0));
    SAY("up to it", msgsnd(id, m, 8, 0));
    SAY("mprotect", mprotect(p, PAGE, PROT_READ));
    SAY("into what may not be written", msgrcv(id, p, 512, 0, 0));
    SAY("munmap", munmap(p + PAGE, PAGE));
    SAY("where nothing is any more", msgrcv(id, p + PAGE, 512, 0, IPC_NOWAIT));
    char *again = mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    SAY("where something is again", msgsnd(id, memcpy(again, &(long){ 9 }, 8), 3, 0));
    SAY("and is got", msgrcv(id, again + 100, 512, 9, IPC_NOWAIT));
    SAY("IPC_RMID", msgctl(id, IPC_RMID, NULL));
    munmap(p, 4 * PAGE);
}

/* More than travels at a time; parts of the body's memory that were never touched, too. */
PROBE(mirror_large)
{
    enum { COUNT = 300 };
    static char out[3 * MEGABYTE], in[3 * MEGABYTE + 7];
    struct iovec v[COUNT], w = { in + 7, sizeof out };
    int fd = open("large", O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (unsigned i = 0; i < sizeof out; i++)
        out[i] = (char)(i * 2654435761U >> 13);
    for (unsigned i = 0; i < COUNT; i++)
        v[i] = (struct iovec){ out + i * (sizeof out / COUNT), sizeof out / COUNT };
    SAY("writev", writev(fd, v, COUNT));
    SAY("preadv", preadv(fd, &w, 1, 0));
    SAY("same", memcmp(out, in + 7, COUNT * (sizeof out / COUNT)));
    SAY("write", pwrite(fd, in + 3, MEGABYTE, 5));
    SAY("read", pread(fd, in, MEGABYTE + 9, 0));
    probe_say_bytes("what", in, sizeof in);
    SAY("behind its end", pread(fd, in, 100, 1 << 30));
    char *p = some_pages(600);
    SAY("of zeros", pwrite(fd, p, 600 * PAGE, 0));
    SAY("into what was never touched", pread(fd, p + 100, 500 * PAGE, 11));
    probe_say_bytes("what", p, 600 * PAGE);
    munmap(p, 600 * PAGE);
    close(fd);
    unlink("large");
}

/* Each has a mirror of its own. */
PROBE(mirror_children)
{
    int id = semget(IPC_PRIVATE, 2, 0600), status;
    unsigned short all[2] = { 1, 2 }, got[2];
    SAY("SETALL", semctl(id, 0, SETALL, all));
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            int rc = semctl(id, 0, GETALL, got);
            got[i % 2] += 10;
            rc |= semctl(id, 0, SETALL, got);
            _exit(rc ? 99 : got[0] + got[1]);
        }
        SAY("wait", waitpid(pid, &status, 0) == pid);
        SAY("status", WEXITSTATUS(status));
    }
    SAY("GETALL", semctl(id, 0, GETALL, got));
    printf("  %u %u\n", got[0], got[1]);
    SAY("IPC_RMID", semctl(id, 0, IPC_RMID));
}
