/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lacks.c: runs a program as if the kernel were without something. Usage: lacks WHAT COMMAND...
 * WHAT: a system call of the table, which is unknown then; userns: user namespaces may not be
 * made; timens: those of time are unknown; notify: so are seccomp's notices. Source:
 * seccomp(2), unshare(2). */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* With bits of an argument, only if one of them is set. */
static const struct {
    const char *name;
    unsigned number, argument, bits;
    int error;
} table[] = {
    /* clang-format off */
    { "kcmp",              SYS_kcmp,              0, 0, ENOSYS },
    { "memfd_create",      SYS_memfd_create,      0, 0, ENOSYS },
    { "notify",            SYS_seccomp,           1, SECCOMP_FILTER_FLAG_NEW_LISTENER, EINVAL },
    { "pidfd_getfd",       SYS_pidfd_getfd,       0, 0, ENOSYS },
    { "pidfd_open",        SYS_pidfd_open,        0, 0, ENOSYS },
    { "process_vm_readv",  SYS_process_vm_readv,  0, 0, ENOSYS },
    { "process_vm_writev", SYS_process_vm_writev, 0, 0, ENOSYS },
    { "ptrace",            SYS_ptrace,            0, 0, EPERM },
    { "seccomp",           SYS_seccomp,           0, 0, ENOSYS },
    { "timens",            SYS_unshare,           0, CLONE_NEWTIME, EINVAL },
    { "userfaultfd",       SYS_userfaultfd,       0, 0, ENOSYS },
    { "userns",            SYS_unshare,           0, CLONE_NEWUSER, EPERM },
    /* clang-format on */
};

int main(int argc, char **argv)
{
    unsigned i = 0;
    while (argc > 2 && i < sizeof table / sizeof *table && strcmp(table[i].name, argv[1]) != 0)
        i++;
    if (argc < 3 || i == sizeof table / sizeof *table) {
        fprintf(stderr, "usage: lacks WHAT COMMAND...\n");
        return 2;
    }
    unsigned at = (unsigned)offsetof(struct seccomp_data, args) + 8 * table[i].argument;
    /* Without bits of an argument nothing is asked of it. */
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, table[i].number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, table[i].bits, 0, table[i].bits ? 1 : 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)table[i].error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog f = { sizeof program / sizeof *program, program };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f) < 0) {
        perror("lacks: seccomp");
        return 2;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
