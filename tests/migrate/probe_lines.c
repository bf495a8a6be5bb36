/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe_lines.c: each line of calls.def at least once, by its number, with a result that is the
 * same each time. away.sh compares which lines were made with which there are. */
#include "tests/migrate/probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

/* The result counts, or only whether there is one. */
#define CALL(name, ...)  SAY(#name, syscall(SYS_##name, ##__VA_ARGS__))
#define WORKS(name, ...) SAY(#name, syscall(SYS_##name, ##__VA_ARGS__) < 0 ? -1 : 0)

enum { HERE = AT_FDCWD };

static void say_mode(const char *path)
{
    struct stat st;
    memset(&st, 0, sizeof st);
    CALL(lstat, path, &st);
    printf("  %s: %o %ld %ld\n", path, st.st_mode, (long)st.st_nlink, (long)st.st_size);
}

PROBE(lines_of_names)
{
    char text[64] = "";
    struct stat st;
    struct statx stx;
    struct timespec times[2] = { { 1000, 5 }, { 2000, 7 } };
    struct timeval tv[2] = { { 3000, 1 }, { 4000, 1 } };
    struct utimbuf ut = { 5000, 6000 };
    struct statfs fs;
    struct open_how how = { .flags = O_RDONLY };
    CALL(umask, 022);
    CALL(mkdir, "lines", 0755);
    CALL(chdir, "lines");
    WORKS(creat, "f", 0640);
    CALL(close, 3);
    CALL(open, "f", O_RDWR, 0);
    CALL(write, 3, "0123456789", 10);
    CALL(openat, HERE, ".", O_RDONLY | O_DIRECTORY, 0);
    CALL(openat2, HERE, "f", &how, sizeof how);
    CALL(stat, "f", &st);
    CALL(fstat, 3, &st);
    CALL(newfstatat, 4, "f", &st, 0);
    CALL(statx, HERE, "f", 0, STATX_BASIC_STATS, &stx);
    SAY("size", stx.stx_size);
    CALL(access, "f", R_OK);
    CALL(faccessat, HERE, "none", R_OK);
    CALL(faccessat2, HERE, "f", W_OK, 0);
    CALL(mkdirat, HERE, "d", 0700);
    CALL(link, "f", "g");
    CALL(linkat, HERE, "f", 4, "h", 0);
    CALL(symlink, "f", "s");
    CALL(symlinkat, "g", HERE, "t");
    CALL(readlink, "s", text, sizeof text);
    CALL(readlinkat, HERE, "t", text, sizeof text);
    CALL(mknod, "fifo", S_IFIFO | 0600, 0);
    CALL(mknodat, HERE, "fifo2", S_IFIFO | 0600, 0);
    CALL(rename, "g", "g2");
    CALL(renameat, HERE, "g2", HERE, "g3");
    CALL(renameat2, HERE, "g3", HERE, "f", 1 /* not over another */);
    CALL(chmod, "f", 0600);
    CALL(fchmod, 3, 0604);
    CALL(fchmodat, HERE, "g3", 0640);
    CALL(chown, "f", 1, 2);
    CALL(lchown, "s", 1, 2);
    CALL(fchown, 3, 3, 4);
    CALL(fchownat, HERE, "f", 0, 0, 0);
    CALL(truncate, "f", 5);
    CALL(ftruncate, 3, 100);
    CALL(fallocate, 3, 0, 0, 200);
    CALL(utime, "f", &ut);
    CALL(utimes, "f", tv);
    CALL(utimensat, HERE, "f", times, 0);
    CALL(stat, "f", &st);
    printf("  times %ld %ld\n", (long)st.st_atime, (long)st.st_mtim.tv_nsec);
    CALL(statfs, ".", &fs);
    CALL(fstatfs, 3, &fs);
    SAY("kind of file system", fs.f_type);
    CALL(setxattr, "f", "user.a", "one", 3, 0);
    CALL(lsetxattr, "f", "user.b", "two", 3, 0);
    CALL(fsetxattr, 3, "user.c", "three", 5, 0);
    CALL(getxattr, "f", "user.a", text, sizeof text);
    CALL(lgetxattr, "f", "user.b", text, 2);
    CALL(fgetxattr, 3, "user.c", NULL, 0);
    CALL(listxattr, "f", text, sizeof text);
    CALL(llistxattr, "f", text, 1);
    CALL(flistxattr, 3, text, sizeof text);
    CALL(removexattr, "f", "user.a");
    CALL(lremovexattr, "f", "user.b");
    CALL(fremovexattr, 3, "user.a");
    say_mode("f");
    say_mode("s");
    say_mode("fifo");
    WORKS(inotify_init);
    CALL(inotify_init1, IN_NONBLOCK);
    CALL(inotify_add_watch, 7, ".", IN_CREATE);
    CALL(unlink, "h");
    CALL(unlinkat, HERE, "g3", 0);
    CALL(read, 7, text, sizeof text);
    CALL(inotify_rm_watch, 7, 1);
    for (int fd = 3; fd < 8; fd++)
        CALL(close, fd);
    for (const char *const *p = (const char *const[]){ "f", "s", "t", "fifo", "fifo2", NULL };
         *p; p++)
        CALL(unlink, *p);
    CALL(rmdir, "d");
    WORKS(openat, HERE, "..", O_RDONLY, 0);
    CALL(fchdir, 3);
    CALL(rmdir, "lines");
    CALL(close, 3);
}

