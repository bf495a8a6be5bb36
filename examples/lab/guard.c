/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guard.c: mrc-lab-guard COMMAND...: runs a command that can make no user namespaces, as on a
 * computer with user.max_user_namespaces=0. That setting is the whole kernel's; this is for one
 * lab node only.
 *
 * A seccomp filter answers ENOSPC to unshare and clone with CLONE_NEWUSER; clone3, whose flags
 * a filter can't see, is answered with ENOSYS, after which the C library uses clone. Root too
 * is refused, as by the setting. It is no wall: programs of another architecture pass.
 * Privilege: CAP_SYS_ADMIN, so that set-user-ID programs under the filter still work. */
#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define OWN_ARCH AUDIT_ARCH_RISCV64
#else
#error                                                                                         \
    "guard.c: which argument of clone has the flags, and the AUDIT_ARCH constant, have to be looked up"
#endif

#define FIELD(name)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, what)

int main(int argc, char **argv)
{
    /* The low half of an argument is its first word on these little-endian machines. */
    /* clang-format off */
    struct sock_filter code[] = {
        FIELD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 0, 8),
        FIELD(nr),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone3, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_unshare, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 4),
        FIELD(args[0]),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 0, 2),
        ANSWER(SECCOMP_RET_ERRNO | ENOSPC),
        ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
        ANSWER(SECCOMP_RET_ALLOW),
    };
    /* clang-format on */
    const struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };
    if (argc < 2) {
        fprintf(stderr, "usage: mrc-lab-guard COMMAND...\n");
        return 2;
    }
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        perror("mrc-lab-guard: seccomp");
        return 1;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
