/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seccomp.c: the filter of calls.def, as a program for the kernel.
 * Must not know: what is served.
 * Source: seccomp(2); linux/seccomp.h and linux/bpf_common.h. */
#include "mrcfs/server/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
/* What sanitizers call is their business. */
#elif defined __x86_64__
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define OUR_ARCH AUDIT_ARCH_AARCH64
#elif defined __riscv && __riscv_xlen == 64
#define OUR_ARCH AUDIT_ARCH_RISCV64
#endif

#ifdef OUR_ARCH

enum { RULE_LEN = 5, HEAD_LEN = 8 }; /* instructions */

enum kind { KIND_CALL, KIND_ARG, KIND_BITS, KIND_OWN };

struct rule {
    int number; /* -1: not on this architecture */
    uint8_t kind, which;
    uint32_t value;
};

/* SYS_name where there is such a call, else -1: each name that an older header may lack gets a
 * number here first. */
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* the same everywhere */
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_rseq
#error "the C library's headers are too old: SYS_rseq"
#endif
#ifndef __x86_64__ /* calls that newer architectures do without */
#define SYS_open          -1
#define SYS_creat         -1
#define SYS_mkdir         -1
#define SYS_mknod         -1
#define SYS_link          -1
#define SYS_symlink       -1
#define SYS_readlink      -1
#define SYS_unlink        -1
#define SYS_rmdir         -1
#define SYS_rename        -1
#define SYS_access        -1
#define SYS_stat          -1
#define SYS_lstat         -1
#define SYS_chmod         -1
#define SYS_chown         -1
#define SYS_lchown        -1
#define SYS_dup2          -1
#define SYS_pipe          -1
#define SYS_select        -1
#define SYS_poll          -1
#define SYS_epoll_wait    -1
#define SYS_time          -1
#define SYS_arch_prctl    -1
#define SYS_getdents      -1
#ifndef SYS_renameat
#define SYS_renameat -1
#endif
#ifndef SYS_getrlimit
#define SYS_getrlimit -1
#endif
#endif

static const struct rule rules[] = {
#define CALL(name)              { SYS_##name, KIND_CALL, 0, 0 },
#define ARG(name, which, value) { SYS_##name, KIND_ARG, which, value },
#define BITS(name, which, mask) { SYS_##name, KIND_BITS, which, mask },
#define OWN(name, which)        { SYS_##name, KIND_OWN, which, 0 },
#include "mrcfs/server/calls.def"
};

struct program {
    struct sock_filter at[HEAD_LEN + RULE_LEN * ARRAY_LEN(rules) + 1];
    unsigned short len;
};

static void add(struct program *p, uint16_t code, uint32_t value, uint8_t if_true,
                uint8_t if_false)
{
    p->at[p->len++] = (struct sock_filter){ code, if_true, if_false, value };
}

static void load(struct program *p, size_t offset)
{
    add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* The low half of an argument: all that the kernel looks at in those that are asked for. */
static size_t arg_offset(uint8_t which)
{
    return offsetof(struct seccomp_data, args) + which * sizeof(uint64_t); /* little endian */
}

static void add_rule(struct program *p, const struct rule *r)
{
    if (r->number < 0)
        return;
    uint32_t value = r->kind == KIND_OWN ? (uint32_t)getpid() : r->value;
    if (r->kind == KIND_CALL) {
        add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)r->number, 0, 1);
        add(p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
        return;
    }
    /* After the argument was looked at, the number is loaded again for the next rule. */
    add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)r->number, 0, 4);
    load(p, arg_offset(r->which));
    if (r->kind == KIND_BITS)
        add(p, BPF_JMP | BPF_JSET | BPF_K, ~value, 1, 0);
    else
        add(p, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    add(p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    load(p, offsetof(struct seccomp_data, nr));
}

int mfs_allow_calls(struct err *note)
{
    static struct program p;
    p.len = 0;
    load(&p, offsetof(struct seccomp_data, arch));
    add(&p, BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
    add(&p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
    load(&p, offsetof(struct seccomp_data, nr));
    add(&p, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
    add(&p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        add_rule(&p, &rules[i]);
    add(&p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
    struct sock_fprog fprog = { .len = p.len, .filter = p.at };
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog) == 0)
        return 1;
    if (errno == EINVAL) {
        err_say(note, 0, "this kernel has no seccomp filters");
        return 0;
    }
    return err_set(note, errno, "limit the system calls of the file server");
}

#else

int mfs_allow_calls(struct err *note)
{
    err_say(note, 0, "no list of system calls for this architecture");
    return 0;
}

#endif