PROBE(lines_of_descriptors)
{
    char text[512] = "";
    int fds[2], n = 0;
    int64_t in = 2, out = 0;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };
    struct pollfd p;
    struct epoll_event ev = { EPOLLIN, { .u64 = 5 } }, got[2];
    struct itimerspec every = { { 0, 0 }, { 100, 0 } }, now;
    struct timespec none = { 0, 0 };
    struct timeval tnone = { 0, 0 };
    sigset_t set;
    fd_set fdset;
    uint64_t value = 3;
    CALL(open, "file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CALL(pwrite64, 3, "hello, world", 12, 0);
    CALL(pread64, 3, text, 5, 7);
    CALL(lseek, 3, 2, SEEK_SET);
    CALL(dup, 3);
    CALL(dup2, 3, 9);
    CALL(dup3, 3, 10, O_CLOEXEC);
    CALL(fsync, 3);
    CALL(fdatasync, 3);
    CALL(sync);
    CALL(syncfs, 3);
    CALL(sync_file_range, 3, 0, 5, 0);
    CALL(fadvise64, 3, 0, 0, POSIX_FADV_NORMAL);
    CALL(readahead, 3, 0, 12);
    CALL(flock, 3, 2);
    CALL(fcntl, 3, F_DUPFD, 20);
    CALL(fcntl, 3, F_DUPFD_CLOEXEC, 30);
    CALL(fcntl, 30, F_GETFD);
    CALL(fcntl, 30, F_SETFD, 0);
    CALL(fcntl, 3, F_GETFL);
    CALL(fcntl, 3, F_SETFL, O_APPEND);
    CALL(fcntl, 3, F_SETFL, 0);
    CALL(fcntl, 3, F_SETLK, &lock);
    CALL(fcntl, 3, F_SETLKW, &lock);
    CALL(fcntl, 3, F_GETLK, &lock);
    SAY("own lock is none", lock.l_type);
    lock = (struct flock){ .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 10 };
    CALL(fcntl, 3, F_OFD_GETLK, &lock);
    lock =
        (struct flock){ .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 10 };
    CALL(fcntl, 3, F_OFD_SETLK, &lock);
    CALL(fcntl, 3, F_OFD_SETLKW, &lock);
    CALL(fcntl, 3, F_SETOWN, 0);
    CALL(fcntl, 3, F_GETOWN);
    CALL(fcntl, 3, F_SETSIG, SIGUSR1);
    CALL(fcntl, 3, F_GETSIG);
    WORKS(fcntl, 3, F_SETLEASE, F_UNLCK);
    CALL(fcntl, 3, F_GETLEASE);
    CALL(close_range, 4, 40, 0);
    CALL(pipe, fds);
    CALL(close_range, 4, 5, 0);
    CALL(pipe2, fds, O_NONBLOCK);
    CALL(fcntl, fds[1], F_SETPIPE_SZ, 8192);
    CALL(fcntl, fds[1], F_GETPIPE_SZ);
    CALL(sendfile, fds[1], 3, &in, 4);
    SAY("offset", in);
    CALL(splice, 3, &out, fds[1], NULL, 3, 0);
    CALL(ioctl, fds[0], FIONREAD, &n);
    SAY("there", n);
    CALL(ioctl, fds[0], FIONBIO, &n);
    p = (struct pollfd){ fds[0], POLLIN, 0 };
    CALL(poll, &p, 1, 0);
    CALL(ppoll, &p, 1, &none, NULL, 8);
    FD_ZERO(&fdset);
    FD_SET(fds[0], &fdset);
    CALL(select, fds[0] + 1, &fdset, NULL, NULL, &tnone);
    CALL(pselect6, fds[0] + 1, &fdset, NULL, NULL, &none, NULL);
    WORKS(epoll_create, 5);
    CALL(epoll_create1, 0);
    CALL(epoll_ctl, 7, EPOLL_CTL_ADD, fds[0], &ev);
    CALL(epoll_wait, 7, got, 2, 0);
    CALL(epoll_pwait, 7, got, 2, 0, NULL, 8);
    CALL(tee, fds[0], fds[1], 0, 0);
    WORKS(eventfd, 0);
    CALL(eventfd2, 5, EFD_NONBLOCK);
    CALL(read, 9, &value, sizeof value);
    SAY("value", value);
    CALL(timerfd_create, CLOCK_MONOTONIC, 0);
    CALL(timerfd_settime, 10, 0, &every, &now);
    CALL(timerfd_gettime, 10, &now);
    SAY("less than 100 s", now.it_value.tv_sec > 90);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CALL(signalfd, -1, &set, 8);
    CALL(signalfd4, -1, &set, 8, SFD_NONBLOCK);
    CALL(read, 12, text, sizeof text);
    CALL(memfd_create, "memory", 2);
    CALL(fcntl, 13, F_ADD_SEALS, 2);
    CALL(fcntl, 13, F_GET_SEALS);
    in = 0;
    CALL(copy_file_range, 3, &in, 13, NULL, 5, 0);
    WORKS(openat, HERE, "/proc/sys/kernel", O_RDONLY | O_DIRECTORY, 0);
    WORKS(getdents64, 14, text, sizeof text);
    WORKS(getdents, 14, text, sizeof text);
    CALL(close_range, 3, 20, 0);
    CALL(unlink, "file");
}

