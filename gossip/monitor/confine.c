/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confine.c: a process that serves strangers gives up what it does not need.
 * Must not know: what it serves.
 * Source: landlock(7), seccomp(2). */
#include "gossip/monitor/confine.h"

#include "config.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef HAVE_LINUX_LANDLOCK_H
#include <linux/landlock.h>
#endif

enum { NOBODY = 65534, FILES = 256 };

int confine_user(const char *user, struct err *e)
{
    uid_t uid = NOBODY;
    gid_t gid = NOBODY;
    if (geteuid() != 0)
        return 0;
    const struct passwd *p = user ? getpwnam(user) : NULL;
    if (user && !p)
        return err_say(e, ENOENT, "there is no user %s", user);
    if (p) {
        uid = p->pw_uid;
        gid = p->pw_gid;
    }
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return err_set(e, errno, "become user %u", (unsigned)uid);
    if (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
        return err_say(e, EPERM, "root could be had back");
    return 0;
}

static bool confine_files(void)
{
#ifdef HAVE_LINUX_LANDLOCK_H
    /* all rights that the kernel's version knows, and no rule that gives one back; numbers,
     * since headers may be older */
    static const uint64_t rights[] = {
        0, (1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1, (1 << 15) - 1, (1 << 16) - 1
    };
    struct {
        uint64_t files, net;
    } set;
    long version =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return false;
    size_t known = version < 5 ? (size_t)version : 5;
    set.files = rights[known];
    set.net = version >= 4 ? 3 : 0; /* bind and connect of TCP */
    int fd = (int)syscall(SYS_landlock_create_ruleset, &set,
                          version >= 4 ? sizeof set : sizeof set.files, 0);
    bool is_done = fd >= 0 && syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    if (fd >= 0)
        close(fd);
    return is_done;
#else
    return false;
#endif
}

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
/* What sanitizers call is their business. */
#elif defined __x86_64__
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

static bool confine_calls(void)
{
#ifdef OUR_ARCH
    static const int refused[] = {
        SYS_execve,
        SYS_execveat,
        SYS_clone,
        SYS_clone3,
        SYS_ptrace,
        SYS_process_vm_readv,
        SYS_process_vm_writev,
        SYS_bpf,
        SYS_perf_event_open,
        SYS_userfaultfd,
        SYS_io_uring_setup,
        SYS_add_key,
        SYS_request_key,
        SYS_keyctl,
        SYS_mount,
        SYS_umount2,
        SYS_pivot_root,
        SYS_unshare,
        SYS_setns,
        SYS_init_module,
        SYS_finit_module,
        SYS_kexec_load,
        SYS_open_by_handle_at,
        SYS_personality,
        SYS_memfd_create,
        SYS_pidfd_getfd,
#ifdef SYS_fork
        SYS_fork,
        SYS_vfork,
#endif
    };
    enum { COUNT = sizeof refused / sizeof *refused };
    struct sock_filter program[COUNT * 2 + 8];
    unsigned n = 0;
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                offsetof(struct seccomp_data, arch));
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                offsetof(struct seccomp_data, nr));
#ifdef __x86_64__ /* another set of numbers for the same calls */
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
#endif
    for (unsigned i = 0; i < COUNT; i++) {
        program[n++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refused[i], 0, 1);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    }
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog filter = { (unsigned short)n, program };
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
#else
    return false;
#endif
}

int confine_self(void)
{
    const struct rlimit files = { FILES, FILES }, nothing = { 0, 0 };
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)setrlimit(RLIMIT_CORE, &nothing);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return 0;
    bool has_files = confine_files();
    return confine_calls() ? has_files ? 2 : 1 : 0;
}
