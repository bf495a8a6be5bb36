/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confine.c: capabilities and filters of calls.
 * Must not know: what processes do. Source: capabilities(7), seccomp(2). */
#include "mosix-core/net/confine.h"

#include "common/base/attr.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(what) (1u << MX_CONFINE_##what)
#define CARRIERS  (BIT(CARRIER) | BIT(COLLECTOR) | BIT(FRONT))

/* What carriers may, one a line; whose. */
static const struct {
    int number;
    unsigned whose;
} allowed[] = {
    { SYS_read, CARRIERS },
    { SYS_write, CARRIERS },
    { SYS_readv, CARRIERS },
    { SYS_writev, CARRIERS },
    { SYS_recvfrom, CARRIERS },
    { SYS_recvmsg, CARRIERS },
    { SYS_sendto, CARRIERS },
    { SYS_sendmsg, CARRIERS },
    { SYS_poll, CARRIERS },
    { SYS_ppoll, CARRIERS },
    { SYS_shutdown, CARRIERS },
    { SYS_setsockopt, CARRIERS },
    { SYS_getsockopt, CARRIERS },
    { SYS_close, CARRIERS },
    { SYS_fcntl, CARRIERS },
    { SYS_fstat, CARRIERS },
    { SYS_newfstatat, CARRIERS }, /* the C library's fstat */
    { SYS_brk, CARRIERS },
    { SYS_mmap, CARRIERS },
    { SYS_mremap, CARRIERS },
    { SYS_munmap, CARRIERS },
    { SYS_madvise, CARRIERS },
    { SYS_futex, CARRIERS },
    { SYS_getpid, CARRIERS },
    { SYS_gettid, CARRIERS },
    { SYS_getrandom, CARRIERS },
    { SYS_clock_gettime, CARRIERS },
    { SYS_setpriority, CARRIERS },
    { SYS_prctl, CARRIERS },
    { SYS_rt_sigreturn, CARRIERS },
    { SYS_rt_sigprocmask, CARRIERS },
    { SYS_restart_syscall, CARRIERS },
    { SYS_exit, CARRIERS },
    { SYS_exit_group, CARRIERS },
    { SYS_memfd_create, BIT(COLLECTOR) },
    { SYS_ftruncate, BIT(COLLECTOR) },
    { SYS_fallocate, BIT(COLLECTOR) },
    { SYS_pread64, BIT(COLLECTOR) },
    { SYS_pwrite64, BIT(COLLECTOR) },
    { SYS_pwritev, BIT(COLLECTOR) },
    { SYS_lseek, BIT(COLLECTOR) },
    { SYS_unlink, BIT(FRONT) },
};

/* What a supervisor may not. Whatever it is tricked into, it makes no programs, connections or
 * namespaces, and what of the kernel is reached by few is out of its reach. Bodies are made
 * before: their own calls are decided by their own filter. */
static const int refused[] = {
    SYS_execve,
    SYS_execveat,
    SYS_socket,
    SYS_chroot,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_unshare,
    SYS_setns,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_syslog,
    SYS_bpf,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_io_uring_setup,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_init_module,
    SYS_finit_module,
    SYS_reboot,
    SYS_kexec_load,
    SYS_delete_module,
    SYS_open_by_handle_at,
    SYS_perf_event_open,
    SYS_quotactl,
    SYS_personality,
    SYS_name_to_handle_at,
};

static int give_up_capabilities(void)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    const struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        if (prctl(PR_CAPBSET_DROP, cap) < 0)
            break; /* who is not root has none to give up */
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        syscall(SYS_capset, &head, none) < 0)
        return -errno;
    return 0;
}

/* With a sanitizer other calls are made than the program's. */
#if defined __x86_64__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
static int filter(enum mx_confine what)
{
    struct sock_filter p[2 * (ARRAY_LEN(allowed) + ARRAY_LEN(refused)) + 8];
    const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_filter refuse = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    bool is_supervisor = what == MX_CONFINE_SUPERVISOR;
    size_t count = is_supervisor ? ARRAY_LEN(refused) : ARRAY_LEN(allowed);
    unsigned short n = 0;
    p[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                          offsetof(struct seccomp_data, arch));
    p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    p[n++] = refuse;
    p[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                          offsetof(struct seccomp_data, nr));
    p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
    p[n++] = refuse; /* another set of numbers for the same calls */
    for (size_t i = 0; i < count; i++) {
        if (!is_supervisor && !(allowed[i].whose & 1u << what))
            continue;
        uint32_t number = (uint32_t)(is_supervisor ? refused[i] : allowed[i].number);
        p[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
        p[n++] = is_supervisor ? refuse : allow;
    }
    p[n++] = is_supervisor ? allow : refuse;
    const struct sock_fprog program = { n, p };
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 ? -errno : 0;
}
#else
static int filter(enum mx_confine what UNUSED)
{
    return 0;
}
#endif

int mx_confine(enum mx_confine what)
{
    int rc = what == MX_CONFINE_SUPERVISOR ? 0 : give_up_capabilities();
    int no_new = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
    int filtered = filter(what);
    return rc < 0 ? rc : no_new < 0 ? no_new : filtered;
}