PROBE(lines_of_terminals)
{
    struct termios t;
    struct winsize w = { 24, 80, 0, 0 };
    unsigned char t2[44];
    int n = 0, unlock = 0, size = 0;
    unsigned flags = 0;
    uint64_t bytes;
    WORKS(open, "/dev/ptmx", O_RDWR | O_NOCTTY, 0);
    CALL(ioctl, 3, TIOCGPTN, &n);
    CALL(ioctl, 3, TIOCSPTLCK, &unlock);
    CALL(ioctl, 3, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    CALL(ioctl, 4, TCGETS, &t);
    SAY("speed", cfgetospeed(&t));
    CALL(ioctl, 4, TCSETS, &t);
    CALL(ioctl, 4, TCSETSW, &t);
    CALL(ioctl, 4, TCSETSF, &t);
    CALL(ioctl, 4, 0x802c542a, t2);
    CALL(ioctl, 4, 0x402c542b, t2);
    CALL(ioctl, 4, 0x402c542c, t2);
    CALL(ioctl, 4, 0x402c542d, t2);
    CALL(ioctl, 4, TIOCSWINSZ, &w);
    w.ws_row = 1;
    CALL(ioctl, 4, TIOCGWINSZ, &w);
    SAY("rows", w.ws_row);
    CALL(ioctl, 4, TCFLSH, 2);
    CALL(ioctl, 4, TCSBRK, 1);
    CALL(ioctl, 4, TCXONC, 1);
    CALL(ioctl, 4, TIOCOUTQ, &n);
    CALL(ioctl, 4, FIOCLEX, 0);
    CALL(ioctl, 4, FIONCLEX, 0);
    CALL(ioctl, 4, TIOCGPGRP, &n);
    CALL(ioctl, 4, TIOCSPGRP, &n);
    CALL(ioctl, 4, TIOCGSID, &n);
    CALL(ioctl, 4, TIOCNOTTY, 0);
    CALL(ioctl, 0, TIOCSCTTY, 0);
    CALL(ioctl, 3, 0x80081272 /* BLKGETSIZE64 */, &bytes);
    WORKS(open, ".", O_RDONLY, 0);
    CALL(ioctl, 5, 2 /* FIGETBSZ */, &size);
    SAY("block", size);
    WORKS(ioctl, 5, 0x80086601 /* FS_IOC_GETFLAGS */, &flags);
    CALL(ioctl, 5, 0x40049409 /* FICLONE */, 5);
    CALL(close_range, 3, 20, 0);
}

PROBE(lines_of_sockets)
{
    struct sockaddr_un a = { AF_UNIX, "" }, from;
    socklen_t len = sizeof(sa_family_t) + 6;
    int pair[2], n = 1, type = 0;
    char text[32] = "";
    snprintf(a.sun_path + 1, 20, "probe%d", getpid());
    len = sizeof a;
    CALL(socket, AF_UNIX, SOCK_STREAM, 0);
    CALL(bind, 3, &a, sizeof a);
    CALL(listen, 3, 5);
    CALL(socket, AF_UNIX, SOCK_STREAM, 0);
    CALL(connect, 4, &a, sizeof a);
    CALL(accept, 3, &from, &len);
    CALL(socket, AF_UNIX, SOCK_STREAM, 0);
    CALL(connect, 6, &a, sizeof a);
    len = sizeof from;
    CALL(accept4, 3, &from, &len, SOCK_CLOEXEC);
    SAY("length", len);
    len = sizeof from;
    CALL(getsockname, 3, &from, &len);
    SAY("length", len);
    len = sizeof from;
    CALL(getpeername, 4, &from, &len);
    CALL(setsockopt, 4, SOL_SOCKET, SO_PASSCRED, &n, sizeof n);
    len = sizeof type;
    CALL(getsockopt, 4, SOL_SOCKET, SO_TYPE, &type, &len);
    SAY("type", type);
    CALL(sendto, 4, "to", 2, 0, NULL, 0);
    CALL(recvfrom, 5, text, sizeof text, 0, NULL, NULL);
    CALL(shutdown, 4, SHUT_WR);
    CALL(read, 5, text, sizeof text);
    CALL(socketpair, AF_UNIX, SOCK_STREAM, 0, pair);
    CALL(close_range, 3, 20, 0);
}

static void as_another(void)
{
    gid_t groups[4] = { 5, 6, 7 }, r, e, s;
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct caps[2];
    struct rlimit lim;
    CALL(setgroups, 3, groups);
    CALL(getgroups, 4, groups);
    SAY("the second", groups[1]);
    CALL(capget, &head, caps);
    CALL(capset, &head, caps);
    CALL(getrlimit, RLIMIT_NOFILE, &lim);
    CALL(setrlimit, RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    CALL(prlimit64, 0, RLIMIT_CORE, NULL, &lim);
    SAY("limit", lim.rlim_cur);
    CALL(setpriority, PRIO_PROCESS, 0, 5);
    CALL(getpriority, PRIO_PROCESS, 0);
    CALL(chroot, "/");
    CALL(chdir, "/");
    CALL(setregid, -1, 5);
    CALL(setgid, 5);
    CALL(setresgid, 5, 5, 5);
    CALL(setfsgid, 5);
    CALL(getresgid, &r, &e, &s);
    CALL(setreuid, -1, 7);
    CALL(setfsuid, 7);
    CALL(setuid, 7);
    CALL(setresuid, 7, 7, 7);
    CALL(getresuid, &r, &e, &s);
    printf("  %u %u %u\n", r, e, s);
    CALL(getuid);
    CALL(geteuid);
    CALL(getgid);
    CALL(getegid);
    CALL(setpgid, 0, 0);
    SAY("getpgrp", syscall(SYS_getpgrp) == getpid());
    SAY("getpgid", syscall(SYS_getpgid, 0) == getpid());
    WORKS(getsid, 0);
    WORKS(getppid);
    WORKS(setsid);
    CALL(access, "/root/x", R_OK);
    fflush(stdout);
    CALL(kill, 1, SIGTERM); /* not one's own */
    syscall(SYS_exit, 9);
}

PROBE(lines_of_identity)
{
    struct utsname u;
    char text[4096] = "", mask[128];
    int status = 0, n = 0, policy = 0;
    struct rusage ru;
    siginfo_t info;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        as_another();
    SAY("wait4", syscall(SYS_wait4, pid, &status, 0, &ru) == pid);
    SAY("status", status >> 8);
    CALL(waitid, P_ALL, 0, &info, WEXITED, NULL);
    CALL(getrusage, RUSAGE_CHILDREN, &ru);
    CALL(uname, &u);
    printf("  %s\n", u.sysname);
    WORKS(getcwd, text, sizeof text);
    CALL(sethostname, text, 70);
    CALL(sethostname, (void *)8, 5); /* reaches home, and changes nothing */
    CALL(setdomainname, (void *)8, 5);
    WORKS(sysinfo, text);
    WORKS(sched_getaffinity, 0, sizeof mask, mask);
    CALL(sched_setaffinity, 0, 0, mask);
    CALL(sched_getscheduler, 0);
    CALL(sched_getparam, 0, &policy);
    CALL(sched_get_priority_max, SCHED_FIFO);
    CALL(sched_get_priority_min, SCHED_FIFO);
    CALL(personality, 0xffffffff);
    CALL(prctl, PR_SET_NAME, "another name", 0, 0, 0);
    CALL(prctl, PR_GET_NAME, text, 0, 0, 0);
    printf("  %s\n", text);
    CALL(prctl, PR_SET_NAME, "probe", 0, 0, 0);
    CALL(prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
    CALL(prctl, PR_GET_PDEATHSIG, &n, 0, 0, 0);
    CALL(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
    CALL(prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
    CALL(prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0);
    CALL(prctl, PR_GET_KEEPCAPS, 0, 0, 0, 0);
    CALL(prctl, 30 /* PR_GET_TIMERSLACK */, 0, 0, 0, 0);
    CALL(prctl, PR_GET_SECCOMP, 0, 0, 0, 0);
    CALL(prctl, PR_CAPBSET_READ, 0, 0, 0, 0);
    CALL(prctl, PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    CALL(prctl, PR_GET_CHILD_SUBREAPER, &n, 0, 0, 0);
    CALL(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    CALL(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    WORKS(pidfd_open, getpid(), 0);
    CALL(pidfd_send_signal, 3, 0, NULL, 0);
    CALL(close, 3);
    char *none[] = { NULL };
    CALL(execve, "/no/such/file", none, none);
    CALL(execveat, HERE, "/no/such/file", none, none, 0);
}

static void say_ids(void)
{
    uid_t ids[3] = { 9, 9, 9 }, groups[64];
    CALL(getuid);
    CALL(geteuid);
    CALL(getgid);
    CALL(getegid);
    CALL(getresuid, &ids[0], &ids[1], &ids[2]);
    probe_say_bytes("ids", ids, sizeof ids);
    CALL(getresgid, &ids[0], NULL, &ids[2]);
    CALL(getresgid, &ids[0], &ids[1], &ids[2]);
    probe_say_bytes("ids", ids, sizeof ids);
    CALL(getgroups, 0, NULL);
    CALL(getgroups, 1, groups);
    int n = (int)syscall(SYS_getgroups, 64, groups);
    probe_say_bytes("groups", groups, n > 0 ? (unsigned)n * sizeof *groups : 0);
    SAY("session", syscall(SYS_getsid, 0) == syscall(SYS_getsid, getpid()));
    SAY("own session", syscall(SYS_getsid, 0) == getpid());
    SAY("group", syscall(SYS_getpgrp) == syscall(SYS_getpgid, 0));
    SAY("own group", syscall(SYS_getpgid, 0) == getpid());
}

static void change_ids(void)
{
    const gid_t groups[] = { 7, 9 };
    CALL(setgroups, 2, groups);
    say_ids();
    CALL(setresgid, 11, 12, 13);
    say_ids();
    CALL(setresuid, 21, 22, 0);
    say_ids();
    CALL(setreuid, -1, 23);
    CALL(setfsuid, 24);
    say_ids();
    CALL(setuid, 21);
    CALL(setgid, 11);
    say_ids();
}

/* Answers that are kept, before and after what changes them: also by the parent. */
PROBE(kept_answers)
{
    int go[2], done[2], status = 0;
    char c = 0;
    for (int i = 0; i < 3; i++)
        say_ids();
    if (pipe(go) < 0 || pipe(done) < 0)
        return;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        SAY("own group", syscall(SYS_getpgid, 0) == getpid());
        SAY("own group", syscall(SYS_getpgrp) == getpid());
        SAY("told", write(done[1], &c, 1) == 1 && read(go[0], &c, 1) == 1);
        SAY("own group", syscall(SYS_getpgid, 0) == getpid());
        SAY("own group", syscall(SYS_getpgrp) == getpid());
        SAY("back", syscall(SYS_setpgid, 0, getppid()));
        SAY("own group", syscall(SYS_getpgid, 0) == getpid());
        CALL(setpgid, 0, 0);
        SAY("own group", syscall(SYS_getpgid, 0) == getpid());
        _exit(write(done[1], &c, 1) != 1);
    }
    SAY("child", read(done[0], &c, 1) == 1);
    SAY("setpgid", syscall(SYS_setpgid, pid, pid));
    SAY("child", write(go[1], &c, 1) == 1 && read(done[0], &c, 1) == 1);
    SAY("wait", waitpid(pid, &status, 0) == pid && status == 0);
    pid = fork();
    if (pid == 0) {
        SAY("own session", syscall(SYS_getsid, 0) == getpid());
        SAY("setsid", syscall(SYS_setsid) == getpid());
        say_ids();
        change_ids();
        _exit(0);
    }
    SAY("wait", waitpid(pid, &status, 0) == pid && status == 0);
    for (int fd = 0; fd < 2; fd++) {
        close(go[fd]);
        close(done[fd]);
    }
}

/* For counting how often they were asked for. */
PROBE(home_kept_often)
{
    for (int i = 0; i < 100; i++)
        if (getuid() + geteuid() + getgid() + getegid() > 1000000 || getsid(0) < 0 ||
            getpgrp() < 0 || sched_get_priority_max(SCHED_FIFO) < 0)
            printf("  odd\n");
    printf("  done\n");
}

PROBE(lines_of_signals_and_time)
{
    sigset_t set, old;
    siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_QUEUE };
    struct timespec now = { 0, 0 };
    struct itimerval t = { { 0, 0 }, { 0, 0 } };
    struct sembuf op = { 0, 1, IPC_NOWAIT };
    pid_t pid = getpid();
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CALL(rt_sigprocmask, SIG_BLOCK, &set, &old, 8);
    CALL(rt_sigqueueinfo, pid, SIGUSR1, &info);
    CALL(rt_sigpending, &old, 8);
    CALL(rt_sigtimedwait, &set, &info, &now, 8);
    CALL(rt_tgsigqueueinfo, pid, pid, SIGUSR1, &info);
    CALL(rt_sigtimedwait, &set, &info, &now, 8);
    CALL(tkill, pid, SIGUSR1);
    CALL(rt_sigtimedwait, &set, &info, &now, 8);
    CALL(tgkill, pid, pid, SIGUSR1);
    CALL(rt_sigtimedwait, &set, &info, &now, 8);
    CALL(rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
    CALL(alarm, 50);
    CALL(getitimer, ITIMER_REAL, &t);
    SAY("alarm", t.it_value.tv_sec > 40);
    CALL(alarm, 0);
    CALL(semget, 0x7abcdef1, 1, 0);
    CALL(semop, -1, &op, 1);
    CALL(semtimedop, -1, &op, 1, &now);
    CALL(msgget, 0x7abcdef0, 0);
    CALL(rt_sigsuspend, (void *)8, 8);
    CALL(rt_sigaction, SIGKILL, NULL, (void *)8, 8);
}
